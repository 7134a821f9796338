package access

import (
	"hash/maphash"
	"sync/atomic"
	"unsafe"
)

// table is a bounded map that is read without a lock, and that the garbage collector does not look into: keys and values
// hold no pointers. Keys are arrays of words, never joined text, so no two questions share one (T-009), and all words of
// a key are compared, whether or not the first ones differ (T-045). Writers hold the lock of the fences.
//
// Records stay where they are. A record's first word counts up when it becomes readable (then it is odd) and when it
// ends, so a reader sees whether what it copied was one record all the time. A reader that comes across a writer finds
// nothing, and nothing worse.
type table[K keyWords, V any] struct {
	seed   maphash.Seed
	width  int                             // words of a value
	limit  uint32                          // records at most
	index  atomic.Pointer[[]atomic.Uint64] // open addressed, at most half full: see place
	chunks []atomic.Pointer[chunk]         // of records, made when they are needed
	used   uint32                          // records that were ever in use
	free   []uint32                        // records that were, and are not
	victim uint32                          // whose place the next record takes when all are in use
	gone   func(record uint32)             // is told of a record that makes place for another
}

// keyWords are the keys: of hashes, of names, and of pairs of names.
type keyWords interface {
	~[4]uint64 | ~[6]uint64 | ~[12]uint64
}

// chunkSize is how many records are made at once.
const chunkSize = 256

type chunk struct {
	words []atomic.Uint64
	links [chunkSize]uint32                               // the first of each record's links to its principals; for writers
	more  atomic.Pointer[[chunkSize]atomic.Pointer[more]] // nil as long as no record has any
}

// firstIndex is the length of an index before it grows; a power of two, as all of them.
const firstIndex = 1024

func newTable[K keyWords, V any](size int, gone func(record uint32)) *table[K, V] {
	var v V
	t := &table[K, V]{seed: maphash.MakeSeed(), width: int(unsafe.Sizeof(v) / 8), limit: uint32(max(1, size)), gone: gone}
	t.chunks = make([]atomic.Pointer[chunk], (t.limit+chunkSize-1)/chunkSize)
	index := make([]atomic.Uint64, firstIndex)
	t.index.Store(&index)
	return t
}

// A place of the index holds the upper half of a key's hash, and the number of its record from 1 on. Where a key belongs
// follows from that half, so places move without a look at the records. 0 is empty.

// tag is the half of a key's hash. A SHA-256 is one already: its words only are spread once more. Names are chosen by
// whoever asks, and are hashed with a seed that nobody knows.
func (t *table[K, V]) tag(k K) uint64 {
	if len(k) == len(hashKey{}) {
		return k[0] * spread &^ (1<<32 - 1)
	}
	return maphash.Comparable(t.seed, k) &^ (1<<32 - 1)
}

// spread is 2^64 divided by the golden ratio, and odd.
const spread = 0x9e3779b97f4a7c15

func home(place uint64, mask int) int { return int(place>>32) & mask }

// get copies the value of a key into v, which is worth nothing if there is none, and gives what else is kept with it.
func (t *table[K, V]) get(k K, v *V) (*more, bool) {
	index, tag := *t.index.Load(), t.tag(k)
	mask := len(index) - 1
	for i := home(tag, mask); ; i = (i + 1) & mask {
		place := index[i].Load()
		if place == 0 {
			return nil, false
		}
		if place&^(1<<32-1) != tag {
			continue
		}
		if m, ok := t.read(uint32(place)-1, k, v); ok {
			return m, true
		}
	}
}

// read copies a record, if it is the key's and stays so meanwhile.
func (t *table[K, V]) read(record uint32, k K, v *V) (*more, bool) {
	c, words := t.record(record)
	before := words[0].Load()
	if before%2 == 0 || !sameKey(words[1:], k) {
		return nil, false
	}
	into := unsafe.Slice((*uint64)(unsafe.Pointer(v)), t.width)
	values := words[1+len(k):][:len(into)]
	for i := range into {
		into[i] = values[i].Load()
	}
	var m *more
	if all := c.more.Load(); all != nil {
		m = all[record%chunkSize].Load()
	}
	return m, words[0].Load() == before
}

func sameKey[K keyWords](words []atomic.Uint64, k K) bool {
	var differs uint64
	for i := range len(k) {
		differs |= words[i].Load() ^ k[i]
	}
	return differs == 0
}

// record gives the words of a record: the count, the key and the value.
func (t *table[K, V]) record(n uint32) (*chunk, []atomic.Uint64) {
	var k K
	c, length := t.chunks[n/chunkSize].Load(), 1+len(k)+t.width
	first := int(n%chunkSize) * length
	return c, c.words[first : first+length : first+length]
}

