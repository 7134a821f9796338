-- +goose Up

-- The servers that may remember something, one row for each registration of a process: see internal/replica. expires_at
-- only says who seems to be gone.
CREATE TABLE replicas (
    incarnation text    NOT NULL PRIMARY KEY,
    name        text    NOT NULL,
    address     text    NOT NULL, -- where it takes fences
    secret      text    NOT NULL, -- what the instance secret is known by
    evicted     boolean NOT NULL,
    expires_at  bigint  NOT NULL, -- on the database's clock
    started_at  bigint  NOT NULL,
    fenced_at   bigint  NOT NULL, -- 0: never
    fences      bigint  NOT NULL CHECK (fences >= 0),
    waits       bigint  NOT NULL CHECK (waits >= 0)
);

-- +goose Down
