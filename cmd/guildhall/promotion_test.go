package main

import (
	"cmp"
	"net/http"
	"os"
	"testing"
	"time"
)

// A synchronous standby takes the place of the primary, which lives on with the connections to it: no answer is that of the
// old one where the new one has changed it, and soon everything goes on. T-106
func TestAStandbyTakesThePlaceOfThePrimary(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("some seconds of three servers")
	}
	f, all := promotion(t, "", 6*time.Second)
	t.Log(all)
	if all.illegal > 0 || all.late > 0 {
		t.Errorf("%d registers have no legal history, and %d checks were accepted that were sent after the revocation had returned: %s", all.illegal, all.late, all.first)
	}
	f.goesOn(t)
}

// promotion is a history with a promotion in it, and no other fault.
func promotion(t *testing.T, name string, length time.Duration) (*field, told) {
	t.Helper()
	f := startField(t, name)
	f.patience = 2 * time.Second // commits of the old primary wait for ever
	standby, err := f.base.StartStandby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.Stop() })
	promote := fault{"standby promoted", func(h *history, _ int, _ time.Duration) {
		if err := standby.Promote(); err != nil {
			h.t.Error(err)
		}
		f.primary.Store(standby)
		<-h.end
	}}
	all := f.run(1_000_000, length, []fault{promote})
	t.Log(f.counted())
	return f, all
}

// goesOn wants that every server takes a change and answers a check again.
func (f *field) goesOn(t *testing.T) {
	t.Helper()
	began := time.Now()
	f.allowAll()
	for i, s := range f.servers {
		for {
			_, err := makeKey(f.cluster, s, http.DefaultClient) // a change
			allowed, known := false, false
			if err == nil {
				allowed, known, err = f.stands[0].asks[0].put(t.Context(), http.DefaultClient, s.url)
			}
			if known && allowed {
				break
			}
			if time.Since(began) > 30*time.Second {
				t.Fatalf("server %d does not go on: %v", i, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	t.Logf("all go on after %s", time.Since(began).Round(time.Millisecond))
}

// The same ten times, and some where only what readings stand by protects from the old primary.
func TestSoakPromotions(t *testing.T) {
	if os.Getenv("GUILDHALL_SOAK") == "" {
		t.Skip("minutes: GUILDHALL_SOAK=1")
	}
	for _, name := range append(make([]string, 10), kept, kept, kept) {
		t.Run(cmp.Or(name, "sound"), func(t *testing.T) {
			f, all := promotion(t, name, 10*time.Second)
			if t.Log(all); all.illegal > 0 || all.late > 0 {
				t.Errorf("%d illegal, %d late: %s", all.illegal, all.late, all.first)
			}
			if name == "" {
				f.goesOn(t)
			}
		})
	}
}
