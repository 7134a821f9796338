package secret

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

const (
	keySize    = 32
	fileHeader = "# Guildhall instance secret: keep it, keep it private, keep it out of backups of the database."
	sealFormat = 1 // first byte of everything sealed
	headerSize = 1 + 4
)

// ErrSealed says that something sealed was changed, was sealed for another
// purpose, or by a key that is no longer in the ring.
var ErrSealed = errors.New("sealed data does not open: changed, for another purpose, or its key is gone from the secret file")

// key is one secret of the ring. Its id stands in what it sealed.
type key struct {
	id     uint32
	secret []byte
}

// Ring is the instance's secret: one or more keys, of which the newest seals
// and authenticates, and the older ones still open and verify. It is safe for
// concurrent use.
type Ring struct {
	path string // "" when it is kept in memory only

	mu   sync.RWMutex
	keys []key // newest first, never empty
}

// NewRing makes a ring with one new key that is stored nowhere, for tests and
// for what need not outlive the process.
func NewRing() *Ring { return &Ring{keys: []key{newKey(1)}} }

// OpenRing reads the secret file at path, or makes one with a new key, mode
// 0600, when there is none. A file that others than its owner may read or
// write is refused. Several processes may make it at once: one wins, and the
// others read what it made.
func OpenRing(path string) (*Ring, error) {
	r, err := readRing(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	r = &Ring{path: path, keys: []key{newKey(1)}}
	switch err := r.create(); {
	case errors.Is(err, fs.ErrExist):
		return readRing(path)
	case err != nil:
		return nil, fmt.Errorf("secret file: %w", err)
	}
	return r, nil
}

// Rotate adds a new key, which seals and authenticates from now on; what the
// older ones sealed still opens. Other processes see it when they start again.
func (r *Ring) Rotate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	older := r.keys
	r.keys = append([]key{newKey(older[0].id + 1)}, older...)
	if r.path == "" {
		return nil
	}
	if err := r.replace(); err != nil {
		r.keys = older
		return fmt.Errorf("secret file: %w", err)
	}
	return nil
}

// Seal encrypts plain so that only Open with the same purpose reads it, and
// notices any change. The purpose is a constant of the program, such as
// "webhook-secret", never data.
func (r *Ring) Seal(purpose string, plain []byte) []byte {
	k := r.newest()
	header := binary.BigEndian.AppendUint32([]byte{sealFormat}, k.id)
	return k.aead(purpose).Seal(header, nil, plain, header)
}

// Open returns what Seal was given, or ErrSealed.
func (r *Ring) Open(purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < headerSize || sealed[0] != sealFormat {
		return nil, ErrSealed
	}
	header := sealed[:headerSize]
	k, ok := r.find(binary.BigEndian.Uint32(header[1:]))
	if !ok {
		return nil, ErrSealed
	}
	plain, err := k.aead(purpose).Open(nil, nil, sealed[headerSize:], header)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// MAC authenticates parts for a purpose. Each part is bound with its length,
// so that ("ab", "c") and ("a", "bc") differ.
func (r *Ring) MAC(purpose string, parts ...[]byte) []byte {
	k := r.newest()
	return k.mac(purpose, parts)
}

// Verify reports whether mac is what MAC returned for the same purpose and
// parts, with this key or an older one.
func (r *Ring) Verify(mac []byte, purpose string, parts ...[]byte) bool {
	if len(mac) != headerSize-1+sha256.Size {
		return false
	}
	k, ok := r.find(binary.BigEndian.Uint32(mac))
	return ok && hmac.Equal(mac, k.mac(purpose, parts))
}

// Derive returns 32 bytes for a purpose that needs a key of its own, such as
// the seed of a signing key, of the oldest key of the ring: they stay the same
// when the ring is rotated.
func (r *Ring) Derive(purpose string) []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys[len(r.keys)-1].derive("derive", purpose)
}

func (r *Ring) newest() key {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys[0]
}

func (r *Ring) find(id uint32) (key, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.keys {
		if k.id == id {
			return k, true
		}
	}
	return key{}, false
}

func newKey(id uint32) key {
	k := key{id: id, secret: make([]byte, keySize)}
	rand.Read(k.secret) // never fails: crypto/rand ends the process instead
	return k
}

// derive gives each use and purpose a key of its own (HKDF, RFC 5869).
func (k key) derive(use, purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, k.secret, nil, "guildhall/"+use+"/"+purpose, keySize)
	if err != nil {
		panic("secret: " + err.Error()) // only for lengths over 8 kB
	}
	return derived
}

// aead is AES-256-GCM that puts a random nonce before what it seals. The key
// of each purpose may seal 2^32 texts before a nonce is likely to repeat.
func (k key) aead(purpose string) cipher.AEAD {
	block, err := aes.NewCipher(k.derive("seal", purpose))
	if err != nil {
		panic("secret: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("secret: " + err.Error())
	}
	return aead
}

// mac is the key's id and the HMAC-SHA256 of the parts.
func (k key) mac(purpose string, parts [][]byte) []byte {
	h := hmac.New(sha256.New, k.derive("mac", purpose))
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return h.Sum(binary.BigEndian.AppendUint32(nil, k.id))
}

// readRing reads the file; its error is fs.ErrNotExist where there is none.
func readRing(path string) (*Ring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("secret file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("secret file %s: not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("secret file %s: mode %04o lets others read or write it: run chmod 600 %s", path, mode, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("secret file: %w", err)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("secret file %s: %w", path, err)
	}
	return &Ring{path: path, keys: keys}, nil
}

// parseKeys reads lines of "id base64", newest first. Its errors do not show
// the lines.
func parseKeys(text []byte) ([]key, error) {
	var keys []key
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := parseKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if len(keys) > 0 && k.id >= keys[len(keys)-1].id {
			return nil, fmt.Errorf("line %d: key %d stands after an older one: newest first", n, k.id)
		}
		keys = append(keys, k)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it")
	}
	return keys, nil
}

func parseKey(line string) (key, error) {
	number, encoded, _ := strings.Cut(line, " ")
	id, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return key{}, errors.New("want a key number, a space and the key")
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(raw) != keySize {
		return key{}, fmt.Errorf("key %d is not %d bytes in base64", id, keySize)
	}
	return key{id: uint32(id), secret: raw}, nil
}

func (r *Ring) text() []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, fileHeader)
	for _, k := range r.keys {
		fmt.Fprintf(&b, "%d %s\n", k.id, base64.RawURLEncoding.EncodeToString(k.secret))
	}
	return b.Bytes()
}

// create makes the file whole or not at all, and never over another one: the
// link fails with fs.ErrExist where a file stands.
func (r *Ring) create() error {
	return r.write(os.Link)
}

// replace puts the new file in the old one's place in one step.
func (r *Ring) replace() error {
	return r.write(os.Rename)
}

// write puts the ring's text on the disk under another name, then in place.
func (r *Ring) write(place func(from, to string) error) error {
	dir := filepath.Dir(r.path)
	f, err := os.CreateTemp(dir, ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(r.text())
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), r.path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in dir survive a power loss.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
