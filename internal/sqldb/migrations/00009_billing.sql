-- +goose Up

-- What an organization pays for. Without a row an organization has the charter's first plan, by the month, from when it
-- was made. change_* is what happens at the end of the period; cancels says that it was cancelled.
CREATE TABLE subscriptions (
    organization     text    NOT NULL PRIMARY KEY REFERENCES organizations (id),
    plan             text    NOT NULL,
    term             text    NOT NULL CHECK (term IN ('month', 'year')),
    state            text    NOT NULL CHECK (state IN ('active', 'past_due', 'cancelled', 'ended')),
    anchor           bigint  NOT NULL,
    period_start     bigint  NOT NULL,
    period_end       bigint  NOT NULL CHECK (period_end > period_start),
    closes_at        bigint  NOT NULL CHECK (closes_at > period_start AND closes_at <= period_end),
    change_plan      text    NOT NULL,
    change_term      text    NOT NULL CHECK (change_term IN ('', 'month', 'year')),
    change_at        bigint  NOT NULL,
    cancels          boolean NOT NULL,
    past_due_since   bigint  NOT NULL,
    credit           bigint  NOT NULL CHECK (credit >= 0),
    provider         text    NOT NULL,
    customer         text    NOT NULL,
    provider_object  text    NOT NULL,
    provider_version bigint  NOT NULL,
    company          text    NOT NULL,
    address          text    NOT NULL,
    tax_id           text    NOT NULL,
    email            text    NOT NULL,
    version          bigint  NOT NULL,
    created_at       bigint  NOT NULL,
    updated_at       bigint  NOT NULL
);
CREATE INDEX subscriptions_closes ON subscriptions (closes_at);
CREATE INDEX subscriptions_change ON subscriptions (change_at) WHERE change_at <> 0;
CREATE INDEX subscriptions_object ON subscriptions (provider_object) WHERE provider_object <> '';

-- The last number that an invoice got; its row is the lock of that.
CREATE TABLE invoice_numbers (
    id   text   NOT NULL PRIMARY KEY CHECK (id = 'instance'),
    last bigint NOT NULL
);
INSERT INTO invoice_numbers (id, last) VALUES ('instance', 0);

-- Invoices as they were issued: lines and payer do not change any more. cause is what it is for, once in an organization:
-- the end of a period, or a change.
CREATE TABLE invoices (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    number       bigint NOT NULL,
    cause        text   NOT NULL,
    period_start bigint NOT NULL,
    period_end   bigint NOT NULL,
    state        text   NOT NULL CHECK (state IN ('open', 'paid', 'void', 'past_due')),
    currency     text   NOT NULL,
    total        bigint NOT NULL CHECK (total >= 0),
    lines        text   NOT NULL,
    payer        text   NOT NULL,
    reference    text   NOT NULL,
    reminded     bigint NOT NULL,
    issued_at    bigint NOT NULL,
    due_at       bigint NOT NULL,
    settled_at   bigint NOT NULL,
    version      bigint NOT NULL
);
CREATE UNIQUE INDEX invoices_number ON invoices (number);
CREATE UNIQUE INDEX invoices_cause ON invoices (organization, cause);
CREATE INDEX invoices_of ON invoices (organization, number);
CREATE INDEX invoices_due ON invoices (due_at) WHERE state IN ('open', 'past_due');

-- What a provider told, each once.
CREATE TABLE billing_events (
    provider     text   NOT NULL,
    id           text   NOT NULL,
    organization text   NOT NULL REFERENCES organizations (id),
    object       text   NOT NULL,
    version      bigint NOT NULL,
    outcome      text   NOT NULL CHECK (outcome IN ('applied', 'older')),
    at           bigint NOT NULL,
    PRIMARY KEY (provider, id)
);

-- +goose Down
