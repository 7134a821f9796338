// Package scim is the face that a company's directory talks to: SCIM 2.0 (RFC 7643, 7644). It translates requests to
// operations and their answers back, and nothing more.
package scim

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/scim"
	"github.com/guildhall/guildhall/server/internal/web"
)

// MediaType is that of every answer (RFC 7644, section 3.1).
const MediaType = "application/scim+json"

// Config is what the handler is made of.
type Config struct {
	Service *op.Service
	BaseURL string
	Log     *slog.Logger // nil: slog.Default
}

// New makes the handler of /scim/v2/. The address names the directory, and its token proves it: a token that was pasted
// into another directory finds nothing there.
func New(c Config) http.Handler {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	f := &face{Config: c, mux: http.NewServeMux(), noted: map[string]time.Time{}}
	const at = "/scim/v2/{directory}"
	f.mux.HandleFunc("GET "+at+"/ServiceProviderConfig", f.provider)
	f.mux.HandleFunc("GET "+at+"/ResourceTypes", f.resourceTypes)
	f.mux.HandleFunc("GET "+at+"/ResourceTypes/{type}", f.resourceTypes)
	f.mux.HandleFunc("GET "+at+"/Schemas", f.schemas)
	f.mux.HandleFunc("GET "+at+"/Schemas/{schema}", f.schemas)
	for _, kind := range []string{"User", "Group"} {
		f.mux.HandleFunc("GET "+at+"/"+kind+"s", f.doing(f.list(kind)))
		f.mux.HandleFunc("POST "+at+"/"+kind+"s/.search", f.doing(f.search(kind)))
	}
	f.mux.HandleFunc("POST "+at+"/Users", f.doing(f.createUser))
	f.mux.HandleFunc("GET "+at+"/Users/{id}", f.doing(f.getUser))
	f.mux.HandleFunc("PUT "+at+"/Users/{id}", f.doing(f.replaceUser))
	f.mux.HandleFunc("PATCH "+at+"/Users/{id}", f.doing(f.patchUser))
	f.mux.HandleFunc("DELETE "+at+"/Users/{id}", f.doing(f.deleteUser))
	f.mux.HandleFunc("POST "+at+"/Groups", f.doing(f.createGroup))
	f.mux.HandleFunc("GET "+at+"/Groups/{id}", f.doing(f.getGroup))
	f.mux.HandleFunc("PUT "+at+"/Groups/{id}", f.doing(f.replaceGroup))
	f.mux.HandleFunc("PATCH "+at+"/Groups/{id}", f.doing(f.patchGroup))
	f.mux.HandleFunc("DELETE "+at+"/Groups/{id}", f.doing(f.deleteGroup))
	f.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { refuse(w, op.ErrNotFound, "") })
	return f.mux
}

type face struct {
	Config
	mux *http.ServeMux

	mu    sync.Mutex
	noted map[string]time.Time // when a directory's last request was written down
}

// asked is a request with what every operation needs of it.
type asked struct {
	*http.Request
	in   scim.InDirectory
	base string // the directory's address
	show projection
	body map[string]any
	face *face
}

// answer is what a request is answered: a body, or nothing.
type answer struct {
	status   int
	body     map[string]any
	etag     string
	location string
}

// doing serves one operation, and notes how it went.
func (f *face) doing(do func(a *asked) (answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := &asked{Request: r, in: scim.InDirectory{Directory: r.PathValue("directory")}, show: projectionOf(r), face: f}
		a.base = f.BaseURL + "/scim/v2/" + a.in.Directory
		caller := web.Caller(r)
		if caller.Cookie {
			caller.Credential, caller.Cookie = "", false // browsers have nothing to ask here
		}
		a.Request = r.WithContext(op.As(r.Context(), caller))
		out, err := answer{}, a.read(w)
		if err == nil {
			out, err = do(a)
		}
		if err != nil {
			f.note(a, op.AsError(err))
			refuse(w, op.AsError(err), a.base)
			return
		}
		f.note(a, nil)
		out.write(w, r)
	}
}

