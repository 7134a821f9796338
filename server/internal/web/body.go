package web

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/guildhall/guildhall/op"
)

// ReadBody reads a whole body of JSON: at most op.MaxBody bytes, with the content type application/json. No body is no error.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, *op.Error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil
	}
	if !isJSON(r.Header.Values("Content-Type")) {
		return nil, &op.Error{Kind: op.WrongMediaType, Text: "a body has to be Content-Type: application/json"}
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

// isJSON accepts application/json in UTF-8, said once.
func isJSON(contentTypes []string) bool {
	if len(contentTypes) != 1 {
		return false
	}
	kind, parameters, err := mime.ParseMediaType(contentTypes[0])
	charset, said := parameters["charset"]
	return err == nil && kind == "application/json" && (!said || strings.EqualFold(charset, "utf-8"))
}
