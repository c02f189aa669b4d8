// Kiosks and desks: who asks for help comes first.
import { useState } from "preact/hooks";
import { api, type LedgerEntry, type Sitting, type Station, type Trouble } from "./api";
import { Assist } from "./assist";
import { Badge, Button, Title, clock, useWorld } from "./parts";

export const wantsHelp = (s: Station) => s.session?.help === true;

export function Stations() {
  const { t, picture, session } = useWorld();
  const [helping, help] = useState("");
  const wanted = picture.stations.filter(wantsHelp);
  const chosen = picture.stations.find((s) => s.name === helping);
  return (
    <>
      <Title>{t("stations")}</Title>
      <section aria-labelledby="help-title" class={wanted.length ? "wanted" : undefined}>
        <h2 class="utrecht-heading-2" id="help-title">
          {t("helpWanted")}
        </h2>
        {wanted.length === 0 && <p class="utrecht-paragraph">{t("noHelp")}</p>}
        <ul class="cards" role="list">
          {wanted.map((s) => (
            <Card key={s.name} station={s} help={() => help(s.name)} />
          ))}
        </ul>
      </section>
      <section aria-labelledby="all-title">
        <h2 class="utrecht-heading-2" id="all-title">
          {t("allStations")}
        </h2>
        {picture.stations.length === 0 && <p class="utrecht-paragraph">{t("noStations")}</p>}
        <ul class="cards" role="list">
          {picture.stations
            .filter((s) => !wantsHelp(s))
            .map((s) => (
              <Card key={s.name} station={s} help={() => help(s.name)} />
            ))}
        </ul>
      </section>
      {session.assisting && <Code />}
      {chosen?.session && <Assist station={chosen} close={() => help("")} />}
    </>
  );
}

// Code gives whoever decides at a desk a code with which the desk learns who they are.
function Code() {
  const { t, language, fail } = useWorld();
  const [given, give] = useState<{ code: string; until: string }>();
  return (
    <section aria-labelledby="code-title">
      <h2 class="utrecht-heading-2" id="code-title">
        {t("code")}
      </h2>
      <p class="utrecht-paragraph">{t("codeIntro")}</p>
      <Button onClick={() => api.code().then(give).catch(fail)}>{t("codeGive")}</Button>
      <p class="utrecht-paragraph" aria-live="polite">
        {given && (
          <>
            <strong class="number">{given.code}</strong> <span class="quiet">{t("codeUntil", { time: clock(given.until, language) })}</span>
          </>
        )}
      </p>
    </section>
  );
}

function Card({ station: s, help }: { station: Station; help: () => void }) {
  const { t, of, session, language, now } = useWorld();
  return (
    <li class={`card${wantsHelp(s) ? " card-help" : ""}`} data-station={s.name}>
      <div class="card-head">
        <h3 class="utrecht-heading-3">{s.name}</h3>
        <span class="kind">{t(s.role === "desk" ? "desk" : "kiosk")}</span>
        <Standing station={s} />
      </div>
      {s.session ? <Sitting sitting={s.session} /> : <p class="utrecht-paragraph quiet">{t("free")}</p>}
      {[...s.problems, ...s.warnings].map((p) => (
        <Mend key={p.code} trouble={p} />
      ))}
      {s.refused > 0 && <p class="utrecht-paragraph trouble">{t("refusedRecords", { n: s.refused })}</p>}
      {s.pending > 0 && <p class="utrecht-paragraph quiet">{t("pendingRecords", { n: s.pending })}</p>}
      {s.devices.length > 0 && (
        <details>
          <summary>{t("devices")}</summary>
          <ul class="devices">
            {s.devices.map((d) => (
              <li key={d.identity}>
                {d.model || d.kind}: {d.verdict ? of("v_", d.verdict) : d.state}
                {d.simulated && <span class="quiet"> ({t("simulated")})</span>}
                {d.hint && <Step code={`device-${d.verdict}`} instead={d.hint} />}
              </li>
            ))}
          </ul>
        </details>
      )}
      {!s.connected && <p class="utrecht-paragraph quiet">{t("since", { time: clock(s.since, language, now) })}</p>}
      <div class="utrecht-button-group">
        {s.session?.assist && s.connected && (
          <Button kind={wantsHelp(s) ? "primary" : "secondary"} onClick={help}>
            {t("help")} <span class="hidden">{t("helpWith", { number: s.session.number ?? "", station: s.name })}</span>
          </Button>
        )}
        {session.locking && s.connected && <Lock station={s} />}
      </div>
    </li>
  );
}

