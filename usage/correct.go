package usage

import (
	"context"
	"strconv"
	"strings"

	"github.com/guildhall/guildhall/op"
)

// eventKey names an event within its organization.
type eventKey struct{ source, id string }

// corrected is an event that others correct.
type corrected struct {
	meter, series, corrects string
	value, at               int64
	net                     int64 // with all its corrections
}

// correct places corrections where the events counted that they correct, and refuses those that would leave less than
// nothing of one.
func (b *batch) correct(ctx context.Context, tx *op.Tx) error {
	var ids []any
	for _, r := range b.rows {
		if r.event.Corrects != "" {
			ids = append(ids, r.event.Corrects, r.event.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	known, err := b.known(ctx, tx, ids)
	if err != nil {
		return err
	}
	kept := b.rows[:0]
	for _, r := range b.rows {
		if wrong := r.place(known); wrong != nil {
			b.refuse(r, wrong)
			continue
		}
		kept = append(kept, r)
	}
	b.rows = kept
	return nil
}

// place gives a correction the time and series of what it corrects.
func (r *row) place(known map[eventKey]*corrected) *refusal {
	if r.event.Corrects == "" {
		return nil
	}
	of, found := known[eventKey{r.event.Source, r.event.Corrects}]
	_, again := known[eventKey{r.event.Source, r.event.ID}]
	switch {
	case again:
		return nil // the insert says that it is a duplicate
	case !found:
		return refused("nothing_to_correct", "no event %q of source %q is recorded: a correction comes after what it corrects", r.event.Corrects, r.event.Source)
	case of.corrects != "":
		return refused("nothing_to_correct", "event %q is itself a correction: correct what it corrects", r.event.Corrects)
	case of.meter != r.meter.ID:
		return refused("nothing_to_correct", "event %q is of meter %s", r.event.Corrects, of.meter)
	case plus(of.net, r.event.Value) < 0:
		return refused("below_zero", "of event %q only %d is left to take back", r.event.Corrects, of.net)
	}
	of.net = plus(of.net, r.event.Value)
	r.at, r.series = of.at, seriesOf(of.series)
	return nil
}

// known reads the events with some ids, whatever their source, and what their corrections have left of them. Nobody
// records meanwhile: see alone.
func (b *batch) known(ctx context.Context, tx *op.Tx, ids []any) (map[eventKey]*corrected, error) {
	in := make([]string, len(ids))
	for i := range ids {
		in[i] = "$" + strconv.Itoa(i+2)
	}
	rows, err := tx.Query(ctx, `SELECT e.source, e.id, e.meter, e.series, e.corrects, e.value, e.at,
			CAST(COALESCE((SELECT SUM(c.value) FROM usage_events c WHERE c.organization = $1 AND c.source = e.source AND c.corrects = e.id AND c.corrects <> ''), 0) AS bigint)
		FROM usage_events e WHERE e.organization = $1 AND e.id IN (`+strings.Join(in, ", ")+`)`, append([]any{b.organization}, ids...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[eventKey]*corrected{}
	for rows.Next() {
		var k eventKey
		var c corrected
		if err := rows.Scan(&k.source, &k.id, &c.meter, &c.series, &c.corrects, &c.value, &c.at, &c.net); err != nil {
			return nil, err
		}
		c.net = plus(c.net, c.value)
		found[k] = &c
	}
	return found, rows.Err()
}
