// Help for one session: except a finger, go on, move, end. Every order names the session that was seen.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { api, type Order, type Sitting, type Station } from "./api";
import { Alert, Button, Field, Modal, says, useWorld } from "./parts";
import { Ledger } from "./stations";

const reasons = ["missing", "bandaged", "damaged", "poor-quality", "age-exempt", "refused"];

export function Assist({ station, close }: { station: Station; close: () => void }) {
  const { t, of, tell } = useWorld();
  const [first] = useState(station.session?.id ?? ""); // the session that was chosen
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const s = station.session;
  if (!s || s.id !== first) {
    return (
      <Modal title={station.name} close={close}>
        <p class="utrecht-paragraph">{t("sessionGone")}</p>
      </Modal>
    );
  }
  const order = (o: Order, done: boolean) => {
    if (busy) return;
    setBusy(true);
    setProblem("");
    api
      .order(station.name, o)
      .then(() => {
        tell(t("did_order", { station: station.name }));
        if (done) close();
      })
      .catch((e: unknown) => setProblem(says(e, t)))
      .finally(() => setBusy(false));
  };
  return (
    <Modal title={t("helpWith", { number: s.number ?? "", station: station.name })} close={close}>
      <p class="utrecht-paragraph">
        {of("s_", s.state)}
        {s.verdict && <>: {of("v_", s.verdict)}</>}
        {s.step && <span class="quiet"> ({of("step_", s.step)})</span>}
        {s.target && <span class="quiet"> {t("movingTo", { target: s.target })}</span>}
      </p>
      {s.ledger && <Ledger ledger={s.ledger} />}
      <div role="alert">{problem && <Alert tone="error">{problem}</Alert>}</div>
      <div class="helps">
        {s.state === "capturing" && station.role === "desk" && s.step && <Accept step={s.step} session={first} order={order} />}
        {s.state === "verifying" && station.role === "desk" && <Verify sitting={s} session={first} order={order} />}
        {s.state === "assistance" && (
          <>
            <Part title={t("resume")}>
              <p class="utrecht-paragraph">{t("resumeIntro")}</p>
              <Button kind="primary" onClick={() => order({ resume: { session: first } }, true)}>
                {t("resume")}
              </Button>
            </Part>
            <Except station={station} session={first} order={order} />
          </>
        )}
        {(s.state === "assistance" || s.state === "reviewing") && s.held && <Recapture held={s.held} session={first} order={order} />}
        {(s.state === "assistance" || s.state === "verifying") && <Move session={first} order={order} />}
        <End session={first} order={order} />
      </div>
    </Modal>
  );
}

function Part({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="help-part" aria-label={title}>
      <h3 class="utrecht-heading-3">{title}</h3>
      {children}
    </section>
  );
}

interface PartProps {
  session: string;
  order: (o: Order, done: boolean) => void;
}

function Except({ station, session, order }: PartProps & { station: Station }) {
  const { t, of } = useWorld();
  const [chosen, choose] = useState<number[]>([]);
  const [reason, setReason] = useState("");
  const [permanent, setPermanent] = useState(false);
  const [wrong, setWrong] = useState("");
  const owed = (station.session?.ledger ?? []).filter((f) => f.reason === "owed").map((f) => f.position);
  const positions = owed.length > 0 ? owed : [0];
  const submit = (e: Event) => {
    e.preventDefault();
    if (chosen.length === 0) return setWrong(t("chooseFinger"));
    setWrong("");
    order({ except: { session, exceptions: chosen.map((position) => ({ position, reason, permanent, attendant: "" })) } }, false);
    choose([]);
  };
  return (
    <Part title={t("exceptFinger")}>
      <form onSubmit={submit}>
        <fieldset class="utrecht-form-fieldset plain">
          <legend class="utrecht-form-label">{t("fingers")}</legend>
          <div class="choices">
            {positions.map((p) => (
              <label key={p} class="choice">
                <input
                  type="checkbox"
                  class="utrecht-checkbox utrecht-checkbox--html-input"
                  checked={chosen.includes(p)}
                  onChange={(e) => choose(e.currentTarget.checked ? [...chosen, p] : chosen.filter((c) => c !== p))}
                />{" "}
                {p === 0 ? t("wholeStep") : of("f_", p)}
              </label>
            ))}
          </div>
        </fieldset>
        <div role="alert">{wrong && <p class="utrecht-form-field-error-message">{wrong}</p>}</div>
        <Field label={t("reason")} id="except-reason">
          <select id="except-reason" class="utrecht-select" required value={reason} onChange={(e) => setReason(e.currentTarget.value)}>
            <option value="">{t("choose")}</option>
            {reasons.map((r) => (
              <option key={r} value={r}>
                {of("r_", r)}
              </option>
            ))}
          </select>
        </Field>
        <fieldset class="utrecht-form-fieldset plain">
          <legend class="utrecht-form-label">{t("duration")}</legend>
          <div class="choices">
            {[false, true].map((p) => (
              <label key={String(p)} class="choice">
                <input type="radio" class="utrecht-radio-button utrecht-radio-button--html-input" name="duration" checked={permanent === p} onChange={() => setPermanent(p)} />{" "}
                {t(p ? "permanent" : "temporary")}
              </label>
            ))}
          </div>
        </fieldset>
        <Button type="submit">{t("except")}</Button>
      </form>
    </Part>
  );
}

