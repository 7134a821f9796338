-- +goose Up

-- The deletion of an organization: since when it is scheduled, when it becomes final, who scheduled it and why. 0 and
-- empty: it is not.
ALTER TABLE organizations ADD COLUMN deletion_at bigint NOT NULL DEFAULT 0;
ALTER TABLE organizations ADD COLUMN delete_by bigint NOT NULL DEFAULT 0;
ALTER TABLE organizations ADD COLUMN deleted_by text NOT NULL DEFAULT '';
ALTER TABLE organizations ADD COLUMN deletion_reason text NOT NULL DEFAULT '';
CREATE INDEX organizations_delete_by ON organizations (delete_by) WHERE delete_by <> 0;

-- The steps in which an organization ends, in the order of place. A step is done in batches, each of them a transaction
-- that says so here.
CREATE TABLE purge_steps (
    organization text   NOT NULL REFERENCES organizations (id),
    step         text   NOT NULL,
    place        bigint NOT NULL,
    state        text   NOT NULL CHECK (state IN ('waiting', 'done')),
    batches      bigint NOT NULL,
    failures     bigint NOT NULL, -- since the last batch that went well
    last_error   text   NOT NULL,
    due_at       bigint NOT NULL,
    started_at   bigint NOT NULL,
    done_at      bigint NOT NULL,
    PRIMARY KEY (organization, step)
);

-- A new owner for an organization that has lost its own, after a time in which everybody can object.
CREATE TABLE owner_recoveries (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    member       text   NOT NULL, -- who is to be the owner; empty: nobody yet who has this address
    email        text   NOT NULL,
    reason       text   NOT NULL,
    state        text   NOT NULL CHECK (state IN ('waiting', 'done', 'cancelled', 'failed')),
    outcome      text   NOT NULL, -- why it failed
    notified     bigint NOT NULL, -- how many members were told
    due_at       bigint NOT NULL,
    created_by   text   NOT NULL,
    created_at   bigint NOT NULL,
    settled_by   text   NOT NULL,
    settled_at   bigint NOT NULL
);
CREATE UNIQUE INDEX owner_recoveries_waiting ON owner_recoveries (organization) WHERE state = 'waiting';
CREATE INDEX owner_recoveries_due ON owner_recoveries (due_at) WHERE state = 'waiting';

-- How many notices an organization had today.
CREATE INDEX outbox_notices ON outbox (organization, created_at) WHERE kind = 'notice';

-- +goose Down
