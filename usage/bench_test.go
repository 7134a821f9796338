package usage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/usage"
)

// A year of an organization in which 200 members use three keys each on every day: 219,000 rows of days.
func BenchmarkYear(b *testing.B) {
	for _, d := range testdb.Dialects {
		o := openOffice(b, testdb.Open(b, d))
		first := time.Date(testroom.Monday.Year()-1, testroom.Monday.Month(), 1, 0, 0, 0, 0, time.UTC)
		busyYear(o, first)
		for _, by := range []string{"", "member"} {
			for _, granularity := range []string{"month", "day"} {
				b.Run(fmt.Sprintf("%s/by %s in %ss", d, by, granularity), func(b *testing.B) {
					for b.Loop() {
						o.asks(usage.QueryInput{InOrganization: o.in(), Meter: "tokens", By: by, Granularity: granularity, From: first, To: first.AddDate(1, 0, 0)})
					}
				})
			}
		}
	}
}

// busyYear writes the buckets of a year.
func busyYear(o *office, first time.Time) {
	const columns = "organization, meter, grain, start, member, api_key, resource, region, model, events, total, greatest, last, last_at"
	for day := first; day.Before(first.AddDate(1, 0, 0)); day = day.AddDate(0, 0, 1) {
		o.Exec(`INSERT INTO usage_buckets (`+columns+`)
			WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 599)
			SELECT CAST($1 AS text), 'tokens', 'day', CAST($2 AS bigint), 'mem_' || (i / 3), 'key_' || i, '', '', '', 1, 7, 7, 0, 0 FROM n`, o.acme, day.UnixMicro())
	}
	for month := first; month.Before(first.AddDate(1, 0, 0)); month = month.AddDate(0, 1, 0) {
		o.Exec(`INSERT INTO usage_buckets (`+columns+`)
			SELECT organization, meter, 'month', $2, member, api_key, resource, region, model, SUM(events), SUM(total), 7, 0, 0
			FROM usage_buckets WHERE organization = $1 AND grain = 'day' AND start >= $2 AND start < $3
			GROUP BY organization, meter, member, api_key, resource, region, model`, o.acme, month.UnixMicro(), month.AddDate(0, 1, 0).UnixMicro())
	}
	for _, grain := range []string{"day", "month"} {
		o.Exec(`INSERT INTO usage_buckets (`+columns+`)
			SELECT organization, meter, $2, start, '', '', '', '', '', SUM(events), SUM(total), 7, 0, 0
			FROM usage_buckets WHERE organization = $1 AND grain = $3 GROUP BY organization, meter, start`, o.acme, grain+"s", grain)
	}
}
