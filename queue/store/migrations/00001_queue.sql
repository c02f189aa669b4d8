-- +goose Up
-- Times are milliseconds since 1970 UTC. Empty text stands for "none"; null stands for "unknown".

CREATE TABLE visits (
  id       TEXT PRIMARY KEY,
  owner    TEXT NOT NULL, -- the appointment system
  ref      TEXT NOT NULL, -- its reference
  at       INTEGER NOT NULL,
  UNIQUE (owner, ref)
) STRICT;

CREATE TABLE persons (
  id         TEXT PRIMARY KEY,
  visit      TEXT NOT NULL REFERENCES visits (id),
  reference  TEXT NOT NULL,
  name       TEXT NOT NULL,
  birth_date TEXT NOT NULL,
  UNIQUE (visit, reference)
) STRICT;

CREATE TABLE tickets (
  id        TEXT PRIMARY KEY,
  number    TEXT NOT NULL,
  code      TEXT NOT NULL UNIQUE,
  visit     TEXT NOT NULL REFERENCES visits (id),
  person    TEXT NOT NULL REFERENCES persons (id),
  service   TEXT NOT NULL,
  asked     TEXT, -- JSON
  on_file   TEXT, -- JSON
  state     TEXT NOT NULL CHECK (state IN ('waiting', 'called', 'serving', 'parked', 'done', 'no-show', 'cancelled')),
  rank      INTEGER NOT NULL,
  due       INTEGER NOT NULL,
  ord       INTEGER NOT NULL,
  attempt   INTEGER NOT NULL CHECK (attempt >= 1),
  station   TEXT NOT NULL DEFAULT '',
  session   TEXT NOT NULL DEFAULT '',
  record    TEXT NOT NULL DEFAULT '',
  follow_up INTEGER NOT NULL DEFAULT 0,
  withdrawn INTEGER NOT NULL DEFAULT 0, -- cancelled by the appointment system, which may take that back
  changed   INTEGER NOT NULL,
  UNIQUE (person, service),
  CHECK ((state IN ('called', 'serving')) = (station <> ''))
) STRICT;

CREATE INDEX tickets_waiting ON tickets (rank, due, ord) WHERE state = 'waiting';
CREATE INDEX tickets_held ON tickets (station) WHERE state IN ('called', 'serving');
CREATE INDEX tickets_person_held ON tickets (person) WHERE state IN ('called', 'serving');
CREATE INDEX tickets_visit ON tickets (visit);

-- The last number that a service gave on a day.
CREATE TABLE counters (
  prefix TEXT NOT NULL,
  day    TEXT NOT NULL,
  last   INTEGER NOT NULL,
  PRIMARY KEY (prefix, day)
) STRICT, WITHOUT ROWID;

-- Answered calls, by the caller's own request id.
CREATE TABLE calls (
  station TEXT NOT NULL,
  request TEXT NOT NULL,
  ticket  TEXT NOT NULL REFERENCES tickets (id),
  attempt INTEGER NOT NULL,
  PRIMARY KEY (station, request)
) STRICT, WITHOUT ROWID;

-- All that happened to tickets and to records of them, in the order in which it became known.
CREATE TABLE events (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  at       INTEGER NOT NULL,
  kind     TEXT NOT NULL,
  ticket   TEXT NOT NULL DEFAULT '',
  attempt  INTEGER NOT NULL DEFAULT 0,
  station  TEXT NOT NULL DEFAULT '',
  session  TEXT NOT NULL DEFAULT '',
  record   TEXT NOT NULL DEFAULT '',
  author   TEXT NOT NULL DEFAULT '',
  detail   TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX events_ticket ON events (ticket);
CREATE INDEX events_session ON events (session) WHERE session <> '';
CREATE INDEX events_record ON events (record) WHERE record <> '';
-- A station repeats what it tells of a record; it is kept once.
CREATE UNIQUE INDEX events_fact ON events (kind, record, station, detail) WHERE kind IN ('sealed', 'refused', 'receipted', 'purged');

-- The committed records that stations reported, one a row whether welcome or not.
CREATE TABLE records (
  record    TEXT PRIMARY KEY,
  ticket    TEXT NOT NULL REFERENCES tickets (id),
  reference TEXT NOT NULL,
  service   TEXT NOT NULL,
  at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX records_subject ON records (reference, service);

-- Records that should not exist beside another, kept and shown.
CREATE TABLE clashes (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  ticket  TEXT NOT NULL REFERENCES tickets (id),
  reason  TEXT NOT NULL,
  record  TEXT NOT NULL,
  session TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  station TEXT NOT NULL,
  other   TEXT NOT NULL,
  at      INTEGER NOT NULL,
  UNIQUE (ticket, record)
) STRICT;

-- Wrong codes in a row, by station.
CREATE TABLE entries (
  station TEXT PRIMARY KEY,
  wrong   INTEGER NOT NULL,
  paused  INTEGER NOT NULL -- until then
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE entries;
DROP TABLE clashes;
DROP TABLE records;
DROP TABLE events;
DROP TABLE calls;
DROP TABLE counters;
DROP TABLE tickets;
DROP TABLE persons;
DROP TABLE visits;
