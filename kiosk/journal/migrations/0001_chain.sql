-- +goose Up
-- Times are milliseconds since 1970. Nothing in here says who a person is.
CREATE TABLE sessions (
  id        TEXT PRIMARY KEY,
  ticket    TEXT NOT NULL,
  attempt   INTEGER NOT NULL,
  began     INTEGER NOT NULL,
  ended     INTEGER,
  end_kind  TEXT NOT NULL DEFAULT '',
  record    TEXT NOT NULL DEFAULT '',
  follow_up INTEGER NOT NULL DEFAULT 0,
  reported  INTEGER
) STRICT;
CREATE INDEX sessions_by_ticket ON sessions (ticket, attempt);
CREATE INDEX sessions_unreported ON sessions (ended) WHERE reported IS NULL;

CREATE TABLE dockets (
  record  TEXT PRIMARY KEY,
  session TEXT NOT NULL,
  ticket  TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  json    BLOB NOT NULL,
  sig     BLOB NOT NULL
) STRICT;
CREATE INDEX dockets_by_session ON dockets (session);
CREATE INDEX dockets_by_ticket ON dockets (ticket);

CREATE TABLE receipts (
  record TEXT PRIMARY KEY REFERENCES dockets (record),
  json   BLOB NOT NULL,
  sig    BLOB NOT NULL
) STRICT;

-- What entitled the station to delete a sealed record.
CREATE TABLE certificates (
  record TEXT NOT NULL REFERENCES dockets (record),
  kind   TEXT NOT NULL,
  at     INTEGER NOT NULL,
  json   BLOB NOT NULL,
  sig    BLOB NOT NULL,
  PRIMARY KEY (record, kind)
) STRICT;
