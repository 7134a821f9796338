package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// slowest is how many bytes a second a long body or answer has to make in the mean, beyond the first minute: whoever is
// slower holds a connection for nothing. T-100.
const slowest = 1 << 10

// Upload is the whole body of a request, without the bound of JSON bodies: its reader bounds it. It may take as long as it
// comes on.
func Upload(w http.ResponseWriter, r *http.Request) io.Reader {
	body := stateOf(r).body
	if body == nil {
		return http.NoBody
	}
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{}) // that of the answer begins with it
	return &patient{body: body, until: control.SetReadDeadline, began: time.Now()}
}

// Patient is what a long answer is read from: the answer may take as long as it goes on.
func Patient(w http.ResponseWriter, from io.Reader) io.Reader {
	return &patient{body: from, until: http.NewResponseController(w).SetWriteDeadline, began: time.Now()}
}

// patient moves a deadline on with what is read.
type patient struct {
	body  io.Reader
	until func(time.Time) error
	began time.Time
	n     int64
}

// Read reads on.
func (p *patient) Read(b []byte) (int, error) {
	_ = p.until(p.began.Add(ReadBodyTimeout + time.Duration(p.n/slowest)*time.Second))
	n, err := p.body.Read(b)
	p.n += int64(n)
	return n, err
}

// How long one event may take to be sent, and how long one that is under way may still take once its stream has ended.
const (
	eventTimeout = 10 * time.Second
	lastTimeout  = time.Second
)

// Events is an answer that goes on: server-sent events. It is used by one goroutine.
type Events struct {
	w       http.ResponseWriter
	control *http.ResponseController

	mu    sync.Mutex
	ended bool
}

// BeginEvents begins an answer of events. Once ctx ends nothing more is sent, and what is being sent to somebody slow is
// given up. Stop it.
func BeginEvents(ctx context.Context, w http.ResponseWriter) (e *Events, stop func()) {
	e = &Events{w: w, control: http.NewResponseController(w)}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx
	after := context.AfterFunc(ctx, e.end)
	return e, func() { after() }
}

// end shortens the time of what is being sent.
func (e *Events) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	_ = e.control.SetWriteDeadline(time.Now().Add(lastTimeout))
}

// Send sends an event with data of one line.
func (e *Events) Send(event string, data []byte) error {
	return e.write(fmt.Sprintf("event: %s\ndata: %s\n\n", event, data))
}

// Beat sends what means nothing, so that everybody on the way knows that the stream lives.
func (e *Events) Beat() error { return e.write(":\n\n") }

func (e *Events) write(text string) error {
	if err := e.allow(); err != nil {
		return err
	}
	if _, err := io.WriteString(e.w, text); err != nil {
		return err
	}
	return e.control.Flush()
}

func (e *Events) allow() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return context.Canceled
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(eventTimeout)) // some writers have none
	return nil
}
