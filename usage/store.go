package usage

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// list writes the JSON array of arrays that InsertRows takes.
type list struct {
	raw  []byte
	rows int
}

func (l *list) begin() {
	if l.rows == 0 {
		l.raw = append(l.raw, '[')
	} else {
		l.raw = append(l.raw, ',')
	}
	l.rows++
	l.raw = append(l.raw, '[')
}

func (l *list) text(s string) *list {
	l.separate()
	l.raw, _ = jsontext.AppendQuote(l.raw, s)
	return l
}

func (l *list) number(n int64) *list {
	l.separate()
	l.raw = strconv.AppendInt(l.raw, n, 10)
	return l
}

func (l *list) separate() {
	if l.raw[len(l.raw)-1] != '[' {
		l.raw = append(l.raw, ',')
	}
}

func (l *list) end() { l.raw = append(l.raw, ']') }

func (l *list) done() []byte { return append(l.raw, ']') }

// events is how usage_events is written.
var events = sqldb.Rows{Table: "usage_events", Same: []string{"organization", "recorded_at bigint"},
	Columns: []string{"source", "id", "meter", "value bigint", "at bigint", "series"},
	Then:    "ON CONFLICT (organization, source, id) DO NOTHING RETURNING source, id"}

// eventsInFull is how it is written where some of the events have an item or correct others.
var eventsInFull = sqldb.Rows{Table: events.Table, Same: events.Same, Columns: append(slices.Clone(events.Columns), "item", "corrects"), Then: events.Then}

// insertEvents writes the events and leaves those in b.rows that are new.
func (b *batch) insertEvents(ctx context.Context, tx *op.Tx) error {
	into, full := events, slices.ContainsFunc(b.rows, func(r row) bool { return r.item != "" || r.event.Corrects != "" })
	if full {
		into = eventsInFull
	}
	l := list{raw: make([]byte, 0, 200*len(b.rows))}
	for i := range b.rows {
		r := &b.rows[i]
		l.begin()
		l.text(r.event.Source).text(r.event.ID).text(r.meter.ID).number(r.event.Value).number(r.at).text(r.series.String())
		if full {
			l.text(r.item).text(r.event.Corrects)
		}
		l.end()
	}
	rows, err := tx.InsertRows(ctx, into, l.done(), b.organization, tx.Micros())
	if err != nil {
		return err
	}
	defer rows.Close()
	inserted := make(map[eventKey]bool, len(b.rows))
	for rows.Next() {
		var k eventKey
		if err := rows.Scan(&k.source, &k.id); err != nil {
			return err
		}
		inserted[k] = true
	}
	b.keepNew(inserted)
	return rows.Err()
}

// keepNew leaves the rows that were inserted. Of two with one key in the same recording, the first one was.
func (b *batch) keepNew(inserted map[eventKey]bool) {
	kept := b.rows[:0]
	for _, r := range b.rows {
		k := eventKey{r.event.Source, r.event.ID}
		if !inserted[k] {
			b.verdicts[r.index].Status = StatusDuplicate
			continue
		}
		inserted[k] = false
		kept = append(kept, r)
	}
	b.rows = kept
}

// counterKey names a counter within its organization.
type counterKey struct {
	meter   string
	start   int64
	subject string
}

func (k counterKey) compare(other counterKey) int {
	switch {
	case k.meter != other.meter:
		return compare(k.meter, other.meter)
	case k.start != other.start:
		return compare(k.start, other.start)
	}
	return compare(k.subject, other.subject)
}

func compare[T string | int64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// count brings the counters up to date, and notes which meters are over their limits.
func (b *batch) count(ctx context.Context, tx *op.Tx) error {
	if err := b.findLimited(ctx, tx); err != nil {
		return err
	}
	fresh, err := b.freshItems(ctx, tx)
	if err != nil {
		return err
	}
	sums, greatest := map[counterKey]int64{}, map[counterKey]int64{}
	for i := range b.rows {
		r := &b.rows[i]
		k := counterKey{meter: r.meter.ID, start: b.month(r.at).Start}
		switch {
		case r.meter.Adds():
			b.addTo(sums, k, r)
		case r.meter.Kind == charter.Maximum:
			greatest[k] = max(greatest[k], r.event.Value)
		case r.meter.Kind == charter.Unique:
			item := itemKey{k.meter, k.start, r.item}
			if fresh[item] {
				delete(fresh, item)
				sums[k]++
			}
		}
	}
	if err := b.bump(ctx, tx, sums, addUp); err != nil {
		return err
	}
	if err := b.bump(ctx, tx, greatest, keepGreatest); err != nil {
		return err
	}
	return b.read(ctx, tx)
}

// addTo adds a row to the counters that it concerns: the organization's, and those of a member and key with own limits.
func (b *batch) addTo(sums map[counterKey]int64, k counterKey, r *row) {
	sums[k] = plus(sums[k], r.event.Value)
	for _, subject := range []string{r.series.Member, r.series.Key} {
		if b.limited[subject] {
			k.subject = subject
			sums[k] = plus(sums[k], r.event.Value)
		}
	}
}

// How a counter takes a new figure. A sum that does not fit is the greatest number that does.
const (
	addUp        = `CASE WHEN excluded.used > 0 AND usage_counters.used > 9223372036854775807 - excluded.used THEN 9223372036854775807 ELSE usage_counters.used + excluded.used END`
	keepGreatest = `CASE WHEN excluded.used > usage_counters.used THEN excluded.used ELSE usage_counters.used END`
)

func counters(how string) sqldb.Rows {
	return sqldb.Rows{Table: "usage_counters", Same: []string{"organization", "reserved bigint"}, Columns: []string{"meter", "start bigint", "subject", "used bigint"},
		Then: "ON CONFLICT (organization, meter, start, subject) DO UPDATE SET used = " + how + " RETURNING meter, start, subject, used"}
}

// bump brings counters up to date in one statement, in the order that all recordings keep.
func (b *batch) bump(ctx context.Context, tx *op.Tx, by map[counterKey]int64, how string) error {
	if len(by) == 0 {
		return nil
	}
	var l list
	for _, k := range slices.SortedFunc(maps.Keys(by), counterKey.compare) {
		l.begin()
		l.text(k.meter).number(k.start).text(k.subject).number(by[k]).end()
	}
	rows, err := tx.InsertRows(ctx, counters(how), l.done(), b.organization, 0)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k counterKey
		var used int64
		if err := rows.Scan(&k.meter, &k.start, &k.subject, &used); err != nil {
			return err
		}
		b.noteOver(k, used)
	}
	return rows.Err()
}

