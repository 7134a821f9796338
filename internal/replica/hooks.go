package replica

import (
	"context"
	"time"
)

// Hooks are the decisions of the protocol that tests break on purpose.
type Hooks struct {
	Deadline func(asked, answered Instant, p Params) time.Duration // of a lease
	Live     func(now Instant, until, offset time.Duration) bool
	Own      func(known bool) bool // whether a fence of an incarnation is acknowledged
	Listed   func(m Member) bool   // whether a change has a member forget
	Order    func(lock, list func() error) error
	Over     func(ctx context.Context, c Clock, p Params, m Member, sent, evicted Instant) error // waits until a lease is over
	Grace    func(since time.Duration) bool
	Keeps    func(shared, current bool) bool
	Covers   func(sameTimeline bool) bool
	Deposed  func(leave func()) // has connections to a server that was replaced be left
	Renew    func(ctx context.Context, g Registry, m Member, lease time.Duration) (bool, Base, error)
	At       func(p Point) // passes a point of the protocol; a process may be slow there
}

// Point is a place in the protocol between two of its steps.
type Point string

// The points.
const (
	BeforeKeep  Point = "keep"  // something was read, and is not remembered yet
	BeforeEvict Point = "evict" // a server did not answer a fence, and is not evicted yet
	Renewed     Point = "renewed"
)

// Break is nil. Tests of whole processes set it before there is a Replica; TestNothingBreaksTheProtocol sees to it that
// nothing else names it.
var Break func(*Hooks)

func sound() Hooks {
	return Hooks{
		Deadline: func(asked, _ Instant, p Params) time.Duration { return asked.Boot + p.Lease },
		Live:     alive,
		Own:      func(known bool) bool { return known },
		Listed:   func(Member) bool { return true },
		Order: func(lock, list func() error) error {
			if err := lock(); err != nil {
				return err
			}
			return list()
		},
		Over: func(ctx context.Context, c Clock, p Params, _ Member, _, _ Instant) error {
			return c.Wait(ctx, p.Over())
		},
		Grace:   func(time.Duration) bool { return true },
		Keeps:   func(shared, current bool) bool { return shared && current },
		Covers:  func(same bool) bool { return same },
		Deposed: func(leave func()) { leave() },
		Renew: func(ctx context.Context, g Registry, m Member, lease time.Duration) (bool, Base, error) {
			return g.Renew(ctx, m, lease)
		},
		At: func(Point) {},
	}
}
