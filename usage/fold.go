package usage

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// KeepMinutes is how long buckets of a minute are kept.
const KeepMinutes = 8 * 24 * time.Hour

// What one transaction folds at most: other writers wait for it.
const (
	foldRecordings = 256
	foldCells      = 2000
)

// Fold adds what was recorded to the buckets, and lets minutes go that are too old. What it moves is in the log before it
// commits and in the buckets after, never in both: it may be killed at any moment, and run again.
func Fold(ctx context.Context, db *sqldb.DB, now time.Time) error {
	for {
		n, err := foldSome(ctx, db)
		if err != nil {
			return fmt.Errorf("fold usage: %w", err)
		}
		if n == 0 {
			break
		}
	}
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM usage_buckets WHERE grain IN ('minute', 'minutes') AND start < $1", now.Add(-KeepMinutes).UnixMicro())
		return err
	})
}

// foldSome folds the oldest recordings of all organizations, and says how many there were.
func foldSome(ctx context.Context, db *sqldb.DB) (n int, err error) {
	err = db.Write(ctx, func(tx *sqldb.Tx) error {
		ids, byOrganization, err := oldest(ctx, tx)
		if n = len(ids); err != nil || n == 0 {
			return err
		}
		var l list
		for _, o := range byOrganization {
			o.write(&l)
		}
		if err := upsertBuckets(ctx, tx, l.done()); err != nil {
			return err
		}
		return forget(ctx, tx, ids)
	})
	return n, err
}

// recorded are an organization's recordings.
type recorded struct {
	organization string
	cells        []cell
}

func oldest(ctx context.Context, tx *sqldb.Tx) (ids []any, all []*recorded, err error) {
	rows, err := tx.Query(ctx, "SELECT id, organization, body FROM usage_log ORDER BY id LIMIT $1", foldRecordings)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for cells := 0; cells < foldCells && rows.Next(); {
		var id, organization string
		var body []byte
		if err := rows.Scan(&id, &organization, &body); err != nil {
			return nil, nil, err
		}
		at := slices.IndexFunc(all, func(r *recorded) bool { return r.organization == organization })
		if at < 0 {
			at, all = len(all), append(all, &recorded{organization: organization})
		}
		before := len(all[at].cells)
		if all[at].cells, err = appendCells(all[at].cells, body); err != nil {
			return nil, nil, err
		}
		ids, cells = append(ids, id), cells+len(all[at].cells)-before
	}
	return ids, all, rows.Err()
}

// grains are the buckets that there are: of each combination, and of the whole.
var grains = []struct {
	combined, whole string
	size            int64
}{{"minute", "minutes", minute}, {"hour", "hours", hour}, {"day", "days", day}}

// write writes the rows of all grains.
func (r *recorded) write(l *list) {
	whole := wholly(r.cells)
	for _, g := range grains {
		r.writeGrain(l, g.combined, merged(r.cells, g.size))
		r.writeGrain(l, g.whole, merged(whole, g.size))
	}
}

func (r *recorded) writeGrain(l *list, grain string, by map[cellKey]*cell) {
	for _, k := range sortedCells(by) {
		c, s := by[k], seriesOf(k.series)
		l.begin()
		l.text(r.organization).text(k.meter).text(grain).number(k.start).text(s.Member).text(s.Key).text(s.Resource).text(s.Region).text(s.Model)
		l.number(c.Events).number(c.Total).number(c.Greatest).number(c.Last).number(c.LastAt).end()
	}
}

var buckets = sqldb.Rows{Table: "usage_buckets",
	Columns: []string{"organization", "meter", "grain", "start bigint", "member", "api_key", "resource", "region", "model",
		"events bigint", "total bigint", "greatest bigint", "last bigint", "last_at bigint"},
	Then: `ON CONFLICT (organization, meter, grain, start, member, api_key, resource, region, model) DO UPDATE SET
		events = usage_buckets.events + excluded.events,
		total = CASE WHEN excluded.total > 0 AND usage_buckets.total > 9223372036854775807 - excluded.total THEN 9223372036854775807 ELSE usage_buckets.total + excluded.total END,
		greatest = CASE WHEN excluded.greatest > usage_buckets.greatest THEN excluded.greatest ELSE usage_buckets.greatest END,
		last = CASE WHEN excluded.last_at >= usage_buckets.last_at THEN excluded.last ELSE usage_buckets.last END,
		last_at = CASE WHEN excluded.last_at >= usage_buckets.last_at THEN excluded.last_at ELSE usage_buckets.last_at END
		RETURNING 1`}

func upsertBuckets(ctx context.Context, tx *sqldb.Tx, rows []byte) error {
	done, err := tx.InsertRows(ctx, buckets, rows)
	if err != nil {
		return err
	}
	defer done.Close()
	for done.Next() {
	}
	return done.Err()
}

// forget drops recordings that are folded.
func forget(ctx context.Context, tx *sqldb.Tx, ids []any) error {
	in := make([]string, len(ids))
	for i := range ids {
		in[i] = "$" + strconv.Itoa(i+1)
	}
	n, err := tx.Exec(ctx, "DELETE FROM usage_log WHERE id IN ("+strings.Join(in, ", ")+")", ids...)
	if err == nil && n != int64(len(ids)) {
		return fmt.Errorf("%d of %d recordings were folded by somebody else", int64(len(ids))-n, len(ids))
	}
	return err
}
