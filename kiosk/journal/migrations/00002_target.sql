-- +goose Up
-- The station that a session was, or perhaps was, handed over to.
ALTER TABLE sessions ADD COLUMN target TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE sessions DROP COLUMN target;
