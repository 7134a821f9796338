package op

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// What one organization asks must not keep the others waiting (T-010). Three bounds see to that: how often it may call, how
// many of its changes may hold a connection at once, and that a call which is refused for its rate costs no connection.

// together is how many changes of one log hold a connection at once: half of what a server has. The log takes them one
// after another, so more of them at once would only wait there.
const together = 8

// queueing is how long a change waits for its turn, without a connection.
const queueing = 10 * time.Second

// crowds are the changes that are under way, by their logs.
type crowds struct {
	mu sync.Mutex
	of map[string]*crowd
}

type crowd struct {
	places  chan struct{}
	members int // with crowds.mu
}

// join waits until a change of a log has its turn. The caller leaves.
func (c *crowds) join(ctx context.Context, log string) (leave func(), err error) {
	if log == "" {
		return func() {}, nil // it is about to be founded
	}
	one := c.add(log)
	patience := time.NewTimer(queueing)
	defer patience.Stop()
	select {
	case one.places <- struct{}{}:
		return func() { <-one.places; c.remove(log) }, nil
	case <-patience.C:
		err = limited(0)
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.remove(log)
	return nil, err
}

func (c *crowds) add(log string) *crowd {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.of[log]
	if one == nil {
		one = &crowd{places: make(chan struct{}, together)}
		if c.of == nil {
			c.of = map[string]*crowd{}
		}
		c.of[log] = one
	}
	one.members++
	return one
}

func (c *crowds) remove(log string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.of[log]
	if one.members--; one.members == 0 {
		delete(c.of, log)
	}
}

// limitOrganization refuses a call about an organization of which there were too many.
func (s *Service) limitOrganization(c *call) error {
	organization := c.actor.Principal.Organization
	if c.d.info.Scope != Organization || organization == "" || s.exempt(c.request.Caller) {
		return nil
	}
	now := s.config.Now()
	_, wait := s.buckets.take(bucketKey{ofOrganization, organization}, s.config.Limits.PerOrganization, now)
	if wait <= 0 {
		return nil
	}
	s.turned.note(c.turnedKey(), Rate{}, now.Add(wait))
	return limited(wait)
}

// turnedKey is what a call is known by before anybody knows whose it is: the credential and, unless it is refused
// wherever it goes, the organization that is named.
type turnedKey struct {
	credential, organization string
	named                    bool
}

func (c *call) turnedKey() turnedKey {
	return turnedKey{c.request.Caller.Credential, c.request.Path["organization"], true}
}

// turned are the credentials that were refused for their rate or their organization's, until when a call can be allowed
// again. Those in between are refused without a look at the database. Keys are hashed, so that no credential is kept.
type turned struct {
	mu    sync.Mutex
	seed  maphash.Seed
	until map[uint64]turnedAway
}

type turnedAway struct {
	rate  Rate
	until time.Time
}

// maxTurned bounds the memory. Those that are forgotten are looked at again.
const maxTurned = 10_000

func (t *turned) note(k turnedKey, rate Rate, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.until == nil || len(t.until) >= maxTurned {
		t.seed, t.until = maphash.MakeSeed(), map[uint64]turnedAway{}
	}
	t.until[maphash.Comparable(t.seed, k)] = turnedAway{rate, until}
}

// away says how long one of the keys is refused still.
func (t *turned) away(now time.Time, keys ...turnedKey) (Rate, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.until) == 0 {
		return Rate{}, 0
	}
	for _, k := range keys {
		hash := maphash.Comparable(t.seed, k)
		if found, known := t.until[hash]; known && found.until.After(now) {
			return found.rate, found.until.Sub(now)
		}
		delete(t.until, hash)
	}
	return Rate{}, 0
}

// limitEarly refuses a call that would be refused for its rate, before anything is asked of the database.
func (s *Service) limitEarly(c *call) (Rate, error) {
	if c.request.Caller.Credential == "" || s.exempt(c.request.Caller) {
		return Rate{}, nil
	}
	rate, wait := s.turned.away(s.config.Now(), turnedKey{credential: c.request.Caller.Credential}, c.turnedKey())
	return rate, limitedAfter(wait)
}
