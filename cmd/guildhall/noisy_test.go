package main

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// One organization asks and changes as fast as it can: it is told to come again later, and when; its changes hold no more
// than half of a server's connections, however long they take; and whatever the others ask is answered. T-010
func TestOneOrganizationDoesNotPushTheOthersOut(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("some seconds of three servers")
	}
	f := startFieldFor(t, "", shortLease, "--organization-requests-per-second", "60")
	f.noisyChanges()
	f.noisyReads()
}

// noisyChanges lets 50 changes of one organization wait, as if each took for ever.
func (f *field) noisyChanges() {
	b := f.servers[1]
	let := f.holding("keys")
	defer let()
	var noisy sync.WaitGroup
	var refused, made atomic.Int64
	for range 50 {
		noisy.Go(func() {
			switch got := f.raw(b, f.newKey("keys", "noise"), ""); {
			case got.status == http.StatusTooManyRequests && got.retry != "":
				refused.Add(1)
			case got.status < 300 && got.status > 0:
				made.Add(1)
			default:
				f.t.Errorf("noise: %d, Retry-After %q", got.status, got.retry)
			}
		})
	}
	for began := time.Now(); f.locked() == 0 && time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
	}
	for range 10 {
		if n := f.locked(); n == 0 || n > 8 {
			f.t.Errorf("%d changes of one organization hold a connection, want 1 to 8", n)
		}
		f.quiet(b)
	}
	let()
	noisy.Wait()
	if n := int(made.Load()); n < 8 || f.keysNamed("noise") != n {
		f.t.Errorf("of 50 changes %d were told to come again and %d made, with %d keys", refused.Load(), n, f.keysNamed("noise"))
	}
}

// locked is how many changes wait for a lock of the database.
func (f *field) locked() int {
	return f.number("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
}

// quiet wants another organization's change and reading to be answered.
func (f *field) quiet(s *clusterServer) {
	f.t.Helper()
	if got := f.raw(s, f.newKey("tokens", "quiet"), ""); got.status >= 300 {
		f.t.Errorf("a change of another organization: %d", got.status)
	}
	if got := f.raw(s, change{"GET", "/v1/organizations/tokens/keys", f.owner, nil}, ""); got.status != http.StatusOK {
		f.t.Errorf("a reading of another organization: %d", got.status)
	}
}

// noisyReads reads one organization until it is refused, with a credential that is good for another one too.
func (f *field) noisyReads() {
	b := f.servers[1]
	var noisy sync.WaitGroup
	var refused, sent atomic.Int64
	for range 16 {
		noisy.Go(func() {
			for refused.Load() < 200 && sent.Add(1) < 20_000 {
				got := f.raw(b, change{"GET", "/v1/organizations/keys/keys", f.owner, nil}, "")
				if got.status == http.StatusTooManyRequests && got.retry != "" {
					refused.Add(1)
				} else if got.status != http.StatusOK {
					f.t.Errorf("noise: %d, Retry-After %q", got.status, got.retry)
				}
			}
		})
	}
	for range 5 {
		f.quiet(b)
	}
	noisy.Wait()
	if refused.Load() < 200 {
		f.t.Errorf("of %d requests %d were refused", sent.Load(), refused.Load())
	}
}
