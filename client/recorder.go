package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// RecorderConfig says how a Recorder works.
type RecorderConfig struct {
	Source string        // of events that say none; empty: "recorder". It names an event together with its id, so it is the same after a restart
	Batch  int           // how many events one request has at most; 0: 500; at most usage.MaxEvents
	Every  time.Duration // how long an event waits at most before it is sent; 0: a second
	Queue  int           // how many events wait at most; 0: 10,000
	Drop   bool          // where the queue is full, Record gives ErrQueueFull at once, in the place of waiting
	// Refused is told of every event that the server refused for good, with why. It is called by one goroutine, and the
	// others wait for it. Nil: nobody is; Close counts them all the same.
	Refused func(organization string, e usage.Event, code, detail string)
}

// Recorder gathers events and sends them in batches. What it has taken is sent again with the same ids until the server
// has recorded it, so each event counts once, whatever happens to connections and servers. It is safe for concurrent use.
// Close it.
type Recorder struct {
	backend op.Backend
	caller  op.Caller
	config  RecorderConfig

	slots chan struct{} // one for each event that waits or is on its way
	wake  chan struct{}
	stop  context.CancelFunc
	ended chan struct{}

	mu      sync.Mutex
	queue   []queued
	closed  bool
	refused int
	last    error // why the last request failed; nil: it did not
}

// queued is an event that waits.
type queued struct {
	organization string
	event        usage.Event
}

// The errors of a Recorder.
var (
	ErrQueueFull      = errors.New("the recorder's queue is full: the event is not recorded")
	ErrRecorderClosed = errors.New("the recorder is closed: the event is not recorded")
)

// UnsentError says that a Recorder was closed before everything was recorded. The events are in the order in which they
// came, with the ids that they were sent with: to record them later counts none twice.
type UnsentError struct {
	Events map[string][]usage.Event // by organization
	Cause  error                    // why the last request failed; nil: there was no time for one
}

// Error says how many events are left.
func (e *UnsentError) Error() string {
	n := 0
	for _, events := range e.Events {
		n += len(events)
	}
	return fmt.Sprintf("%d events are not recorded: %v", n, e.Cause)
}

// Unwrap gives the cause.
func (e *UnsentError) Unwrap() error { return e.Cause }

// NewRecorder makes a recorder that calls a Client, or any other backend as the caller that ctx carries. It begins at once.
func NewRecorder(ctx context.Context, b op.Backend, config RecorderConfig) *Recorder {
	if config.Source == "" {
		config.Source = "recorder"
	}
	config.Batch = within(config.Batch, 500, usage.MaxEvents)
	config.Queue = within(config.Queue, 10_000, 1<<24)
	if config.Every <= 0 {
		config.Every = time.Second
	}
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	r := &Recorder{backend: b, caller: op.CallerOf(ctx), config: config, slots: make(chan struct{}, config.Queue), wake: make(chan struct{}, 1),
		stop: stop, ended: make(chan struct{})}
	go r.run(sending)
	return r
}

func within(n, otherwise, most int) int {
	if n <= 0 {
		n = otherwise
	}
	return min(n, most)
}

// Record takes an event. It gives it an id, a source and the present time where it has none, and returns as soon as it is
// in the queue: on disk it is later. Where the queue is full it waits until ctx ends, or not at all: see
// RecorderConfig.Drop. An error says that the event is not taken.
func (r *Recorder) Record(ctx context.Context, organization string, e usage.Event) error {
	if e.ID == "" {
		e.ID = "evt_" + rand.Text()
	}
	if e.Source == "" {
		e.Source = r.config.Source
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if err := r.slot(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		<-r.slots
		return ErrRecorderClosed
	}
	r.queue = append(r.queue, queued{organization, e})
	if len(r.queue) >= r.config.Batch {
		r.hurry()
	}
	return nil
}

// slot takes a place in the queue.
func (r *Recorder) slot(ctx context.Context) error {
	select {
	case r.slots <- struct{}{}:
		return nil
	default:
	}
	if r.config.Drop {
		return ErrQueueFull
	}
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-r.ended:
		return ErrRecorderClosed
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrQueueFull, ctx.Err())
	}
}

func (r *Recorder) hurry() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Waiting is how many events are taken and not recorded yet.
func (r *Recorder) Waiting() int { return len(r.slots) }

