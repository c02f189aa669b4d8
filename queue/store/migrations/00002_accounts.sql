-- +goose Up
-- Who may sign in at the console. The id is the pseudonym that events and records carry.
CREATE TABLE accounts (
  id       TEXT PRIMARY KEY,
  login    TEXT NOT NULL UNIQUE,
  password TEXT NOT NULL, -- argon2id, in PHC form
  disabled INTEGER NOT NULL DEFAULT 0,
  created  INTEGER NOT NULL
) STRICT;

-- A role is a role in an organisation.
CREATE TABLE memberships (
  account      TEXT NOT NULL REFERENCES accounts (id),
  organisation TEXT NOT NULL,
  role         TEXT NOT NULL,
  PRIMARY KEY (account, organisation, role)
) STRICT, WITHOUT ROWID;

-- Who is signed in. Tokens are kept as their SHA-256.
CREATE TABLE logins (
  id       TEXT PRIMARY KEY,
  account  TEXT NOT NULL REFERENCES accounts (id),
  token    TEXT NOT NULL UNIQUE,
  previous TEXT NOT NULL DEFAULT '', -- still good for a moment after a rotation
  rotated  INTEGER NOT NULL,
  created  INTEGER NOT NULL,
  seen     INTEGER NOT NULL
) STRICT;

CREATE INDEX logins_previous ON logins (previous) WHERE previous <> '';

-- The state before a decision, for whoever takes it back.
ALTER TABLE events ADD COLUMN was TEXT NOT NULL DEFAULT '';
-- The id of an order to a station, which is kept once however often it is repeated.
ALTER TABLE events ADD COLUMN request TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE events DROP COLUMN request;
ALTER TABLE events DROP COLUMN was;
DROP TABLE logins;
DROP TABLE memberships;
DROP TABLE accounts;
