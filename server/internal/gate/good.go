package gate

import (
	"sync/atomic"

	"github.com/guildhall/guildhall/access"
)

// good remembers some of the credentials that were good lately, by a part of their hash: nobody can make another
// credential with the part of one that they do not know. It forgets at any time, and remembers one that was never there
// once in 2^64: it decides nothing but who waits.
type good struct {
	slots [1 << 14]atomic.Uint64
}

func (g *good) slot(mark uint64) *atomic.Uint64 { return &g.slots[mark%uint64(len(g.slots))] }

func (g *good) has(s *access.Sender) bool {
	mark, ok := s.Mark()
	return ok && g.slot(mark).Load() == mark
}

func (g *good) add(s *access.Sender) {
	if mark, ok := s.Mark(); ok && g.slot(mark).Load() != mark {
		g.slot(mark).Store(mark)
	}
}
