-- +goose Up

-- A company's directory, which tells us of its people by SCIM (RFC 7643, 7644). Its token opens nothing else.
CREATE TABLE directories (
    id             text   NOT NULL PRIMARY KEY,
    organization   text   NOT NULL REFERENCES organizations (id),
    name           text   NOT NULL,
    name_folded    text   NOT NULL,
    default_role   text   NOT NULL, -- of whom no mapped group names; empty: they have no access
    deactivation   text   NOT NULL CHECK (deactivation IN ('suspend', 'remove')),
    token_hash     bytea  NOT NULL,
    token_last4    text   NOT NULL,
    token_at       bigint NOT NULL,
    recovery_epoch bigint NOT NULL,
    last_sync_at   bigint NOT NULL, -- 0: never
    version        bigint NOT NULL,
    created_by     text   NOT NULL,
    created_at     bigint NOT NULL
);
CREATE UNIQUE INDEX directories_token ON directories (token_hash);
CREATE UNIQUE INDEX directories_name ON directories (organization, name_folded);

-- A person as a directory tells of them. Whoever that is here is found by user_id, and never by an address again.
CREATE TABLE directory_users (
    id               text    NOT NULL PRIMARY KEY,
    organization     text    NOT NULL REFERENCES organizations (id),
    directory        text    NOT NULL REFERENCES directories (id) ON DELETE CASCADE,
    user_id          text    NOT NULL, -- the account; empty while there is none
    active           boolean NOT NULL, -- as the directory says
    access           boolean NOT NULL, -- whether that gives access: active, and with a role
    user_name        text    NOT NULL,
    user_name_folded text    NOT NULL,
    external_id      text    NOT NULL,
    display_folded   text    NOT NULL,
    email            text    NOT NULL,
    email_folded     text    NOT NULL,
    document         text    NOT NULL, -- JSON: everything that we keep of the resource
    version          bigint  NOT NULL,
    created_at       bigint  NOT NULL,
    updated_at       bigint  NOT NULL
);
CREATE UNIQUE INDEX directory_users_name ON directory_users (directory, user_name_folded);
CREATE UNIQUE INDEX directory_users_account ON directory_users (organization, user_id) WHERE user_id <> '';
CREATE INDEX directory_users_user ON directory_users (user_id);
CREATE INDEX directory_users_external ON directory_users (directory, external_id);
CREATE INDEX directory_users_email ON directory_users (directory, email_folded);
CREATE INDEX directory_users_display ON directory_users (directory, display_folded);
CREATE INDEX directory_users_updated ON directory_users (directory, updated_at);

CREATE TABLE directory_groups (
    id             text   NOT NULL PRIMARY KEY,
    organization   text   NOT NULL REFERENCES organizations (id),
    directory      text   NOT NULL REFERENCES directories (id) ON DELETE CASCADE,
    display        text   NOT NULL,
    display_folded text   NOT NULL,
    external_id    text   NOT NULL,
    version        bigint NOT NULL,
    created_at     bigint NOT NULL,
    updated_at     bigint NOT NULL
);
CREATE UNIQUE INDEX directory_groups_display ON directory_groups (directory, display_folded);
CREATE INDEX directory_groups_external ON directory_groups (directory, external_id);

CREATE TABLE directory_group_members (
    organization   text NOT NULL REFERENCES organizations (id),
    group_id       text NOT NULL REFERENCES directory_groups (id) ON DELETE CASCADE,
    directory_user text NOT NULL REFERENCES directory_users (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, directory_user)
);
CREATE INDEX directory_group_members_user ON directory_group_members (directory_user, group_id);
CREATE INDEX directory_group_members_organization ON directory_group_members (organization);

-- Which group gives which role: the first place that names one of somebody's groups counts.
CREATE TABLE directory_mappings (
    organization text   NOT NULL REFERENCES organizations (id),
    directory    text   NOT NULL REFERENCES directories (id) ON DELETE CASCADE,
    group_id     text   NOT NULL REFERENCES directory_groups (id) ON DELETE CASCADE,
    place        bigint NOT NULL,
    role         text   NOT NULL,
    PRIMARY KEY (directory, group_id)
);
CREATE INDEX directory_mappings_group ON directory_mappings (group_id);
CREATE INDEX directory_mappings_organization ON directory_mappings (organization);

-- The last requests of a directory that were refused.
CREATE TABLE directory_errors (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    directory    text   NOT NULL REFERENCES directories (id) ON DELETE CASCADE,
    at           bigint NOT NULL,
    request      text   NOT NULL, -- "PATCH /Users/scu_..."
    status       bigint NOT NULL,
    detail       text   NOT NULL
);
CREATE INDEX directory_errors_of ON directory_errors (directory, id);
CREATE INDEX directory_errors_organization ON directory_errors (organization);

-- What a directory decides of a member.
ALTER TABLE members ADD COLUMN managed_by text NOT NULL DEFAULT '';                  -- the directory
ALTER TABLE members ADD COLUMN managed_access boolean NOT NULL DEFAULT FALSE;    -- whether it gives access
ALTER TABLE members ADD COLUMN managed_role boolean NOT NULL DEFAULT FALSE;      -- whether a mapped group gives the role
ALTER TABLE members ADD COLUMN managed_suspended boolean NOT NULL DEFAULT FALSE; -- whether a directory suspended, and nobody else
CREATE INDEX members_managed ON members (organization, managed_by) WHERE managed_by <> '';

-- +goose Down
