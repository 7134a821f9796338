package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// counter is a server that counts each event once, and fails as often as it is told to: before it records, or after.
type counter struct {
	mu            sync.Mutex
	counted       map[string]int64 // by organization, source and id
	requests      int
	before, after int    // requests that fail
	refusesEvents string // of this meter
	largest       int
	err           *op.Error
}

func (c *counter) Invoke(ctx context.Context, o op.Any, r op.Request) (op.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := r.Input.(usage.RecordInput)
	c.requests++
	c.largest = max(c.largest, len(in.Events))
	if c.before > 0 {
		c.before--
		return op.Response{}, c.err
	}
	out := usage.Recorded{}
	for i, e := range in.Events {
		v := usage.Verdict{Index: i, ID: e.ID, Status: usage.StatusRecorded}
		key := in.Organization + " " + e.Source + " " + e.ID
		if _, again := c.counted[key]; again {
			v.Status = usage.StatusDuplicate
		}
		if e.Meter == c.refusesEvents {
			v = usage.Verdict{Index: i, Status: usage.StatusRefused, Code: "unknown_meter"}
		} else {
			c.counted[key] = e.Value
		}
		out.Results = append(out.Results, v)
	}
	if c.after > 0 {
		c.after--
		return op.Response{}, c.err
	}
	return op.Response{Output: out}, nil
}

func newCounter() *counter {
	return &counter{counted: map[string]int64{}, err: op.Errorf(op.Unavailable, "no_answer", "no answer")}
}

func (c *counter) sum() (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.counted {
		n += v
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// T-090
func TestTheRecorderCountsWhatItTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newCounter()
		server.before, server.after = 3, 4
		r := client.NewRecorder(t.Context(), server, client.RecorderConfig{Batch: 50, Queue: 100})
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				for range 100 {
					if err := r.Record(t.Context(), fmt.Sprintf("org_%d", i%3), usage.Event{Meter: "runs", Value: 1}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		must(t, r.Close(t.Context()))
		if n := server.sum(); n != 800 || server.largest > 50 {
			t.Errorf("counted %d, want 800; the largest request has %d events", n, server.largest)
		}
	})
}

func TestTheRecorderSendsBySizeAndByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newCounter()
		r := client.NewRecorder(t.Context(), server, client.RecorderConfig{Batch: 3, Every: time.Minute})
		for range 4 {
			must(t, r.Record(t.Context(), "org", usage.Event{Meter: "runs", Value: 1}))
		}
		synctest.Wait()
		if n := server.sum(); n != 3 {
			t.Errorf("a whole batch: counted %d, want 3", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := server.sum(); n != 4 || r.Waiting() != 0 {
			t.Errorf("after its time: counted %d, want 4; %d wait", n, r.Waiting())
		}
		must(t, r.Close(t.Context()))
		if err := r.Record(t.Context(), "org", usage.Event{}); !errors.Is(err, client.ErrRecorderClosed) {
			t.Errorf("an event after the end: %v", err)
		}
	})
}

func TestAFullQueueWaitsOrDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newCounter()
		server.before = 1 << 30
		for _, drop := range []bool{true, false} {
			r := client.NewRecorder(t.Context(), server, client.RecorderConfig{Batch: 2, Queue: 2, Drop: drop})
			for range 2 {
				must(t, r.Record(t.Context(), "org", usage.Event{Meter: "runs", ID: fmt.Sprint(drop)}))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			began := time.Now()
			if err := r.Record(ctx, "org", usage.Event{Meter: "runs"}); !errors.Is(err, client.ErrQueueFull) {
				t.Errorf("drop %t: %v", drop, err)
			}
			if waited := time.Since(began); (waited == 0) != drop {
				t.Errorf("drop %t: waited %s", drop, waited)
			}
			cancel()
			over, cancel := context.WithTimeout(t.Context(), time.Minute)
			var unsent *client.UnsentError
			if err := r.Close(over); !errors.As(err, &unsent) || len(unsent.Events["org"]) != 2 || unsent.Events["org"][0].ID != fmt.Sprint(drop) {
				t.Errorf("drop %t: closed with %v", drop, err)
			}
			cancel()
		}
	})
}

func TestWhatIsRefusedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newCounter()
		server.refusesEvents = "rums"
		var told []string
		r := client.NewRecorder(t.Context(), server, client.RecorderConfig{Refused: func(organization string, e usage.Event, code, detail string) {
			told = append(told, organization+" "+e.Meter+" "+code)
		}})
		must(t, r.Record(t.Context(), "org", usage.Event{Meter: "rums"}))
		must(t, r.Record(t.Context(), "org", usage.Event{Meter: "runs", Value: 5}))
		if err := r.Close(t.Context()); err == nil || len(told) != 1 || told[0] != "org rums unknown_meter" || server.sum() != 5 {
			t.Errorf("closed with %v, told %v, counted %d", err, told, server.sum())
		}
		server.before, server.err = 1, op.ErrNotFound
		r = client.NewRecorder(t.Context(), server, client.RecorderConfig{})
		must(t, r.Record(t.Context(), "nowhere", usage.Event{Meter: "runs"}))
		if err := r.Close(t.Context()); err == nil {
			t.Error("an organization that there is not is no error")
		}
	})
}