// Close takes no more events, and returns when everything that was taken is recorded. If ctx ends before, the rest is in
// the UnsentError that it returns. Events that the server refused for good are an error too.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.hurry()
	select {
	case <-r.ended:
	case <-ctx.Done():
		r.stop()
		<-r.ended
	}
	r.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) > 0 {
		return r.unsent()
	}
	if r.refused > 0 {
		return fmt.Errorf("%d events were refused", r.refused)
	}
	return nil
}

func (r *Recorder) unsent() error {
	e := &UnsentError{Events: map[string][]usage.Event{}, Cause: r.last}
	for _, q := range r.queue {
		e.Events[q.organization] = append(e.Events[q.organization], q.event)
	}
	return e
}

// run sends until the recorder is closed and empty, or stopped.
func (r *Recorder) run(ctx context.Context) {
	defer close(r.ended)
	ticker := time.NewTicker(r.config.Every)
	defer ticker.Stop()
	for {
		for r.due() {
			if !r.send(ctx) {
				return
			}
		}
		if r.done() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-ticker.C:
			r.mu.Lock()
			waiting := len(r.queue) > 0
			r.mu.Unlock()
			if waiting && !r.send(ctx) {
				return
			}
		}
	}
}

// due reports whether there is a whole batch, or anything at all at the end.
func (r *Recorder) due() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue) >= r.config.Batch || r.closed && len(r.queue) > 0
}

func (r *Recorder) done() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed && len(r.queue) == 0
}

// The pauses between requests that fail.
const (
	recorderPause    = 200 * time.Millisecond
	recorderPauseMax = 30 * time.Second
)

// send sends one batch until it is answered; false: there is no more time.
func (r *Recorder) send(ctx context.Context) bool {
	batch := r.next()
	for try := 0; ; try++ {
		out, err := usage.Record.Call(op.As(ctx, r.caller), r.backend, batch)
		r.mu.Lock()
		r.last = err
		r.mu.Unlock()
		if err == nil {
			r.settle(batch, out)
			return true
		}
		if e := op.AsError(err); hopeless(e) {
			r.refuseAll(batch, e)
			return true
		}
		pause := min(recorderPause<<min(try, 10), recorderPauseMax)
		timer := time.NewTimer(pause/2 + mathrand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

// hopeless reports whether the same request can never go well. A key that is refused may be mended while events wait.
func hopeless(e *op.Error) bool {
	switch e.Kind {
	case op.Malformed, op.Invalid, op.NotFound, op.TooLarge, op.WrongMediaType:
		return true
	}
	return false
}

// next is the oldest events of one organization. They stay in the queue until they are recorded.
func (r *Recorder) next() usage.RecordInput {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := usage.RecordInput{InOrganization: op.InOrganization{Organization: r.queue[0].organization}}
	for _, q := range r.queue {
		if q.organization == in.Organization && len(in.Events) < r.config.Batch {
			in.Events = append(in.Events, q.event)
		}
	}
	return in
}

// settle takes a batch out of the queue, and tells what was refused.
func (r *Recorder) settle(batch usage.RecordInput, out usage.Recorded) {
	for _, v := range out.Results {
		if v.Status == usage.StatusRefused && v.Index < len(batch.Events) {
			r.tell(batch.Organization, batch.Events[v.Index], v.Code, v.Detail)
		}
	}
	r.forget(batch)
}

func (r *Recorder) refuseAll(batch usage.RecordInput, e *op.Error) {
	for _, event := range batch.Events {
		r.tell(batch.Organization, event, e.FullCode(), e.Text)
	}
	r.forget(batch)
}

func (r *Recorder) tell(organization string, e usage.Event, code, detail string) {
	r.mu.Lock()
	r.refused++
	r.mu.Unlock()
	if r.config.Refused != nil {
		r.config.Refused(organization, e, code, detail)
	}
}

// forget takes the first events of an organization out of the queue, as many as the batch has, and frees their places.
func (r *Recorder) forget(batch usage.RecordInput) {
	r.mu.Lock()
	kept, left := r.queue[:0], len(batch.Events)
	for _, q := range r.queue {
		if q.organization == batch.Organization && left > 0 {
			left--
			continue
		}
		kept = append(kept, q)
	}
	clear(r.queue[len(kept):])
	r.queue = kept
	r.mu.Unlock()
	for range batch.Events {
		<-r.slots
	}
}