// read reads the body, if there is one.
func (a *asked) read(w http.ResponseWriter) error {
	if a.Method == http.MethodGet || a.Method == http.MethodDelete {
		return nil
	}
	raw, wrong := web.ReadBody(w, a.Request, MediaType)
	if wrong != nil {
		return wrong
	}
	if err := json.Unmarshal(raw, &a.body, jsontext.AllowDuplicateNames(true)); err != nil || a.body == nil {
		return op.Errorf(op.Malformed, "invalid_syntax", "the body has to be a JSON object")
	}
	return nil
}

// noteEvery is how often it is written down that a directory sent something.
const noteEvery = time.Minute

// note writes down that a directory sent something, and what was refused. What was looked for and is not there is no
// mistake.
func (f *face) note(a *asked, e *op.Error) {
	in := scim.NoteInput{InDirectory: a.in}
	switch {
	case e != nil && (e.Kind == op.Unauthenticated || e.Kind == op.Limited || e.Kind == op.NotFound && a.Method == http.MethodGet):
		return
	case e != nil:
		in.Status, in.Detail = statusOf(e), e.Text
		in.Request = a.Method + " " + strings.TrimPrefix(a.URL.Path, "/scim/v2/"+a.in.Directory)
		in.Request, in.Detail = cut(in.Request, 300), cut(in.Detail, 1000)
	case !f.due(a.in.Directory):
		return
	}
	ctx := context.WithoutCancel(a.Context())
	if _, err := scim.NoteSync.Call(ctx, f.Service, in); err != nil && op.AsError(err).Kind == op.Internal {
		f.Log.LogAttrs(ctx, slog.LevelError, "sync", slog.Any("error", err))
	}
}

func cut(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }

// maxNoted bounds what is remembered; whoever was forgotten is written down once more.
const maxNoted = 10_000

func (f *face) due(directory string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.Service.Now()
	if now.Sub(f.noted[directory]) < noteEvery {
		return false
	}
	if len(f.noted) >= maxNoted {
		clear(f.noted)
	}
	f.noted[directory] = now
	return true
}

// write answers a request.
func (out answer) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if out.location != "" {
		h.Set("Location", out.location)
	}
	if out.etag != "" {
		h.Set("ETag", out.etag)
		if r.Method == http.MethodGet && r.Header.Get("If-None-Match") == out.etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if out.body == nil {
		w.WriteHeader(out.status)
		return
	}
	writeJSON(w, out.status, out.body)
}

func writeJSON(w http.ResponseWriter, status int, body map[string]any) {
	raw, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		status, raw = http.StatusInternalServerError, []byte(`{"status":"500"}`)
	}
	w.Header().Set("Content-Type", MediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n'))
}

// scimTypes are the names that RFC 7644 (section 3.12) has for our codes.
var scimTypes = map[string]string{
	"uniqueness": "uniqueness", "invalid_filter": "invalidFilter", "invalid_path": "invalidPath",
	"invalid_value": "invalidValue", "invalid_syntax": "invalidSyntax", "malformed": "invalidSyntax", "invalid": "invalidValue",
	"no_target": "noTarget", "mutability": "mutability", "too_many": "tooMany",
}

// statusOf is the status that SCIM has for an error: it knows no 402 and no 422.
func statusOf(e *op.Error) int {
	switch e.Kind {
	case op.Invalid:
		return http.StatusBadRequest
	case op.PlanRequired:
		return http.StatusForbidden
	}
	return e.Kind.Status()
}

