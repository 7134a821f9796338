package billing

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Reduce is what an organization's subscription and invoices are after readings of a provider, taken in one after the
// other, without a database: the same functions that absorb calls.
func Reduce(c *charter.Charter, at time.Time, readings []ProviderState) (string, error) {
	r := &op.Reader{Charter: c, Now: at}
	s := record{organization: "org_1", name: "Acme", createdAt: at.UnixMicro()}
	s.begins(r, 0)
	known := map[string]mirrored{}
	for _, reading := range readings {
		if err := s.take(r, "stripe", reading); err != nil {
			return "", err
		}
		news, err := s.merge(known, reading.Invoices)
		if err != nil {
			return "", err
		}
		for object, m := range news {
			m.version = 0 // how often it changed on the way is no part of what it is
			known[object] = m
		}
	}
	text := fmt.Sprintf("%+v", s)
	for _, object := range slices.Sorted(maps.Keys(known)) {
		text += fmt.Sprintf("\n%s %+v", object, known[object])
	}
	return text, nil
}
