// The frame: who is signed in, where they are, what was said to them.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api, Problem, type Session } from "./api";
import { Where } from "./chain";
import { follow, nothing, type Picture } from "./live";
import { Alert, Badge, Button, Field, Modal, WorldContext, says, type World } from "./parts";
import { Queue } from "./queue";
import { Stations, wantsHelp } from "./stations";
import { sayer, type Key, type Language } from "./words";

const remembered = (): Language => (localStorage.getItem("language") === "en" ? "en" : "nl");

export function App() {
  const [language, setLanguage] = useState<Language>(remembered);
  const [session, setSession] = useState<Session | null>(); // undefined: not asked yet
  const [left, setLeft] = useState(false);
  const say = useMemo(() => sayer(language), [language]);
  useEffect(() => {
    document.documentElement.lang = language;
    localStorage.setItem("language", language);
  }, [language]);
  useEffect(() => {
    api.session().then(setSession, () => setSession(null));
  }, []);
  const out = useCallback(() => {
    setLeft(true);
    setSession(null);
  }, []);
  const languages = <Languages language={language} set={setLanguage} label={say.t("language")} />;
  if (session === undefined) return null;
  if (session === null) return <SignIn say={say} languages={languages} left={left} done={setSession} />;
  return <Inside key={session.account} say={say} language={language} languages={languages} session={session} renew={setSession} out={out} />;
}

function Languages({ language, set, label }: { language: Language; set: (l: Language) => void; label: string }) {
  return (
    <div role="group" aria-label={label} class="languages">
      {(["nl", "en"] as const).map((l) => (
        <Button key={l} kind="subtle" lang={l} aria-pressed={language === l} onClick={() => set(l)}>
          {l === "nl" ? "Nederlands" : "English"}
        </Button>
      ))}
    </div>
  );
}

type Saying = ReturnType<typeof sayer>;

function SignIn({ say, languages, left, done }: { say: Saying; languages: preact.JSX.Element; left: boolean; done: (s: Session) => void }) {
  const { t } = say;
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const name = useRef<HTMLInputElement>(null);
  const password = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = `${t("signIn")} · ${t("title")}`;
  }, [t]);
  useEffect(() => name.current?.focus(), []);
  const submit = (e: Event) => {
    e.preventDefault();
    if (busy || !name.current || !password.current) return;
    setBusy(true);
    setProblem("");
    api
      .signIn(name.current.value, password.current.value)
      .then(done)
      .catch((e: unknown) => {
        setProblem(says(e, t));
        password.current?.focus();
      })
      .finally(() => setBusy(false));
  };
  return (
    <div class="sign-in">
      <header class="bar">
        <span class="brand">{t("title")}</span>
        {languages}
      </header>
      <main class="sign-in-main">
        <h1 class="utrecht-heading-1">{t("signIn")}</h1>
        <p class="utrecht-paragraph">{t("signInIntro")}</p>
        {left && <Alert tone="info">{t("signedOut")}</Alert>}
        <div role="alert">{problem && <Alert tone="error">{problem}</Alert>}</div>
        <form onSubmit={submit}>
          <Field label={t("login")} id="login">
            <input ref={name} id="login" name="login" class="utrecht-textbox utrecht-textbox--html-input" required maxLength={64} autoComplete="username" autocapitalize="none" spellcheck={false} />
          </Field>
          <Field label={t("password")} id="password">
            <input ref={password} id="password" name="password" type="password" class="utrecht-textbox utrecht-textbox--html-input" required maxLength={256} autoComplete="current-password" />
          </Field>
          <Button kind="primary" type="submit" aria-disabled={busy}>
            {t("signIn")}
          </Button>
        </form>
      </main>
    </div>
  );
}

const pages: { path: string; key: Key }[] = [
  { path: "stations", key: "stations" },
  { path: "queue", key: "queue" },
  { path: "chain", key: "chain" },
];