// refuse answers with an error (RFC 7644, section 3.12).
func refuse(w http.ResponseWriter, e *op.Error, base string) {
	h := w.Header()
	switch {
	case e.Kind == op.Unauthenticated:
		h.Set("WWW-Authenticate", "Bearer")
	case e.RetryAfter > 0:
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	case e.Refers["user"] != "" && base != "":
		h.Set("Location", base+"/Users/"+e.Refers["user"])
	case e.Refers["group"] != "" && base != "":
		h.Set("Location", base+"/Groups/"+e.Refers["group"])
	}
	body := map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:Error"}, "status": strconv.Itoa(statusOf(e)), "detail": e.Text}
	if kind := scimTypes[e.FullCode()]; kind != "" {
		body["scimType"] = kind
	}
	writeJSON(w, statusOf(e), body)
}

// option gives the version that the request wants to change.
func (a *asked) options() []op.Option {
	want := strings.TrimPrefix(strings.TrimSpace(a.Header.Get("If-Match")), "W/")
	if want == "" {
		return nil
	}
	return []op.Option{op.IfMatch(want)}
}

func (a *asked) user() scim.UserInput {
	return scim.UserInput{InDirectory: a.in, User: a.PathValue("id")}
}

func (a *asked) group() scim.GroupInput {
	return scim.GroupInput{InDirectory: a.in, Group: a.PathValue("id"), Members: a.show.shows("members")}
}

// shown answers with a resource.
func (a *asked) shown(status int, s scim.Resource, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	out := answer{status: status, body: a.resource(s), etag: weak(s.Version)}
	if status == http.StatusCreated {
		out.location = a.location(s)
	}
	return out, nil
}

func (f *face) createUser(a *asked) (answer, error) {
	s, err := scim.CreateUser.Call(a.Context(), f.Service, scim.CreateUserInput{InDirectory: a.in, Resource: a.body})
	return a.shown(http.StatusCreated, s, err)
}

func (f *face) getUser(a *asked) (answer, error) {
	s, err := scim.GetUser.Call(a.Context(), f.Service, a.user())
	return a.shown(http.StatusOK, s, err)
}

func (f *face) replaceUser(a *asked) (answer, error) {
	s, err := scim.ReplaceUser.Call(a.Context(), f.Service, scim.ReplaceUserInput{UserInput: a.user(), Resource: a.body}, a.options()...)
	return a.shown(http.StatusOK, s, err)
}

func (f *face) patchUser(a *asked) (answer, error) {
	operations, err := a.operations()
	if err != nil {
		return answer{}, err
	}
	s, err := scim.PatchUser.Call(a.Context(), f.Service, scim.PatchUserInput{UserInput: a.user(), Operations: operations}, a.options()...)
	return a.shown(http.StatusOK, s, err)
}

func (f *face) deleteUser(a *asked) (answer, error) {
	_, err := scim.DeleteUser.Call(a.Context(), f.Service, a.user(), a.options()...)
	return answer{status: http.StatusNoContent}, err
}

func (f *face) createGroup(a *asked) (answer, error) {
	s, err := scim.CreateGroup.Call(a.Context(), f.Service, scim.CreateGroupInput{InDirectory: a.in, Resource: a.body})
	return a.shown(http.StatusCreated, s, err)
}

func (f *face) getGroup(a *asked) (answer, error) {
	s, err := scim.GetGroup.Call(a.Context(), f.Service, a.group())
	return a.shown(http.StatusOK, s, err)
}

func (f *face) replaceGroup(a *asked) (answer, error) {
	s, err := scim.ReplaceGroup.Call(a.Context(), f.Service, scim.ReplaceGroupInput{GroupInput: a.group(), Resource: a.body}, a.options()...)
	return a.shown(http.StatusOK, s, err)
}

// patchGroup answers with nothing, as directories expect it: a group may have thousands of members.
func (f *face) patchGroup(a *asked) (answer, error) {
	operations, err := a.operations()
	if err != nil {
		return answer{}, err
	}
	in := scim.PatchGroupInput{GroupInput: a.group(), Operations: operations}
	in.Members = false
	s, err := scim.PatchGroup.Call(a.Context(), f.Service, in, a.options()...)
	return answer{status: http.StatusNoContent, etag: weak(s.Version)}, err
}

