// Package client calls a Guildhall server over HTTP: it is an op.Backend, so an operation is called as it is in
// process, and a check.Checker, so a product asks as it would in process. It links no database driver.
//
//	c := client.New("https://accounts.example.com", os.Getenv("GUILDHALL_TOKEN"))
//	member, err := directory.GetMember.Call(ctx, c, directory.GetMemberInput{...})
//	run := check.Require(c, "workflows.run", workflowOf)(handler)
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/op"
)

// Client calls one server with one credential. It is safe for concurrent use, and keeps its connections.
type Client struct {
	base, token, agent string
	http               *http.Client
	tries              int
	wait               func(ctx context.Context, d time.Duration) error
}

var _ op.Backend = (*Client)(nil)

// Option changes a client that New makes.
type Option func(*Client)

// HTTP sets the client beneath, for proxies and own certificates. It is not told to follow redirects, and should not.
func HTTP(c *http.Client) Option { return func(client *Client) { client.http = c } }

// Agent sets what the server's audit log shows as the user agent.
func Agent(name string) Option { return func(c *Client) { c.agent = name } }

// Tries sets how often a call is made at most while the server is busy; 0 or 1: once. Without it: 4.
func Tries(n int) Option { return func(c *Client) { c.tries = n } }

// Waiting sets how the client waits between tries, for tests; nil waits by the clock.
func Waiting(wait func(ctx context.Context, d time.Duration) error) Option {
	return func(c *Client) {
		if wait != nil {
			c.wait = wait
		}
	}
}

// New makes a client of the server at baseURL with a credential: a session, a key, a token or a service key; empty for
// nobody. Nothing is sent yet.
func New(baseURL, token string, options ...Option) *Client {
	c := &Client{base: strings.TrimRight(baseURL, "/"), token: token, agent: "guildhall-go", tries: 4, wait: wait, http: defaultHTTP()}
	for _, set := range options {
		set(c)
	}
	return c
}

// defaultHTTP keeps connections to its one server, and follows no redirect: a credential goes where it was sent.
func defaultHTTP() *http.Client {
	transport, _ := http.DefaultTransport.(*http.Transport)
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost = 64
	transport.ResponseHeaderTimeout = time.Minute
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// maxAnswer bounds the answer to an operation; streams have no bound.
const maxAnswer = 64 << 20

// Invoke calls one operation. Errors are *op.Error; a server that does not answer is op.Unavailable. A POST gets an
// Idempotency-Key where it has none, so that it may be sent again while the server is busy or does not answer. The
// output is its JSON; op.Op's Call gives it its type.
func (c *Client) Invoke(ctx context.Context, o op.Any, r op.Request) (op.Response, error) {
	response, err := c.send(ctx, o.Info(), r)
	if err != nil {
		return op.Response{}, err
	}
	body, err := c.read(response)
	if err != nil {
		return op.Response{}, err
	}
	return op.Response{Output: jsontext.Value(body), ETag: response.Header.Get("ETag"),
		Replayed: response.Header.Get("Idempotent-Replayed") == "true", Rate: rateOf(response.Header)}, nil
}

// read reads an answer to its end, so that its connection serves the next call.
func (c *Client) read(response *http.Response) ([]byte, error) {
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, c.unanswered(err)
	}
	return body, nil
}

// Stream calls a stream as op.Service does: begin gives the writer once nothing can be refused any more. A stream that
// the server could not write whole is an error.
func (c *Client) Stream(ctx context.Context, o op.Any, r op.Request, begin func(op.Info) io.Writer) error {
	info := o.Info()
	response, err := c.send(ctx, info, r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(begin(info), response.Body); err != nil {
		return c.unanswered(err)
	}
	return nil
}

// send sends an operation's call until it is answered, refused, or tried too often.
func (c *Client) send(ctx context.Context, info op.Info, r op.Request) (*http.Response, error) {
	call, err := c.callOf(info, r)
	if err != nil {
		return nil, err
	}
	return c.deliver(ctx, call)
}

func (c *Client) deliver(ctx context.Context, call *call) (*http.Response, error) {
	for try := 1; ; try++ {
		response, err := c.once(ctx, call)
		if err == nil {
			return response, nil
		}
		pause, again := call.again(err, try)
		if !again || try >= c.tries || c.wait(ctx, pause) != nil {
			return nil, err
		}
	}
}

// once sends a call one time.
func (c *Client) once(ctx context.Context, call *call) (*http.Response, *op.Error) {
	request, err := call.request(ctx)
	if err != nil {
		return nil, op.Errorf(op.Malformed, "", "the server's address is no URL: %s", c.base)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.unanswered(err)
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	return nil, errorOf(response)
}

// noAnswer is the code of an error that no server told.
const noAnswer = "no_answer"

func (c *Client) unanswered(err error) *op.Error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the address, which may hold a secret
	}
	return op.Errorf(op.Unavailable, noAnswer, "no answer from %s: %v", c.base, err)
}

// The pauses between tries.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

// again says whether a call may be sent once more, and after how long: at least what the server asked for, and up to
// half as long again, so that many clients do not come back at once.
func (c *call) again(e *op.Error, try int) (time.Duration, bool) {
	repeatable := c.method == http.MethodGet || c.key != "" || c.question
	switch {
	case e.RetryAfter > longestPause, c.content != nil:
		return 0, false
	case e.Kind == op.Limited, e.Kind == op.Unavailable && repeatable:
		pause := max(firstPause<<(try-1), e.RetryAfter)
		return pause + rand.N(pause/2+1), true
	}
	return 0, false
}

// rateOf reads what is left of the rate limit; nothing where the server does not say.
func rateOf(h http.Header) op.Rate {
	var rate op.Rate
	var window, reset int64
	if _, err := fmt.Sscanf(h.Get("RateLimit-Policy"), `"credential";q=%d;w=%d`, &rate.Limit, &window); err != nil {
		return op.Rate{}
	}
	if _, err := fmt.Sscanf(h.Get("RateLimit"), `"credential";r=%d;t=%d`, &rate.Remaining, &reset); err != nil {
		return op.Rate{}
	}
	rate.Window, rate.Reset = time.Duration(window)*time.Second, time.Duration(reset)*time.Second
	return rate
}
