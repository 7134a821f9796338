package web

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/op"
)

// ReadBody reads a whole body of JSON: at most op.MaxBody bytes, with the content type application/json or one of those
// that are given beside it. No body is no error.
func ReadBody(w http.ResponseWriter, r *http.Request, beside ...string) ([]byte, *op.Error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil
	}
	if !isJSON(r.Header.Values("Content-Type"), beside) {
		return nil, &op.Error{Kind: op.WrongMediaType, Text: "a body has to be Content-Type: " + strings.Join(append([]string{"application/json"}, beside...), " or ")}
	}
	return readAll(http.MaxBytesReader(w, r.Body, op.MaxBody))
}

func readAll(body io.Reader) ([]byte, *op.Error) {
	raw, err := io.ReadAll(body)
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return nil, &op.Error{Kind: op.TooLarge, Text: fmt.Sprintf("the body has more than %d bytes", limit.Limit)}
	case err != nil:
		return nil, &op.Error{Kind: op.Malformed, Text: "the body ended early"}
	}
	return raw, nil
}

// isJSON accepts application/json in UTF-8, and what is given beside it, said once.
func isJSON(contentTypes, beside []string) bool {
	if len(contentTypes) != 1 {
		return false
	}
	if contentTypes[0] == "application/json" {
		return true
	}
	kind, parameters, err := mime.ParseMediaType(contentTypes[0])
	charset, said := parameters["charset"]
	return err == nil && (kind == "application/json" || slices.Contains(beside, kind)) && (!said || strings.EqualFold(charset, "utf-8"))
}
