package usage

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Broken lists every rule about usage that the whole database breaks: counters, readings and buckets with what is not
// folded yet have to be what the events say.
func Broken(ctx context.Context, r *op.Reader) ([]string, error) {
	a, err := auditAll(ctx, r)
	if err != nil {
		return nil, err
	}
	return a.broken, nil
}

// check is the events of the whole database, added up once more.
type check struct {
	accounts map[string]account
	counters map[string]map[counterKey]int64
	things   map[string]map[itemKey]bool
	readings map[string]map[seriesKey]readingSet
	cells    map[string]map[cellKey]*cell // by day
	broken   []string
}

// readingSet are the readings of the latest moment: which of them came last, events do not say.
type readingSet struct {
	at     int64
	values map[int64]bool
}

func (c *check) breaks(format string, args ...any) {
	if len(c.broken) < 20 {
		c.broken = append(c.broken, fmt.Sprintf(format, args...))
	}
}

func auditAll(ctx context.Context, r *op.Reader) (*check, error) {
	c := &check{accounts: map[string]account{}, counters: map[string]map[counterKey]int64{}, things: map[string]map[itemKey]bool{},
		readings: map[string]map[seriesKey]readingSet{}, cells: map[string]map[cellKey]*cell{}}
	for _, step := range []func(context.Context, *op.Reader) error{c.readAccounts, c.readEvents, c.checkCounters, c.checkReadings, c.checkBuckets} {
		if err := step(ctx, r); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *check) readAccounts(ctx context.Context, r *op.Reader) error {
	rows, err := r.Query(ctx, "SELECT o.id, o.plan, "+anchors+" FROM organizations o")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a account
		var anchor int64
		var history string
		if err := rows.Scan(&a.organization, &a.plan, &anchor, &history); err != nil {
			return err
		}
		if a.months, err = monthsOf(anchor, history); err != nil {
			return err
		}
		c.accounts[a.organization] = a
	}
	return rows.Err()
}

func (c *check) readEvents(ctx context.Context, r *op.Reader) error {
	rows, err := r.Query(ctx, "SELECT organization, meter, value, at, series, item FROM usage_events")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var organization, meter, text, item string
		var value, at int64
		if err := rows.Scan(&organization, &meter, &value, &at, &text, &item); err != nil {
			return err
		}
		a, known := c.accounts[organization]
		if !known {
			c.breaks("an event of an organization %s that there is not", organization)
			continue
		}
		m, _ := r.Charter.Meter(meter)
		m.ID = meter
		c.take(a, m, text, item, value, at)
	}
	return rows.Err()
}

func (c *check) take(a account, m charter.Meter, text, item string, value, at int64) {
	o := a.organization
	if c.counters[o] == nil {
		c.counters[o], c.things[o], c.readings[o], c.cells[o] = map[counterKey]int64{}, map[itemKey]bool{}, map[seriesKey]readingSet{}, map[cellKey]*cell{}
	}
	k := counterKey{meter: m.ID, start: a.month(at).Start}
	total := value
	switch m.Kind {
	case charter.Counter, charter.Sum:
		c.counters[o][k] = plus(c.counters[o][k], value)
	case charter.Maximum:
		c.counters[o][k] = max(c.counters[o][k], value)
	case charter.Unique:
		if t := (itemKey{m.ID, k.start, item}); !c.things[o][t] {
			c.things[o][t] = true
			c.counters[o][k]++
		}
	case charter.Gauge:
		c.takeReading(o, seriesKey{m.ID, text}, value, at)
		total = 0
	}
	ck := cellKey{m.ID, text, floor(at, day)}
	if c.cells[o][ck] == nil {
		c.cells[o][ck] = &cell{}
	}
	c.cells[o][ck].take(cell{Meter: m.ID, Series: text, Start: ck.start, Events: 1, Total: total, Greatest: value, LastAt: at})
}

func (c *check) takeReading(o string, k seriesKey, value, at int64) {
	s := c.readings[o][k]
	if s.values == nil || at > s.at {
		s = readingSet{at, map[int64]bool{}}
	}
	if at == s.at {
		s.values[value] = true
	}
	c.readings[o][k] = s
}