func (f *face) deleteGroup(a *asked) (answer, error) {
	_, err := scim.DeleteGroup.Call(a.Context(), f.Service, a.group(), a.options()...)
	return answer{status: http.StatusNoContent}, err
}

// operations are those of a PATCH. Their names are written in any case.
func (a *asked) operations() ([]scim.PatchOperation, error) {
	sent, _ := field(a.body, "Operations")
	if one, ok := sent.(map[string]any); ok {
		sent = []any{one}
	}
	list, ok := sent.([]any)
	if !ok {
		return nil, op.Errorf(op.Malformed, "invalid_syntax", "a PATCH has a list of Operations")
	}
	all := make([]scim.PatchOperation, 0, len(list))
	for _, one := range list {
		object, ok := one.(map[string]any)
		if !ok {
			return nil, op.Errorf(op.Malformed, "invalid_syntax", "an operation is an object")
		}
		var o scim.PatchOperation
		verb, _ := field(object, "op")
		path, _ := field(object, "path")
		o.Op, _ = verb.(string)
		o.Path, _ = path.(string)
		o.Value, _ = field(object, "value")
		all = append(all, o)
	}
	return all, nil
}

// field gives a value of an object by its name in any case.
func field(object map[string]any, name string) (any, bool) {
	for key, v := range object {
		if strings.EqualFold(key, name) {
			return v, true
		}
	}
	return nil, false
}

// defaultCount is how many resources a page has where nobody says.
const defaultCount = 100

// list answers GET of people or groups.
func (f *face) list(kind string) func(a *asked) (answer, error) {
	return func(a *asked) (answer, error) {
		q := a.URL.Query()
		in := scim.ListInput{InDirectory: a.in, Type: kind, Filter: q.Get("filter"), Start: 1, Count: defaultCount}
		for _, number := range []struct {
			name string
			into *int
		}{{"startIndex", &in.Start}, {"count", &in.Count}} {
			if text := q.Get(number.name); text != "" {
				n, err := strconv.Atoi(text)
				if err != nil {
					return answer{}, op.Errorf(op.Malformed, "invalid_value", "%s is a number", number.name)
				}
				*number.into = n
			}
		}
		return f.find(a, in)
	}
}

// search answers POST .search, which is a list whose question is a body (RFC 7644, section 3.4.3).
func (f *face) search(kind string) func(a *asked) (answer, error) {
	return func(a *asked) (answer, error) {
		in := scim.ListInput{InDirectory: a.in, Type: kind, Start: 1, Count: defaultCount}
		if text, ok := field(a.body, "filter"); ok {
			in.Filter, _ = text.(string)
		}
		if n, ok := field(a.body, "startIndex"); ok {
			in.Start = whole(n, 1)
		}
		if n, ok := field(a.body, "count"); ok {
			in.Count = whole(n, defaultCount)
		}
		a.show = projectionIn(a.body)
		return f.find(a, in)
	}
}

func whole(n any, otherwise int) int {
	if f, ok := n.(float64); ok {
		return int(f)
	}
	return otherwise
}

func (f *face) find(a *asked, in scim.ListInput) (answer, error) {
	in.Start, in.Count = min(max(in.Start, 1), 1_000_000_000), min(max(in.Count, 0), 1_000_000_000)
	in.Members = a.show.shows("members") && in.Type == "Group" || a.show.shows("groups") && in.Type == "User"
	found, err := scim.ListResources.Call(a.Context(), f.Service, in)
	if err != nil {
		return answer{}, err
	}
	all := make([]any, len(found.Resources))
	for i, s := range found.Resources {
		all[i] = a.resource(s)
	}
	return answer{status: http.StatusOK, body: listed(all, found.Total, in.Start)}, nil
}

func listed(all []any, total, start int) map[string]any {
	return map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"}, "totalResults": total,
		"startIndex": start, "itemsPerPage": len(all), "Resources": all}
}
