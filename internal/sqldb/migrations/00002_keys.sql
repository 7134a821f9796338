-- +goose Up

-- A role that an organization made itself. Members and service accounts name it by its id, as they name the charter's.
CREATE TABLE organization_roles (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    title        text   NOT NULL,
    title_folded text   NOT NULL,
    description  text   NOT NULL,
    permissions  text   NOT NULL, -- ids with a space between; one that the charter does not have holds nothing
    version      bigint NOT NULL,
    created_by   text   NOT NULL,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL
);
CREATE UNIQUE INDEX organization_roles_title ON organization_roles (organization, title_folded);

CREATE TABLE service_accounts (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    name         text   NOT NULL,
    name_folded  text   NOT NULL,
    description  text   NOT NULL,
    role         text   NOT NULL,
    manager      text   NOT NULL, -- a member's id; empty where nobody looks after it
    version      bigint NOT NULL,
    created_by   text   NOT NULL,
    created_at   bigint NOT NULL,
    deleted_at   bigint NOT NULL
);
CREATE UNIQUE INDEX service_accounts_name ON service_accounts (organization, name_folded) WHERE deleted_at = 0;
CREATE INDEX service_accounts_created ON service_accounts (organization, created_at, id);
CREATE INDEX service_accounts_manager ON service_accounts (organization, manager);
CREATE INDEX service_accounts_role ON service_accounts (organization, role);

CREATE TABLE api_keys (
    id              text   NOT NULL PRIMARY KEY,
    organization    text   NOT NULL REFERENCES organizations (id),
    kind            text   NOT NULL CHECK (kind IN ('personal', 'organization')),
    name            text   NOT NULL,
    name_folded     text   NOT NULL DEFAULT '', -- for searching
    hash            bytea  NOT NULL,
    prefix          text   NOT NULL,
    last4           text   NOT NULL,
    creator         text   NOT NULL, -- a user's id
    member          text   NOT NULL, -- the creator's membership: a personal key is what that one is
    service_account text   NOT NULL, -- empty: the organization itself
    permissions     text   NOT NULL, -- the scopes: ids with a space between
    resources       text   NOT NULL, -- "workflow:wf_1 artifact:*"; empty: any
    networks        text   NOT NULL, -- "10.0.0.0/8 2001:db8::/32"; empty: any
    frozen          text   NOT NULL, -- of a key left behind: what its creator held at removal
    left_at         bigint NOT NULL, -- when the creator left and the key stayed; 0: never
    rotated_from    text   NOT NULL,
    rotated_to      text   NOT NULL,
    created_at      bigint NOT NULL,
    expires_at      bigint NOT NULL, -- 0: never
    last_used_at    bigint NOT NULL,
    last_address    text   NOT NULL,
    last_agent      text   NOT NULL,
    revoked_at      bigint NOT NULL,
    revoked_by      text   NOT NULL,
    revoked_reason  text   NOT NULL,
    version         bigint NOT NULL,
    recovery_epoch  bigint NOT NULL
);
CREATE UNIQUE INDEX api_keys_hash ON api_keys (hash);
CREATE INDEX api_keys_created ON api_keys (organization, created_at, id);
CREATE INDEX api_keys_creator ON api_keys (organization, creator, created_at, id);
CREATE INDEX api_keys_member ON api_keys (organization, member);
CREATE INDEX api_keys_account ON api_keys (organization, service_account);

-- A token derived from a session, a key or another token. It never changes but to end: what it may is fixed here, and
-- cut down by what its root may now.
CREATE TABLE scoped_tokens (
    id             text    NOT NULL PRIMARY KEY,
    organization   text    NOT NULL REFERENCES organizations (id),
    name           text    NOT NULL,
    hash           bytea   NOT NULL,
    prefix         text    NOT NULL,
    last4          text    NOT NULL,
    creator        text    NOT NULL, -- a user's id; empty where an organization key made it
    member         text    NOT NULL, -- under a session: the membership that it stands for
    session        text    NOT NULL, -- the root: a session
    api_key        text    NOT NULL, -- or a key
    parent         text    NOT NULL, -- the token above, if it is a child of one
    ancestors      text    NOT NULL, -- all tokens above: " tok_1 tok_2 "
    permissions    text    NOT NULL,
    resources      text    NOT NULL,
    networks       text    NOT NULL, -- as of a key, those of the tokens above before them: "10.0.0.0/8|10.1.0.0/16"
    read_only      boolean NOT NULL,
    budget         bigint  NOT NULL, -- requests in all; 0: any number
    budgets        text    NOT NULL, -- the tokens with a budget, this one and those above: "tok_1 tok_2"
    budget_used    bigint  NOT NULL, -- handed out to servers
    created_at     bigint  NOT NULL,
    expires_at     bigint  NOT NULL,
    last_used_at   bigint  NOT NULL,
    revoked_at     bigint  NOT NULL,
    revoked_by     text    NOT NULL,
    revoked_reason text    NOT NULL,
    recovery_epoch bigint  NOT NULL
);
CREATE UNIQUE INDEX scoped_tokens_hash ON scoped_tokens (hash);
CREATE INDEX scoped_tokens_created ON scoped_tokens (organization, created_at, id);
CREATE INDEX scoped_tokens_creator ON scoped_tokens (organization, creator, created_at, id);
CREATE INDEX scoped_tokens_key ON scoped_tokens (organization, api_key);
CREATE INDEX scoped_tokens_session ON scoped_tokens (organization, session);

-- What a service key may: names of operations, such as "users.upsert", nouns such as "users.*", and "checks". Empty: all
-- that service keys may.
ALTER TABLE service_keys ADD COLUMN scopes text NOT NULL DEFAULT '';
ALTER TABLE service_keys ADD COLUMN expires_at bigint NOT NULL DEFAULT 0;

ALTER TABLE users ADD COLUMN deleted_at bigint NOT NULL DEFAULT 0;

-- A signed-in person on the way to the product: the code is good once, for a minute.
CREATE TABLE handoffs (
    id         text   NOT NULL PRIMARY KEY,
    code_hash  bytea  NOT NULL,
    user_id    text   NOT NULL REFERENCES users (id),
    session    text   NOT NULL,
    return_to  text   NOT NULL,
    state      text   NOT NULL,
    exchanged  text   NOT NULL, -- the session that the product got for it; empty: none
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    used_at    bigint NOT NULL
);
CREATE UNIQUE INDEX handoffs_code ON handoffs (code_hash);
CREATE INDEX handoffs_expires ON handoffs (expires_at);

-- +goose Down
