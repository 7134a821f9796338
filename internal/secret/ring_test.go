package secret_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/guildhall/guildhall/internal/secret"
)

func openRing(t *testing.T, path string) *secret.Ring {
	t.Helper()
	r, err := secret.OpenRing(path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestASealedTextOpensForItsPurposeOnly(t *testing.T) {
	ring := secret.NewRing()
	for _, plain := range []string{"", "a", strings.Repeat("long ", 1000)} {
		sealed := ring.Seal("totp", []byte(plain))
		got, err := ring.Open("totp", sealed)
		if err != nil || string(got) != plain {
			t.Errorf("Open(Seal(%.10q)) = %.10q, %v", plain, got, err)
		}
		if _, err := ring.Open("webhook", sealed); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("it opens for another purpose: %v", err)
		}
		if _, err := secret.NewRing().Open("totp", sealed); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("it opens with another ring: %v", err)
		}
	}
	if bytes.Equal(ring.Seal("totp", []byte("a")), ring.Seal("totp", []byte("a"))) {
		t.Error("sealing twice gives the same bytes")
	}
}

func TestASealedTextThatWasChangedDoesNotOpen(t *testing.T) {
	ring := secret.NewRing()
	sealed := ring.Seal("totp", []byte("plain"))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := ring.Open("totp", changed); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("with byte %d changed, Open = %v", i, err)
		}
		if _, err := ring.Open("totp", sealed[:i]); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("cut to %d bytes, Open = %v", i, err)
		}
	}
}

func TestMACBindsPurposeAndParts(t *testing.T) {
	ring := secret.NewRing()
	part := func(s string) []byte { return []byte(s) }
	mac := ring.MAC("cursor", part("ab"), part("c"))
	if !ring.Verify(mac, "cursor", part("ab"), part("c")) {
		t.Error("Verify refuses what MAC made")
	}
	for name, verified := range map[string]bool{
		"another purpose":           ring.Verify(mac, "server", part("ab"), part("c")),
		"parts cut elsewhere":       ring.Verify(mac, "cursor", part("a"), part("bc")),
		"parts joined":              ring.Verify(mac, "cursor", part("abc")),
		"an empty part more":        ring.Verify(mac, "cursor", part("ab"), part("c"), nil),
		"no part":                   ring.Verify(mac, "cursor"),
		"a MAC cut short":           ring.Verify(mac[:len(mac)-1], "cursor", part("ab"), part("c")),
		"no MAC":                    ring.Verify(nil, "cursor", part("ab"), part("c")),
		"another ring":              secret.NewRing().Verify(mac, "cursor", part("ab"), part("c")),
		"a MAC with a bit changed":  ring.Verify(append(bytes.Clone(mac[:35]), mac[35]^1), "cursor", part("ab"), part("c")),
		"a MAC of another key's id": ring.Verify(append([]byte{0, 0, 0, 9}, mac[4:]...), "cursor", part("ab"), part("c")),
	} {
		if verified {
			t.Errorf("Verify accepts %s", name)
		}
	}
}

func TestTheSecretFileIsMadeOnceAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	first := openRing(t, path)
	sealed, mac := first.Seal("p", []byte("x")), first.MAC("p", []byte("x"))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %o, want 600", got)
	}
	again := openRing(t, path)
	if got, err := again.Open("p", sealed); err != nil || string(got) != "x" || !again.Verify(mac, "p", []byte("x")) {
		t.Errorf("after a restart, Open = %q, %v", got, err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("files beside it: %v, %v", files, err)
	}
}

func TestProcessesThatStartAtOnceShareOneSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	rings := make([]*secret.Ring, 8)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() { rings[i], _ = secret.OpenRing(path) })
	}
	wg.Wait()
	sealed := openRing(t, path).Seal("p", []byte("x"))
	for i, r := range rings {
		if r == nil {
			t.Fatalf("process %d has no secret", i)
		}
		if _, err := r.Open("p", sealed); err != nil {
			t.Errorf("process %d has another secret: %v", i, err)
		}
	}
}

func TestRotationKeepsWhatOlderKeysSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	ring := openRing(t, path)
	sealed, mac, derived := ring.Seal("p", []byte("x")), ring.MAC("p"), ring.Derive("sign")
	if err := ring.Rotate(); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*secret.Ring{"the same process": ring, "the next one": openRing(t, path)} {
		if _, err := r.Open("p", sealed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !r.Verify(mac, "p") {
			t.Errorf("%s refuses an older MAC", name)
		}
		if !bytes.Equal(r.Derive("sign"), derived) {
			t.Errorf("%s derives another key", name)
		}
		if bytes.Equal(r.MAC("p"), mac) {
			t.Errorf("%s still uses the older key", name)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("after rotation: %v, %v", info.Mode(), err)
	}
}

func TestASecretFileThatOthersReadIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o604, 0o640, 0o602, 0o644} {
		path := filepath.Join(t.TempDir(), "secret")
		openRing(t, path)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := secret.OpenRing(path)
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %o: OpenRing = %v, want an error that says what to do", mode, err)
		}
	}
}

func TestABrokenSecretFileIsRefusedWithoutShowingIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	openRing(t, path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key := strings.Fields(strings.Split(string(text), "\n")[1])[1]
	for name, content := range map[string]string{
		"nothing":         "",
		"a comment alone": "# nothing\n",
		"half a key":      "1 " + key[:20] + "\n",
		"no number":       key + "\n",
		"not base64":      "1 " + key[:42] + "!\n",
		"an older first":  "1 " + key + "\n2 " + key + "\n",
		"a number twice":  "1 " + key + "\n1 " + key + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := secret.OpenRing(path)
			if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), key[:20]) {
				t.Errorf("OpenRing = %v, want an error with the file's name and without its content", err)
			}
		})
	}
}

func TestOpenRingRefusesAFolder(t *testing.T) {
	if _, err := secret.OpenRing(t.TempDir()); err == nil {
		t.Error("a folder is taken for a secret file")
	}
	if _, err := secret.OpenRing(filepath.Join(t.TempDir(), "none", "secret")); err == nil {
		t.Error("a secret file is made in a folder that does not exist")
	}
}
