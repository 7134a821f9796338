package api

import (
	"encoding/base64"
	"log/slog"
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

// file serves a stored file, whole or in parts. A browser saves it and never shows it.
func (a *api) file(w http.ResponseWriter, r *http.Request, f *op.File) {
	if err := web.ServeFile(w, r, f); err != nil {
		a.log.LogAttrs(r.Context(), web.Severity(r.Context()), "stored file", slog.String("request_id", web.RequestID(r)), slog.Any("error", err))
		web.Problem(w, r, op.AsError(err))
	}
}
