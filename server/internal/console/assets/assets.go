// Package assets holds the console's static files: one style sheet, one
// script of our own, the vendored scripts and the icon of the browser tab.
//
// A file is served under a name that carries a hash of its contents, so it may
// be kept for ever by every cache. Nothing is built outside of Go: the style
// sheet is joined from its parts when the process starts.
package assets

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
)

//go:embed css js vendor/*.js favicon.svg
var files embed.FS

// prefix is the path, after the console's base path, that the files stand under.
const prefix = "/assets/"

// asset is one file as it is served.
type asset struct {
	hashed string
	kind   string
	plain  []byte
	// packed compresses on first use and keeps the result.
	packed func() []byte
}

// byName finds an asset by its plain name, such as "app.css"; byHash by the
// name it is served under, such as "app.3f2a9c1b04d7.css".
var byName, byHash = load()

// Path is where a file is served, to be put after the console's base path:
// Path("app.css") is "/assets/app.3f2a9c1b04d7.css". It panics if there is no
// such file, since the names are written in templates.
func Path(name string) string {
	a, ok := byName[name]
	if !ok {
		panic("assets: there is no " + name)
	}
	return prefix + a.hashed
}

// Handler serves the files under base + "/assets/". It answers only to the
// hashed names that Path gives, compressed with brotli for clients that accept
// it.
func Handler(base string) http.Handler {
	root := strings.TrimSuffix(base, "/") + prefix
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		name, under := strings.CutPrefix(r.URL.Path, root)
		a, known := byHash[name]
		if !under || !known {
			w.Header().Set("Cache-Control", "no-store")
			http.NotFound(w, r)
			return
		}
		a.serve(w, r)
	})
}

// serve writes the file with headers that let every cache keep it.
func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept-Encoding")
	body := a.plain
	if acceptsBrotli(r) {
		h.Set("Content-Encoding", "br")
		body = a.packed()
	}
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // the client has gone; there is nobody to tell
}

// acceptsBrotli reports whether the request names br without refusing it.
func acceptsBrotli(r *http.Request) bool {
	for _, offer := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, _ := strings.Cut(offer, ";")
		if strings.TrimSpace(coding) == "br" {
			return strings.Trim(weight, " 0.") != "q="
		}
	}
	return false
}

// load reads the embedded files and indexes them by both their names.
func load() (named, hashed map[string]*asset) {
	named, hashed = map[string]*asset{}, map[string]*asset{}
	add := func(name string, body []byte) {
		a := newAsset(name, body)
		named[name], hashed[a.hashed] = a, a
	}
	add("app.css", squeeze(styleSheet()))
	for _, pattern := range []string{"js/*.js", "vendor/*.js", "favicon.svg"} {
		names, err := fs.Glob(files, pattern)
		if err != nil {
			panic(err)
		}
		for _, name := range names {
			add(path.Base(name), read(name))
		}
	}
	return named, hashed
}

// newAsset names a file by the first 48 bits of its SHA-256.
func newAsset(name string, body []byte) *asset {
	sum := sha256.Sum256(body)
	ext := path.Ext(name)
	return &asset{
		hashed: strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext,
		kind:   contentType(ext),
		plain:  body,
		packed: sync.OnceValue(func() []byte { return pack(body) }),
	}
}

// contentType does not ask the machine's mime tables, which differ.
func contentType(ext string) string {
	switch ext {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	panic("assets: no content type for " + ext)
}

// pack compresses with brotli at its best level.
func pack(body []byte) []byte {
	var out bytes.Buffer
	w := brotli.NewWriterLevel(&out, brotli.BestCompression)
	_, _ = w.Write(body) // a bytes.Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// styleSheet joins the parts. layers.css comes first, because the first
// mention of a layer decides its rank; after it the order of files is of no
// consequence, since every other file puts its rules in a layer.
func styleSheet() []byte {
	sheet := read("css/layers.css")
	err := fs.WalkDir(files, "css", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == "css/layers.css" {
			return err
		}
		sheet = append(sheet, read(name)...)
		return nil
	})
	if err != nil {
		panic(err)
	}
	return sheet
}

// squeeze drops comments, indentation and empty lines. It knows no strings
// with comment marks in them; a test keeps those out of the style sheet.
func squeeze(css []byte) []byte {
	text := string(css)
	for {
		before, rest, found := strings.Cut(text, "/*")
		if !found {
			break
		}
		_, after, _ := strings.Cut(rest, "*/")
		text = before + after
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out.WriteString(line + "\n")
		}
	}
	return []byte(out.String())
}

// read returns an embedded file, which is there or the program does not build.
func read(name string) []byte {
	body, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return body
}
