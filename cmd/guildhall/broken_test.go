package main

import (
	"context"
	"maps"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/guildhall/guildhall/internal/replica"
)

// otherLengths lets processes of tests hold short leases, stop at points, and break the protocol by a name.
func otherLengths() {
	lease, err := time.ParseDuration(os.Getenv("GUILDHALL_TEST_LEASE"))
	if err != nil {
		return
	}
	replica.Usual.Lease, replica.Usual.Ack = lease, lease/4
	breaks := brokenBy(os.Getenv("GUILDHALL_TEST_BROKEN"))
	replica.Break = func(h *replica.Hooks) {
		h.At = func(p replica.Point) { stopAt(string(p)) }
		breaks(h)
	}
}

// brokenBy gives what breaks the protocol, by its name; nothing for another one.
func brokenBy(name string) func(*replica.Hooks) {
	if hooks, found := brokenElse[name]; found {
		return hooks
	}
	if s, found := scenes[name]; found {
		return s.hooks
	}
	if b, found := broken[name]; found {
		return b.hooks
	}
	return func(*replica.Hooks) {}
}

// kept are servers that are sound, but less well protected: readings of theirs come from the old primary for longer.
const kept = "connections to the old primary are kept"

// brokenElse are those that have tests of their own.
var brokenElse = map[string]func(*replica.Hooks){
	kept:           keepsConnections,
	"m0: no fence": func(h *replica.Hooks) { h.Listed = func(replica.Member) bool { return false } },
}

// brokenServers are what they do wrong, and what they have to fear for it.
type brokenServers struct {
	hooks  func(*replica.Hooks)
	faults []fault
}

// broken are servers that break the protocol, each with the faults that it has to fear.
var broken = map[string]brokenServers{
	"m1: no lease": {func(h *replica.Hooks) {
		h.Live = func(replica.Instant, time.Duration, time.Duration) bool { return true }
	}, []fault{isolated}},
	"m4: readings without locks and count": {func(h *replica.Hooks) { h.Keeps = func(bool, bool) bool { return true } }, nil},
	"m4a: readings without locks":          {func(h *replica.Hooks) { h.Keeps = func(_, current bool) bool { return current } }, nil},
	"no wait after an eviction": {func(h *replica.Hooks) {
		h.Over = func(context.Context, replica.Clock, replica.Params, replica.Member, replica.Instant, replica.Instant) error {
			return nil
		}
	}, []fault{fromPeers, deaf}},
}

// seen runs histories of broken servers until one is illegal.
func seen(t *testing.T, name string, most time.Duration) {
	t.Helper()
	f := startField(t, name)
	f.long = true
	began := time.Now()
	var all told
	for n := 1; time.Since(began) < most; n++ {
		one := f.run(1_000_000, 3*time.Second, broken[name].lists()...)
		all.add(one)
		if one.illegal > 0 {
			t.Logf("%-40s seen in history %d, after %s: %d registers, %d accepted after return; %d operations", name, n, time.Since(began).Round(100*time.Millisecond), one.illegal, all.late, all.operations)
			return
		}
	}
	t.Errorf("%s: not seen in %s: %v", name, time.Since(began).Round(time.Second), all)
}

// lists are their faults, two at a time.
func (b brokenServers) lists() [][]fault {
	if b.faults == nil {
		return nil
	}
	return [][]fault{b.faults, b.faults}
}

// A checker that has never found anything proves nothing: servers without leases, one of which is cut off from the others
// and the database, are what it has to find.
func TestServersWithoutLeasesAreSeen(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("some seconds of three servers")
	}
	seenAtOnce(t, "m1: no lease")
}

// Servers without fences are what it finds without any fault.
func TestSoakServersWithoutFencesAreSeen(t *testing.T) {
	if os.Getenv("GUILDHALL_SOAK") == "" {
		t.Skip("GUILDHALL_SOAK=1")
	}
	seenAtOnce(t, "m0: no fence")
}

// seenAtOnce wants that a server that is cut off accepts a key that was revoked at another one, and that this is seen.
func seenAtOnce(t *testing.T, name string) {
	t.Helper()
	f := startField(t, name)
	h := &history{field: f, began: time.Now(), end: make(chan struct{}), ctx: t.Context()}
	r, err := makeKey(f.cluster, f.servers[0], http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	a, b := f.servers[0], f.servers[1]
	for began := time.Now(); f.answers(h, r, b, 3) < 3; {
		if time.Since(began) > 20*time.Second {
			t.Fatal("a good key is not allowed")
		}
	}
	ways := append(h.around(1), f.network.base(1)...)
	for _, w := range ways {
		w.held.Add(1)
	}
	call := h.now()
	status, raw, err := send(t.Context(), http.DefaultClient, a.url, r.set(false), "")
	if status != http.StatusOK {
		t.Fatalf("revoke: %d %v %s", status, err, raw)
	}
	r.add(0, step{true, false}, false, call, h.now())
	yes := f.answers(h, r, b, 1)
	for _, w := range ways {
		w.held.Add(-1)
	}
	sent, late := r.after()
	if got := r.judge(); yes != 1 || sent != 1 || late != 1 || got != porcupine.Illegal {
		t.Errorf("%d yes, %d sent after return and %d of them allowed, history %s: want 1, 1, 1 and Illegal", yes, sent, late, got)
	}
}

// answers asks a server n times, and counts what it allows.
func (f *field) answers(h *history, r *register, s *clusterServer, n int) (yes int) {
	for range n {
		call := h.now()
		allowed, known, _ := r.asks[0].put(f.t.Context(), http.DefaultClient, s.url)
		if known {
			r.add(1, step{}, allowed, call, h.now())
		}
		if allowed {
			yes++
		}
	}
	return yes
}

// Ways to break the protocol that are seen at random, by real servers that do it. The others are scenes.
func TestSoakEveryBrokenServerIsSeen(t *testing.T) {
	if os.Getenv("GUILDHALL_SOAK") == "" {
		t.Skip("minutes: GUILDHALL_SOAK=1")
	}
	for _, name := range slices.Sorted(maps.Keys(broken)) {
		t.Run(name, func(t *testing.T) { seen(t, name, time.Minute) })
	}
}
