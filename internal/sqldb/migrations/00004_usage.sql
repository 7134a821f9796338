-- +goose Up

-- What was used, one row for each event, and never changed. An event is known by its source and its own id; that the
-- organization is one, usage_log proves for each recording, at a thousandth of the price.
CREATE TABLE usage_events (
    organization text   NOT NULL,
    source       text   NOT NULL,
    id           text   NOT NULL,
    meter        text   NOT NULL,
    value        bigint NOT NULL,
    at           bigint NOT NULL,
    recorded_at  bigint NOT NULL,
    series       text   NOT NULL,            -- member, key, resource, region and model, with a tab between
    item         text   NOT NULL DEFAULT '', -- of a meter that counts different things: the thing's hash
    corrects     text   NOT NULL DEFAULT '', -- the id of the event of the same source that this one corrects
    PRIMARY KEY (organization, source, id)
);
CREATE INDEX usage_events_at ON usage_events (organization, meter, at);
CREATE INDEX usage_events_corrects ON usage_events (organization, source, corrects) WHERE corrects <> '';

-- What was recorded and is not in the buckets yet: one row for each recording, with its events added up.
CREATE TABLE usage_log (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    body         text   NOT NULL,
    created_at   bigint NOT NULL
);
CREATE INDEX usage_log_organization ON usage_log (organization, id);

-- Events added up by time. The grains minute, hour and day keep every combination of who and what it was for; minutes,
-- hours and days keep the whole.
CREATE TABLE usage_buckets (
    organization text   NOT NULL REFERENCES organizations (id),
    meter        text   NOT NULL,
    grain        text   NOT NULL CHECK (grain IN ('minute', 'hour', 'day', 'minutes', 'hours', 'days')),
    start        bigint NOT NULL,
    member       text   NOT NULL,
    api_key      text   NOT NULL,
    resource     text   NOT NULL,
    region       text   NOT NULL,
    model        text   NOT NULL,
    events       bigint NOT NULL,
    total        bigint NOT NULL,
    greatest     bigint NOT NULL,
    last         bigint NOT NULL,
    last_at      bigint NOT NULL,
    PRIMARY KEY (organization, meter, grain, start, member, api_key, resource, region, model)
);
CREATE INDEX usage_buckets_old ON usage_buckets (grain, start);

-- How much of a meter was used in a period, by the whole organization (subject empty) and by the members and keys that
-- have limits of their own. Exact in the transaction that records.
CREATE TABLE usage_counters (
    organization text   NOT NULL REFERENCES organizations (id),
    meter        text   NOT NULL,
    start        bigint NOT NULL, -- of the period
    subject      text   NOT NULL, -- empty, or the id of a member or key
    used         bigint NOT NULL,
    reserved     bigint NOT NULL CHECK (reserved >= 0),
    PRIMARY KEY (organization, meter, start, subject)
);

-- The last reading of each series of a gauge.
CREATE TABLE usage_readings (
    organization text   NOT NULL REFERENCES organizations (id),
    meter        text   NOT NULL,
    series       text   NOT NULL,
    value        bigint NOT NULL,
    at           bigint NOT NULL,
    PRIMARY KEY (organization, meter, series)
);

-- The different things that a meter has counted in a period.
CREATE TABLE usage_items (
    organization text   NOT NULL REFERENCES organizations (id),
    meter        text   NOT NULL,
    start        bigint NOT NULL,
    item         text   NOT NULL,
    PRIMARY KEY (organization, meter, start, item)
);

-- Units that are held for work that has begun.
CREATE TABLE usage_reservations (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    meter        text   NOT NULL,
    start        bigint NOT NULL,
    amount       bigint NOT NULL CHECK (amount > 0),
    series       text   NOT NULL,
    subjects     text   NOT NULL, -- members and keys whose own counters hold it too, with a space between
    created_by   text   NOT NULL,
    created_at   bigint NOT NULL,
    expires_at   bigint NOT NULL
);
CREATE INDEX usage_reservations_expires ON usage_reservations (organization, meter, expires_at);
CREATE INDEX usage_reservations_due ON usage_reservations (expires_at);

-- Limits of single members and keys, below what the plan gives the organization.
CREATE TABLE usage_limits (
    organization text   NOT NULL REFERENCES organizations (id),
    subject      text   NOT NULL CHECK (subject <> ''),
    meter        text   NOT NULL,
    hard         bigint NOT NULL CHECK (hard >= 0),
    set_by       text   NOT NULL,
    set_at       bigint NOT NULL,
    PRIMARY KEY (organization, subject, meter)
);

CREATE TABLE usage_budgets (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    name         text   NOT NULL,
    name_folded  text   NOT NULL,
    meter        text   NOT NULL, -- empty: the money of all meters
    amount       bigint NOT NULL CHECK (amount > 0),
    thresholds   text   NOT NULL, -- percents with a space between: "50 80 100"
    action       text   NOT NULL CHECK (action IN ('notify', 'stop')),
    version      bigint NOT NULL,
    created_by   text   NOT NULL,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL
);
CREATE UNIQUE INDEX usage_budgets_name ON usage_budgets (organization, name_folded);

-- Thresholds that were reached: of a budget by its id, of the plan's limit of a meter as "meter:ID". Once in a period.
CREATE TABLE usage_warnings (
    organization text   NOT NULL REFERENCES organizations (id),
    about        text   NOT NULL,
    start        bigint NOT NULL,
    threshold    bigint NOT NULL, -- in percent
    quantity     bigint NOT NULL,
    at           bigint NOT NULL,
    PRIMARY KEY (organization, about, start, threshold)
);
CREATE INDEX usage_warnings_at ON usage_warnings (organization, about, at);

-- +goose Down