// find gives the record of a key, and its place in the index. The caller holds the lock.
func (t *table[K, V]) find(k K) (record uint32, at int, found bool) {
	index, tag := *t.index.Load(), t.tag(k)
	mask := len(index) - 1
	for i := home(tag, mask); ; i = (i + 1) & mask {
		place := index[i].Load()
		if place == 0 {
			return 0, i, false
		}
		if _, words := t.record(uint32(place) - 1); place&^(1<<32-1) == tag && sameKey(words[1:], k) {
			return uint32(place) - 1, i, true
		}
	}
}

// put remembers a value and gives its record, which has no links yet. In a full table it takes the place of another one.
// The caller holds the lock.
func (t *table[K, V]) put(k K, v *V, m *more) uint32 {
	if record, _, found := t.find(k); found {
		t.gone(record)
		t.remove(record)
	}
	n := t.vacant()
	c, words := t.record(n)
	for i := range len(k) {
		words[1+i].Store(k[i])
	}
	for i, word := range unsafe.Slice((*uint64)(unsafe.Pointer(v)), t.width) {
		words[1+len(k)+i].Store(word)
	}
	if c.links[n%chunkSize] = 0; m != nil && c.more.Load() == nil {
		c.more.Store(new([chunkSize]atomic.Pointer[more]))
	}
	if all := c.more.Load(); all != nil {
		all[n%chunkSize].Store(m)
	}
	words[0].Add(1)
	_, at, _ := t.find(k)
	(*t.index.Load())[at].Store(t.tag(k) | uint64(n+1))
	return n
}

// vacant gives a record that is not in use, and sees to the index having room for it.
func (t *table[K, V]) vacant() (n uint32) {
	if last := len(t.free) - 1; last >= 0 {
		n, t.free = t.free[last], t.free[:last]
		return n
	}
	if t.used < t.limit {
		if 2*int(t.used+1) > len(*t.index.Load()) {
			t.grow()
		}
		n, t.used = t.used, t.used+1
		if n%chunkSize == 0 {
			var k K
			t.chunks[n/chunkSize].Store(&chunk{words: make([]atomic.Uint64, chunkSize*(1+len(k)+t.width))})
		}
		return n
	}
	n, t.victim = t.victim, (t.victim+1)%t.limit
	t.gone(n)
	t.remove(n)
	t.free = t.free[:len(t.free)-1]
	return n
}

// grow doubles the index. Whoever still reads the old one finds the same records in it.
func (t *table[K, V]) grow() {
	old := *t.index.Load()
	index := make([]atomic.Uint64, 2*len(old))
	mask := len(index) - 1
	for i := range old {
		place := old[i].Load()
		if place == 0 {
			continue
		}
		at := home(place, mask)
		for index[at].Load() != 0 {
			at = (at + 1) & mask
		}
		index[at].Store(place)
	}
	t.index.Store(&index)
}

// remove forgets a record in use. The caller holds the lock.
func (t *table[K, V]) remove(n uint32) {
	var k K
	c, words := t.record(n)
	for i := range len(k) {
		k[i] = words[1+i].Load()
	}
	_, at, _ := t.find(k)
	words[0].Add(1)
	if all := c.more.Load(); all != nil {
		all[n%chunkSize].Store(nil)
	}
	t.free = append(t.free, n)
	t.closeUp(at)
}

// closeUp empties a place of the index, and moves up those behind it that belong before.
func (t *table[K, V]) closeUp(hole int) {
	index := *t.index.Load()
	mask := len(index) - 1
	for i := (hole + 1) & mask; ; i = (i + 1) & mask {
		place := index[i].Load()
		if place == 0 {
			break
		}
		if (i-home(place, mask))&mask >= (i-hole)&mask {
			index[hole].Store(place)
			hole = i
		}
	}
	index[hole].Store(0)
}

// swap sets one word of a key's value and gives what it was. Without a record it does nothing. The caller holds the lock.
func (t *table[K, V]) swap(k K, word int, to int64) (was int64, found bool) {
	record, _, found := t.find(k)
	if !found {
		return 0, false
	}
	_, words := t.record(record)
	return int64(words[1+len(k)+word].Swap(uint64(to))), true
}

// link is the first of a record's links to its principals. The caller holds the lock.
func (t *table[K, V]) link(n uint32) *uint32 { return &t.chunks[n/chunkSize].Load().links[n%chunkSize] }

// clear forgets everything. The caller holds the lock, and sees to the links.
func (t *table[K, V]) clear() {
	index := make([]atomic.Uint64, firstIndex)
	t.index.Store(&index)
	for n := range t.used {
		if c, words := t.record(n); words[0].Load()%2 == 1 {
			words[0].Add(1)
			if all := c.more.Load(); all != nil {
				all[n%chunkSize].Store(nil)
			}
		}
	}
	t.free = t.free[:0]
	for n := range t.used {
		t.free = append(t.free, n)
	}
	for len(*t.index.Load()) < 2*int(t.used) {
		t.grow()
	}
}

// len is how many records are in use. The caller holds the lock.
func (t *table[K, V]) len() int { return int(t.used) - len(t.free) }
