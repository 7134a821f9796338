-- +goose Up

-- From when on the months of an organization's subscription are counted; 0: from when it was made.
ALTER TABLE organizations ADD COLUMN period_anchor bigint NOT NULL DEFAULT 0;

-- +goose Down
