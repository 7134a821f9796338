-- +goose Up

-- Who somebody is at a provider that anybody may sign in with: by issuer and subject, never by an address. A person has any
-- number of them; email is the address that the provider said last, for its person to read.
CREATE TABLE social_identities (
    id           text   NOT NULL PRIMARY KEY,
    user_id      text   NOT NULL REFERENCES users (id),
    provider     text   NOT NULL CHECK (provider IN ('google', 'github')),
    issuer       text   NOT NULL,
    subject      text   NOT NULL,
    email        text   NOT NULL,
    created_at   bigint NOT NULL,
    last_used_at bigint NOT NULL
);
CREATE UNIQUE INDEX social_identities_subject ON social_identities (issuer, subject);
CREATE INDEX social_identities_user ON social_identities (user_id, created_at, id);

-- Ways to such a provider that are to come back, once, to the same browser. user_id is who links an account to their own;
-- empty where somebody signs in.
CREATE TABLE social_attempts (
    id           text   NOT NULL PRIMARY KEY,
    provider     text   NOT NULL CHECK (provider IN ('google', 'github')),
    user_id      text   NOT NULL,
    state_hash   bytea  NOT NULL,
    browser_hash bytea  NOT NULL,
    nonce        text   NOT NULL,
    verifier     bytea  NOT NULL,
    return_to    text   NOT NULL,
    expires_at   bigint NOT NULL,
    used_at      bigint NOT NULL,
    created_at   bigint NOT NULL
);
CREATE UNIQUE INDEX social_attempts_state ON social_attempts (state_hash);
CREATE INDEX social_attempts_expires ON social_attempts (expires_at);

-- How the first factor of a sign-in was given that waits for the second.
ALTER TABLE second_steps ADD COLUMN method text NOT NULL DEFAULT 'mail';

-- The account at GitHub whose members a connection lets in: its name, and the number by which it was known when the
-- connection was tested. Empty for every other kind.
ALTER TABLE connections ADD COLUMN github_organization text NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN github_organization_id text NOT NULL DEFAULT '';

-- +goose Down
