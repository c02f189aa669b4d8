-- name: VisitByRef :one
SELECT * FROM visits WHERE owner = ? AND ref = ?;

-- name: InsertVisit :exec
INSERT INTO visits (id, owner, ref, at) VALUES (?, ?, ?, ?);

-- name: SetVisitAt :exec
UPDATE visits SET at = ? WHERE id = ?;

-- name: SetVisitDue :exec
UPDATE tickets SET due = ? WHERE visit = ? AND state NOT IN ('done', 'cancelled');

-- name: PersonsOfVisit :many
SELECT * FROM persons WHERE visit = ? ORDER BY rowid;

-- name: InsertPerson :exec
INSERT INTO persons (id, visit, reference, name, birth_date) VALUES (?, ?, ?, ?, ?);

-- name: SetPerson :exec
UPDATE persons SET name = ?, birth_date = ? WHERE id = ?;

-- name: InsertTicket :exec
INSERT INTO tickets (id, number, code, visit, person, service, asked, on_file, state, rank, due, ord, attempt, changed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: SetLetter :exec
UPDATE tickets SET asked = ?, on_file = ?, ord = ? WHERE id = ?;

-- name: SetWithdrawn :exec
UPDATE tickets SET withdrawn = ? WHERE id = ?;

-- name: Count :one
INSERT INTO counters (prefix, day, last) VALUES (?, ?, 1)
ON CONFLICT (prefix, day) DO UPDATE SET last = last + 1
RETURNING last;

-- name: TicketsOfVisit :many
SELECT * FROM tickets WHERE visit = ? ORDER BY ord, rowid;

-- name: TicketByID :one
SELECT sqlc.embed(tickets), sqlc.embed(persons) FROM tickets JOIN persons ON persons.id = tickets.person WHERE tickets.id = ?;

-- name: TicketByCode :one
SELECT sqlc.embed(tickets), sqlc.embed(persons) FROM tickets JOIN persons ON persons.id = tickets.person WHERE tickets.code = ?;

-- name: NextTicket :one
-- Whoever is at another station now is not called beside it.
SELECT sqlc.embed(tickets), sqlc.embed(persons) FROM tickets JOIN persons ON persons.id = tickets.person
WHERE tickets.state = 'waiting' AND tickets.due <= sqlc.arg(callable)
  AND NOT EXISTS (SELECT 1 FROM tickets AS held WHERE held.person = tickets.person AND held.state IN ('called', 'serving'))
ORDER BY tickets.rank, tickets.due, tickets.ord LIMIT 1;

-- name: NextTicketOf :one
SELECT sqlc.embed(tickets), sqlc.embed(persons) FROM tickets JOIN persons ON persons.id = tickets.person
WHERE tickets.state = 'waiting' AND tickets.due <= sqlc.arg(callable) AND tickets.service IN (sqlc.slice(services))
  AND NOT EXISTS (SELECT 1 FROM tickets AS held WHERE held.person = tickets.person AND held.state IN ('called', 'serving'))
ORDER BY tickets.rank, tickets.due, tickets.ord LIMIT 1;

-- name: TicketsAtStation :many
SELECT sqlc.embed(tickets), sqlc.embed(persons) FROM tickets JOIN persons ON persons.id = tickets.person
WHERE tickets.station = ? AND tickets.state IN ('called', 'serving') ORDER BY tickets.changed, tickets.ord;

-- name: OpenTickets :many
SELECT sqlc.embed(tickets), sqlc.embed(persons) FROM tickets JOIN persons ON persons.id = tickets.person
WHERE tickets.state NOT IN ('done', 'cancelled') ORDER BY tickets.rank, tickets.due, tickets.ord;

-- name: SetTicket :exec
UPDATE tickets SET state = ?, rank = ?, attempt = ?, station = ?, session = ?, record = ?, follow_up = ?, changed = ? WHERE id = ?;

-- name: CallByRequest :one
SELECT ticket, attempt FROM calls WHERE station = ? AND request = ?;

-- name: InsertCall :exec
INSERT INTO calls (station, request, ticket, attempt) VALUES (?, ?, ?, ?);

-- name: InsertEvent :one
INSERT INTO events (at, kind, ticket, attempt, station, session, record, author, detail, was, request)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING sequence;

-- name: FactKnown :one
SELECT EXISTS (SELECT 1 FROM events WHERE kind = ? AND record = ? AND station = ? AND detail = ?
  AND kind IN ('sealed', 'refused', 'receipted', 'purged'));

-- name: EventsOfTicket :many
SELECT * FROM events WHERE ticket = ? ORDER BY sequence;

-- name: EventsAfter :many
SELECT * FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?;

-- name: LastSequence :one
SELECT CAST(COALESCE(MAX(sequence), 0) AS INTEGER) FROM events;

-- name: TicketOfSession :one
SELECT ticket FROM events WHERE session = ? AND session <> '' ORDER BY sequence LIMIT 1;

-- name: TicketOfRecord :one
SELECT ticket FROM events WHERE record = ? AND record <> '' ORDER BY sequence LIMIT 1;

-- name: OwnerOfVisit :one
SELECT owner FROM visits WHERE id = ?;

-- name: WasAtStation :one
SELECT EXISTS (SELECT 1 FROM events WHERE ticket = ? AND station = ?);

-- name: InsertRecord :exec
INSERT INTO records (record, ticket, reference, service, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: OtherRecord :one
SELECT record FROM records WHERE reference = ? AND service = ? AND record <> ? AND at > ? ORDER BY at DESC LIMIT 1;

-- name: InsertClash :execrows
INSERT INTO clashes (ticket, reason, record, session, attempt, station, other, at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: ClashKnown :one
SELECT EXISTS (SELECT 1 FROM clashes WHERE ticket = ? AND record = ?);

-- name: ClashesOfTicket :many
SELECT * FROM clashes WHERE ticket = ? ORDER BY id;

-- name: Clashes :many
SELECT * FROM clashes ORDER BY id DESC LIMIT 1000;

-- name: Entry :one
SELECT * FROM entries WHERE station = ?;

-- name: SetEntry :exec
INSERT INTO entries (station, wrong, paused) VALUES (?, ?, ?)
ON CONFLICT (station) DO UPDATE SET wrong = excluded.wrong, paused = excluded.paused;

-- name: ClearEntry :execrows
DELETE FROM entries WHERE station = ?;

-- name: InsertAccount :exec
INSERT INTO accounts (id, login, password, created) VALUES (?, ?, ?, ?);

-- name: InsertMembership :exec
INSERT INTO memberships (account, organisation, role) VALUES (?, ?, ?);

-- name: AccountByLogin :one
SELECT * FROM accounts WHERE login = ?;

-- name: AccountByID :one
SELECT * FROM accounts WHERE id = ?;

-- name: Accounts :many
SELECT * FROM accounts ORDER BY login;

-- name: MembershipsOf :many
SELECT * FROM memberships WHERE account = ? ORDER BY organisation, role;

-- name: SetPassword :execrows
UPDATE accounts SET password = ? WHERE id = ?;

-- name: SetDisabled :execrows
UPDATE accounts SET disabled = ? WHERE id = ?;

-- name: InsertLogin :exec
INSERT INTO logins (id, account, token, rotated, created, seen) VALUES (?, ?, ?, ?, ?, ?);

-- name: LoginByToken :one
SELECT sqlc.embed(logins), sqlc.embed(accounts) FROM logins JOIN accounts ON accounts.id = logins.account
WHERE logins.token = sqlc.arg(token) OR (logins.previous = sqlc.arg(token) AND logins.previous <> '');

-- name: LoginByID :one
SELECT sqlc.embed(logins), sqlc.embed(accounts) FROM logins JOIN accounts ON accounts.id = logins.account WHERE logins.id = ?;

-- name: SetLogin :exec
UPDATE logins SET token = ?, previous = ?, rotated = ?, seen = ? WHERE id = ?;

-- name: DeleteLogin :exec
DELETE FROM logins WHERE id = ?;

-- name: DeleteLoginsOf :exec
DELETE FROM logins WHERE account = ?;

-- name: DeleteOldLogins :exec
DELETE FROM logins WHERE created < ? OR seen < ?;

-- name: LastEventOf :one
SELECT * FROM events WHERE ticket = ? ORDER BY sequence DESC LIMIT 1;

-- name: OrderKnown :one
SELECT EXISTS (SELECT 1 FROM events WHERE kind = 'ordered' AND ticket = ? AND author = ? AND request = ?);
