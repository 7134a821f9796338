package usage

import (
	"context"
	"database/sql"
	"math/bits"
	"slices"
	"strconv"

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
	days, err := a.days(ctx, r, metersOf(r.Charter, charter.Gauge), p, until)
	for meter, levels := range days {
		figures[meter] = mean(levels)
	}
	return figures, err
}

// metersOf are the meters of some kinds.
func metersOf(c *charter.Charter, kinds ...charter.MeterKind) (ids []string) {
	for _, m := range c.Meters {
		if slices.Contains(kinds, m.Kind) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// counted reads the counters of a period.
func (a account) counted(ctx context.Context, r *op.Reader, p period.Period) (map[string]int64, error) {
	rows, err := r.Query(ctx, "SELECT meter, used FROM usage_counters WHERE organization = $1 AND start = $2 AND subject = ''", a.organization, p.Start)
	return figuresOf(rows, err)
}

// added adds the events of any span of time up, whether it has counters or not.
func (a account) added(ctx context.Context, r *op.Reader, p period.Period) (map[string]int64, error) {
	args := []any{a.organization, p.Start, p.End}
	list := func(ids []string) (text string) {
		text, args = listed(ids, args)
		return text
	}
	// What does not add up is left out of the sum, since its sum may be greater than there are numbers.
	sums, greatest := list(metersOf(r.Charter, charter.Counter, charter.Sum)), list(metersOf(r.Charter, charter.Maximum))
	items := list(metersOf(r.Charter, charter.Unique))
	rows, err := r.Query(ctx, `SELECT meter, CASE WHEN meter IN (`+sums+`) THEN CAST(SUM(CASE WHEN meter IN (`+sums+`) THEN value ELSE 0 END) AS bigint)
			WHEN meter IN (`+greatest+`) THEN MAX(value) ELSE COUNT(DISTINCT item) END
		FROM usage_events WHERE organization = $1 AND at >= $2 AND at < $3 AND meter IN (`+sums+", "+greatest+", "+items+`) GROUP BY meter`, args...)
	return figuresOf(rows, err)
}

// listed writes values as placeholders after those that there are. Of none it is a value that nothing has.
func listed(values []string, args []any) (text string, all []any) {
	if len(values) == 0 {
		return "''", args
	}
	for n, value := range values {
		if args = append(args, value); n > 0 {
			text += ", "
		}
		text += "$" + strconv.Itoa(len(args))
	}
	return text, args
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

// days are the readings of gauges at the end of each of a period's days, all series of each together: the last ones, or
// those before them where a day has none.
func (a account) days(ctx context.Context, r *op.Reader, meters []string, p period.Period, until int64) (map[string][]int64, error) {
	first, last := daysOf(p, until)
	if last < first {
		first, last = floor(p.End-1, day), floor(p.End-1, day)
	}
	levels, err := a.levels(ctx, r, meters, func(series) (string, bool) { return "", true }, "day", day, first, last+day)
	all := map[string][]int64{}
	for _, m := range meters {
		if all[m] = levels[m][""]; all[m] == nil {
			all[m] = make([]int64, int((last-first)/day)+1)
		}
	}
	return all, err
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

// levels are the readings of gauges, by their meters, at the end of each bucket from a moment until before another, by
// what group says of each series; false: it is not meant. However many gauges there are, it takes three statements.
func (a account) levels(ctx context.Context, r *op.Reader, meters []string, group func(series) (string, bool), grain string, size, from, to int64) (map[string]map[string][]int64, error) {
	if len(meters) == 0 {
		return nil, nil //nolint:nilnil // no gauges have no levels
	}
	unfolded, err := tail(ctx, r, a.organization)
	if err != nil {
		return nil, err
	}
	unfolded = slices.DeleteFunc(unfolded, func(c cell) bool { return !slices.Contains(meters, c.Meter) })
	state, err := a.levelsBefore(ctx, r, meters, from, unfolded)
	if err != nil {
		return nil, err
	}
	within, err := a.readings(ctx, r, meters, grain, size, floor(from, day), to, unfolded)
	if err != nil {
		return nil, err
	}
	byStart := map[int64][]cellKey{}
	for k := range within {
		byStart[k.start] = append(byStart[k.start], k)
	}
	all := map[string]map[string][]int64{}
	for _, m := range meters {
		all[m] = map[string][]int64{}
	}
	for start := floor(from, day); start < to; start += size {
		for _, k := range byStart[start] {
			state[k.meter][k.series] = within[k].Last
		}
		if start >= from {
			for _, m := range meters {
				appendLevels(all[m], state[m], group, int((start-from)/size))
			}
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

// levelsBefore are the last readings of the series of gauges before the day of a moment, by meter and series.
func (a account) levelsBefore(ctx context.Context, r *op.Reader, meters []string, at int64, unfolded []cell) (map[string]map[string]int64, error) {
	before := floor(at, day)
	list, args := listed(meters, []any{a.organization, before})
	rows, err := r.Query(ctx, `SELECT b.meter, b.start, b.member, b.api_key, b.resource, b.region, b.model, b.last, b.last_at
		FROM usage_buckets b JOIN (SELECT meter, member, api_key, resource, region, model, MAX(start) AS latest FROM usage_buckets
			WHERE organization = $1 AND start < $2 AND grain = 'day' AND meter IN (`+list+`) GROUP BY meter, member, api_key, resource, region, model) l
			ON b.meter = l.meter AND b.member = l.member AND b.api_key = l.api_key AND b.resource = l.resource AND b.region = l.region
				AND b.model = l.model AND b.start = l.latest
		WHERE b.organization = $1 AND b.grain = 'day' AND b.meter IN (`+list+`)`, args...)
	cells, err := readingsOf(rows, err)
	if err != nil {
		return nil, err
	}
	for _, c := range unfolded {
		if c.LastAt < before {
			cells = append(cells, c)
		}
	}
	state, latest := map[string]map[string]int64{}, map[cellKey]*cell{}
	for _, m := range meters {
		state[m] = map[string]int64{}
	}
	for _, c := range cells {
		k := cellKey{meter: c.Meter, series: c.Series}
		if latest[k] == nil {
			latest[k] = &cell{}
		}
		latest[k].take(c)
		state[k.meter][k.series] = latest[k].Last
	}
	return state, nil
}

// readings are the last ones in each bucket of the series of gauges, from a moment until before another.
func (a account) readings(ctx context.Context, r *op.Reader, meters []string, grain string, size, from, to int64, unfolded []cell) (map[cellKey]*cell, error) {
	list, args := listed(meters, []any{a.organization, grain, from, to})
	rows, err := r.Query(ctx, `SELECT meter, start, member, api_key, resource, region, model, last, last_at FROM usage_buckets
		WHERE organization = $1 AND grain = $2 AND start >= $3 AND start < $4 AND meter IN (`+list+`)`, args...)
	cells, err := readingsOf(rows, err)
	if err != nil {
		return nil, err
	}
	for _, c := range unfolded {
		if c.LastAt >= from && c.LastAt < to {
			cells = append(cells, c)
		}
	}
	return merged(cells, size), nil
}

// readingsOf are the readings that a query gives.
func readingsOf(rows *sql.Rows, err error) (cells []cell, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s series
		c := cell{Events: 1}
		if err := rows.Scan(&c.Meter, &c.Start, &s.Member, &s.Key, &s.Resource, &s.Region, &s.Model, &c.Last, &c.LastAt); err != nil {
			return nil, err
		}
		c.Series = s.String()
		cells = append(cells, c)
	}
	return cells, rows.Err()
}
