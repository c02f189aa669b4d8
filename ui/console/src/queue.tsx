// The queue: who waits, who is at a station, who was set aside.
import { useState } from "preact/hooks";
import { api, type Ticket } from "./api";
import { Alert, Badge, Button, Modal, Title, clock, focusTitle, says, useWorld } from "./parts";
import type { Key } from "./words";

const order = (a: Ticket, b: Ticket) => Number(b.front ?? false) - Number(a.front ?? false) || a.due.localeCompare(b.due) || a.number.localeCompare(b.number);
const newest = (a: Ticket, b: Ticket) => b.changed.localeCompare(a.changed);

const lists: { key: Key; states: string[]; sort: (a: Ticket, b: Ticket) => number; optional?: boolean }[] = [
  { key: "calledList", states: ["called", "serving"], sort: newest },
  { key: "waitingList", states: ["waiting"], sort: order },
  { key: "asideList", states: ["parked", "no-show"], sort: newest },
  { key: "throughList", states: ["done", "cancelled"], sort: newest, optional: true },
];

export function Queue() {
  const { t, picture } = useWorld();
  const [calling, call] = useState<Ticket>();
  return (
    <>
      <Title>{t("queue")}</Title>
      {picture.conflicts.length > 0 && (
        <Alert tone="warning">
          <h2 class="utrecht-heading-3">{t("conflicts")}</h2>
          <p class="utrecht-paragraph">{t("conflictIntro")}</p>
          <ul>
            {picture.conflicts.map((c) => (
              <li key={c.record}>
                <a class="utrecht-link" href={`#/chain/${c.ticket}`}>
                  {c.number}
                </a>{" "}
                {c.station}
              </li>
            ))}
          </ul>
        </Alert>
      )}
      {lists.map(({ key, states, sort, optional }) => {
        const tickets = picture.tickets.filter((k) => states.includes(k.state)).sort(sort);
        return optional && tickets.length === 0 ? null : <List key={key} name={key} tickets={tickets} call={call} />;
      })}
      {calling && <Call ticket={calling} close={() => call(undefined)} />}
    </>
  );
}

function List({ name, tickets, call }: { name: Key; tickets: Ticket[]; call: (t: Ticket) => void }) {
  const { t } = useWorld();
  const id = `list-${name}`;
  return (
    <section aria-labelledby={id}>
      <h2 class="utrecht-heading-2" id={id}>
        {t(name)} <span class="count">{tickets.length}</span>
      </h2>
      {tickets.length === 0 ? (
        <p class="utrecht-paragraph quiet">{t("nobody")}</p>
      ) : (
        <div class="scroll" tabIndex={0} role="group" aria-labelledby={id}>
          <table class="utrecht-table tickets" aria-labelledby={id}>
            <thead class="utrecht-table__header">
              <tr class="utrecht-table__row">
                {(["ticket", "person", "state", "expected", "place", "actions"] as Key[]).map((k) => (
                  <th key={k} scope="col" class={`utrecht-table__header-cell col-${k}`}>
                    {t(k)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody class="utrecht-table__body">
              {tickets.map((k) => (
                <Row key={k.id} ticket={k} call={() => call(k)} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

const tones: Record<string, "neutral" | "good" | "attention" | "bad"> = { called: "attention", serving: "good", done: "good" };

function Row({ ticket: k, call }: { ticket: Ticket; call: () => void }) {
  const { t, of, session, language, now } = useWorld();
  const service = session.services.find((s) => s.id === k.service);
  const several = session.services.length > 1;
  return (
    <tr class="utrecht-table__row" data-ticket={k.number}>
      <th scope="row" class="utrecht-table__cell number">
        {k.number}
      </th>
      <td class="utrecht-table__cell">
        {k.name ?? k.initials}
        {(k.reference || several) && (
          <span class="quiet below">{[k.reference, several && (service?.name ?? k.service)].filter(Boolean).join(", ")}</span>
        )}
      </td>
      <td class="utrecht-table__cell">
        <Badge tone={tones[k.state] ?? "neutral"}>{of("s_", k.state)}</Badge>
        {k.front && k.state === "waiting" && <span class="quiet below">{t("front")}</span>}
        {k.attempt > 1 && <span class="quiet below">{t("attempt", { n: k.attempt })}</span>}
        {k.follow_up && <span class="quiet below">{t("followUp")}</span>}
      </td>
      <td class="utrecht-table__cell">{clock(k.due, language, now)}</td>
      <td class="utrecht-table__cell">{k.station}</td>
      <td class="utrecht-table__cell">
        <Acts ticket={k} call={call} />
      </td>
    </tr>
  );
}

function Acts({ ticket: k, call }: { ticket: Ticket; call: () => void }) {
  const { t, tell, fail } = useWorld();
  const [busy, setBusy] = useState(false);
  const undo = async () => {
    await api.undo(k.id);
    tell(t("did_undo", { number: k.number }));
  };
  const decide = (act: string) => {
    if (busy) return;
    setBusy(true);
    api
      .decide(k.id, act)
      .then(() => {
        tell(t(`did_${act}` as Key, { number: k.number }), ["park", "no-show", "cancel"].includes(act) ? undo : undefined);
        focusTitle();
      })
      .catch(fail)
      .finally(() => setBusy(false));
  };
  return (
    <div class="acts">
      {k.may.map((act) => (
        <Button key={act} kind={act === "call" ? "primary" : "subtle"} aria-disabled={busy} onClick={() => (act === "call" ? call() : decide(act))}>
          {t(act === "recall" && k.state === "called" ? "recallCalled" : (act as Key))} <span class="hidden">{k.number}</span>
        </Button>
      ))}
      <a class="utrecht-link" href={`#/chain/${k.id}`}>
        {t("show")} <span class="hidden">{k.number}</span>
      </a>
    </div>
  );
}

// Call asks where someone is to go. Two who call the same ticket are told apart by the queue.
function Call({ ticket, close }: { ticket: Ticket; close: () => void }) {
  const { t, picture, tell } = useWorld();
  const free = picture.stations.filter((s) => s.connected && s.ready && !s.locked && !s.session);
  const [chosen, choose] = useState(free[0]?.name ?? "");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = (e: Event) => {
    e.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem("");
    api
      .order(chosen, { call: { ticket: ticket.id } })
      .then(() => {
        tell(t("did_call", { number: ticket.number, station: chosen }), async () => {
          await api.decide(ticket.id, "requeue");
          tell(t("did_requeue", { number: ticket.number }));
        });
        close();
      })
      .catch((e: unknown) => setProblem(says(e, t)))
      .finally(() => setBusy(false));
  };
  return (
    <Modal title={t("callTo", { number: ticket.number })} close={close}>
      <div role="alert">{problem && <Alert tone="error">{problem}</Alert>}</div>
      {free.length === 0 ? (
        <p class="utrecht-paragraph">{t("noReady")}</p>
      ) : (
        <form onSubmit={submit}>
          <fieldset class="utrecht-form-fieldset plain">
            <legend class="utrecht-form-label">{t("place")}</legend>
            <div class="choices">
              {free.map((s) => (
                <label key={s.name} class="choice">
                  <input type="radio" class="utrecht-radio-button utrecht-radio-button--html-input" name="station" checked={chosen === s.name} onChange={() => choose(s.name)} />{" "}
                  {s.name} ({t(s.role === "desk" ? "desk" : "kiosk")})
                </label>
              ))}
            </div>
          </fieldset>
          <Button kind="primary" type="submit" disabled={!free.some((s) => s.name === chosen)}>
            {t("call")}
          </Button>
        </form>
      )}
    </Modal>
  );
}
