-- +goose Up

-- What the provider of a connection that speaks SAML knows us to sign by. The key is sealed with the instance's secret.
CREATE TABLE saml_keys (
    connection   text   NOT NULL PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    organization text   NOT NULL REFERENCES organizations (id),
    private_key  bytea  NOT NULL,
    certificate  bytea  NOT NULL,
    created_at   bigint NOT NULL
);
CREATE INDEX saml_keys_of ON saml_keys (organization, connection);

-- Whether the provider wants requests signed, and where it takes our answers to its logouts; empty: at logout_url.
ALTER TABLE saml_settings ADD COLUMN wants_signed boolean NOT NULL DEFAULT FALSE;
ALTER TABLE saml_settings ADD COLUMN answer_url text NOT NULL DEFAULT '';

-- Who somebody is at the provider that began their session, to end it there or from there. The token is sealed.
CREATE TABLE connection_sessions (
    session      text   NOT NULL PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    organization text   NOT NULL REFERENCES organizations (id),
    connection   text   NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    user_id      text   NOT NULL REFERENCES users (id),
    name         text   NOT NULL, -- OpenID Connect: sub; SAML: the NameID
    format       text   NOT NULL, -- SAML: of the NameID
    qualifiers   text   NOT NULL, -- SAML: of the NameID, the provider's and ours, with a line end between
    provider_sid text   NOT NULL, -- sid, SessionIndex; empty: the provider names none
    token        bytea  NOT NULL, -- the ID token; empty: none was kept
    logout_url   text   NOT NULL, -- where the provider signs out; empty: it does not say
    created_at   bigint NOT NULL
);
CREATE INDEX connection_sessions_name ON connection_sessions (organization, connection, name);
CREATE INDEX connection_sessions_sid ON connection_sessions (organization, connection, provider_sid);
CREATE INDEX connection_sessions_user ON connection_sessions (user_id);

-- Logouts that providers asked for: each counts once, until nobody would believe it any more.
CREATE TABLE connection_logouts (
    connection   text   NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    organization text   NOT NULL REFERENCES organizations (id),
    message      text   NOT NULL,
    expires_at   bigint NOT NULL,
    PRIMARY KEY (connection, message)
);
CREATE INDEX connection_logouts_of ON connection_logouts (organization, connection);
CREATE INDEX connection_logouts_expires ON connection_logouts (expires_at);

-- +goose Down
