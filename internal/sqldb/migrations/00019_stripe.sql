-- +goose Up

-- When a subscription that a payment provider keeps was last read back from it; 0: never.
ALTER TABLE subscriptions ADD COLUMN synced_at bigint NOT NULL DEFAULT 0;
CREATE INDEX subscriptions_customer ON subscriptions (customer) WHERE customer <> '';

-- Invoices that a payment provider issued, as they stand there. owed is what is not paid of them; page and paper are the
-- provider's own addresses of them.
CREATE TABLE provider_invoices (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    provider     text   NOT NULL,
    object       text   NOT NULL,
    number       text   NOT NULL,
    state        text   NOT NULL CHECK (state IN ('open', 'paid', 'void', 'past_due')),
    currency     text   NOT NULL,
    total        bigint NOT NULL,
    owed         bigint NOT NULL CHECK (owed >= 0),
    period_start bigint NOT NULL,
    period_end   bigint NOT NULL,
    lines        text   NOT NULL,
    payer        text   NOT NULL,
    page         text   NOT NULL,
    paper        text   NOT NULL,
    issued_at    bigint NOT NULL,
    due_at       bigint NOT NULL,
    settled_at   bigint NOT NULL,
    version      bigint NOT NULL
);
CREATE UNIQUE INDEX provider_invoices_object ON provider_invoices (provider, object);
CREATE INDEX provider_invoices_of ON provider_invoices (organization, issued_at);

-- +goose Down
