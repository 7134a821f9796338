package op

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"time"

	"github.com/guildhall/guildhall/internal/secret"
)

// Rate is what is left of a rate limit.
type Rate struct {
	Limit     int
	Remaining int
	Reset     time.Duration // until all of it is there again
	Window    time.Duration
}

// buckets are token buckets by key: each holds at most Times tokens, and gets one back every Per/Times. Memory is
// bounded: a full bucket is the same as none, and those are dropped. Keys are hashed with a seed that nobody knows: two
// share a bucket once in 2^64, and neither looking one up nor collecting garbage reads the texts.
type buckets struct {
	// common names a bucket as all servers of an instance do, and as nobody else can. Nil: there is one server.
	common func(bucketKey) uint64

	mu     sync.Mutex
	once   sync.Once
	seed   maphash.Seed
	names  map[uint64]uint64 // what common has said, by the hash
	filled map[uint64]bucket // by the common name, or by the hash if there is none
	taken  Taken
	swept  time.Time
}

// Taken is how many tokens were taken: by limit, and by the common name of the bucket.
type Taken map[string]map[uint64]int

// maxTold is how many buckets of a limit one server tells another of at once. What more were taken from counts here alone.
const maxTold = 10_000

func (b *buckets) begin() {
	b.once.Do(func() {
		b.seed, b.names, b.filled, b.taken = maphash.MakeSeed(), map[uint64]uint64{}, map[uint64]bucket{}, Taken{}
	})
}

// name is what a bucket is found by. The lock is held.
func (b *buckets) name(k bucketKey) uint64 {
	b.begin()
	hash := maphash.Comparable(b.seed, k)
	if b.common == nil {
		return hash
	}
	name, known := b.names[hash]
	if !known {
		if len(b.names) >= maxBuckets {
			clear(b.names)
		}
		name = b.common(k)
		b.names[hash] = name
	}
	return name
}

// note has the other servers told of a token.
func (b *buckets) note(limit string, name uint64) {
	if b.common == nil {
		return
	}
	times := b.taken[limit]
	if times == nil {
		times = map[uint64]int{}
		b.taken[limit] = times
	}
	if len(times) < maxTold || times[name] > 0 {
		times[name]++
	}
}

// told gives what note has gathered, and begins anew.
func (b *buckets) told() Taken {
	b.mu.Lock()
	defer b.mu.Unlock()
	gathered := b.taken
	if len(gathered) > 0 {
		b.taken = Taken{}
	}
	return gathered
}

// add takes tokens of one limit that another server has given away: more than are left, if need be.
func (b *buckets) add(times map[uint64]int, limit RateLimit, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begin()
	for name, n := range times {
		held := b.filled[name]
		b.filled[name] = bucket{used: held.usedAt(now, limit.each()) + float64(n), at: now}
	}
}

type bucketKey struct{ limit, who string }

// commonName names buckets by the instance secret: whoever sees what servers tell each other learns of nobody.
func commonName(secrets *secret.Ring) func(bucketKey) uint64 {
	return func(k bucketKey) uint64 {
		mac := secrets.MAC("limits", []byte(k.limit), []byte(k.who))
		return binary.BigEndian.Uint64(mac[len(mac)-8:])
	}
}

type bucket struct {
	used float64 // tokens taken and not yet given back
	at   time.Time
}

// usedAt is how many tokens are still taken at a moment.
func (b bucket) usedAt(now time.Time, each time.Duration) float64 {
	return max(0, b.used-float64(now.Sub(b.at))/float64(each))
}

const maxBuckets = 100_000

// take takes one token. Without one left it says how long to wait.
func (b *buckets) take(key bucketKey, limit RateLimit, now time.Time) (Rate, time.Duration) {
	if limit.Times <= 0 {
		return Rate{}, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	name := b.name(key)
	b.sweep(limit, now)
	each := limit.each()
	current := b.filled[name]
	current.used, current.at = current.usedAt(now, each), now
	wait := time.Duration(0)
	if current.used+1 > float64(limit.Times) {
		wait = time.Duration((current.used + 1 - float64(limit.Times)) * float64(each))
	} else {
		current.used++
		b.note(key.limit, name)
	}
	b.filled[name] = current
	left := Rate{Limit: limit.Times, Remaining: max(0, int(float64(limit.Times)-current.used)), Window: limit.Per,
		Reset: time.Duration(current.used * float64(each))}
	return left, wait
}

// each is how long one token takes to come back.
func (l RateLimit) each() time.Duration { return l.Per / time.Duration(l.Times) }

// wait says how long it is until a token could be taken, and takes none.
func (b *buckets) wait(key bucketKey, limit RateLimit, now time.Time) time.Duration {
	if limit.Times <= 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	each := limit.each()
	return time.Duration(max(0, b.filled[b.name(key)].usedAt(now, each)+1-float64(limit.Times)) * float64(each))
}

// sweep drops old buckets now and then, and all of them should there be too many.
func (b *buckets) sweep(limit RateLimit, now time.Time) {
	if len(b.filled) < maxBuckets && now.Sub(b.swept) < time.Minute {
		return
	}
	b.swept = now
	clear(b.names)
	for key, held := range b.filled {
		if now.Sub(held.at) > time.Hour+limit.Per {
			delete(b.filled, key)
		}
	}
	if len(b.filled) >= maxBuckets {
		clear(b.filled)
	}
}
