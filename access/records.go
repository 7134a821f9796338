package access

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// The keys of the tables, as words.
type (
	hashKey [4]uint64
	name    [6]uint64
	seatKey [12]uint64 // the organization's name, then the user's
)

func hashKeyOf(h secret.Hash) (k hashKey) {
	for i := range k {
		k[i] = binary.LittleEndian.Uint64(h[8*i:])
	}
	return k
}

// nameLength is how many bytes a name has; the last one is its length, or says that the others are a hash.
const nameLength, hashed = 48, 255

// nameOf makes a name of a text: the text itself, or the SHA-256 of a longer one. So no two texts share a name.
func nameOf(text string) (n name) {
	var raw [nameLength]byte
	if len(text) < nameLength {
		copy(raw[:], text)
		raw[nameLength-1] = byte(len(text))
	} else {
		sum := sha256.Sum256([]byte(text))
		copy(raw[:], sum[:])
		raw[nameLength-1] = hashed
	}
	for i := range n {
		n[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return n
}

// String gives back the text of an id, which is never so long that it is hashed.
func (n name) String() string {
	var raw [nameLength]byte
	for i, word := range n {
		binary.LittleEndian.PutUint64(raw[8*i:], word)
	}
	return string(raw[:min(raw[nameLength-1], nameLength-1)])
}

func seatKeyOf(organization, user name) (k seatKey) {
	copy(k[:6], organization[:])
	copy(k[6:], user[:])
	return k
}

// life says until when a credential is alive, in Unix microseconds. The first two fields change while it is remembered.
type life struct {
	used    int64
	told    int64 // when Seen was last told
	expires int64 // 0 means never
	idle    int64 // microseconds without use after which it is over; 0 means any
}

// The words of a life that change.
const (
	usedWord = iota
	toldWord
)

// expired reports whether the credential is over for good. At the limit itself it is.
func (l *life) expired(now int64) bool { return l.expires != 0 && now >= l.expires }

// idled reports whether nobody has used it for too long, as far as this process knows.
func (l *life) idled(now int64) bool { return l.idle != 0 && now >= l.used+l.idle }

// session is what is remembered of a session or a service key.
type session struct {
	life
	lasts   int64 // microseconds, from its sign-in on
	id      check.ID
	user    name     // of a session
	begun   check.ID // the organization whose identity provider began it, the only one in which it counts
	way     decide.Way
	second  bool // by two factors
	service bool
}

// signIn is what a policy looks at, in an organization.
func (s *session) signIn(organization check.ID) decide.SignIn {
	return decide.SignIn{Way: s.way, Second: s.second, Foreign: !s.begun.Empty() && s.begun != organization, Life: s.lasts, Idle: s.idle}
}

// seat is what somebody, or a credential, is in an organization. Texts that many seats share are numbers.
type seat struct {
	holds, beyond                    charter.Set
	endsAt                           int64
	user, member, organization, role check.ID
	plan, region                     uint16
	standing                         decide.Standing
	closed                           bool
}

// member is the seat of a user, with what the organization asks of the sign-ins that act there.
type member struct {
	seat
	login decide.LoginPolicy
}

// bearer is what is remembered of a key or a scoped token.
type bearer struct {
	life
	seat
	bar        decide.Bar // of a token under a session
	credential check.ID
	token      bool
}

// slug is what is remembered of a slug: whose it is. Slugs never change hands.
type slug struct {
	_            [0]uint64
	organization check.ID
}

// dead is what is remembered of a credential that is never valid again: that it is.
type dead struct{ _ [0]uint64 }

// more is what few credentials have: what has no fixed length. It does not change.
type more struct {
	limits   decide.Limits
	networks string
	budgets  []string
	service  op.Credential // a service key
}

// shared numbers values that many records have in common, plans and regions. Numbers stay.
type shared[T any] struct {
	sync.Mutex
	make    func(text string) T
	numbers map[string]uint16
	all     atomic.Pointer[[]T]
}

func newShared[T any](make func(string) T) *shared[T] {
	s := &shared[T]{make: make, numbers: map[string]uint16{}}
	s.all.Store(&[]T{})
	return s
}

// residence is where an organization's data may be, the default region first; empty: the product has no regions.
type residence []string

// residenceOf reads regions with spaces between.
func residenceOf(text string) residence { return strings.Fields(strings.Clone(text)) }

// allows reports whether data may be in a region.
func (r residence) allows(region string) bool { return len(r) == 0 || slices.Contains(r, region) }

// home is the default region.
func (r residence) home() string {
	if len(r) == 0 {
		return ""
	}
	return r[0]
}

// maxShared bounds the values of a kind: no charter has so many.
const maxShared = 1 << 16

// number gives the number of a value, which is a new one where it has none.
func (s *shared[T]) number(text string) (uint16, error) {
	s.Lock()
	defer s.Unlock()
	if n, known := s.numbers[text]; known {
		return n, nil
	}
	old := *s.all.Load()
	if len(old) >= maxShared {
		return 0, fmt.Errorf("%q is one plan or region too many", text)
	}
	n := uint16(len(old))
	all := append(old[:n:n], s.make(text))
	s.all.Store(&all)
	s.numbers[text] = n
	return n, nil
}

// at gives the value with a number.
func (s *shared[T]) at(n uint16) *T { return &(*s.all.Load())[n] }

// plan is an organization's plan, with what it leaves out and what it unlocks.
type plan struct {
	id       string
	locked   charter.Set
	features []string
}

func planOf(c *charter.Charter, id string) plan {
	found, _ := c.Plan(id)
	return plan{id: id, locked: c.Locked(id), features: slices.Clip(found.Features)}
}
