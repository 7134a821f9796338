package op

import (
	"context"
	"io"
	"reflect"
	"strings"
	"time"
)

// Upload declares an operation whose input is fields and a stream of bytes. It is authorized, limited, replayed and
// recorded as any Write is, and nothing of the stream is read before.
type Upload[In, Out any] struct {
	Name    string
	Route   string // "POST /v1/organizations/{organization}/artifacts": fields that are not in it are in the query
	Summary string
	Scope   Scope
	Allow   Rule
	Feature string

	// Target loads what the operation touches; see Op.
	Target func(ctx context.Context, r *Reader, in In) (Target, error)
	// Take reads the stream, outside any transaction and after a first authorization. It fills fields of the input that
	// JSON cannot set. What it has kept is durable when it returns.
	Take func(ctx context.Context, c Taking, in In) (In, error)
	// Do does it, with what Take gave; see Op.
	Do func(ctx context.Context, tx *Tx, in In) (Out, error)
	// Discard forgets what Take kept, when the transaction did not come about. A process that dies before it leaves that
	// to the room's own sweeper.
	Discard func(ctx context.Context, c Taking, in In)

	Example In
}

// Content is a stream of bytes as its sender describes it.
type Content struct {
	Body      io.Reader
	MediaType string // as sent; empty where nothing is said
	Size      int64  // negative: not said
	SHA256    []byte // what the sender says it is; nil: not said
}

// Taking is what an Upload is given beside its input.
type Taking struct {
	Content
	Actor  Actor
	Target Target
	Now    time.Time
	Parts  Parts
}

// Info describes the upload as an operation.
func (u *Upload[In, Out]) Info() Info {
	method, path, _ := strings.Cut(u.Route, " ")
	return Info{Name: u.Name, Method: method, Path: path, Summary: u.Summary, Kind: Write, Scope: u.Scope, Allow: u.Allow, Feature: u.Feature,
		Upload: true, In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out](), Example: u.Example, targeted: u.Target != nil, prepared: true}
}

func (u *Upload[In, Out]) bind(fields []byte) (*bound, error) {
	o := Op[In, Out]{Target: u.Target, Do: u.Do}
	b, err := o.bind(fields)
	in, ok := b.in.(*In)
	if !ok {
		return b, err
	}
	// What the operation does reads the input when it is called, and so what Take put there.
	b.do = func(ctx context.Context, tx *Tx) (any, error) { return u.Do(ctx, tx, *in) }
	b.take = func(ctx context.Context, c Taking) (err error) { *in, err = u.Take(ctx, c, *in); return err }
	b.discard = func(ctx context.Context, c Taking) { u.Discard(ctx, c, *in) }
	return b, err
}

// Call uploads on a backend as the caller that ctx carries.
func (u *Upload[In, Out]) Call(ctx context.Context, b Backend, in In, c Content, options ...Option) (Out, error) {
	var zero Out
	r := Request{Caller: CallerOf(ctx), Input: in, Content: &c}
	for _, set := range options {
		set(&r)
	}
	answer, err := b.Invoke(ctx, u, r)
	if err != nil {
		return zero, err
	}
	return outputAs[Out](answer.Output)
}

// take reads the stream of an upload. Without one it is empty.
func (s *Service) take(ctx context.Context, c *call) error {
	if c.bound.take == nil {
		return nil
	}
	return c.bound.take(ctx, s.taking(c))
}

// discard forgets what an upload kept whose transaction did not come about.
func (s *Service) discard(ctx context.Context, c *call) {
	if c.bound.discard != nil {
		c.bound.discard(context.WithoutCancel(ctx), s.taking(c))
	}
}

func (s *Service) taking(c *call) Taking {
	t := Taking{Content: Content{Body: strings.NewReader("")}, Actor: c.actor, Target: c.target, Now: s.config.Now().UTC(), Parts: s.config.Parts}
	if c.request.Content != nil {
		t.Content = *c.request.Content
	}
	return t
}
