package guildhall_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// soakEvents is how many different events are sent on each database: GUILDHALL_SOAK_EVENTS, else what a run has time for.
func soakEvents(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("GUILDHALL_SOAK_EVENTS")); err == nil {
		return n
	}
	if testing.Short() {
		return 4_000
	}
	return 20_000
}

// TestSoakCountedEqualsSent: events are sent in any order, a fifth of them twice, by recorders that know nothing of the
// server being killed five times in between. What is counted in the end is what was sent. T-090
func TestSoakCountedEqualsSent(t *testing.T) {
	program, n := binary(t), soakEvents(t)
	for _, d := range testdb.Dialects {
		t.Run(d.String(), func(t *testing.T) {
			c := &crashes{t: t, program: program, ledger: newLedger(), dir: t.TempDir()}
			c.dsn = "sqlite:" + filepath.Join(c.dir, "guildhall.db")
			if d == sqldb.PostgreSQL {
				c.dsn = testdb.DSN(t, d)
			}
			s := &sending{crashes: c, answered: make(chan struct{}, 1)}
			s.run(n)
			c.sound(0)
		})
	}
}

// sending is recorders that send to a server that is killed.
type sending struct {
	*crashes
	server   *serverProcess
	batches  atomic.Int64
	answered chan struct{}
}

// Invoke counts the requests that were answered.
func (s *sending) observed(b op.Backend) op.Backend { return observedBackend{b, s} }

type observedBackend struct {
	op.Backend
	s *sending
}

func (o observedBackend) Invoke(ctx context.Context, a op.Any, r op.Request) (op.Response, error) {
	response, err := o.Backend.Invoke(ctx, a, r)
	if err == nil {
		o.s.batches.Add(1)
		select {
		case o.s.answered <- struct{}{}:
		default:
		}
	}
	return response, err
}

func (s *sending) run(n int) {
	t := s.t
	s.server = startProcess(t, s.program, s.args("--data")...)
	address, err := url.Parse(s.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	again := append(s.args("--data"), "--addr", "127.0.0.1:"+address.Port())
	c := client.New(s.server.URL, s.key(), client.Tries(1))
	organization := s.server.Organizations[0].ID
	before := s.used(c, organization)
	events, sum := shuffled(n)
	began := time.Now()
	var senders sync.WaitGroup
	for i := range 4 {
		senders.Go(func() { s.send(c, organization, events[i*len(events)/4:(i+1)*len(events)/4]) })
	}
	all := int64(len(events) / 500)
	for kill := range int64(5) {
		for s.batches.Load() < all*(kill+1)/7 {
			<-s.answered
		}
		s.server.kill()
		s.server = startProcess(t, s.program, again...)
	}
	senders.Wait()
	t.Logf("%d events, %d of them twice, in %s with five kills", n, len(events)-n, time.Since(began).Round(time.Millisecond))
	if got := s.used(c, organization) - before; got != sum {
		t.Errorf("counted %d, sent %d", got, sum)
	}
	s.server.kill()
}

// key makes a service key that outlives a start: the demo revokes the one that it prints.
func (s *sending) key() string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), s.program, "service-keys", "create", "soak", "--data", s.dir, "--json").Output()
	var made struct {
		Secret string `json:"secret"`
	}
	if err = errors.Join(err, json.Unmarshal(out, &made)); err != nil {
		s.t.Fatalf("a service key: %v\n%s", err, out)
	}
	return made.Secret
}

func (s *sending) used(c *client.Client, organization string) int64 {
	s.t.Helper()
	q, err := usage.GetQuotas.Call(s.t.Context(), c, usage.GetQuotasInput{InOrganization: op.InOrganization{Organization: organization}, Meter: "executions"})
	if err != nil {
		s.t.Fatal(err)
	}
	return q.Quotas[0].Used
}

func (s *sending) send(c *client.Client, organization string, events []usage.Event) {
	r := client.NewRecorder(s.t.Context(), s.observed(c), client.RecorderConfig{Source: "soak", Every: 20 * time.Millisecond})
	for _, e := range events {
		if err := r.Record(s.t.Context(), organization, e); err != nil {
			s.t.Error(err)
			return
		}
	}
	if err := r.Close(s.t.Context()); err != nil {
		s.t.Error(err)
	}
}

// shuffled are n events, a fifth of them twice, in any order, and the sum of their values.
func shuffled(n int) (events []usage.Event, sum int64) {
	random := rand.New(rand.NewPCG(90, 90))
	for i := range n {
		e := usage.Event{Meter: "executions", Value: int64(i%7 + 1), ID: fmt.Sprintf("e%d", i), Resource: fmt.Sprintf("workflow:wf_%d", i%50), Region: "eu-west-1"}
		sum += e.Value
		if events = append(events, e); i%5 == 0 {
			events = append(events, e)
		}
	}
	random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	return events, sum
}
