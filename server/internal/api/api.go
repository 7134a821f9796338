// Package api serves operations over HTTP: a loop over the table mounts every one, and another describes them all.
package api

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/web"
)

// Config is what the API is made of.
type Config struct {
	Service *op.Service
	Log     *slog.Logger // nil: slog.Default
}

// New makes the handler of /v1/ and /openapi.json. It expects web.Handler around it.
func New(c Config) http.Handler {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	a := &api{service: c.Service, log: c.Log, mux: http.NewServeMux()}
	for _, o := range c.Service.Operations() {
		info := o.Info()
		if info.Foreign() {
			continue // a protocol of its own: see server/internal/scim
		}
		a.mux.Handle(info.Method+" "+info.Path, a.operation(o, info))
	}
	a.mux.Handle("GET /openapi.json", a.document(OpenAPI(c.Service)))
	a.mux.Handle("GET /v1", a.document(index(c.Service)))
	a.mux.HandleFunc("/", a.unknown)
	return a.mux
}

type api struct {
	service *op.Service
	log     *slog.Logger
	mux     *http.ServeMux
}

// operation serves one operation.
func (a *api) operation(o op.Any, info op.Info) http.Handler {
	answer := a.invoke
	if info.MediaType != "" && !info.File {
		answer = a.stream
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secretive(w.Header())
		request, err := read(w, r, info)
		if err != nil {
			web.Problem(w, r, err)
			return
		}
		answer(w, r, o, request)
	})
}

// secretive keeps an answer out of every cache: it is for one credential.
func secretive(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Authorization, Cookie")
}

// invoke answers with the operation's output as JSON.
func (a *api) invoke(w http.ResponseWriter, r *http.Request, o op.Any, request op.Request) {
	response, err := a.service.Invoke(r.Context(), o, request)
	rateLimit(w.Header(), response.Rate)
	if err != nil {
		web.Problem(w, r, op.AsError(err))
		return
	}
	if file, ok := response.File(); ok {
		a.file(w, r, file)
		return
	}
	body, err := json.Marshal(response.Output, json.Deterministic(true))
	if err != nil {
		a.log.LogAttrs(r.Context(), slog.LevelError, "output", slog.String("operation", o.Info().Name), slog.Any("error", err))
		web.Problem(w, r, op.AsError(err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if response.ETag != "" {
		h.Set("ETag", response.ETag)
	}
	if response.Replayed {
		h.Set("Idempotent-Replayed", "true")
	}
	w.WriteHeader(status(o.Info(), request))
	_, _ = w.Write(append(body, '\n'))
}

// status is 201 for what makes something new.
func status(info op.Info, request op.Request) int {
	made := slices.Contains([]string{"create", "add", "provision"}, info.Verb())
	if (made || info.Upload) && !request.DryRun && info.Method == http.MethodPost {
		return http.StatusCreated
	}
	return http.StatusOK
}

// stream answers with the bytes of a stream. An error after the first byte breaks the connection, so that nobody takes
// half an export for a whole one.
func (a *api) stream(w http.ResponseWriter, r *http.Request, o op.Any, request op.Request) {
	begun := false
	err := a.service.Stream(r.Context(), o, request, func(info op.Info) io.Writer {
		begun = true
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		w.Header().Set("Content-Type", info.MediaType)
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", info.FileName))
		return w
	})
	switch {
	case err != nil && !begun:
		web.Problem(w, r, op.AsError(err))
	case err != nil:
		a.log.LogAttrs(r.Context(), web.Severity(r.Context()), "stream broken", slog.String("operation", o.Info().Name),
			slog.String("request_id", web.RequestID(r)), slog.Any("error", err))
		panic(http.ErrAbortHandler)
	}
}

// rateLimit tells what is left (draft-ietf-httpapi-ratelimit-headers-10).
func rateLimit(h http.Header, rate op.Rate) {
	if rate.Limit == 0 {
		return
	}
	h.Set("RateLimit-Policy", fmt.Sprintf(`"credential";q=%d;w=%d`, rate.Limit, wholeSeconds(rate.Window)))
	h.Set("RateLimit", fmt.Sprintf(`"credential";r=%d;t=%d`, rate.Remaining, wholeSeconds(rate.Reset)))
}

func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// unknown answers what no operation has: 405 where another method would do, else the one 404.
func (a *api) unknown(w http.ResponseWriter, r *http.Request) {
	secretive(w.Header())
	allowed := a.methods(r)
	if len(allowed) == 0 {
		web.Problem(w, r, op.ErrNotFound)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	web.Problem(w, r, op.Errorf(op.WrongMethod, "", "%s is not one of the methods of this path: %s", r.Method, strings.Join(allowed, ", ")))
}

// methods are those that the request's path has.
func (a *api) methods(r *http.Request) []string {
	var allowed []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		other := &http.Request{Method: method, URL: &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath}, Host: r.Host}
		if _, pattern := a.mux.Handler(other); pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	return allowed
}

// document serves what is the same for everybody.
func (a *api) document(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(body)
	})
}