func (c *check) checkCounters(ctx context.Context, r *op.Reader) error {
	rows, err := r.Query(ctx, `SELECT organization, meter, start, used, reserved,
			CAST(COALESCE((SELECT SUM(v.amount) FROM usage_reservations v WHERE v.organization = c.organization AND v.meter = c.meter AND v.start = c.start), 0) AS bigint)
		FROM usage_counters c WHERE subject = ''`)
	if err != nil {
		return err
	}
	defer rows.Close()
	seen := map[string]map[counterKey]bool{}
	for rows.Next() {
		var o string
		var k counterKey
		var used, reserved, holds int64
		if err := rows.Scan(&o, &k.meter, &k.start, &used, &reserved, &holds); err != nil {
			return err
		}
		if seen[o] == nil {
			seen[o] = map[counterKey]bool{}
		}
		seen[o][k] = true
		if sum := c.counters[o][k]; sum != used {
			c.breaks("%s: the counter of %s from %s says %d, its events say %d", o, k.meter, moment(k.start).Format("2006-01-02"), used, sum)
		}
		if reserved != holds {
			c.breaks("%s: the counter of %s holds %d, its reservations %d", o, k.meter, reserved, holds)
		}
	}
	for o, counters := range c.counters {
		for k, n := range counters {
			if !seen[o][k] && n != 0 {
				c.breaks("%s: %s has no counter from %s, its events say %d", o, k.meter, moment(k.start).Format("2006-01-02"), n)
			}
		}
	}
	return rows.Err()
}

func (c *check) checkReadings(ctx context.Context, r *op.Reader) error {
	rows, err := r.Query(ctx, "SELECT organization, meter, series, value, at FROM usage_readings")
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var o string
		var k seriesKey
		var value, at int64
		if err := rows.Scan(&o, &k.meter, &k.series, &value, &at); err != nil {
			return err
		}
		n++
		if s := c.readings[o][k]; s.at != at || !s.values[value] {
			c.breaks("%s: the level of %s is %d, its events say otherwise", o, k.meter, value)
		}
	}
	for _, readings := range c.readings {
		n -= len(readings)
	}
	if n != 0 {
		c.breaks("there are %d levels of gauges more than series", n)
	}
	return rows.Err()
}

// checkBuckets compares the days of every combination, with what is not folded yet, to the events.
func (c *check) checkBuckets(ctx context.Context, r *op.Reader) error {
	found, err := readDays(ctx, r)
	if err != nil {
		return err
	}
	for o, events := range c.cells {
		for k, want := range events {
			got := found[o][k]
			if got == nil || got.Events != want.Events || got.Total != want.Total || got.Greatest != want.Greatest || got.LastAt != want.LastAt {
				c.breaks("%s: the day %s of %s is not what its events say", o, moment(k.start).Format("2006-01-02"), k.meter)
			}
		}
		if len(found[o]) != len(events) {
			c.breaks("%s: there are %d days of series, the events make %d", o, len(found[o]), len(events))
		}
	}
	return nil
}

// readDays are the days of every organization, and what is not folded yet.
func readDays(ctx context.Context, r *op.Reader) (map[string]map[cellKey]*cell, error) {
	cells := map[string][]cell{}
	rows, err := r.Query(ctx, `SELECT organization, meter, start, member, api_key, resource, region, model, events, total, greatest, last, last_at
		FROM usage_buckets WHERE grain = 'day'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var o string
		var s series
		var c cell
		if err := rows.Scan(&o, &c.Meter, &c.Start, &s.Member, &s.Key, &s.Resource, &s.Region, &s.Model, &c.Events, &c.Total, &c.Greatest, &c.Last, &c.LastAt); err != nil {
			return nil, err
		}
		c.Series = s.String()
		cells[o] = append(cells[o], c)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if err := addLogs(ctx, r, cells); err != nil {
		return nil, err
	}
	days := map[string]map[cellKey]*cell{}
	for o, some := range cells {
		days[o] = merged(some, day)
	}
	return days, nil
}

func addLogs(ctx context.Context, r *op.Reader, to map[string][]cell) error {
	rows, err := r.Query(ctx, "SELECT organization, body FROM usage_log ORDER BY id")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var o string
		var body []byte
		if err := rows.Scan(&o, &body); err != nil {
			return err
		}
		if to[o], err = appendCells(to[o], body); err != nil {
			return err
		}
	}
	return rows.Err()
}
