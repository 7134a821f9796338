-- +goose Up

-- Buckets of months (of the calendar, in UTC), so that a year is read from twelve rows of a series and not from 365. They
-- are made here from the days that there are. The first day of a day's month is told by the arithmetic of the Gregorian
-- calendar in whole numbers, which both databases do alike: z counts days from 0000-03-01, e within 400 years, y is the
-- year within them, and d the day within the year that begins in March.
CREATE TABLE usage_buckets_by_month (
    organization text   NOT NULL REFERENCES organizations (id),
    meter        text   NOT NULL,
    grain        text   NOT NULL CHECK (grain IN ('minute', 'hour', 'day', 'month', 'minutes', 'hours', 'days', 'months')),
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
INSERT INTO usage_buckets_by_month (organization, meter, grain, start, member, api_key, resource, region, model, events, total, greatest, last, last_at)
    SELECT organization, meter, grain, start, member, api_key, resource, region, model, events, total, greatest, last, last_at FROM usage_buckets;
INSERT INTO usage_buckets_by_month (organization, meter, grain, start, member, api_key, resource, region, model, events, total, greatest, last, last_at)
    SELECT organization, meter, CASE WHEN grain = 'day' THEN 'month' ELSE 'months' END, month, member, api_key, resource, region, model,
        CAST(SUM(events) AS bigint), CAST(SUM(total) AS bigint), MAX(greatest),
        MAX(CASE WHEN latest = 1 THEN last ELSE 0 END), MAX(last_at)
    FROM (
        SELECT b.*, start - (d - (153 * ((5 * d + 2) / 153) + 2) / 5) * 86400000000 AS month,
            ROW_NUMBER() OVER (PARTITION BY organization, meter, grain, member, api_key, resource, region, model,
                start - (d - (153 * ((5 * d + 2) / 153) + 2) / 5) * 86400000000 ORDER BY start DESC) AS latest
        FROM (
            SELECT c.*, e - (365 * y + y / 4 - y / 100) AS d
            FROM (
                SELECT a.*, (e - e / 1460 + e / 36524 - e / 146096) / 365 AS y
                FROM (
                    SELECT u.*, (u.start / 86400000000 + 719468) % 146097 AS e
                    FROM usage_buckets u WHERE u.grain IN ('day', 'days')
                ) a
            ) c
        ) b
    ) m
    GROUP BY organization, meter, grain, month, member, api_key, resource, region, model;
DROP TABLE usage_buckets;
ALTER TABLE usage_buckets_by_month RENAME TO usage_buckets;
CREATE INDEX usage_buckets_old ON usage_buckets (grain, start);

-- +goose Down
DELETE FROM usage_buckets WHERE grain IN ('month', 'months');
