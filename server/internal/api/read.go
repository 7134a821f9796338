package api

import (
	"net/http"
	"net/url"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/web"
)

const maxIdempotencyKey = 255

// read makes a request of HTTP into one of an operation. What it says is checked by the operation's pipeline; here only
// what HTTP itself can say wrongly.
func read(w http.ResponseWriter, r *http.Request, info op.Info) (op.Request, *op.Error) {
	request := op.Request{Caller: web.Caller(r), Path: map[string]string{}, IfMatch: r.Header.Get("If-Match")}
	for _, name := range info.PathFields() {
		request.Path[name] = r.PathValue(name)
	}
	var err *op.Error
	if request.Query, request.DryRun, err = readQuery(r.URL.RawQuery); err != nil {
		return request, err
	}
	if request.IdempotencyKey, err = readIdempotencyKey(r.Header); err != nil {
		return request, err
	}
	if info.Method == http.MethodGet {
		return request, noBody(r)
	}
	if info.Upload {
		request.Content, err = readContent(w, r)
		return request, err
	}
	request.Body, err = web.ReadBody(w, r, info.BodyTypes...)
	return request, err
}

func noBody(r *http.Request) *op.Error {
	if r.ContentLength != 0 {
		return op.Errorf(op.Malformed, "", "%s has no body: send its input in the query", r.Method)
	}
	return nil
}

// readQuery takes dry_run, which every operation has, out of the query.
func readQuery(raw string) (query url.Values, dryRun bool, wrong *op.Error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, false, op.Errorf(op.Malformed, "", "malformed query")
	}
	values, said := query["dry_run"]
	delete(query, "dry_run")
	switch {
	case !said, len(values) == 1 && values[0] == "false":
		return query, false, nil
	case len(values) == 1 && values[0] == "true":
		return query, true, nil
	}
	return nil, false, op.InvalidField("dry_run", "invalid", "dry_run is true or false, once")
}

// readIdempotencyKey accepts 1 to 255 visible characters of ASCII.
func readIdempotencyKey(h http.Header) (string, *op.Error) {
	values, sent := h["Idempotency-Key"]
	if !sent {
		return "", nil
	}
	if len(values) != 1 || !visible(values[0]) {
		return "", op.Errorf(op.Malformed, "invalid_idempotency_key",
			"Idempotency-Key has to be one value of 1 to %d visible ASCII characters", maxIdempotencyKey)
	}
	return values[0], nil
}

func visible(key string) bool {
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return key != "" && len(key) <= maxIdempotencyKey
}
