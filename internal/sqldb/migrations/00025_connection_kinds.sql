-- +goose Up

-- A connection speaks one of four ways, and several of an organization may be on at once, each for domains of its own.
DROP INDEX connections_on;
ALTER TABLE connections ADD COLUMN speaks text NOT NULL DEFAULT 'oidc' CHECK (speaks IN ('oidc', 'saml', 'google', 'github'));
ALTER TABLE connections DROP COLUMN kind;
ALTER TABLE connections RENAME COLUMN speaks TO kind;

-- +goose Down
