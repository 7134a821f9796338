-- +goose Up

-- People's passkeys. credential is the id that the authenticator gave it, public_key its key in COSE's form; transports are
-- names with spaces between. sign_count is the authenticator's counter as it was last seen.
CREATE TABLE passkeys (
    id              text    NOT NULL PRIMARY KEY,
    user_id         text    NOT NULL REFERENCES users (id),
    name            text    NOT NULL,
    credential      bytea   NOT NULL,
    public_key      bytea   NOT NULL,
    aaguid          bytea   NOT NULL,
    transports      text    NOT NULL,
    sign_count      bigint  NOT NULL CHECK (sign_count >= 0),
    backup_eligible boolean NOT NULL,
    backed_up       boolean NOT NULL,
    created_at      bigint  NOT NULL,
    last_used_at    bigint  NOT NULL,
    version         bigint  NOT NULL
);
CREATE UNIQUE INDEX passkeys_credential ON passkeys (credential);
CREATE INDEX passkeys_user ON passkeys (user_id, created_at, id);

-- Challenges of passkeys that were answered. A challenge is authenticated by the instance's secret, so only its use has to
-- be remembered, until it would have ended anyway.
CREATE TABLE passkey_challenges (
    nonce      bytea  NOT NULL PRIMARY KEY,
    expires_at bigint NOT NULL
);
CREATE INDEX passkey_challenges_expires ON passkey_challenges (expires_at);

-- Authenticator apps, one for a person. secret is sealed; until confirmed_at is set it asks nobody for a code. last_step is
-- the time step of the last code that was taken: an older one does not count again.
CREATE TABLE totps (
    user_id      text   NOT NULL PRIMARY KEY REFERENCES users (id),
    secret       bytea  NOT NULL,
    confirmed_at bigint NOT NULL,
    last_step    bigint NOT NULL,
    wrong        bigint NOT NULL,
    wrong_since  bigint NOT NULL,
    created_at   bigint NOT NULL
);

CREATE TABLE recovery_codes (
    id         text   NOT NULL PRIMARY KEY,
    user_id    text   NOT NULL REFERENCES users (id),
    hash       bytea  NOT NULL,
    used_at    bigint NOT NULL,
    created_at bigint NOT NULL
);
CREATE UNIQUE INDEX recovery_codes_hash ON recovery_codes (user_id, hash);

-- Sign-ins whose address is proved, and that wait for a second factor.
CREATE TABLE second_steps (
    id         text   NOT NULL PRIMARY KEY,
    user_id    text   NOT NULL REFERENCES users (id),
    token_hash bytea  NOT NULL,
    tries      bigint NOT NULL,
    return_to  text   NOT NULL,
    expires_at bigint NOT NULL,
    used_at    bigint NOT NULL,
    created_at bigint NOT NULL
);
CREATE UNIQUE INDEX second_steps_token ON second_steps (token_hash);
CREATE INDEX second_steps_expires ON second_steps (expires_at);
CREATE INDEX second_steps_user ON second_steps (user_id);

-- +goose Down
