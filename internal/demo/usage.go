package demo

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// usedDays is how far back the demo's usage goes.
const usedDays = 31

// use records a month of made-up usage: the same at every start, but for its dates. Each event has an id of its own, so
// that a seeding which was interrupted counts nothing twice.
func (s *seeding) use(ctx context.Context) error {
	ctx = op.As(ctx, machine)
	members, err := directory.ListMembers.Call(ctx, s.demo.hall.Service(), directory.ListMembersInput{InOrganization: s.in(), Page: op.Page{Limit: 100}})
	if err != nil {
		return err
	}
	u := using{slug: s.tenant.slug, charter: s.demo.config.Charter, now: s.demo.hall.Service().Now()}
	for _, m := range members.Data {
		u.members = append(u.members, m.ID)
	}
	for _, meter := range u.charter.Meters {
		if meter.ID != u.charter.Artifacts.Meter { // that one counts the files that there are
			u.meter(meter)
		}
	}
	for len(u.events) > 0 {
		n := min(len(u.events), usage.MaxEvents)
		if _, err := usage.Record.Call(ctx, s.demo.hall.Service(), usage.RecordInput{InOrganization: s.in(), Events: u.events[:n]}); err != nil {
			return err
		}
		u.events = u.events[n:]
	}
	return nil
}

// using is usage that is being made up.
type using struct {
	slug    string
	charter *charter.Charter
	now     time.Time
	members []string
	events  []usage.Event
}

// meter makes the events of a meter: some on every day, fewer at weekends, and a little more with every week.
func (u *using) meter(m charter.Meter) {
	for day := usedDays; day >= 0; day-- {
		at := u.now.AddDate(0, 0, -day)
		for n := range u.perDay(m, at) {
			e := usage.Event{Meter: m.ID, Source: "demo", ID: fmt.Sprintf("%s-%d-%d", m.ID, day, n), At: at.Add(-time.Duration(u.roll(m.ID, day, n, 1)%600) * time.Minute)}
			if day == 0 {
				e.At = at // in the period that has just begun
			}
			e.Value = u.value(m, day, n)
			u.describe(&e, m, day, n)
			u.events = append(u.events, e)
		}
	}
}

func (u *using) perDay(m charter.Meter, at time.Time) int {
	weekend := at.Weekday() == time.Saturday || at.Weekday() == time.Sunday
	switch {
	case m.Kind == charter.Gauge:
		return max(1, min(2, len(u.charter.Regions)))
	case weekend:
		return 2
	}
	return 4
}

// value is how much an event counts: of a size that goes with its unit.
func (u *using) value(m charter.Meter, day, n int) int64 {
	grown := int64(100 + 2*(usedDays-day))
	random := 50 + u.roll(m.ID, day, n, 2)%100
	size := int64(5)
	switch {
	case m.Kind == charter.Unique:
		return 1
	case m.Unit == "bytes":
		size, random = 4_000_000, 100 // what is stored only grows
	case m.Unit == "tokens":
		size = 2_000
	case m.Kind == charter.Gauge, m.Kind == charter.Maximum:
		size = 2
	}
	return max(1, size*random*grown/10_000)
}

// describe says whom and what an event was for, as far as its meter asks.
func (u *using) describe(e *usage.Event, m charter.Meter, day, n int) {
	r := u.roll(m.ID, day, n, 3)
	pick := func(from []string) string {
		if len(from) == 0 {
			return ""
		}
		return from[int(r)%len(from)]
	}
	if m.By(charter.ByMember) {
		e.Member = pick(u.members)
	}
	if m.By(charter.ByResource) {
		e.Resource = fmt.Sprintf("%s:%d", u.resource(), r%5+1)
	}
	if m.By(charter.ByModel) {
		e.Model = pick([]string{"large", "small", "small"})
	}
	if m.By(charter.ByRegion) && len(u.charter.Regions) > 0 {
		e.Region = u.charter.Regions[n%min(2, len(u.charter.Regions))]
	}
	if m.Kind == charter.Unique {
		e.Item = fmt.Sprintf("caller-%d", r%40)
	}
}

// resource is a type of resources that the charter has.
func (u *using) resource() string {
	types := slices.Sorted(maps.Keys(u.charter.Resources))
	if len(types) == 0 {
		return "thing"
	}
	return types[len(types)-1]
}

// roll is a number that looks like chance, and is the same at every start.
func (u *using) roll(meter string, day, n, what int) int64 {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s %s %d %d %d", u.slug, meter, day, n, what)
	return int64(h.Sum32())
}
