-- +goose Up

-- Domains of organizations: named, and proved by a TXT record in DNS. One organization at most has a domain verified.
CREATE TABLE domains (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    domain       text   NOT NULL,
    value        text   NOT NULL,
    state        text   NOT NULL CHECK (state IN ('pending', 'verified', 'lapsed')),
    joining      text   NOT NULL CHECK (joining IN ('off', 'request', 'automatic')),
    role         text   NOT NULL,
    problem      text   NOT NULL,
    failures     bigint NOT NULL,
    checked_at   bigint NOT NULL,
    verified_at  bigint NOT NULL,
    created_by   text   NOT NULL,
    created_at   bigint NOT NULL,
    version      bigint NOT NULL,
    CHECK (state <> 'verified' OR verified_at <> 0)
);
CREATE UNIQUE INDEX domains_verified ON domains (domain) WHERE state = 'verified';
CREATE UNIQUE INDEX domains_of ON domains (organization, domain);
CREATE INDEX domains_created ON domains (organization, created_at, id);
CREATE INDEX domains_checked ON domains (state, checked_at);

-- People with an address of a verified domain who asked to join.
CREATE TABLE join_requests (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    domain       text   NOT NULL,
    user_id      text   NOT NULL REFERENCES users (id),
    role         text   NOT NULL,
    state        text   NOT NULL CHECK (state IN ('pending', 'approved', 'declined')),
    reason       text   NOT NULL,
    decided_by   text   NOT NULL,
    decided_at   bigint NOT NULL,
    created_at   bigint NOT NULL
);
CREATE UNIQUE INDEX join_requests_pending ON join_requests (organization, user_id) WHERE state = 'pending';
CREATE INDEX join_requests_created ON join_requests (organization, created_at, id);
CREATE INDEX join_requests_user ON join_requests (user_id);

-- +goose Down
