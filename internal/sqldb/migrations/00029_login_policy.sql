-- +goose Up

-- What an organization asks of the sign-ins of its members. Lengths of time are microseconds, and 0 is the server's own limit;
-- sign_in_ways are names with spaces between, and none is all; networks are prefixes with spaces between, and none is any.
ALTER TABLE organizations ADD COLUMN sso_enforced boolean NOT NULL DEFAULT FALSE;
ALTER TABLE organizations ADD COLUMN mfa_from bigint NOT NULL DEFAULT 0;
ALTER TABLE organizations ADD COLUMN sign_in_ways text NOT NULL DEFAULT '';
ALTER TABLE organizations ADD COLUMN session_life bigint NOT NULL DEFAULT 0;
ALTER TABLE organizations ADD COLUMN session_idle bigint NOT NULL DEFAULT 0;
ALTER TABLE organizations ADD COLUMN networks text NOT NULL DEFAULT '';

-- Who may come in by passkey whatever the policy says.
ALTER TABLE members ADD COLUMN break_glass boolean NOT NULL DEFAULT FALSE;

-- How a session began: the way as decide.Way, whether by two factors, and whose identity provider it was, where the session
-- counts in that organization only.
ALTER TABLE sessions ADD COLUMN way bigint NOT NULL DEFAULT 1 CHECK (way > 0);
ALTER TABLE sessions ADD COLUMN second_factor boolean NOT NULL DEFAULT FALSE;
ALTER TABLE sessions ADD COLUMN organization text NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN connection text NOT NULL DEFAULT '';
UPDATE sessions SET way = 2, second_factor = TRUE WHERE method = 'passkey';
UPDATE sessions SET second_factor = TRUE WHERE method IN ('mail+totp', 'mail+recovery_code');
-- Which organization's provider it was is not known of the sessions so far: whoever has one signs in again.
UPDATE sessions SET ended_at = last_used_at, way = 16 WHERE method = 'oidc' AND ended_at = 0;
CREATE INDEX sessions_connection ON sessions (organization, connection);

-- +goose Down
