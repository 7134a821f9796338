-- +goose Up

-- What a provider's answer means; empty: what the connection's kind says.
ALTER TABLE connections ADD COLUMN map_address text NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN map_name text NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN map_subject text NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN map_groups text NOT NULL DEFAULT '';
-- Whom an address leads there while the connection is on, and whether members with an address elsewhere may be linked.
ALTER TABLE connections ADD COLUMN rollout text NOT NULL DEFAULT 'everyone' CHECK (rollout IN ('everyone', 'pilot'));
ALTER TABLE connections ADD COLUMN guests boolean NOT NULL DEFAULT FALSE;

-- Domains that are one connection's alone. A connection without any takes those of the organization that none names.
CREATE TABLE connection_domains (
    domain       text NOT NULL PRIMARY KEY REFERENCES domains (id) ON DELETE CASCADE,
    organization text NOT NULL REFERENCES organizations (id),
    connection   text NOT NULL REFERENCES connections (id) ON DELETE CASCADE
);
CREATE INDEX connection_domains_of ON connection_domains (organization, connection);

-- Which of the provider's groups gives which role: the first that is one of somebody's counts.
CREATE TABLE connection_roles (
    connection   text   NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    organization text   NOT NULL REFERENCES organizations (id),
    place        bigint NOT NULL,
    group_name   text   NOT NULL,
    role         text   NOT NULL,
    PRIMARY KEY (connection, place)
);
CREATE UNIQUE INDEX connection_roles_group ON connection_roles (connection, group_name);
CREATE INDEX connection_roles_of ON connection_roles (organization, connection);

-- Who is led to a connection that is tried out.
CREATE TABLE connection_pilots (
    connection   text NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    organization text NOT NULL REFERENCES organizations (id),
    email        text NOT NULL,
    email_folded text NOT NULL,
    PRIMARY KEY (connection, email_folded)
);
CREATE INDEX connection_pilots_of ON connection_pilots (organization, connection);
CREATE INDEX connection_pilots_email ON connection_pilots (email_folded);

-- The last test of a connection, and what the provider said in it.
CREATE TABLE connection_tests (
    connection   text   NOT NULL PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    organization text   NOT NULL REFERENCES organizations (id),
    at           bigint NOT NULL,
    problem      text   NOT NULL, -- empty: it went well
    email_folded text   NOT NULL, -- of whom it speaks
    answer       text   NOT NULL  -- JSON, without what is secret
);
CREATE INDEX connection_tests_organization ON connection_tests (organization);
CREATE INDEX connection_tests_email ON connection_tests (email_folded) WHERE email_folded <> '';

-- Links by which somebody without an account sets one connection up.
CREATE TABLE setup_links (
    id             text   NOT NULL PRIMARY KEY,
    organization   text   NOT NULL REFERENCES organizations (id),
    connection     text   NOT NULL, -- empty: none is named yet
    token_hash     bytea  NOT NULL,
    recovery_epoch bigint NOT NULL,
    created_by     text   NOT NULL, -- the user, or operator
    created_at     bigint NOT NULL,
    expires_at     bigint NOT NULL,
    used_at        bigint NOT NULL, -- 0: never
    ended_at       bigint NOT NULL, -- 0: it has not ended before its time
    ended_because  text   NOT NULL CHECK (ended_because IN ('', 'revoked', 'switched_on', 'deleted'))
);
CREATE UNIQUE INDEX setup_links_token ON setup_links (token_hash);
CREATE INDEX setup_links_of ON setup_links (organization, created_at, id);

-- The set-up link that tests a connection; empty: none does.
ALTER TABLE federated_attempts ADD COLUMN link text NOT NULL DEFAULT '';

-- +goose Down
