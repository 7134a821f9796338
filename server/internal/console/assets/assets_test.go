package assets_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"github.com/guildhall/guildhall/server/internal/console/assets"
)

// fetch asks the handler under base for path, with a header if one is named.
func fetch(t *testing.T, base, method, path, encoding string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	assets.Handler(base).ServeHTTP(w, r)
	return w.Result()
}

// body returns the plain bytes of a file as it is served.
func body(t *testing.T, name string) []byte {
	t.Helper()
	got, err := io.ReadAll(fetch(t, "", "GET", assets.Path(name), "").Body)
	if err != nil || len(got) == 0 {
		t.Fatalf("%s: %d bytes, %v", name, len(got), err)
	}
	return got
}

// read returns a source file.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestHandlerServesHashedNamesForEver(t *testing.T) {
	sheet := assets.Path("app.css")
	for _, c := range []struct {
		what, base, method, path string
		status                   int
		cache, kind              string
	}{
		{"the style sheet", "", "GET", sheet, 200, "public, max-age=31536000, immutable", "text/css; charset=utf-8"},
		{"a script", "", "GET", assets.Path("htmx.min.js"), 200, "public, max-age=31536000, immutable", "text/javascript; charset=utf-8"},
		{"the icon", "", "GET", assets.Path("favicon.svg"), 200, "public, max-age=31536000, immutable", "image/svg+xml"},
		{"a base path", "/console/", "GET", "/console" + sheet, 200, "public, max-age=31536000, immutable", "text/css; charset=utf-8"},
		{"a head request", "", "HEAD", sheet, 200, "public, max-age=31536000, immutable", "text/css; charset=utf-8"},
		{"a path outside the base", "/console", "GET", sheet, 404, "no-store", "text/plain; charset=utf-8"},
		{"a name without a hash", "", "GET", "/assets/app.css", 404, "no-store", "text/plain; charset=utf-8"},
		{"a stale hash", "", "GET", "/assets/app.000000000000.css", 404, "no-store", "text/plain; charset=utf-8"},
		{"the folder", "", "GET", "/assets/", 404, "no-store", "text/plain; charset=utf-8"},
		{"a post", "", "POST", sheet, 405, "", "text/plain; charset=utf-8"},
	} {
		got := fetch(t, c.base, c.method, c.path, "gzip")
		if got.StatusCode != c.status || got.Header.Get("Cache-Control") != c.cache || got.Header.Get("Content-Type") != c.kind {
			t.Errorf("%s: got %d, %q, %q, want %d, %q, %q", c.what,
				got.StatusCode, got.Header.Get("Cache-Control"), got.Header.Get("Content-Type"), c.status, c.cache, c.kind)
		}
	}
}

func TestHandlerCompressesForThoseWhoAccept(t *testing.T) {
	for _, c := range []struct {
		accept string
		packed bool
	}{
		{"gzip, deflate, br, zstd", true},
		{"br;q=0.1", true},
		{"br;q=0", false},
		{"br; q=0.0", false},
		{"gzip", false},
		{"", false},
	} {
		answer := fetch(t, "", "GET", assets.Path("app.css"), c.accept)
		if got := answer.Header.Get("Content-Encoding") == "br"; got != c.packed {
			t.Errorf("accepting %q: packed %v, want %v", c.accept, got, c.packed)
		}
		if !c.packed {
			continue
		}
		got, err := io.ReadAll(brotli.NewReader(answer.Body))
		if err != nil || !bytes.Equal(got, body(t, "app.css")) {
			t.Errorf("accepting %q: unpacks to %d other bytes, %v", c.accept, len(got), err)
		}
	}
}

func TestPathPanicsOnAnUnknownName(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Path of a file that is not there returned")
		}
	}()
	assets.Path("missing.css")
}

func TestBudgets(t *testing.T) {
	packed := func(names ...string) (size int) {
		for _, name := range names {
			answer := fetch(t, "", "GET", assets.Path(name), "br")
			got, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			size += len(got)
		}
		return size
	}
	for _, c := range []struct {
		what  string
		files []string
		limit int
	}{
		{"the style sheet", []string{"app.css"}, 10 << 10},
		{"our own script", []string{"app.js"}, 6 << 10},
		{"all scripts of a page", []string{"htmx.min.js", "hx-sse.min.js", "hx-csp.min.js", "app.js"}, 25 << 10},
	} {
		if got := packed(c.files...); got > c.limit {
			t.Errorf("%s: %d bytes of brotli, want at most %d", c.what, got, c.limit)
		}
	}
}

