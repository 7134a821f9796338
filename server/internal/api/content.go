package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/web"
)

// readContent describes a body that is a stream of bytes. None of it is read yet.
func readContent(w http.ResponseWriter, r *http.Request) (*op.Content, *op.Error) {
	if r.Header.Get("Content-Encoding") != "" {
		return nil, op.Errorf(op.WrongMediaType, "", "send the file itself, without Content-Encoding")
	}
	sum, err := readDigest(r.Header)
	if err != nil {
		return nil, err
	}
	return &op.Content{Body: web.Upload(w, r), MediaType: r.Header.Get("Content-Type"), Size: r.ContentLength, SHA256: sum}, nil
}

// readDigest reads the SHA-256 that a sender gives: Content-Digest or Repr-Digest (RFC 9530), which are the same without
// an encoding, or Digest (RFC 3230), which they replaced. Other algorithms are not looked at, as section 2 has it.
func readDigest(h http.Header) ([]byte, *op.Error) {
	for _, name := range []string{"Content-Digest", "Repr-Digest", "Digest"} {
		for _, value := range h.Values(name) {
			for item := range strings.SplitSeq(value, ",") {
				algorithm, sum, _ := strings.Cut(strings.TrimSpace(item), "=")
				if !strings.EqualFold(algorithm, "sha-256") {
					continue
				}
				raw, err := base64.StdEncoding.DecodeString(digestBytes(name, sum))
				if err != nil || len(raw) != 32 {
					return nil, op.Errorf(op.Malformed, "invalid_digest", "%s has no SHA-256 in base64, as in sha-256=:...:", name)
				}
				return raw, nil
			}
		}
	}
	return nil, nil
}

// digestBytes takes the colons off that a byte sequence has in a structured field (RFC 9651, section 3.3.5).
func digestBytes(header, sum string) string {
	if header == "Digest" {
		return sum
	}
	if inner, ok := strings.CutPrefix(sum, ":"); ok && strings.HasSuffix(inner, ":") {
		return strings.TrimSuffix(inner, ":")
	}
	return "?"
}

// file serves a stored file, whole or in parts (RFC 9110, sections 13 and 14). A browser saves it and never shows it.
func (a *api) file(w http.ResponseWriter, r *http.Request, f *op.File) {
	if err := probe(r.Context(), f); err != nil {
		a.log.LogAttrs(r.Context(), slog.LevelError, "stored file", slog.String("request_id", web.RequestID(r)), slog.Any("error", err))
		web.Problem(w, r, op.AsError(err))
		return
	}
	ServeFile(w, r, f)
}

// probe opens a file for a moment: what is not there is told before the answer begins.
func probe(ctx context.Context, f *op.File) error {
	body, err := f.Open(ctx, 0, 0)
	if err != nil {
		return err
	}
	return body.Close()
}

// ServeFile answers with a stored file as something to save.
func ServeFile(w http.ResponseWriter, r *http.Request, f *op.File) {
	h := w.Header()
	h.Set("Content-Type", f.MediaType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("ETag", `"`+hex.EncodeToString(f.SHA256)+`"`)
	h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(f.SHA256)+":")
	stored := &parts{ctx: r.Context(), file: f}
	defer stored.Close()
	http.ServeContent(w, r, "", f.ModifiedAt, &paced{Reader: web.Patient(w, stored), parts: stored})
}

// paced reads a file as fast as somebody takes it.
type paced struct {
	io.Reader
	parts *parts
}

// Seek goes to an offset.
func (p *paced) Seek(offset int64, whence int) (int64, error) { return p.parts.Seek(offset, whence) }

// parts reads a stored file from wherever it was asked to. Nothing is opened before something is read.
type parts struct {
	ctx  context.Context
	file *op.File
	at   int64
	body io.ReadCloser
}

// Seek goes to an offset.
func (p *parts) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.at
	case io.SeekEnd:
		offset += p.file.Size
	}
	if offset < 0 {
		return 0, errors.New("before the beginning")
	}
	if offset != p.at {
		p.Close()
	}
	p.at = offset
	return offset, nil
}

// Read reads on from there.
func (p *parts) Read(b []byte) (int, error) {
	if p.at >= p.file.Size {
		return 0, io.EOF
	}
	if p.body == nil {
		var err error
		if p.body, err = p.file.Open(p.ctx, p.at, -1); err != nil {
			return 0, err
		}
	}
	n, err := p.body.Read(b)
	p.at += int64(n)
	return n, err
}

// Close ends what was opened.
func (p *parts) Close() {
	if p.body != nil {
		_ = p.body.Close()
		p.body = nil
	}
}
