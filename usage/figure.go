package usage

import (
	"context"
	"database/sql"
	"math/bits"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// figures are how much there was of each meter in a period, until a moment in it: the sum, the greatest value, the number
// of different things, or the mean of a gauge's days, rounded up.
func (a account) figures(ctx context.Context, r *op.Reader, p period.Period, until int64) (map[string]int64, error) {
	read := a.counted
	if p != a.month(p.Start) {
		read = a.added // of a period that has no counters
	}
	figures, err := read(ctx, r, p)
	if err != nil {
		return nil, err
	}
	for _, m := range r.Charter.Meters {
		if m.Kind != charter.Gauge {
			continue
		}
		days, err := a.days(ctx, r, m.ID, p, until)
		if err != nil {
			return nil, err
		}
		figures[m.ID] = mean(days)
	}
	return figures, nil
}

// counted reads the counters of a period.
func (a account) counted(ctx context.Context, r *op.Reader, p period.Period) (map[string]int64, error) {
	rows, err := r.Query(ctx, "SELECT meter, used FROM usage_counters WHERE organization = $1 AND start = $2 AND subject = ''", a.organization, p.Start)
	return figuresOf(rows, err)
}

// added adds the events of any span of time up, whether it has counters or not.
func (a account) added(ctx context.Context, r *op.Reader, p period.Period) (map[string]int64, error) {
	figures := map[string]int64{}
	for kind, what := range map[charter.MeterKind]string{
		charter.Sum: "COALESCE(SUM(value), 0)", charter.Maximum: "COALESCE(MAX(value), 0)", charter.Unique: "COUNT(DISTINCT item)",
	} {
		for _, m := range r.Charter.Meters {
			if m.Kind != kind && (kind != charter.Sum || m.Kind != charter.Counter) {
				continue
			}
			var n int64
			if err := r.QueryRow(ctx, "SELECT CAST("+what+" AS bigint) FROM usage_events WHERE organization = $1 AND meter = $2 AND at >= $3 AND at < $4",
				a.organization, m.ID, p.Start, p.End).Scan(&n); err != nil {
				return nil, err
			}
			figures[m.ID] = n
		}
	}
	return figures, nil
}

func figuresOf(rows *sql.Rows, err error) (map[string]int64, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	figures := map[string]int64{}
	for rows.Next() {
		var meter string
		var n int64
		if err := rows.Scan(&meter, &n); err != nil {
			return nil, err
		}
		figures[meter] = n
	}
	return figures, rows.Err()
}

// daysOf are the days of a period that have begun: every day is in the period in which it ends, so that each is in one.
// The second is where the last of them begins; less than the first: there is none.
func daysOf(p period.Period, until int64) (first, last int64) {
	return floor(p.Start, day), min(floor(p.End, day)-day, floor(until, day))
}

// days are the readings of a gauge at the end of each of a period's days, all of its series together: the last ones, or
// those before them where a day has none.
func (a account) days(ctx context.Context, r *op.Reader, meter string, p period.Period, until int64) ([]int64, error) {
	first, last := daysOf(p, until)
	if last < first {
		first, last = floor(p.End-1, day), floor(p.End-1, day)
	}
	levels, err := a.levels(ctx, r, meter, func(series) (string, bool) { return "", true }, "day", day, first, last+day)
	if n := int((last-first)/day) + 1; err == nil && levels[""] == nil {
		return make([]int64, n), nil
	}
	return levels[""], err
}

// mean is the mean of readings, rounded up; of none, 0.
func mean(readings []int64) int64 {
	if len(readings) == 0 {
		return 0
	}
	var high, low, carry uint64
	for _, n := range readings {
		low, carry = bits.Add64(low, uint64(max(n, 0)), 0)
		high += carry
	}
	quotient, rest := bits.Div64(high, low, uint64(len(readings)))
	if rest > 0 {
		quotient++
	}
	return int64(quotient) //nolint:gosec // the mean of int64s is one
}

// levels are the readings of a gauge at the end of each bucket from a moment until before another, by what group says of
// each series; false: it is not meant.
func (a account) levels(ctx context.Context, r *op.Reader, meter string, group func(series) (string, bool), grain string, size, from, to int64) (map[string][]int64, error) {
	state, err := a.levelsBefore(ctx, r, meter, from)
	if err != nil {
		return nil, err
	}
	within, err := a.readings(ctx, r, meter, grain, size, floor(from, day), to)
	if err != nil {
		return nil, err
	}
	byStart := map[int64][]cellKey{}
	for k := range within {
		byStart[k.start] = append(byStart[k.start], k)
	}
	all := map[string][]int64{}
	for start := floor(from, day); start < to; start += size {
		for _, k := range byStart[start] {
			state[k.series] = within[k].Last
		}
		if start >= from {
			appendLevels(all, state, group, int((start-from)/size))
		}
	}
	return all, nil
}

// appendLevels adds the level of each group as its n-th; one that comes later was at 0 before.
func appendLevels(all map[string][]int64, state map[string]int64, group func(series) (string, bool), n int) {
	for text, level := range state {
		value, meant := group(seriesOf(text))
		if !meant {
			continue
		}
		for len(all[value]) <= n {
			all[value] = append(all[value], 0)
		}
		all[value][n] = plus(all[value][n], level)
	}
}

// levelsBefore are the last readings of a gauge's series before the day of a moment.
func (a account) levelsBefore(ctx context.Context, r *op.Reader, meter string, at int64) (map[string]int64, error) {
	before := floor(at, day)
	rows, err := r.Query(ctx, `SELECT b.member, b.api_key, b.resource, b.region, b.model, b.last, b.last_at
		FROM usage_buckets b JOIN (SELECT member, api_key, resource, region, model, MAX(start) AS latest FROM usage_buckets
			WHERE organization = $1 AND meter = $2 AND grain = 'day' AND start < $3 GROUP BY member, api_key, resource, region, model) l
			ON b.member = l.member AND b.api_key = l.api_key AND b.resource = l.resource AND b.region = l.region AND b.model = l.model AND b.start = l.latest
		WHERE b.organization = $1 AND b.meter = $2 AND b.grain = 'day'`, a.organization, meter, before)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	latest := map[string]*cell{}
	for rows.Next() {
		var s series
		c := cell{Events: 1}
		if err := rows.Scan(&s.Member, &s.Key, &s.Resource, &s.Region, &s.Model, &c.Last, &c.LastAt); err != nil {
			return nil, err
		}
		latest[s.String()] = &c
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	unfolded, err := tail(ctx, r, a.organization)
	if err != nil {
		return nil, err
	}
	for _, c := range unfolded {
		if c.Meter == meter && c.LastAt < before {
			if latest[c.Series] == nil {
				latest[c.Series] = &cell{}
			}
			latest[c.Series].take(c)
		}
	}
	state := map[string]int64{}
	for s, c := range latest {
		state[s] = c.Last
	}
	return state, nil
}

// readings are the last ones in each bucket of a gauge's series, from a moment until before another.
func (a account) readings(ctx context.Context, r *op.Reader, meter, grain string, size, from, to int64) (map[cellKey]*cell, error) {
	rows, err := r.Query(ctx, `SELECT start, member, api_key, resource, region, model, last, last_at FROM usage_buckets
		WHERE organization = $1 AND meter = $2 AND grain = $3 AND start >= $4 AND start < $5`, a.organization, meter, grain, from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var cells []cell
	for rows.Next() {
		var s series
		c := cell{Meter: meter, Events: 1}
		if err := rows.Scan(&c.Start, &s.Member, &s.Key, &s.Resource, &s.Region, &s.Model, &c.Last, &c.LastAt); err != nil {
			return nil, err
		}
		c.Series = s.String()
		cells = append(cells, c)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	unfolded, err := tail(ctx, r, a.organization)
	if err != nil {
		return nil, err
	}
	for _, c := range unfolded {
		if c.Meter == meter && c.LastAt >= from && c.LastAt < to {
			cells = append(cells, c)
		}
	}
	return merged(cells, size), nil
}
