// Package id makes identifiers: a prefix that says what they name, then 26
// characters that sort by the time they were made, as in
// "org_01k9v5x0w3m8q6t2c4h7n0r5sz".
package id

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
	"sync"
	"time"
)

// alphabet is Crockford's base32 in lower case: digits and letters without
// i, l, o and u, in ascending order.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// length is that of 128 bits in base32: 26 characters of 5 bits, of which the
// first has only 3.
const length = 26

// New returns an identifier: prefix, an underscore, and 48 bits of Unix
// milliseconds with 80 random bits in base32. Identifiers that one process
// makes for times that do not go back are in ascending order, also within one
// millisecond. It is safe for concurrent use.
func New(prefix string, at time.Time) string {
	return prefix + "_" + encode(generator.next(uint64(at.UnixMilli())))
}

// Valid reports whether s is an identifier with this prefix, as New writes it.
func Valid(prefix, s string) bool {
	body, found := strings.CutPrefix(s, prefix+"_")
	if !found || len(body) != length || body[0] > '7' {
		return false
	}
	for i := range len(body) {
		if strings.IndexByte(alphabet, body[i]) < 0 {
			return false
		}
	}
	return true
}

// bits is a 128-bit number.
type bits struct{ high, low uint64 }

// sequence keeps the last number it gave, to give a higher one within the
// same millisecond.
type sequence struct {
	mu   sync.Mutex
	last bits
}

var generator sequence

// next returns a random number below the millisecond, or, if that is the
// millisecond of the last number, a small random step above the last one: in
// order, and still not to be guessed from its neighbour.
func (q *sequence) next(milli uint64) bits {
	random := randomBits()
	q.mu.Lock()
	defer q.mu.Unlock()
	n := bits{high: milli<<16 | random.high&0xffff, low: random.low}
	if q.last.high>>16 == milli&(1<<48-1) {
		n = q.last.plus(random.low>>16 | 1)
	}
	q.last = n
	return n
}

func (b bits) plus(step uint64) bits {
	sum := bits{high: b.high, low: b.low + step}
	if sum.low < b.low {
		sum.high++
	}
	return sum
}

func randomBits() bits {
	var raw [16]byte
	rand.Read(raw[:]) // never fails: crypto/rand ends the process instead
	return bits{high: binary.BigEndian.Uint64(raw[:8]), low: binary.BigEndian.Uint64(raw[8:])}
}

// encode writes b in base32, most significant character first.
func encode(b bits) string {
	var out [length]byte
	for i := length - 1; i >= 0; i-- {
		out[i] = alphabet[b.low&31]
		b.low = b.low>>5 | b.high<<59
		b.high >>= 5
	}
	return string(out[:])
}
