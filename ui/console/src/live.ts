// The live view: a snapshot, then changes with sequence numbers. A gap or a cut line is mended by dialling again.
import type { Conflict, LiveEvent, Message, Station, Ticket } from "./api";

export interface Picture {
  line: "dialling" | "up" | "down";
  stations: Station[];
  tickets: Ticket[];
  conflicts: Conflict[];
  events: { sequence: number; event: LiveEvent; ticket?: Ticket }[]; // the newest last
}

export const nothing: Picture = { line: "dialling", stations: [], tickets: [], conflicts: [], events: [] };

const byName = (a: Station, b: Station) => a.name.localeCompare(b.name);

function put<T>(list: T[], item: T, same: (a: T) => boolean): T[] {
  return [...list.filter((a) => !same(a)), item];
}

// next applies one message to a picture, or says by undefined that something is missing.
export function next(was: Picture, sequence: number, m: Message): Picture | undefined {
  if (m.snapshot) {
    const { stations, tickets, conflicts } = m.snapshot;
    return { line: "up", stations: [...stations].sort(byName), tickets, conflicts, events: was.events };
  }
  if (m.sequence !== sequence + 1) return undefined;
  const now = { ...was };
  const { station, ticket, event } = m;
  if (station) now.stations = put(was.stations, station, (s) => s.name === station.name).sort(byName);
  if (ticket) now.tickets = put(was.tickets, ticket, (t) => t.id === ticket.id);
  if (event) now.events = [...was.events.slice(-49), ticket ? { sequence: m.sequence, event, ticket } : { sequence: m.sequence, event }];
  return now;
}

const signedOut = 4401;

// follow keeps a picture up to date until stop is called. signOut is called when the login is over.
export function follow(show: (p: Picture) => void, signOut: () => void): () => void {
  let picture = nothing;
  let socket: WebSocket | undefined;
  let timer = 0;
  let wait = 500;
  let over = false;
  const set = (p: Picture) => {
    picture = p;
    show(p);
  };
  const dial = () => {
    let sequence = 0;
    const line = new WebSocket(`wss://${location.host}/api/live`);
    socket = line;
    line.onmessage = (e) => {
      const m = JSON.parse(e.data as string) as Message;
      const now = next(picture, sequence, m);
      if (!now) return line.close();
      sequence = m.sequence;
      wait = 500;
      set(now);
    };
    line.onclose = (e) => {
      if (over) return;
      if (e.code === signedOut) return signOut();
      set({ ...picture, line: "down" });
      void fetch("/api/session", { credentials: "same-origin" })
        .then((a) => a.status === 401 && !over && signOut())
        .catch(() => undefined);
      timer = window.setTimeout(dial, wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, 15000);
    };
  };
  dial();
  return () => {
    over = true;
    window.clearTimeout(timer);
    socket?.close();
  };
}
