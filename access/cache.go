package access

import (
	"hash/maphash"
	"sync"

	"github.com/guildhall/guildhall/op"
)

// shards of a cache: readers of different keys seldom meet.
const shards = 64

// cache is a bounded map. Its keys are arrays and structs, never joined text, so no two questions share one (T-009).
type cache[K comparable, V any] struct {
	seed  maphash.Seed
	limit int // entries in one shard
	parts [shards]struct {
		sync.RWMutex
		entries map[K]entry[V]
	}
}

// entry is what is remembered, and the principals that it dies with.
type entry[V any] struct {
	value  V
	scopes scopes
}

// scopes are the principals that an entry is about: one or two.
type scopes [2]op.Fence

func newCache[K comparable, V any](size int) *cache[K, V] {
	c := &cache[K, V]{seed: maphash.MakeSeed(), limit: max(1, size/shards)}
	for i := range c.parts {
		c.parts[i].entries = map[K]entry[V]{}
	}
	return c
}

func (c *cache[K, V]) get(k K) (V, bool) {
	part := &c.parts[maphash.Comparable(c.seed, k)%shards]
	part.RLock()
	e, ok := part.entries[k]
	part.RUnlock()
	return e.value, ok
}

// put remembers an entry. In a full shard it takes the place of another one, any one; gone is called with each key that
// has lost its entry.
func (c *cache[K, V]) put(k K, e entry[V], gone func(K, scopes)) {
	part := &c.parts[maphash.Comparable(c.seed, k)%shards]
	part.Lock()
	defer part.Unlock()
	if old, ok := part.entries[k]; ok {
		gone(k, old.scopes)
	} else if len(part.entries) >= c.limit {
		for victim, old := range part.entries { // a map's first key is a different one each time
			delete(part.entries, victim)
			gone(victim, old.scopes)
			break
		}
	}
	part.entries[k] = e
}

// remove forgets an entry and says which principals it was about.
func (c *cache[K, V]) remove(k K) (scopes, bool) {
	part := &c.parts[maphash.Comparable(c.seed, k)%shards]
	part.Lock()
	defer part.Unlock()
	e, ok := part.entries[k]
	delete(part.entries, k)
	return e.scopes, ok
}

func (c *cache[K, V]) clear() {
	for i := range c.parts {
		part := &c.parts[i]
		part.Lock()
		clear(part.entries)
		part.Unlock()
	}
}

func (c *cache[K, V]) len() int {
	n := 0
	for i := range c.parts {
		part := &c.parts[i]
		part.RLock()
		n += len(part.entries)
		part.RUnlock()
	}
	return n
}
