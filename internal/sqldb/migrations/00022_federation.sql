-- +goose Up

-- Identity providers of organizations. The secret is sealed with the instance's.
CREATE TABLE connections (
    id            text   NOT NULL PRIMARY KEY,
    organization  text   NOT NULL REFERENCES organizations (id),
    kind          text   NOT NULL CHECK (kind IN ('oidc')),
    name          text   NOT NULL,
    issuer        text   NOT NULL,
    client_id     text   NOT NULL,
    client_secret bytea  NOT NULL,
    state         text   NOT NULL CHECK (state IN ('draft', 'tested', 'on')),
    role          text   NOT NULL,
    tested_at     bigint NOT NULL,
    created_by    text   NOT NULL,
    created_at    bigint NOT NULL,
    version       bigint NOT NULL
);
CREATE UNIQUE INDEX connections_client ON connections (organization, issuer, client_id);
CREATE UNIQUE INDEX connections_on ON connections (organization) WHERE state = 'on';
CREATE INDEX connections_created ON connections (organization, created_at, id);

-- Who somebody is at an identity provider: by issuer and subject, never by an address.
CREATE TABLE identities (
    connection   text   NOT NULL REFERENCES connections (id),
    organization text   NOT NULL REFERENCES organizations (id),
    issuer       text   NOT NULL,
    subject      text   NOT NULL,
    user_id      text   NOT NULL REFERENCES users (id),
    created_at   bigint NOT NULL,
    PRIMARY KEY (connection, issuer, subject)
);
CREATE INDEX identities_of ON identities (organization, connection, subject);
CREATE INDEX identities_user ON identities (user_id);

-- Sign-ins that were sent to an identity provider and are to come back, once, to the same browser.
CREATE TABLE federated_attempts (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    connection   text   NOT NULL,
    purpose      text   NOT NULL CHECK (purpose IN ('sign_in', 'test')),
    state_hash   bytea  NOT NULL,
    browser_hash bytea  NOT NULL,
    nonce        text   NOT NULL,
    verifier     bytea  NOT NULL,
    return_to    text   NOT NULL,
    expires_at   bigint NOT NULL,
    used_at      bigint NOT NULL,
    created_at   bigint NOT NULL
);
CREATE UNIQUE INDEX federated_attempts_state ON federated_attempts (state_hash);
CREATE INDEX federated_attempts_of ON federated_attempts (organization, id);
CREATE INDEX federated_attempts_expires ON federated_attempts (expires_at);

-- +goose Down
