-- +goose Up

-- The moment of the level that the charter's meter was told last; 0: none yet. It only grows, whatever clocks say, so that
-- of two levels the later one is known.
ALTER TABLE artifact_totals ADD COLUMN metered_at bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE artifact_totals DROP COLUMN metered_at;
