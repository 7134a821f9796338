-- +goose Up

-- One row: what is true of the whole installation.
CREATE TABLE instance (
    id             text   NOT NULL PRIMARY KEY CHECK (id = 'instance'),
    recovery_epoch bigint NOT NULL,
    demo           boolean NOT NULL,
    charter        text   NOT NULL,
    created_at     bigint NOT NULL
);

-- An audit stream: an organization, a user, or the instance. Its row is the lock of everything that the stream is about.
CREATE TABLE streams (
    id  text   NOT NULL PRIMARY KEY,
    seq bigint NOT NULL,
    at  bigint NOT NULL
);

CREATE TABLE audit_rows (
    stream     text   NOT NULL REFERENCES streams (id),
    seq        bigint NOT NULL,
    at         bigint NOT NULL,
    id         text   NOT NULL,
    action     text   NOT NULL,
    actor_kind text   NOT NULL,
    actor      text   NOT NULL,
    credential text   NOT NULL,
    on_behalf  text   NOT NULL,
    outcome    text   NOT NULL,
    times      bigint NOT NULL,
    reason     text   NOT NULL,
    request_id text   NOT NULL,
    detail     text   NOT NULL,
    leaf       bytea  NOT NULL,
    PRIMARY KEY (stream, seq)
);
CREATE INDEX audit_rows_actor ON audit_rows (stream, actor, seq);
CREATE INDEX audit_rows_action ON audit_rows (stream, action, seq);
CREATE INDEX audit_rows_outcome ON audit_rows (stream, outcome, seq);
CREATE INDEX audit_rows_at ON audit_rows (stream, at, seq);
CREATE UNIQUE INDEX audit_rows_id ON audit_rows (id);
CREATE INDEX audit_rows_person ON audit_rows (actor, at);

-- Who a row names: the actor (n = 0) and the targets. Names, addresses and personal changes stand here and not in the
-- row, so that a person can be erased; the row's leaf hash covers the commitment, not the text.
CREATE TABLE audit_subjects (
    stream     text   NOT NULL,
    seq        bigint NOT NULL,
    n          bigint NOT NULL,
    type       text   NOT NULL,
    id         text   NOT NULL,
    body       text   NOT NULL,
    salt       bytea  NOT NULL,
    commitment bytea  NOT NULL,
    PRIMARY KEY (stream, seq, n),
    FOREIGN KEY (stream, seq) REFERENCES audit_rows (stream, seq)
);
CREATE INDEX audit_subjects_id ON audit_subjects (stream, id, seq);

