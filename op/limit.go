package op

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Limits bound how often somebody may call. The zero value of each bounds nothing.
type Limits struct {
	PerAddress    RateLimit // of one client address, before anything else is looked at
	PerCredential RateLimit // of one credential
	Failures      RateLimit // of one client address with credentials that are not good, where checks are asked
	// Exempt says which addresses are not limited at all; nil exempts none. The demo exempts loopback.
	Exempt func(address string) bool
}

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
	mu     sync.Mutex
	once   sync.Once
	seed   maphash.Seed
	filled map[uint64]bucket
	swept  time.Time
}

func (b *buckets) hash(k bucketKey) uint64 {
	b.once.Do(func() { b.seed = maphash.MakeSeed() })
	return maphash.Comparable(b.seed, k)
}

type bucketKey struct{ limit, who string }

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
	hash := b.hash(key)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.filled == nil {
		b.filled = map[uint64]bucket{}
	}
	b.sweep(limit, now)
	each := limit.Per / time.Duration(limit.Times)
	current := b.filled[hash]
	current.used, current.at = current.usedAt(now, each), now
	wait := time.Duration(0)
	if current.used+1 > float64(limit.Times) {
		wait = time.Duration((current.used + 1 - float64(limit.Times)) * float64(each))
	} else {
		current.used++
	}
	b.filled[hash] = current
	left := Rate{Limit: limit.Times, Remaining: int(float64(limit.Times) - current.used), Window: limit.Per,
		Reset: time.Duration(current.used * float64(each))}
	return left, wait
}

// wait says how long it is until a token could be taken, and takes none.
func (b *buckets) wait(key bucketKey, limit RateLimit, now time.Time) time.Duration {
	if limit.Times <= 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	each := limit.Per / time.Duration(limit.Times)
	return time.Duration(max(0, b.filled[b.hash(key)].usedAt(now, each)+1-float64(limit.Times)) * float64(each))
}

// sweep drops old buckets now and then, and all of them should there be too many.
func (b *buckets) sweep(limit RateLimit, now time.Time) {
	if len(b.filled) < maxBuckets && now.Sub(b.swept) < time.Minute {
		return
	}
	b.swept = now
	for key, held := range b.filled {
		if now.Sub(held.at) > time.Hour+limit.Per {
			delete(b.filled, key)
		}
	}
	if len(b.filled) >= maxBuckets {
		clear(b.filled)
	}
}

// network is the address as limits count it: an IPv6 host owns its whole /64.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap()
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}

// limitAddress refuses a call whose address has made too many.
func (s *Service) limitAddress(d *declared, c Caller) error {
	if s.exempt(c) {
		return nil
	}
	who := network(c.Address)
	now := s.config.Now()
	if _, wait := s.buckets.take(bucketKey{"address", who}, s.config.Limits.PerAddress, now); wait > 0 {
		return limited(wait)
	}
	if _, wait := s.buckets.take(bucketKey{d.info.Name, who}, d.info.Limit, now); wait > 0 {
		return limited(wait)
	}
	return nil
}

// LimitCredential counts a request that is no operation, such as a check for a proxy, as one of the credential: both
// share its limit. It refuses one too many.
func (s *Service) LimitCredential(c Caller, credential string) (Rate, error) {
	return s.limitCredential(c, credential)
}

// LimitFailures refuses a caller whose address has sent too many credentials that are not good. It counts nothing: whoever
// sends good ones shares an address with whoever does not.
func (s *Service) LimitFailures(c Caller) error {
	if s.exempt(c) {
		return nil
	}
	return limitedAfter(s.buckets.wait(bucketKey{"failures", network(c.Address)}, s.config.Limits.Failures, s.config.Now()))
}

// CountFailure counts a credential that was not good against the caller's address.
func (s *Service) CountFailure(c Caller) {
	if !s.exempt(c) {
		s.buckets.take(bucketKey{"failures", network(c.Address)}, s.config.Limits.Failures, s.config.Now())
	}
}

func (s *Service) exempt(c Caller) bool {
	return c.Machine || c.System != "" || s.config.Limits.Exempt != nil && s.config.Limits.Exempt(c.Address)
}

// limitCredential refuses a call whose credential has made too many, and says what is left.
func (s *Service) limitCredential(c Caller, credential string) (Rate, error) {
	if credential == "" || s.config.Limits.Exempt != nil && s.config.Limits.Exempt(c.Address) {
		return Rate{}, nil
	}
	rate, wait := s.buckets.take(bucketKey{"credential", credential}, s.config.Limits.PerCredential, s.config.Now())
	if wait > 0 {
		return rate, limited(wait)
	}
	return rate, nil
}

// limitedAfter is no error where there is nothing to wait for.
func limitedAfter(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	return limited(wait)
}

func limited(wait time.Duration) error {
	wait = wait.Truncate(time.Second) + time.Second
	return &Error{Kind: Limited, Text: "too many requests: try again in " + wait.String(), RetryAfter: wait}
}
