// One person's way, from ticket to receipt.
import { useEffect, useState } from "preact/hooks";
import { api, type Chain, type Fact } from "./api";
import { Alert, Badge, Button, Field, Title, clock, says, useWorld } from "./parts";
import type { Say, SayOf } from "./words";

export function Where({ id }: { id: string }) {
  const { t, picture } = useWorld();
  const [typed, type] = useState("");
  const [chain, setChain] = useState<Chain>();
  const [problem, setProblem] = useState("");
  const changed = picture.tickets.find((k) => k.id === chain?.ticket.id)?.changed;
  const events = picture.events.at(-1)?.ticket?.id === chain?.ticket.id ? picture.events.at(-1)?.sequence : undefined;
  useEffect(() => {
    if (!id) {
      setChain(undefined);
      return;
    }
    let late = false;
    api
      .chain(id)
      .then((c) => {
        if (late) return;
        setChain(c);
        setProblem("");
      })
      .catch((e: unknown) => {
        if (late) return;
        setChain(undefined);
        setProblem(says(e, t));
      });
    return () => {
      late = true;
    };
  }, [id, changed, events]);
  const find = (e: Event) => {
    e.preventDefault();
    const wanted = typed.trim();
    const byNumber = picture.tickets.find((k) => k.number.toLowerCase() === wanted.toLowerCase());
    location.hash = `#/chain/${encodeURIComponent(byNumber?.id ?? wanted)}`;
  };
  return (
    <>
      <Title>{t("chain")}</Title>
      <form onSubmit={find} role="search" class="find">
        <Field label={t("chainFind")} id="chain-find" hint={t("chainIntro")}>
          <input id="chain-find" class="utrecht-textbox utrecht-textbox--html-input" required maxLength={64} autoComplete="off" spellcheck={false} value={typed} onInput={(e) => type(e.currentTarget.value)} />
        </Field>
        <Button kind="primary" type="submit">
          {t("find")}
        </Button>
      </form>
      <div role="alert">{problem && <Alert tone="error">{problem}</Alert>}</div>
      {chain && <Way chain={chain} />}
    </>
  );
}

// detail puts the words of the chain's facts into the reader's language; what it does not know it shows as it is.
function detail(f: Fact, t: Say, of: SayOf): string {
  const text = f.detail ?? "";
  if (f.kind === "undone") return of("k_", text);
  if (f.kind !== "ordered") return text;
  const [verb = "", ...rest] = text.split(" ");
  switch (verb) {
    case "except": {
      const list = rest.map((item) => {
        const [position = "", reason = "", duration = ""] = item.split(":");
        const finger = position === "0" ? t("wholeStep") : of("f_", position);
        return `${finger} ${of("r_", reason)} (${t(duration === "permanent" ? "permanent" : "temporary").toLowerCase()})`;
      });
      return t("did_ordered_except", { list: list.join(", ") });
    }
    case "move":
      return t("did_ordered_move", { target: rest.join(" ") });
    case "resume":
      return t("did_ordered_resume");
    case "cancel":
      return [t("did_ordered_cancel"), ...rest].join(" ");
    case "override":
      return t("did_ordered_override", { reason: rest.join(" ") });
    case "accept":
    case "recapture":
      return t(`did_ordered_${verb}`, { step: of("step_", rest[0]), reason: rest.slice(1).join(" ") });
  }
  return text;
}

function Way({ chain }: { chain: Chain }) {
  const { t, of, session, language, now } = useWorld();
  const k = chain.ticket;
  return (
    <section aria-labelledby="way-title">
      <h2 class="utrecht-heading-2" id="way-title">
        {t("chainOf", { number: k.number })}
      </h2>
      <dl class="facts">
        <div>
          <dt>{t("person")}</dt>
          <dd>{k.name ?? k.initials}</dd>
        </div>
        {k.reference && (
          <div>
            <dt>{t("reference")}</dt>
            <dd>{k.reference}</dd>
          </div>
        )}
        <div>
          <dt>{t("state")}</dt>
          <dd>
            <Badge tone={k.state === "done" ? "good" : "neutral"}>{of("s_", k.state)}</Badge>
            {k.follow_up && ` ${t("followUp")}`}
          </dd>
        </div>
        {k.record && (
          <div>
            <dt>{t("record")}</dt>
            <dd class="id">{k.record.slice(0, 16)}…</dd>
          </div>
        )}
      </dl>
      {chain.conflicts.length > 0 && (
        <Alert tone="warning">
          <p class="utrecht-paragraph">{t("conflictIntro")}</p>
        </Alert>
      )}
      <ol class="way" role="list">
        {chain.facts.map((f) => (
          <li key={f.sequence} class={`way-step way-${f.kind}`} data-fact={f.kind}>
            <time dateTime={f.at} class="way-time">
              {clock(f.at, language, now)}
            </time>
            <span class="way-what">
              <strong>{of("k_", f.kind)}</strong>
              {f.detail && `: ${detail(f, t, of)}`}
              <span class="quiet below">
                {[
                  f.station,
                  f.attempt > 1 && t("attempt", { n: f.attempt }),
                  f.author && (f.author === session.account ? t("you") : f.author),
                  f.record && `${t("record")} ${f.record.slice(0, 16)}…`,
                ]
                  .filter(Boolean)
                  .join(", ")}
              </span>
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
