package web

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/guildhall/guildhall/op"
)

// ServeFile answers with a stored file as something to save, whole or in parts (RFC 9110, sections 13 and 14): no browser
// shows it. An error means that the answer has not begun.
func ServeFile(w http.ResponseWriter, r *http.Request, f *op.File) error {
	if err := probe(r.Context(), f); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", f.MediaType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("ETag", `"`+hex.EncodeToString(f.SHA256)+`"`)
	h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(f.SHA256)+":")
	stored := &parts{ctx: r.Context(), file: f}
	defer stored.Close()
	http.ServeContent(w, r, "", f.ModifiedAt, &paced{Reader: Patient(w, stored), parts: stored})
	return nil
}

// probe opens a file for a moment: what is not there is told before the answer begins.
func probe(ctx context.Context, f *op.File) error {
	body, err := f.Open(ctx, 0, 0)
	if err != nil {
		return err
	}
	return body.Close()
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
