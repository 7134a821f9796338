package console

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// The fields that forms send beside those of their operation.
const (
	keyField     = "idempotency_key"
	versionField = "version"
	confirmField = "confirm" // the name typed on the highest confirm level
	stepField    = "step"    // of a form with a summary: where it goes on
)

// form is what a form sent, or what the address fills in, and what was wrong with it.
type form struct {
	values url.Values
	wrong  []op.FieldError
	whole  string // what is wrong with it as a whole
	gone   bool   // what it answers is over: it is not shown again
	status int

	retryAfter time.Duration
}

// formOf reads the form of a request. On GET it is the query: an address may fill a form in, and never submits it.
func formOf(r *http.Request) form {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return form{values: r.URL.Query()}
	}
	if multipart(r) {
		return formWithFiles(r)
	}
	if err := r.ParseForm(); err != nil {
		return form{values: url.Values{}, whole: ui.T("The form did not arrive whole. Send it again.")}
	}
	return form{values: r.PostForm}
}

func multipart(r *http.Request) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind == "multipart/form-data"
}

// formWithFiles reads a form with files in it. A file is a field whose value is what is in it; a file that was not chosen is
// empty. The body is bounded like every other, and nothing of it is written to a disk.
func formWithFiles(r *http.Request) form {
	f := form{values: url.Values{}}
	err := r.ParseMultipartForm(op.MaxBody)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		f.whole, f.status = ui.T("The file is too large: one form has at most %d kilobytes.", op.MaxBody>>10), http.StatusRequestEntityTooLarge
		return f
	case err != nil:
		f.whole = ui.T("The form did not arrive whole. Send it again.")
		return f
	}
	for name, values := range r.MultipartForm.Value {
		f.values[name] = values
	}
	for name, files := range r.MultipartForm.File {
		opened, err := files[0].Open()
		if err != nil {
			continue
		}
		raw, _ := io.ReadAll(opened)
		_ = opened.Close()
		f.values.Set(name, strings.ToValidUTF8(string(raw), "\uFFFD"))
	}
	return f
}

// value is what a field holds, without the space around it.
func (f *form) value(name string) string { return strings.TrimSpace(f.values.Get(name)) }

// or is what a field holds, else what it holds before anybody changed it.
func (f *form) or(name, otherwise string) string {
	if f.values.Has(name) {
		return f.value(name)
	}
	return otherwise
}

// number is the whole number that a field holds; false: it holds none.
func (f *form) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(f.value(name), 10, 64)
	return n, err == nil
}

// checked reports whether a box is ticked.
func (f *form) checked(name string) bool { return f.value(name) != "" }

// options carry the form's idempotency key and version to its operation.
func (f *form) options() (all []op.Option) {
	if key := f.value(keyField); key != "" {
		all = append(all, op.IdempotencyKey(key))
	}
	if version := f.value(versionField); version != "" {
		all = append(all, op.IfMatch(version))
	}
	return all
}

// hidden are the fields that make a form safe to send twice, and tell which version it was made from (an ETag; empty:
// none).
func (v *visit) hidden(etag string) []ui.Hidden {
	all := []ui.Hidden{{Name: keyField, Value: v.newKey()}}
	if etag != "" {
		all = append(all, ui.Hidden{Name: versionField, Value: v.form.or(versionField, etag)})
	}
	return all
}

// refuse keeps an error that is mended in the form itself, which is then shown again with what was typed. False: the
// error is for v.fail.
func (f *form) refuse(err error) bool {
	e := op.AsError(err)
	switch e.Kind {
	case op.Invalid, op.Conflict, op.Limited, op.Stale:
	default:
		return false
	}
	f.status, f.retryAfter = e.Kind.Status(), e.RetryAfter
	if f.wrong = e.Fields; len(f.wrong) == 0 {
		f.whole = sentence(e.Text)
	}
	return true
}

// say marks a field as wrong.
func (f *form) say(name, text string) {
	f.status = http.StatusUnprocessableEntity
	f.wrong = append(f.wrong, op.FieldError{Pointer: "/" + name, Detail: text})
}

// error is what is wrong with a field; empty: nothing.
func (f *form) error(name string) string {
	for _, w := range f.wrong {
		if fieldOf(w) == name {
			return sentence(w.Detail)
		}
	}
	return ""
}

// summary lists what is wrong, with the ids of the fields.
func (f *form) summary() (all []ui.FieldError) {
	for _, w := range f.wrong {
		all = append(all, ui.FieldError{Field: "f-" + strings.ReplaceAll(fieldOf(w), "_", "-"), Text: sentence(w.Detail)})
	}
	return all
}

// fieldOf is the form field that a pointer is about.
func fieldOf(w op.FieldError) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(w.Pointer, "/"), "/")
	return first
}

func (f *form) statusCode() int {
	if f.status == 0 {
		return http.StatusOK
	}
	return f.status
}

// maxKept bounds what a form keeps in an address while its person proves who they are.
const maxKept = 700

// backTo is the address to come back to after a sign-in: this page, with what was typed in its form.
func (f *form) backTo(r *http.Request) string {
	if r.Method == http.MethodGet {
		return r.URL.RequestURI()
	}
	kept := url.Values{}
	for name, values := range f.values {
		if !slices.Contains([]string{keyField, versionField, confirmField}, name) {
			kept[name] = values
		}
	}
	if query := kept.Encode(); query != "" && len(query) <= maxKept {
		return r.URL.Path + "?" + query
	}
	return r.URL.Path
}

// sentence makes a text of an error, which begins in lower case and has no full stop, a sentence.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if strings.ContainsAny(text[len(text)-1:], ".?!") {
		return text
	}
	return text + "."
}
