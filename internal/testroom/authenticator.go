package testroom

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// Authenticator is a device with one passkey, as a browser at an origin uses it. Its fields are what it says of itself.
type Authenticator struct {
	T      testing.TB
	Origin string
	ID     []byte
	Handle []byte // of the user whose passkey it is
	Flags  byte   // beside the user's presence
	Count  uint32 // goes up with each use
	key    *ecdsa.PrivateKey
}

// Flags of authenticator data.
const (
	UserVerified   = 0x04
	BackupEligible = 0x08
	BackedUp       = 0x10
)

// NewAuthenticator makes a device that verifies its user, for a browser at an origin.
func NewAuthenticator(t testing.TB, origin string) *Authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Authenticator{T: t, Origin: origin, ID: []byte(rand.Text()), Flags: UserVerified, key: key}
}

var b64 = base64.RawURLEncoding

// asked is what an authenticator reads of a browser's options.
type asked struct {
	Challenge string `json:"challenge"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	RPID string `json:"rpId"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
}

func (a *Authenticator) read(options string) (o asked) {
	a.T.Helper()
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		a.T.Fatalf("options %s: %v", options, err)
	}
	return o
}

// Creates answers the options of a new passkey.
func (a *Authenticator) Creates(options string) string {
	a.T.Helper()
	o := a.read(options)
	a.Handle, _ = b64.DecodeString(o.User.ID)
	point, err := a.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		a.T.Fatal(err)
	}
	data := a.data(o.RP.ID, 0x40)
	data = append(data, make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.ID)))
	data = append(data, a.ID...)
	// COSE: {1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x, -3: y}
	data = append(data, 0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 32)
	data = append(data, point[1:33]...)
	data = append(data, 0x22, 0x58, 32)
	data = append(data, point[33:]...)
	object := slices.Concat([]byte{0xa3, 0x63}, []byte("fmt"), []byte{0x64}, []byte("none"), []byte{0x67}, []byte("attStmt"), []byte{0xa0, 0x68},
		[]byte("authData"), []byte{0x59, byte(len(data) >> 8), byte(len(data))}, data)
	return a.answer(map[string]any{"clientDataJSON": b64.EncodeToString(a.client("webauthn.create", o.Challenge)),
		"attestationObject": b64.EncodeToString(object), "transports": []string{"internal"}})
}

// Signs answers the options of a sign-in or a verification.
func (a *Authenticator) Signs(options string) string {
	a.T.Helper()
	o := a.read(options)
	a.Count++
	data, client := a.data(o.RPID, 0), a.client("webauthn.get", o.Challenge)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(slices.Clone(data), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		a.T.Fatal(err)
	}
	return a.answer(map[string]any{"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data),
		"signature": b64.EncodeToString(signature), "userHandle": b64.EncodeToString(a.Handle)})
}

func (a *Authenticator) client(kind, challenge string) []byte {
	raw, err := json.Marshal(map[string]any{"type": kind, "challenge": strings.TrimRight(challenge, "="), "origin": a.Origin, "crossOrigin": false})
	if err != nil {
		a.T.Fatal(err)
	}
	return raw
}

func (a *Authenticator) data(party string, flags byte) []byte {
	hash := sha256.Sum256([]byte(party))
	return binary.BigEndian.AppendUint32(append(hash[:], 0x01|a.Flags|flags), a.Count)
}

func (a *Authenticator) answer(response map[string]any) string {
	id := b64.EncodeToString(a.ID)
	raw, err := json.Marshal(map[string]any{"id": id, "rawId": id, "type": "public-key", "response": response,
		"clientExtensionResults": map[string]any{"credProps": map[string]any{"rk": true}}, "authenticatorAttachment": "platform"})
	if err != nil {
		a.T.Fatal(err)
	}
	return string(raw)
}
