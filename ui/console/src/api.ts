// The calls of docs/api/console.yaml.

export interface Membership {
  role: string;
  organisation: string;
}

export interface Session {
  account: string;
  login: string;
  roles: Membership[];
  idle: string;
  ends: string;
  centre: string;
  demo: boolean;
  locking: boolean;
  assisting: boolean;
  services: { id: string; name: string; organisation: string }[];
}

export interface Ticket {
  id: string;
  number: string;
  service: string;
  state: string;
  attempt: number;
  front?: boolean;
  due: string;
  changed: string;
  station?: string;
  session?: string;
  record?: string;
  follow_up?: boolean;
  initials: string;
  name?: string;
  reference?: string;
  may: string[];
}

export interface LedgerEntry {
  position: number;
  reason: string;
  permanent?: boolean;
  quality?: { score: number };
}

export interface Sitting {
  help: boolean;
  since: string;
  state?: string;
  id?: string;
  ticket?: string;
  number?: string;
  attempt?: number;
  step?: string;
  verdict?: string;
  deadline?: string;
  assist?: boolean;
  ledger?: LedgerEntry[];
  target?: string;
  held?: string[];
  verification?: { state: string; matched: number; of: number };
}

export interface Device {
  identity: string;
  kind: string;
  model?: string;
  state: string;
  verdict?: string;
  detail?: string;
  hint?: string;
  simulated?: boolean;
}

export interface Trouble {
  code: string;
  text: string;
  hint?: string;
}

export interface Station {
  name: string;
  role: string;
  demo?: boolean;
  connected: boolean;
  since: string;
  ready: boolean;
  locked?: boolean;
  takes?: boolean;
  pending: number;
  refused: number;
  problems: Trouble[];
  warnings: Trouble[];
  devices: Device[];
  session?: Sitting;
}

export interface Fact {
  sequence: number;
  at: string;
  kind: string;
  attempt: number;
  station?: string;
  session?: string;
  record?: string;
  author?: string;
  detail?: string;
}

export interface Conflict {
  ticket: string;
  number: string;
  reason: string;
  record: string;
  other?: string;
  station?: string;
  at: string;
}

export interface Chain {
  ticket: Ticket;
  facts: Fact[];
  conflicts: Conflict[];
}

export interface LiveEvent {
  kind: string;
  at: string;
  station?: string;
  author?: string;
}

export interface Message {
  sequence: number;
  snapshot?: { time: string; stations: Station[]; tickets: Ticket[]; conflicts: Conflict[] };
  station?: Station;
  ticket?: Ticket;
  event?: LiveEvent;
}

export interface Exception {
  position: number;
  reason: string;
  permanent: boolean;
  attendant: string;
}

export type Order =
  | { call: { ticket: string } }
  | { cancel: { session: string; reason: string; final: boolean } }
  | { except: { session: string; exceptions: Exception[] } }
  | { resume: { session: string } }
  | { move: { session: string; target: string } }
  | { override: { session: string; reason: string } }
  | { accept: { session: string; step: string; reason: string } }
  | { recapture: { session: string; step?: string; reason: string } }
  | { lock: { locked: boolean; reason: string } };

// Problem is an answer that is no success, with the next step.
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    detail: string,
    readonly hint: string,
  ) {
    super(detail);
  }
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      credentials: "same-origin",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, "offline", "", "");
  }
  if (answer.ok) {
    return (answer.status === 204 ? undefined : await answer.json()) as T;
  }
  const p = (await answer.json().catch(() => ({}))) as { type?: string; title?: string; detail?: string; hint?: string };
  throw new Problem(answer.status, p.type ?? "about:blank", p.detail ?? p.title ?? "", p.hint ?? "");
}

const at = encodeURIComponent;

export const api = {
  session: () => call<Session>("GET", "/api/session"),
  signIn: (login: string, password: string) => call<Session>("POST", "/api/session", { login, password }),
  signOut: () => call<void>("DELETE", "/api/session"),
  chain: (id: string) => call<Chain>("GET", `/api/chain/${at(id)}`),
  decide: (id: string, decision: string, reason = "") => call<Ticket>("POST", `/api/tickets/${at(id)}/decisions`, { decision, reason }),
  undo: (id: string) => call<Ticket>("POST", `/api/tickets/${at(id)}/undo`),
  code: () => call<{ code: string; until: string }>("POST", "/api/code"),
  resumeEntry: (station: string) => call<void>("POST", `/api/stations/${at(station)}/entry/resume`),
  order: (station: string, order: Order) =>
    call<{ done: boolean }>("POST", `/api/stations/${at(station)}/commands`, { id: crypto.randomUUID(), ...order }),
};