function usePath(): [string, string] {
  const read = (): [string, string] => {
    const [, page = "", id = ""] = location.hash.split("/");
    return [pages.some((p) => p.path === page) ? page : "stations", decodeURIComponent(id)];
  };
  const [path, setPath] = useState(read);
  useEffect(() => {
    const changed = () => setPath(read());
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  return path;
}

interface Notice {
  text: string;
  tone: "ok" | "error";
  undo?: (() => Promise<void>) | undefined;
}

interface InsideProps {
  say: Saying;
  language: Language;
  languages: preact.JSX.Element;
  session: Session;
  renew: (s: Session) => void;
  out: () => void;
}

function Inside({ say, language, languages, session, renew, out }: InsideProps) {
  const { t, of } = say;
  const [picture, setPicture] = useState<Picture>(nothing);
  const [now, setNow] = useState(() => new Date());
  const [notice, setNotice] = useState<Notice>();
  const [page, id] = usePath();
  useEffect(() => follow(setPicture, out), [out]);
  useEffect(() => {
    const timer = window.setInterval(() => setNow(new Date()), 10000);
    return () => window.clearInterval(timer);
  }, []);
  const tell = useCallback((text: string, undo?: () => Promise<void>) => setNotice({ text, tone: "ok", undo }), []);
  const fail = useCallback(
    (e: unknown) => {
      if (e instanceof Problem && e.status === 401) return out();
      setNotice({ text: says(e, t), tone: "error" });
    },
    [out, t],
  );
  const takeBack = useCallback(() => {
    const undo = notice?.undo;
    setNotice(undefined);
    undo?.().catch(fail);
    document.getElementById("title")?.focus();
  }, [notice, fail]);
  const wanted = picture.stations.filter(wantsHelp);
  const title = pages.find((p) => p.path === page)!.key;
  useEffect(() => {
    document.title = `${wanted.length ? `(${wanted.length}) ` : ""}${t(title)} · ${t("title")}`;
  }, [wanted.length, title, t]);
  useEffect(() => {
    const press = (e: KeyboardEvent) => {
      if (!e.altKey || e.ctrlKey || e.metaKey || document.querySelector("dialog[open]")) return;
      const to = pages[Number(e.key) - 1];
      if (to) location.hash = `#/${to.path}`;
      else if (e.key.toLowerCase() === "z" && notice?.undo) takeBack();
      else return;
      e.preventDefault();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, [notice, takeBack]);
  const world: World = { language, t, of, session, picture, now, tell, fail };
  const leave = () => api.signOut().then(out, fail);
  return (
    <WorldContext.Provider value={world}>
      <a class="utrecht-skip-link utrecht-skip-link--visible-on-focus" href="#main" onClick={(e) => (e.preventDefault(), document.getElementById("title")?.focus())}>
        {t("skip")}
      </a>
      <header class="bar">
        <span class="brand">
          {t("title")} <span class="centre">{session.centre}</span>
        </span>
        {session.demo && <Badge tone="attention">{t("demo")}</Badge>}
        <span class="who">
          {session.login}
          <span class="below">{session.roles.map((r) => of("role_", r.role)).join(", ")}</span>
        </span>
        {languages}
        <Button onClick={leave}>{t("signOut")}</Button>
      </header>
      <nav aria-label={t("menu")} class="tabs">
        <ul role="list">
          {pages.map((p, i) => (
            <li key={p.path}>
              <a href={`#/${p.path}`} aria-current={p.path === page ? "page" : undefined} title={`Alt+${i + 1}`}>
                {t(p.key)}
                {p.path === "stations" && wanted.length > 0 && (
                  <span class="count count-help">
                    {wanted.length}
                    <span class="hidden"> {t("helpWanted")}</span>
                  </span>
                )}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <Help names={wanted.map((s) => s.name)} say={say} />
      <div role="status" class="line">
        {picture.line === "down" && <Alert tone="warning">{t("lineDown")}</Alert>}
      </div>
      <div class="notice" role="status">
        {notice && (
          <Alert tone={notice.tone}>
            <div class="notice-row">
              <span>{notice.text}</span>
              {notice.undo && (
                <Button onClick={takeBack} title="Alt+Z">
                  {t("undo")}
                </Button>
              )}
              <Button kind="subtle" onClick={() => (setNotice(undefined), document.getElementById("title")?.focus())}>
                {t("dismiss")}
              </Button>
            </div>
          </Alert>
        )}
      </div>
      <Paused picture={picture} session={session} say={say} fail={fail} />
      <main id="main" class="main">
        {page === "queue" ? <Queue key="queue" /> : page === "chain" ? <Where key="chain" id={id} /> : <Stations key="stations" />}
      </main>
      <Idle session={session} now={now} say={say} renew={renew} fail={fail} />
    </WorldContext.Provider>
  );
}

// Help says once who newly asks for help, at once.
function Help({ names, say }: { names: string[]; say: Saying }) {
  const [text, setText] = useState("");
  const before = useRef<string[]>([]);
  const key = names.join(" ");
  useEffect(() => {
    const fresh = names.filter((n) => !before.current.includes(n));
    before.current = names;
    if (fresh.length) setText(fresh.map((station) => say.t("helpAt", { station })).join(". "));
    else if (names.length === 0) setText("");
  }, [key]);
  return (
    <div role="alert" class="hidden">
      {text}
    </div>
  );
}

// Paused tells of kiosks where too many wrong codes were entered.
function Paused({ picture, session, say, fail }: { picture: Picture; session: Session; say: Saying; fail: (e: unknown) => void }) {
  if (!session.locking) return null;
  const paused = new Set<string>();
  for (const { event } of picture.events) {
    if (event.kind === "entry-paused" && event.station) paused.add(event.station);
    if (event.kind === "entry-resumed" && event.station) paused.delete(event.station);
  }
  return (
    <div role="status" class="notice">
      {[...paused].map((station) => (
        <Alert key={station} tone="warning">
          <div class="notice-row">
            <span>{say.t("entryPaused", { station })}</span>
            <Button onClick={() => api.resumeEntry(station).catch(fail)}>{say.t("resumeEntry")}</Button>
          </div>
        </Alert>
      ))}
    </div>
  );
}

const warnBefore = 3 * 60000;

// Idle warns before the login ends for want of calls, and lets it go on by one action.
function Idle({ session, now, say, renew, fail }: { session: Session; now: Date; say: Saying; renew: (s: Session) => void; fail: (e: unknown) => void }) {
  const active = useRef(false);
  useEffect(() => {
    const seen = () => (active.current = true);
    const kinds = ["keydown", "pointerdown"] as const;
    kinds.forEach((k) => window.addEventListener(k, seen));
    return () => kinds.forEach((k) => window.removeEventListener(k, seen));
  }, []);
  const more = useCallback(() => api.session().then(renew, fail), [renew, fail]);
  const left = new Date(session.idle).getTime() - now.getTime();
  useEffect(() => {
    // Whoever does something in the page is there, though the queue hears nothing of it.
    const timer = window.setInterval(() => {
      if (active.current) void more();
      active.current = false;
    }, 5 * 60000);
    return () => window.clearInterval(timer);
  }, [more]);
  if (left > warnBefore) return null;
  return (
    <Modal title={say.t("stillThere")} close={more}>
      <p class="utrecht-paragraph">{say.t("stillThereText", { minutes: Math.max(1, Math.ceil(left / 60000)) })}</p>
      <Button kind="primary" onClick={more}>
        {say.t("stay")}
      </Button>
    </Modal>
  );
}
