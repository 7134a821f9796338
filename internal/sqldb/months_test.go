package sqldb_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// What was used on the days of an older release is there by month afterwards, by the calendar that Go knows.
func TestMonthsAreMadeOfTheDaysThereAre(t *testing.T) {
	eachEmpty(t, func(t *testing.T, db *sqldb.DB) {
		if err := db.MigrateWith(t.Context(), released(t, 19)); err != nil {
			t.Fatal(err)
		}
		exec(t, db, `INSERT INTO organizations (id, slug, name, time_zone, region, retention_days, plan, seats, state, version, created_at, updated_at)
			VALUES ('org_1', 'acme', 'Acme', '', '', 30, 'free', 5, 'active', 1, 10, 10)`)
		want := map[string]int64{}
		for at := time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2005; at = at.AddDate(0, 0, 3) {
			exec(t, db, `INSERT INTO usage_buckets (organization, meter, grain, start, member, api_key, resource, region, model, events, total, greatest, last, last_at)
				VALUES ('org_1', 'runs', 'day', $1, 'mem_1', '', '', '', '', 2, $2, $2, $2, $1)`, at.UnixMicro(), int64(at.Day()))
			want[at.Format("2006-01")] += int64(at.Day())
		}
		if err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		read(t, db, func(tx *sqldb.Tx) error {
			rows, err := tx.Query(t.Context(), "SELECT start, total, greatest, last, last_at FROM usage_buckets WHERE organization = 'org_1' AND grain = 'month'")
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var start, total, greatest, last, lastAt int64
				if err := rows.Scan(&start, &total, &greatest, &last, &lastAt); err != nil {
					return err
				}
				month, latest := time.UnixMicro(start).UTC(), time.UnixMicro(lastAt).UTC()
				if month.Day() != 1 || month.Hour() != 0 || latest.Format("2006-01") != month.Format("2006-01") || last != int64(latest.Day()) || greatest != last {
					t.Errorf("the month %s has %d last, at %s, and %d at most", month, last, latest, greatest)
				}
				got[month.Format("2006-01")] += total
			}
			return rows.Err()
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