// Verify shows how far a desk's comparison is. Whoever sees that it is the same person lets the session go on with a reason.
function Verify({ sitting, session, order }: PartProps & { sitting: Sitting }) {
  const { t, of } = useWorld();
  const [reason, setReason] = useState("");
  const v = sitting.verification;
  return (
    <Part title={t("verify")}>
      <p class="utrecht-paragraph" aria-live="polite">
        {v ? `${of("verify_", v.state)} ${v.of > 0 ? t("verifyCount", { matched: v.matched, of: v.of }) : ""}` : t("verify_comparing")}
      </p>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          order({ override: { session, reason } }, true);
        }}
      >
        <Why id="override-reason" hint={t("overrideIntro")} reason={reason} set={setReason} />
        <Button type="submit">{t("overrideDo")}</Button>
      </form>
    </Part>
  );
}

// Accept takes the best that a capture has so far. It is offered at desks, where whoever decides sees the image beside the person.
function Accept({ step, session, order }: PartProps & { step: string }) {
  const { t, of } = useWorld();
  const [reason, setReason] = useState("");
  return (
    <Part title={t("accept")}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          order({ accept: { session, step, reason } }, true);
        }}
      >
        <Why id="accept-reason" hint={t("acceptIntro", { step: of("step_", step) })} reason={reason} set={setReason} />
        <Button type="submit">{t("acceptDo")}</Button>
      </form>
    </Part>
  );
}

// Recapture has what is held captured again: one step, or all.
function Recapture({ held, session, order }: PartProps & { held: string[] }) {
  const { t, of } = useWorld();
  const [step, setStep] = useState("");
  const [reason, setReason] = useState("");
  const all = "all";
  return (
    <Part title={t("recapture")}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          order({ recapture: step === all ? { session, reason } : { session, step, reason } }, true);
        }}
      >
        <Field label={t("recaptureWhat")} id="recapture-step">
          <select id="recapture-step" class="utrecht-select" required value={step} onChange={(e) => setStep(e.currentTarget.value)}>
            <option value="">{t("choose")}</option>
            {[...held, all].map((s) => (
              <option key={s} value={s}>
                {of("step_", s)}
              </option>
            ))}
          </select>
        </Field>
        <Why id="recapture-reason" hint={t("recaptureIntro")} reason={reason} set={setReason} />
        <Button type="submit">{t("recaptureDo")}</Button>
      </form>
    </Part>
  );
}

// Why asks for the reason of a decision, which the record keeps.
function Why({ id, hint, reason, set }: { id: string; hint: string; reason: string; set: (reason: string) => void }) {
  const { t } = useWorld();
  return (
    <Field label={t("overrideReason")} id={id} hint={hint}>
      <input
        id={id}
        class="utrecht-textbox utrecht-textbox--html-input"
        required
        maxLength={100}
        autoComplete="off"
        value={reason}
        onInput={(e) => set(e.currentTarget.value)}
      />
    </Field>
  );
}

function Move({ session, order }: PartProps) {
  const { t, picture } = useWorld();
  const [target, setTarget] = useState("");
  const desks = picture.stations.filter((s) => s.takes);
  if (desks.length === 0) {
    return (
      <Part title={t("move")}>
        <p class="utrecht-paragraph">{t("noDesk")}</p>
      </Part>
    );
  }
  return (
    <Part title={t("move")}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          order({ move: { session, target } }, true);
        }}
      >
        <Field label={t("moveTo")} id="move-target" hint={t("moveIntro")}>
          <select id="move-target" class="utrecht-select" required value={target} onChange={(e) => setTarget(e.currentTarget.value)}>
            <option value="">{t("choose")}</option>
            {desks.map((s) => (
              <option key={s.name} value={s.name}>
                {s.name}
              </option>
            ))}
          </select>
        </Field>
        <Button type="submit">{t("moveDo")}</Button>
      </form>
    </Part>
  );
}

function End({ session, order }: PartProps) {
  const { t } = useWorld();
  const [reason, setReason] = useState("");
  const [final, setFinal] = useState(false);
  return (
    <Part title={t("endSession")}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          order({ cancel: { session, reason, final } }, true);
        }}
      >
        <fieldset class="utrecht-form-fieldset plain">
          <legend class="utrecht-form-label">{t("person")}</legend>
          <div class="choices">
            {[false, true].map((f) => (
              <label key={String(f)} class="choice">
                <input type="radio" class="utrecht-radio-button utrecht-radio-button--html-input" name="end" checked={final === f} onChange={() => setFinal(f)} />{" "}
                {t(f ? "endLeaves" : "endWaits")}
              </label>
            ))}
          </div>
        </fieldset>
        <Field label={t("endReason")} id="end-reason">
          <input
            id="end-reason"
            class="utrecht-textbox utrecht-textbox--html-input"
            maxLength={100}
            autoComplete="off"
            value={reason}
            onInput={(e) => setReason(e.currentTarget.value)}
          />
        </Field>
        <Button type="submit" danger>
          {t("end")}
        </Button>
      </form>
    </Part>
  );
}