CREATE TABLE idempotency (
    actor      text   NOT NULL,
    operation  text   NOT NULL,
    idem_key   text   NOT NULL,
    digest     bytea  NOT NULL,
    output     text   NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (actor, operation, idem_key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);

CREATE TABLE outbox (
    id            text   NOT NULL PRIMARY KEY,
    kind          text   NOT NULL,
    organization  text   NOT NULL,
    payload       bytea  NOT NULL,
    due_at        bigint NOT NULL,
    attempts      bigint NOT NULL,
    claimed_until bigint NOT NULL,
    state         text   NOT NULL CHECK (state IN ('waiting', 'done', 'failed')),
    last_error    text   NOT NULL,
    created_at    bigint NOT NULL
);
CREATE INDEX outbox_due ON outbox (state, due_at);

CREATE TABLE users (
    id           text   NOT NULL PRIMARY KEY,
    external_id  text,
    email        text   NOT NULL,
    email_folded text   NOT NULL,
    name         text   NOT NULL,
    time_zone    text   NOT NULL,
    version      bigint NOT NULL,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL
);
CREATE UNIQUE INDEX users_external_id ON users (external_id);
CREATE UNIQUE INDEX users_email ON users (email_folded);

CREATE TABLE organizations (
    id             text   NOT NULL PRIMARY KEY,
    external_id    text,
    slug           text   NOT NULL,
    name           text   NOT NULL,
    time_zone      text   NOT NULL,
    region         text   NOT NULL,
    retention_days bigint NOT NULL,
    plan           text   NOT NULL,
    seats          bigint NOT NULL,
    state          text   NOT NULL CHECK (state IN ('active', 'deletion_scheduled', 'deleting', 'gone')),
    version        bigint NOT NULL,
    created_at     bigint NOT NULL,
    updated_at     bigint NOT NULL
);
CREATE UNIQUE INDEX organizations_slug ON organizations (slug);
CREATE UNIQUE INDEX organizations_external_id ON organizations (external_id);

-- Every slug that an organization ever had. None is given to another one.
CREATE TABLE slugs (
    slug         text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    created_at   bigint NOT NULL
);

CREATE TABLE members (
    id             text   NOT NULL PRIMARY KEY,
    organization   text   NOT NULL REFERENCES organizations (id),
    user_id        text   NOT NULL REFERENCES users (id),
    role           text   NOT NULL,
    status         text   NOT NULL CHECK (status IN ('active', 'suspended', 'removed')),
    sort_name      text   NOT NULL,
    ends_at        bigint NOT NULL,
    last_active_at bigint NOT NULL,
    joined_at      bigint NOT NULL,
    removed_at     bigint NOT NULL,
    version        bigint NOT NULL
);
CREATE UNIQUE INDEX members_user ON members (organization, user_id) WHERE status <> 'removed';
CREATE INDEX members_of_user ON members (user_id);
CREATE INDEX members_name ON members (organization, sort_name, id);
CREATE INDEX members_joined ON members (organization, joined_at, id);
CREATE INDEX members_last_active ON members (organization, last_active_at, id);
CREATE INDEX members_role ON members (organization, role, id);
CREATE INDEX members_ends ON members (ends_at) WHERE ends_at <> 0;

CREATE TABLE invitations (
    id              text   NOT NULL PRIMARY KEY,
    organization    text   NOT NULL REFERENCES organizations (id),
    email           text   NOT NULL,
    email_folded    text   NOT NULL,
    role            text   NOT NULL,
    state           text   NOT NULL CHECK (state IN ('pending', 'accepted', 'declined', 'cancelled', 'expired')),
    needs_approval  boolean NOT NULL,
    message         text   NOT NULL,
    token_hash      bytea  NOT NULL,
    link_hash       bytea,
    invited_by      text   NOT NULL,
    member_ends_at  bigint NOT NULL,
    expires_at      bigint NOT NULL,
    sent_at         bigint NOT NULL,
    sends_today     bigint NOT NULL,
    delivery        text   NOT NULL CHECK (delivery IN ('queued', 'sent', 'failed')),
    delivery_error  text   NOT NULL,
    mail            text   NOT NULL,
    accepted_member text   NOT NULL,
    settled_at      bigint NOT NULL,
    version         bigint NOT NULL,
    created_at      bigint NOT NULL
);
CREATE UNIQUE INDEX invitations_pending ON invitations (organization, email_folded) WHERE state = 'pending';
CREATE UNIQUE INDEX invitations_token ON invitations (token_hash);
CREATE UNIQUE INDEX invitations_link ON invitations (link_hash);
CREATE INDEX invitations_created ON invitations (organization, created_at, id);
CREATE INDEX invitations_email ON invitations (email_folded);
CREATE INDEX invitations_inviter ON invitations (organization, invited_by);
CREATE INDEX invitations_mail ON invitations (mail);

CREATE TABLE transfers (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    from_member  text   NOT NULL REFERENCES members (id),
    to_member    text   NOT NULL REFERENCES members (id),
    state        text   NOT NULL CHECK (state IN ('pending', 'accepted', 'cancelled', 'expired')),
    expires_at   bigint NOT NULL,
    created_at   bigint NOT NULL,
    settled_at   bigint NOT NULL
);
CREATE UNIQUE INDEX transfers_pending ON transfers (organization) WHERE state = 'pending';

CREATE TABLE sessions (
    id             text   NOT NULL PRIMARY KEY,
    user_id        text   NOT NULL REFERENCES users (id),
    hash           bytea  NOT NULL,
    method         text   NOT NULL,
    address        text   NOT NULL,
    agent          text   NOT NULL,
    created_at     bigint NOT NULL,
    signed_in_at   bigint NOT NULL,
    last_used_at   bigint NOT NULL,
    idle_limit     bigint NOT NULL,
    expires_at     bigint NOT NULL,
    ended_at       bigint NOT NULL,
    recovery_epoch bigint NOT NULL
);
CREATE UNIQUE INDEX sessions_hash ON sessions (hash);
CREATE INDEX sessions_user ON sessions (user_id, created_at, id);

-- A pending proof of an address: a mailed link and a code.
CREATE TABLE challenges (
    id           text   NOT NULL PRIMARY KEY,
    purpose      text   NOT NULL CHECK (purpose IN ('sign_in', 'verify', 'invitation')),
    email        text   NOT NULL,
    email_folded text   NOT NULL,
    session      text   NOT NULL,
    invitation   text   NOT NULL,
    token_hash   bytea  NOT NULL,
    code_hash    bytea  NOT NULL,
    tries        bigint NOT NULL,
    return_to    text   NOT NULL,
    expires_at   bigint NOT NULL,
    used_at      bigint NOT NULL,
    created_at   bigint NOT NULL
);
CREATE UNIQUE INDEX challenges_token ON challenges (token_hash);
CREATE INDEX challenges_expires ON challenges (expires_at);
CREATE INDEX challenges_email ON challenges (email_folded, created_at);

CREATE TABLE service_keys (
    id             text   NOT NULL PRIMARY KEY,
    name           text   NOT NULL,
    hash           bytea  NOT NULL,
    prefix         text   NOT NULL,
    last4          text   NOT NULL,
    created_at     bigint NOT NULL,
    created_by     text   NOT NULL,
    last_used_at   bigint NOT NULL,
    revoked_at     bigint NOT NULL,
    revoked_reason text   NOT NULL,
    recovery_epoch bigint NOT NULL
);
CREATE UNIQUE INDEX service_keys_hash ON service_keys (hash);

-- +goose Down
