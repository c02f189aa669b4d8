// The small parts of which the pages are made: NL Design System's classes around plain elements.
import type { ComponentChildren, JSX } from "preact";
import { createContext } from "preact";
import { useContext, useEffect, useRef } from "preact/hooks";
import { Problem, type Session } from "./api";
import type { Picture } from "./live";
import type { Key, Language, Say, SayOf } from "./words";

// World is what every page may use.
export interface World {
  language: Language;
  t: Say;
  of: SayOf;
  session: Session;
  picture: Picture;
  now: Date;
  tell: (text: string, undo?: () => Promise<void>) => void; // says what was done
  fail: (e: unknown) => void; // says what went wrong
}

export const WorldContext = createContext<World>(undefined as unknown as World);
export const useWorld = () => useContext(WorldContext);

type ButtonProps = JSX.IntrinsicElements["button"] & { kind?: "primary" | "secondary" | "subtle"; danger?: boolean };

export function Button({ kind = "secondary", danger, class: more, ...rest }: ButtonProps) {
  const looks = `utrecht-button utrecht-button--${kind}-action${danger ? " utrecht-button--danger" : ""}`;
  return <button type="button" {...rest} class={more ? `${looks} ${String(more)}` : looks} />;
}

export function Badge({ tone = "neutral", children }: { tone?: "neutral" | "good" | "attention" | "bad"; children: ComponentChildren }) {
  const status = { neutral: "neutral", good: "success", attention: "warning", bad: "error" }[tone];
  return <span class={`utrecht-status-badge utrecht-status-badge--${status}`}>{children}</span>;
}

export function Field({ label, id, children, hint }: { label: string; id: string; children: ComponentChildren; hint?: string }) {
  return (
    <div class="utrecht-form-field field">
      <label class="utrecht-form-label" for={id}>
        {label}
      </label>
      {hint && <p class="utrecht-form-field-description">{hint}</p>}
      {children}
    </div>
  );
}

export function Alert({ tone, children }: { tone: "info" | "warning" | "error" | "ok"; children: ComponentChildren }) {
  return (
    <div class={`utrecht-alert utrecht-alert--${tone}`}>
      <div class="utrecht-alert__content">{children}</div>
    </div>
  );
}

// Title is a page's heading. It takes the focus when the page comes, so that whoever listens hears where they are.
export function Title({ children }: { children: ComponentChildren }) {
  const ref = useRef<HTMLHeadingElement>(null);
  useEffect(() => ref.current?.focus(), []);
  return (
    <h1 ref={ref} tabIndex={-1} class="utrecht-heading-1 title" id="title">
      {children}
    </h1>
  );
}

// focusTitle brings the focus back after its button went away.
export const focusTitle = () => document.getElementById("title")?.focus();

// Modal is a dialog that keeps the focus; Escape closes it.
export function Modal({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null);
  const { t } = useWorld();
  useEffect(() => {
    const before = document.activeElement;
    ref.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      else focusTitle();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class="modal"
      aria-labelledby="modal-title"
      onCancel={(e) => {
        e.preventDefault();
        close();
      }}
    >
      <div class="modal-head">
        <h2 class="utrecht-heading-2" id="modal-title">
          {title}
        </h2>
        <Button kind="subtle" onClick={close}>
          {t("close")}
        </Button>
      </div>
      {children}
    </dialog>
  );
}

// clock shows a time of day, with the day where it is another.
export function clock(at: string | Date, language: Language, now = new Date()): string {
  const d = new Date(at);
  const locale = language === "nl" ? "nl-NL" : "en-GB";
  const time = d.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });
  return d.toDateString() === now.toDateString() ? time : `${d.toLocaleDateString(locale, { day: "numeric", month: "short" })} ${time}`;
}

export function says(e: unknown, t: Say): string {
  if (!(e instanceof Problem)) return String(e);
  if (e.type === "offline") return t("offline");
  const kind = e.type.replace("urn:loket:problem:", "");
  const values = { station: / at (\S+)$/.exec(e.message)?.[1] ?? "", detail: e.message.replace("the station refused: ", "") };
  const words = t(`p_${kind}` as Key, values);
  return words.startsWith("p_") || (kind === "elsewhere" && !values.station) ? `${e.message}. ${e.hint}` : words;
}
