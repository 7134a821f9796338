package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"
)

// The database is gone for every server: a check is answered from memory for no longer than the lease, and then not at all;
// a change is refused, and made once when it is sent again with its key. T-106
func TestWithoutTheDatabaseNothingIsAllowedForLong(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("some seconds of three servers")
	}
	f := startField(t, "")
	f.allowAll()
	r, revoke := f.stands[0], f.stands[0].set(false)
	var ways []*way
	for i := range f.servers {
		ways = append(ways, f.network.base(i)...)
	}
	f.network.cutOff(ways)
	gone := time.Now()
	for _, s := range f.servers {
		for lasts := true; lasts; {
			sent := time.Since(gone)
			answer := f.raw(s, change{"POST", r.asks[0].path, r.asks[0].credential, r.asks[0].body}, "")
			lasts = answer.status == http.StatusOK
			if lasts && sent > shortLease+100*time.Millisecond {
				t.Fatalf("server %s answers %s after the database was gone", s.name, sent)
			}
			if !lasts && (answer.status != http.StatusServiceUnavailable || answer.retry == "") {
				t.Errorf("server %s: %d, Retry-After %q", s.name, answer.status, answer.retry)
			}
		}
		if answer := f.raw(s, revoke, "once"); answer.status != http.StatusServiceUnavailable || answer.retry == "" {
			t.Errorf("a change at server %s: %d, Retry-After %q", s.name, answer.status, answer.retry)
		}
	}
	for _, w := range ways {
		w.cut.Add(-1)
	}
	done := 0
	for _, s := range f.servers {
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			answer := f.raw(s, revoke, "once")
			if answer.status == http.StatusOK {
				if !answer.replayed {
					done++
				}
				break
			}
			if time.Since(began) > 20*time.Second {
				t.Fatalf("server %s takes no change when the database is back: %d", s.name, answer.status)
			}
		}
	}
	if done != 1 {
		t.Errorf("the change was made %d times", done)
	}
}

// answered is what is looked at of an answer.
type answered struct {
	status   int
	retry    string
	replayed bool
}

func (f *field) raw(s *clusterServer, c change, idempotency string) (a answered) {
	f.t.Helper()
	body, err := json.Marshal(c.body)
	if err != nil {
		f.t.Fatal(err)
	}
	if c.body == nil {
		body = nil
	}
	request, err := http.NewRequestWithContext(f.t.Context(), c.method, s.url+c.path, bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+c.credential)
	if idempotency != "" {
		request.Header.Set("Idempotency-Key", idempotency)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return a
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answered{answer.StatusCode, answer.Header.Get("Retry-After"), answer.Header.Get("Idempotent-Replayed") == "true"}
}
