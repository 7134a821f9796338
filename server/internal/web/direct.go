package web

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/peer"
	"github.com/guildhall/guildhall/op"
)

// Direct answers the requests for one path. It is for what is in front of every request of a product, where the general
// layers would cost more than the answer. What they promise holds here too: one spelling of the path, nothing that another
// site makes a browser send (but where the answer itself sees to that), a bounded body that arrives in time, recovery from
// panics, a request id, and a line of the log.
type Direct func(x *Exchange)

// Exchange is a request that is answered directly. It is for the goroutine that answers, which keeps nothing of it.
type Exchange struct {
	state
	Request *http.Request
	w       http.ResponseWriter
	began   time.Time
	status  int
	bytes   int
	known   bool   // the address is
	in, out []byte // of the body, and for the answer's
}

// exchanges are used again, for the sake of their buffers.
var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

// maxBuffer is how large a buffer can be that is used again.
const maxBuffer = 16 << 10

// direct finds what answers a request directly, and gives it the pattern that it is known by; nil: nothing does.
func (c *Config) direct(r *http.Request) Direct {
	if answer := c.Direct[r.URL.Path]; answer != nil && r.URL.RawPath == "" { // RawPath is another spelling: T-007
		r.Pattern = r.URL.Path
		return answer
	}
	for prefix, answer := range c.Below {
		if strings.HasPrefix(r.RequestURI, prefix) {
			r.Pattern = prefix
			return answer
		}
	}
	return nil
}

// answerDirectly answers one request.
func (c *Config) answerDirectly(answer Direct, w http.ResponseWriter, r *http.Request) {
	x := exchanges.Get().(*Exchange)
	now := c.Now()
	x.state = state{config: c, id: id.New("req", now)}
	x.Request, x.w, x.began, x.status, x.bytes, x.known = r, w, now, 0, 0, false
	defer x.end()
	defer x.recoverPanic()
	if !c.foreignAllowed(r.Pattern) && c.foreign(r) {
		x.Problem(errForeign())
		return
	}
	if r.Body != nil && r.Body != http.NoBody { // T-100
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(ReadBodyTimeout))
	}
	answer(x)
}

// end writes the line of the log, and gives the exchange back.
func (x *Exchange) end() {
	x.log()
	if cap(x.in) > maxBuffer || cap(x.out) > maxBuffer {
		return
	}
	x.Request, x.w, x.state = nil, nil, state{}
	exchanges.Put(x)
}

// log writes a line at debug level only, unless the request failed: there are a great many.
func (x *Exchange) log() {
	level := slog.LevelDebug
	if x.status >= http.StatusInternalServerError || x.status == 0 {
		level = slog.LevelInfo
	}
	if ctx := x.Request.Context(); x.config.Log.Enabled(ctx, level) {
		x.config.Log.LogAttrs(ctx, level, "request",
			slog.String("method", x.Request.Method), slog.String("route", x.Request.Pattern), slog.Int("status", x.status),
			slog.Int("bytes", x.bytes), slog.Duration("took", time.Since(x.began)),
			slog.String("address", x.Address()), slog.String("request_id", x.id))
	}
}

// recoverPanic answers a panic as the general layers do.
func (x *Exchange) recoverPanic() {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	x.config.Log.LogAttrs(x.Request.Context(), slog.LevelError, "panic", slog.String("request_id", x.id),
		slog.String("route", x.Request.Pattern), slog.String("cause", fmt.Sprint(cause)), slog.String("stack", string(debug.Stack())))
	if x.status != 0 {
		panic(http.ErrAbortHandler)
	}
	x.Problem(&op.Error{Kind: op.Internal, Text: "internal error"})
}

// RequestID is the id of the request, which is on its response.
func (x *Exchange) RequestID() string { return x.id }

// Began is when the request came.
func (x *Exchange) Began() time.Time { return x.began }

// Address is the client's, as Caller gives it.
func (x *Exchange) Address() string {
	if !x.known {
		x.address, x.known = peer.Text(peer.Address(x.Request, x.config.TrustedProxies)), true
	}
	return x.address
}

// Caller says who the request says it is from, as the function of this name does, without the agent.
func (x *Exchange) Caller() op.Caller { return x.caller(x.Request) }

// HeldCaller says the same by the headers alone: the address is of a request that a gateway holds.
func (x *Exchange) HeldCaller() op.Caller { return x.callerBy(x.Request) }

// Behind gives the client's address of a request that a gateway describes, and whether the peer is one of the gateways.
// Of a gateway, and of a trusted proxy before it, X-Forwarded-For is believed.
func (x *Exchange) Behind(gateways []netip.Prefix) (client string, ok bool) {
	if remote := peer.Remote(x.Request); !peer.Within(remote, gateways) {
		return peer.Text(remote), false
	}
	return peer.Text(peer.Address(x.Request, gateways, x.config.TrustedProxies)), true
}

// Body reads the whole body, as ReadBody does. It is good until the exchange ends.
func (x *Exchange) Body() ([]byte, *op.Error) {
	r := x.Request
	if r.Body == nil || r.ContentLength <= 0 || r.ContentLength > maxBuffer || !isJSON(r.Header["Content-Type"], nil) {
		return ReadBody(x.w, r)
	}
	if int64(cap(x.in)) < r.ContentLength {
		x.in = make([]byte, max(1024, r.ContentLength))
	}
	body := x.in[:r.ContentLength]
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, &op.Error{Kind: op.Malformed, Text: "the body ended early"}
	}
	return body, nil
}

// Header is the header of the answer.
func (x *Exchange) Header() http.Header { return x.w.Header() }

// Buffer is empty, and for the body of the answer.
func (x *Exchange) Buffer() []byte { return x.out[:0] }

// The headers of answers that no browser shows.
var (
	noStore = []string{"no-store"}
	nosniff = []string{"nosniff"}
	inJSON  = []string{"application/json"}
)

// Empty answers 200 without a body.
func (x *Exchange) Empty() {
	h := x.w.Header()
	h["Request-Id"], h["X-Content-Type-Options"], h["Cache-Control"] = []string{x.id}, nosniff, noStore
	x.status = http.StatusOK
	x.w.WriteHeader(http.StatusOK)
}

// JSON answers 200 with a body of JSON, which may be made of Buffer. It is not to be stored, unless the header says so.
func (x *Exchange) JSON(body []byte) {
	h := x.w.Header()
	h["Request-Id"], h["X-Content-Type-Options"], h["Content-Type"] = []string{x.id}, nosniff, inJSON
	if len(h["Cache-Control"]) == 0 {
		h["Cache-Control"] = noStore
	}
	x.out, x.status, x.bytes = body, http.StatusOK, len(body)
	_, _ = x.w.Write(body)
}

// Problem answers with an error, as the function of this name does.
func (x *Exchange) Problem(e *op.Error) {
	secureHeaders(x.w.Header(), &x.state)
	x.status = e.Kind.Status()
	x.bytes = problem(x.w, &x.state, e)
}
