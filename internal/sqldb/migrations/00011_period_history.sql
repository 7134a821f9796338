-- +goose Up

-- Anchors that months were counted from before: "anchor:until " for each, oldest first, in Unix microseconds. What was
-- counted under one stays in its months.
ALTER TABLE organizations ADD COLUMN period_history text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE organizations DROP COLUMN period_history;
