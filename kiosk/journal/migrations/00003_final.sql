-- +goose Up
ALTER TABLE sessions ADD COLUMN final INTEGER NOT NULL DEFAULT 0; -- cancelled, and the person leaves

-- +goose Down
ALTER TABLE sessions DROP COLUMN final;
