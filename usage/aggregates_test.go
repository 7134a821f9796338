package usage_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/usage"
)

// book is what was recorded of runs, added up by hand.
type book map[string]map[int64]int64 // by member and minute

// TestAggregatesAreTheEvents records, corrects and folds at random, on time and late, and compares what is answered by
// minute, hour and day, as a whole and by member, with the events added up by hand.
func TestAggregatesAreTheEvents(t *testing.T) {
	o := openOffice(t, testdb.SQLite(t))
	o.MoveTo(testroom.Monday.Add(30 * 24 * time.Hour)) // so that what is late is after the organization's beginning
	members, kept, number := []string{"", "ann", "bo"}, book{}, 0
	left := map[string]int64{} // of each event that may be corrected
	var ids []string
	when := map[string]struct {
		member string
		at     time.Time
	}{}
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				o.After(time.Duration(rapid.IntRange(1, 7200).Draw(t, "seconds")) * time.Second)
			case 1:
				o.folds()
			case 2:
				if len(ids) == 0 {
					continue
				}
				id := rapid.SampledFrom(ids).Draw(t, "corrected")
				if left[id] == 0 {
					continue
				}
				take := rapid.Int64Range(1, left[id]).Draw(t, "take")
				number++
				o.records(usage.Event{Meter: "runs", Source: "s", ID: fmt.Sprintf("c%d", number), Value: -take, Corrects: id, Member: when[id].member})
				left[id] -= take
				kept.add(when[id].member, when[id].at, -take)
			default:
				number++
				id, member := fmt.Sprintf("e%d", number), rapid.SampledFrom(members).Draw(t, "member")
				at := o.Now().Add(-time.Duration(rapid.IntRange(0, 3*24*3600).Draw(t, "late")) * time.Second)
				value := rapid.Int64Range(1, 1000).Draw(t, "value")
				e := usage.Event{Meter: "runs", Source: "s", ID: id, Value: value, Member: member, At: at}
				o.records(e)
				o.records(e) // again: it counts once
				ids, left[id] = append(ids, id), value
				when[id] = struct {
					member string
					at     time.Time
				}{member, at}
				kept.add(member, at, value)
			}
		}
		kept.agrees(t, o)
	})
	o.folds()
	o.sound()
}

func (b book) add(member string, at time.Time, n int64) {
	if b[member] == nil {
		b[member] = map[int64]int64{}
	}
	b[member][at.Truncate(time.Minute).UnixMicro()] += n
}

// agrees compares the last four days.
func (b book) agrees(t *rapid.T, o *office) {
	to := o.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
	for granularity, size := range map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour} {
		from := to.Add(-4 * 24 * time.Hour)
		if granularity == "minute" {
			from = o.Now().Truncate(time.Minute).Add(-12 * time.Hour)
			to = from.Add(13 * time.Hour)
		}
		for _, by := range []string{"", "member"} {
			s := o.asks(usage.QueryInput{Meter: "runs", From: from, To: to, Granularity: granularity, By: by, Top: 10})
			for n, point := range s.Points {
				parts := map[string]int64{}
				for _, p := range s.Parts {
					parts[p.Value] = p.Points[n].Quantity
				}
				whole := int64(0)
				for member := range b {
					want := b.sum(member, point.At, size)
					if whole += want; by != "" && parts[member] != want {
						t.Fatalf("%s of %q at %s: %d, want %d", granularity, member, point.At, parts[member], want)
					}
				}
				if point.Quantity != whole {
					t.Fatalf("%s at %s: %d, want %d", granularity, point.At, point.Quantity, whole)
				}
			}
		}
		to = o.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
	}
}

func (b book) sum(member string, from time.Time, size time.Duration) (sum int64) {
	for at, n := range b[member] {
		if at >= from.UnixMicro() && at < from.Add(size).UnixMicro() {
			sum += n
		}
	}
	return sum
}
