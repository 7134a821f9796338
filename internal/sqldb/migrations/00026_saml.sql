-- +goose Up

-- What a connection that speaks SAML needs beside its row: where people sign in, and by which certificates the provider
-- signs. Certificates are PEM, one behind the other.
CREATE TABLE saml_settings (
    connection   text   NOT NULL PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    organization text   NOT NULL REFERENCES organizations (id),
    sign_on_url  text   NOT NULL CHECK (sign_on_url LIKE 'https://%'),
    logout_url   text   NOT NULL,
    certificates text   NOT NULL CHECK (certificates <> ''),
    metadata_url text   NOT NULL, -- empty: it was typed in
    read_at      bigint NOT NULL, -- when the metadata at that address was read; 0: never
    ends_at      bigint NOT NULL  -- when the last of the certificates ends
);
CREATE INDEX saml_settings_of ON saml_settings (organization, connection);
CREATE INDEX saml_settings_ends ON saml_settings (ends_at);

-- Assertions that were taken: each counts once, on whichever server it arrives. They are forgotten when nobody would believe
-- them any more.
CREATE TABLE saml_assertions (
    connection   text   NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    organization text   NOT NULL REFERENCES organizations (id),
    assertion    text   NOT NULL,
    expires_at   bigint NOT NULL,
    PRIMARY KEY (connection, assertion)
);
CREATE INDEX saml_assertions_of ON saml_assertions (organization, connection);
CREATE INDEX saml_assertions_expires ON saml_assertions (expires_at);

-- +goose Down
