-- +goose Up

-- When a provider's metadata is read again at its address, and why it could not be read last (empty: it could). When people
-- are warned next of the end of its certificates; 0: never again.
ALTER TABLE saml_settings ADD COLUMN read_next bigint NOT NULL DEFAULT 0;
ALTER TABLE saml_settings ADD COLUMN problem text NOT NULL DEFAULT '';
ALTER TABLE saml_settings ADD COLUMN warn_next bigint NOT NULL DEFAULT 0;
UPDATE saml_settings SET warn_next = ends_at - 2592000000000;
CREATE INDEX saml_settings_read ON saml_settings (read_next) WHERE metadata_url <> '';
CREATE INDEX saml_settings_warn ON saml_settings (warn_next) WHERE warn_next <> 0;

-- +goose Down