// noteOver notes a meter of the present period of which there is more than its hard limit.
func (b *batch) noteOver(k counterKey, used int64) {
	hard := b.limit(b.charter, k.meter).Hard
	if k.subject != "" || hard == charter.Unlimited || used <= hard || k.start != b.month(b.tx.Micros()).Start {
		return
	}
	if !slices.Contains(b.over, k.meter) {
		b.over = append(b.over, k.meter)
	}
}

// findLimited reads which members and keys have limits of their own, if any event names one.
func (b *batch) findLimited(ctx context.Context, tx *op.Tx) error {
	if !slices.ContainsFunc(b.rows, func(r row) bool { return r.series.Member != "" || r.series.Key != "" }) {
		return nil
	}
	rows, err := tx.Query(ctx, "SELECT DISTINCT subject FROM usage_limits WHERE organization = $1", b.organization)
	if err != nil {
		return err
	}
	defer rows.Close()
	b.limited = map[string]bool{}
	for rows.Next() {
		var subject string
		if err := rows.Scan(&subject); err != nil {
			return err
		}
		b.limited[subject] = true
	}
	return rows.Err()
}

type itemKey struct {
	meter string
	start int64
	item  string
}

var items = sqldb.Rows{Table: "usage_items", Same: []string{"organization"}, Columns: []string{"meter", "start bigint", "item"},
	Then: "ON CONFLICT (organization, meter, start, item) DO NOTHING RETURNING meter, start, item"}

// freshItems are the things that meters of different things see for the first time in their period.
func (b *batch) freshItems(ctx context.Context, tx *op.Tx) (map[itemKey]bool, error) {
	var keys []itemKey
	for i := range b.rows {
		if r := &b.rows[i]; r.item != "" {
			keys = append(keys, itemKey{r.meter.ID, b.month(r.at).Start, r.item})
		}
	}
	fresh := map[itemKey]bool{}
	if len(keys) == 0 {
		return fresh, nil
	}
	slices.SortFunc(keys, func(x, y itemKey) int {
		if c := compare(x.meter, y.meter); c != 0 {
			return c
		}
		if c := compare(x.start, y.start); c != 0 {
			return c
		}
		return compare(x.item, y.item)
	})
	var l list
	for _, k := range keys {
		l.begin()
		l.text(k.meter).number(k.start).text(k.item).end()
	}
	rows, err := tx.InsertRows(ctx, items, l.done(), b.organization)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var k itemKey
		if err := rows.Scan(&k.meter, &k.start, &k.item); err != nil {
			return nil, err
		}
		fresh[k] = true
	}
	return fresh, rows.Err()
}

var readings = sqldb.Rows{Table: "usage_readings", Same: []string{"organization"}, Columns: []string{"meter", "series", "value bigint", "at bigint"},
	Then: `ON CONFLICT (organization, meter, series) DO UPDATE SET value = excluded.value, at = excluded.at
		WHERE excluded.at >= usage_readings.at RETURNING meter`}

type seriesKey struct{ meter, series string }

// read keeps the latest reading of each series of a gauge. One that comes late, after a later one, changes nothing here.
func (b *batch) read(ctx context.Context, tx *op.Tx) error {
	latest := map[seriesKey]*row{}
	for i := range b.rows {
		r := &b.rows[i]
		if r.meter.Kind != charter.Gauge {
			continue
		}
		k := seriesKey{r.meter.ID, r.series.String()}
		// Of two readings of one moment, the later one in the list stands.
		if before, ok := latest[k]; !ok || r.at > before.at || r.at == before.at && r.index > before.index {
			latest[k] = r
		}
	}
	if len(latest) == 0 {
		return nil
	}
	var l list
	for _, k := range slices.SortedFunc(maps.Keys(latest), func(x, y seriesKey) int {
		if c := compare(x.meter, y.meter); c != 0 {
			return c
		}
		return compare(x.series, y.series)
	}) {
		l.begin()
		l.text(k.meter).text(k.series).number(latest[k].event.Value).number(latest[k].at).end()
	}
	rows, err := tx.InsertRows(ctx, readings, l.done(), b.organization)
	if err != nil {
		return err
	}
	return rows.Close()
}