// Mend says what is to be mended, in staff's language where there are words for it, and what the station itself says of it.
function Mend({ trouble: p }: { trouble: Trouble }) {
  const { of } = useWorld();
  const step = of("w_", p.code);
  const known = step !== p.code;
  return (
    <p class="utrecht-paragraph trouble" data-trouble={p.code}>
      {known ? step : p.text}{" "}
      <span class="quiet" lang="en">
        {known ? p.text : p.hint}
      </span>
    </p>
  );
}

// Step is what staff do about a device.
function Step({ code, instead }: { code: string; instead: string }) {
  const { of } = useWorld();
  const step = of("w_", code);
  return <span class="quiet"> {step !== code ? step : instead}</span>;
}

function Standing({ station: s }: { station: Station }) {
  const { t } = useWorld();
  if (!s.connected) return <Badge tone="bad">{t("disconnected")}</Badge>;
  if (s.locked) return <Badge tone="attention">{t("locked")}</Badge>;
  if (wantsHelp(s)) return <Badge tone="attention">{t("helpWanted")}</Badge>;
  if (s.session) return <Badge>{t("busy")}</Badge>;
  return s.ready ? <Badge tone="good">{t("ready")}</Badge> : <Badge tone="bad">{t("notReady")}</Badge>;
}

function Sitting({ sitting: s }: { sitting: Sitting }) {
  const { t, of, language, now } = useWorld();
  if (!s.number) return <p class="utrecht-paragraph">{t("someone")}</p>;
  return (
    <>
      <p class="sitting">
        <strong class="number">{s.number}</strong>{" "}
        <span>
          {of("s_", s.state)}
          {s.verdict && <>: {of("v_", s.verdict)}</>}
          {s.verification && <>: {of("verify_", s.verification.state)}</>}
          <br />
          <span class="quiet">
            {s.step && `${of("step_", s.step)}, `}
            {t("since", { time: clock(s.since, language, now) })}
            {(s.attempt ?? 1) > 1 && `, ${t("attempt", { n: s.attempt ?? 1 })}`}
            {s.target && `, ${t("movingTo", { target: s.target })}`}
          </span>
        </span>
      </p>
      {s.ledger && <Ledger ledger={s.ledger} />}
    </>
  );
}

// Ledger shows ten fingers as two hands. The words are there for whoever does not see or tell colours apart.
export function Ledger({ ledger }: { ledger: LedgerEntry[] }) {
  const { t } = useWorld();
  const left = [10, 9, 8, 7, 6].map((p) => ledger[p - 1]);
  const right = [1, 2, 3, 4, 5].map((p) => ledger[p - 1]);
  return (
    <div class="ledger" role="group" aria-label={t("ledger")}>
      <Hand name={t("leftHand")} fingers={left} />
      <Hand name={t("rightHand")} fingers={right} />
    </div>
  );
}

const marks: Record<string, string> = { owed: "○", captured: "✓", "on-file": "⌂", "not-owed": "–" };

function Hand({ name, fingers }: { name: string; fingers: (LedgerEntry | undefined)[] }) {
  const { t, of } = useWorld();
  return (
    <ul class="hand" aria-label={name} role="list">
      {fingers.map(
        (f) =>
          f && (
            <li key={f.position} class={`finger finger-${f.reason}`} title={`${of("f_", f.position)}: ${of("r_", f.reason)}`}>
              <span aria-hidden="true">{marks[f.reason] ?? "×"}</span>
              <span class="hidden">
                {of("f_", f.position)}: {of("r_", f.reason)}
                {f.permanent && `, ${t("permanent")}`}
              </span>
            </li>
          ),
      )}
    </ul>
  );
}

function Lock({ station: s }: { station: Station }) {
  const { t, tell, fail } = useWorld();
  const [busy, setBusy] = useState(false);
  const set = async (locked: boolean) => {
    await api.order(s.name, { lock: { locked, reason: "" } });
    tell(t(locked ? "did_lock" : "did_unlock", { station: s.name }), locked ? () => set(false) : undefined);
  };
  const press = () => {
    setBusy(true);
    set(!s.locked)
      .catch(fail)
      .finally(() => setBusy(false));
  };
  return (
    <Button kind="subtle" aria-disabled={busy} onClick={busy ? undefined : press}>
      {t(s.locked ? "unlock" : "lock")} <span class="hidden">{s.name}</span>
    </Button>
  );
}