func TestVendoredFilesAreTheListedOnes(t *testing.T) {
	var list []struct {
		Name, Version, Licence, Source string
		LicenceFile                    string `json:"licence_file"`
		Files                          map[string]string
	}
	if err := json.Unmarshal([]byte(read(t, "vendor/vendor.json")), &list); err != nil {
		t.Fatal(err)
	}
	listed := []string{"vendor.json"}
	for _, v := range list {
		if v.Name == "" || v.Version == "" || v.Licence == "" || v.Source == "" || v.Files[v.LicenceFile] == "" {
			t.Errorf("%s: name, version, licence, source and licence file are needed, got %+v", v.Name, v)
		}
		for name, want := range v.Files {
			listed = append(listed, name)
			sum := sha256.Sum256([]byte(read(t, "vendor/"+name)))
			if got := hex.EncodeToString(sum[:]); got != want {
				t.Errorf("%s: SHA-256 is %s, the list says %s", name, got, want)
			}
		}
	}
	entries, err := os.ReadDir("vendor")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(listed, e.Name()) {
			t.Errorf("vendor/%s is not in the list", e.Name())
		}
	}
}

// parts returns the style sheet's source files without comments.
func parts(t *testing.T) map[string]string {
	t.Helper()
	comment := regexp.MustCompile(`(?s)/\*.*?\*/`)
	found := map[string]string{}
	err := filepath.WalkDir("css", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			found[name] = comment.ReplaceAllString(read(t, name), "")
		}
		return err
	})
	if err != nil || len(found) < 10 {
		t.Fatalf("%d parts, %v", len(found), err)
	}
	return found
}

func TestStyleSheetKeepsItsRules(t *testing.T) {
	forbidden := []struct {
		what    string
		pattern *regexp.Regexp
	}{
		{"a physical side", regexp.MustCompile(`(?m)[\s;{](margin|padding|border|inset)-(left|right|top|bottom)\b`)},
		{"a physical position", regexp.MustCompile(`(?m)[\s;{](left|right|top|bottom|width|height|min-width|max-width|min-height|max-height)\s*:`)},
		{"text aligned to a physical side", regexp.MustCompile(`text-align:\s*(left|right)`)},
		{"something loaded from elsewhere", regexp.MustCompile(`@import|url\(`)},
		{"a comment mark in a string", regexp.MustCompile(`"[^"\n]*(/\*|\*/)[^"\n]*"`)},
	}
	for name, text := range parts(t) {
		for _, f := range forbidden {
			if hit := f.pattern.FindString(text); hit != "" {
				t.Errorf("%s has %s: %q", name, f.what, hit)
			}
		}
		if !strings.HasPrefix(strings.TrimSpace(text), "@layer") {
			t.Errorf("%s begins outside of a layer", name)
		}
		if strings.Count(text, "{") != strings.Count(text, "}") {
			t.Errorf("%s: braces do not match", name)
		}
	}
}

func TestFourSidedShorthandsAreSymmetric(t *testing.T) {
	shorthand := regexp.MustCompile(`(?:margin|padding|inset):\s*([^;}]+)`)
	variable := regexp.MustCompile(`var\(([^()]*)\)`)
	sum := regexp.MustCompile(`(calc|max|min)\([^()]*\)`)
	for name, text := range parts(t) {
		for _, hit := range shorthand.FindAllStringSubmatch(text, -1) {
			plain := sum.ReplaceAllString(variable.ReplaceAllString(hit[1], "$1"), "$1")
			if sides := strings.Fields(plain); len(sides) == 4 && sides[1] != sides[3] {
				t.Errorf("%s: %q differs between start and end, so it must be logical", name, hit[0])
			}
		}
	}
}

func TestMovementAsksForPermission(t *testing.T) {
	for name, text := range parts(t) {
		before, _, _ := strings.Cut(text, "@media (prefers-reduced-motion: no-preference)")
		if strings.Contains(before, "transition:") || strings.Contains(text, "animation:") {
			t.Errorf("%s moves without asking", name)
		}
		for _, ms := range regexp.MustCompile(`\b(\d+)ms\b`).FindAllStringSubmatch(text, -1) {
			if ms[1] != "120" {
				t.Errorf("%s: a transition of %s, want 120ms", name, ms[0])
			}
		}
	}
}

func TestFocusRingIsNeverRemoved(t *testing.T) {
	for name, text := range parts(t) {
		text = strings.Replace(text, "main:focus { outline: 0; }", "", 1)
		if regexp.MustCompile(`outline:\s*(0|none)`).MatchString(text) {
			t.Errorf("%s removes the focus ring", name)
		}
	}
}

func TestScriptEvaluatesNothing(t *testing.T) {
	script := string(body(t, "app.js"))
	for _, word := range []string{"eval(", "new Function", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", ".style", "import(", "http://", "https://"} {
		if strings.Contains(script, word) {
			t.Errorf("app.js has %q", word)
		}
	}
}
