package usage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/op"
)

// The lengths of buckets, in microseconds.
const (
	minute = int64(time.Minute / time.Microsecond)
	hour   = 60 * minute
	day    = 24 * hour
)

// floor is where the bucket begins that a moment is in. No event is from before 1970.
func floor(at, size int64) int64 { return at - at%size }

// cell is what was recorded of one series of a meter in one minute.
type cell struct {
	Meter    string `json:"m"`
	Series   string `json:"s,omitzero"`
	Start    int64  `json:"t"` // of the minute
	Events   int64  `json:"n"`
	Total    int64  `json:"v,omitzero"`
	Greatest int64  `json:"g,omitzero"`
	Last     int64  `json:"l,omitzero"`
	LastAt   int64  `json:"a"`
}

type cellKey struct {
	meter, series string
	start         int64
}

// take adds what came later: of two readings of one moment, the later one stands.
func (c *cell) take(later cell) {
	if c.Events == 0 {
		*c = later
		return
	}
	c.Events, c.Total, c.Greatest = c.Events+later.Events, plus(c.Total, later.Total), max(c.Greatest, later.Greatest)
	if later.LastAt >= c.LastAt {
		c.Last, c.LastAt = later.Last, later.LastAt
	}
}

// cells adds the batch's rows up by minute.
func (b *batch) cells() []cell {
	rows := slices.Clone(b.rows)
	slices.SortFunc(rows, func(x, y row) int { return x.index - y.index })
	byKey := map[cellKey]*cell{}
	for i := range rows {
		r := &rows[i]
		k := cellKey{r.meter.ID, r.series.String(), floor(r.at, minute)}
		if byKey[k] == nil {
			byKey[k] = &cell{}
		}
		byKey[k].take(cell{Meter: k.meter, Series: k.series, Start: k.start, Events: 1, Total: r.event.Value, Greatest: r.event.Value,
			Last: r.event.Value, LastAt: r.at})
	}
	var all []cell
	for _, c := range byKey {
		if m, _ := b.charter.Meter(c.Meter); m.Kind == charter.Gauge {
			c.Total = 0 // readings are not added up
		}
		all = append(all, *c)
	}
	return all
}

// log keeps what was recorded for Fold.
func (b *batch) log(ctx context.Context, tx *op.Tx) error {
	body, err := json.Marshal(b.cells())
	if err != nil {
		return fmt.Errorf("usage log: %w", err)
	}
	_, err = tx.Exec(ctx, "INSERT INTO usage_log (id, organization, body, created_at) VALUES ($1, $2, $3, $4)",
		id.New("rec", tx.Now), b.organization, string(body), tx.Micros())
	return err
}

// tail is what was recorded in an organization and is not in its buckets yet, the oldest first.
func tail(ctx context.Context, r *op.Reader, organization string) ([]cell, error) {
	rows, err := r.Query(ctx, "SELECT body FROM usage_log WHERE organization = $1 ORDER BY id", organization)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []cell
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		if all, err = appendCells(all, body); err != nil {
			return nil, err
		}
	}
	return all, rows.Err()
}

func appendCells(all []cell, body []byte) ([]cell, error) {
	var some []cell
	if err := json.Unmarshal(body, &some); err != nil {
		return nil, fmt.Errorf("usage log: %w", err)
	}
	return append(all, some...), nil
}

// merged adds cells up that have the same meter, series and bucket of a size, in their order.
func merged(cells []cell, size int64) map[cellKey]*cell {
	by := map[cellKey]*cell{}
	for _, c := range cells {
		c.Start = floor(c.Start, size)
		k := cellKey{c.Meter, c.Series, c.Start}
		if by[k] == nil {
			by[k] = &cell{}
		}
		by[k].take(c)
	}
	return by
}

// wholly adds cells up to their meter's whole, whatever they were for.
func wholly(cells []cell) []cell {
	all := slices.Clone(cells)
	for i := range all {
		all[i].Series = ""
	}
	return all
}

func sortedCells(by map[cellKey]*cell) []cellKey {
	return slices.SortedFunc(maps.Keys(by), func(x, y cellKey) int {
		if c := compare(x.meter, y.meter); c != 0 {
			return c
		}
		if c := compare(x.start, y.start); c != 0 {
			return c
		}
		return compare(x.series, y.series)
	})
}
