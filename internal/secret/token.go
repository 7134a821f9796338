// Package secret holds what must not leak: the format of credentials and what
// is stored of them, text that does not print, and the instance's key ring,
// which seals and authenticates.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"io"
	"math/big"
	"strings"
	"unsafe"
)

// alphabet is base62 in ASCII order.
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Lengths of the parts of a token, in base62 characters.
const (
	randomLength   = 43 // of 256 bits
	checksumLength = 6  // of 32 bits
	linkLength     = 27 // of 160 bits
	codeLength     = 6  // decimal digits
)

// maxNameLength bounds prefix and kind together, maxTokenLength a whole token.
const (
	maxNameLength  = 32
	maxTokenLength = maxNameLength + 2 + randomLength + checksumLength
)

// ErrMalformed is the only error of Parse: it says nothing about the text,
// which may be a secret mistyped.
var ErrMalformed = errors.New("not a key: it is mistyped or cut short")

// Hash is the SHA-256 of a secret, which is what the database stores. Secrets
// have at least 128 random bits, so that nothing slower is needed.
type Hash [sha256.Size]byte

// HashOf returns the hash of a link's token or of a whole credential.
func HashOf(s string) Hash {
	var buffer [maxTokenLength]byte // on the stack, for what is hashed at every check
	if len(s) > len(buffer) {
		return sha256.Sum256([]byte(s))
	}
	return sha256.Sum256(buffer[:copy(buffer[:], s)])
}

// Token is a credential such as "gld_live_" and 49 base62 characters: 256
// random bits and their CRC32, so that a mistyped one is refused without a
// look at the database, and a scanner of leaked secrets knows one when it
// meets one. It prints as its public part.
type Token struct {
	prefix, kind string
	text         Text
}

// New makes a token of a product's prefix ("gld") and a kind ("live", "svc",
// "ses"), both of lower-case letters and digits; other names are a mistake of
// the program and panic. A nil random means crypto/rand.
func New(random io.Reader, prefix, kind string) Token {
	if !validName(prefix) || !validName(kind) || len(prefix)+len(kind) > maxNameLength {
		panic("secret: a token's prefix and kind are lower-case letters and digits")
	}
	body := base62(randomBytes(random, 32), randomLength)
	head := prefix + "_" + kind + "_"
	return Token{prefix: prefix, kind: kind, text: Hide(head + body + checksum(head+body))}
}

// Parse reads a token. What has another length, another alphabet or a wrong
// checksum is refused with ErrMalformed, in time that does not depend on the
// length of s; whether the credential exists is the caller's next question.
func Parse(s string) (Token, error) {
	prefix, kind, ok := split(s)
	if !ok {
		return Token{}, ErrMalformed
	}
	return Token{prefix: prefix, kind: kind, text: Hide(s)}, nil
}

// ParseHash is Parse for those who need the hash alone, on the way of every
// request: it allocates nothing.
func ParseHash(s string) (Hash, error) {
	if _, _, ok := split(s); !ok {
		return Hash{}, ErrMalformed
	}
	return HashOf(s), nil
}

// split takes a token apart and checks all of it.
func split(s string) (prefix, kind string, ok bool) {
	if len(s) > maxTokenLength {
		return "", "", false
	}
	prefix, rest, _ := strings.Cut(s, "_")
	kind, body, _ := strings.Cut(rest, "_")
	if !validName(prefix) || !validName(kind) || !isBase62(body, randomLength+checksumLength) {
		return "", "", false
	}
	signed := len(s) - checksumLength
	return prefix, kind, checksumMatches(s[:signed], s[signed:])
}

// Reveal returns the whole credential, to be shown once to its owner.
func (t Token) Reveal() string { return t.text.Reveal() }

// Hash returns what is stored of the token: the SHA-256 of its whole text.
func (t Token) Hash() Hash { return t.text.Hash() }

// Prefix returns the product's prefix, for example "gld".
func (t Token) Prefix() string { return t.prefix }

// Kind returns the kind, for example "live", "svc" or "ses".
func (t Token) Kind() string { return t.kind }

// Last4 returns the last four characters, by which a person knows a key in a
// list. They are of the checksum, and say little about the random part.
func (t Token) Last4() string {
	if t.text.Empty() {
		return ""
	}
	whole := t.text.Reveal()
	return whole[len(whole)-4:]
}

// Display returns what may be shown and stored in the clear:
// "gld_live_...a1B2".
func (t Token) Display() string {
	if t.text.Empty() {
		return ""
	}
	return t.prefix + "_" + t.kind + "_..." + t.Last4()
}

// NewLink makes the token of a link that is sent by mail: 27 base62
// characters of 160 random bits. Only its HashOf is stored.
func NewLink() Text { return Hide(base62(randomBytes(nil, 20), linkLength)) }

// ValidLink reports whether s has the form of a link's token; what has not
// need not be looked up.
func ValidLink(s string) bool { return isBase62(s, linkLength) }

// NewCode makes a code of six decimal digits to be typed by a person. It is
// short: whoever accepts it counts the attempts.
func NewCode() Text {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		panic("secret: " + err.Error())
	}
	digits := n.String()
	return Hide(strings.Repeat("0", codeLength-len(digits)) + digits)
}

func validName(s string) bool {
	if s == "" || len(s) > maxNameLength {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func isBase62(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// checksum covers the name too: a key pasted with another kind is mistyped.
func checksum(s string) string {
	out := checksumDigits(s)
	return string(out[:])
}

func checksumMatches(s, sum string) bool {
	out := checksumDigits(s)
	return string(out[:]) == sum
}

// checksumDigits is the CRC32 (IEEE) of s in base62.
func checksumDigits(s string) (out [checksumLength]byte) {
	// The bytes of s itself, which are only read: a copy would be allocated at
	// every check.
	sum := crc32.ChecksumIEEE(unsafe.Slice(unsafe.StringData(s), len(s)))
	for i := checksumLength - 1; i >= 0; i-- {
		out[i] = alphabet[sum%62]
		sum /= 62
	}
	return out
}

// base62 writes the big-endian number raw in length characters.
func base62(raw []byte, length int) string {
	n, digit, base := new(big.Int).SetBytes(raw), new(big.Int), big.NewInt(int64(len(alphabet)))
	out := make([]byte, length)
	for i := length - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = alphabet[digit.Int64()]
	}
	return string(out)
}

// randomBytes reads n bytes; without them nothing safe can be done.
func randomBytes(random io.Reader, n int) []byte {
	if random == nil {
		random = rand.Reader
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(random, raw); err != nil {
		panic("secret: no random bytes: " + err.Error())
	}
	return raw
}
