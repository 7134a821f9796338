package gate

import (
	"hash/maphash"
	"sync/atomic"
)

// good remembers some of the credentials that were good lately, by a hash that nobody else can compute. It forgets at
// any time, and remembers one that was never there once in 2^64: it decides nothing but who waits.
type good struct {
	seed  maphash.Seed
	slots [1 << 14]atomic.Uint64
}

func newGood() *good { return &good{seed: maphash.MakeSeed()} }

func (g *good) slot(credential string) (*atomic.Uint64, uint64) {
	sum := maphash.String(g.seed, credential)
	return &g.slots[sum%uint64(len(g.slots))], sum
}

func (g *good) has(credential string) bool {
	slot, sum := g.slot(credential)
	return slot.Load() == sum
}

func (g *good) add(credential string) {
	if slot, sum := g.slot(credential); slot.Load() != sum {
		slot.Store(sum)
	}
}
