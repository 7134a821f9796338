package demo

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/op"
)

//go:embed pages.html
var pagesSource string

var pages = template.Must(template.New("pages").Funcs(template.FuncMap{"linked": linked}).Parse(pagesSource))

// Pages are the demo's own pages, by their ServeMux patterns: the mailbox, the clock and the page that signs in. They
// belong behind LocalOnly.
func (d *Demo) Pages() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /dev/mail":      ownStyle(d.mailPage),
		"GET /dev/mail.json": ownStyle(d.mailJSON),
		"POST /dev/clock":    ownStyle(d.moveClock),
		"GET /dev/sign-in":   fromHere(ownStyle(d.signInPage)),
		"POST /dev/sign-in":  fromHere(ownStyle(d.signInOnPage)),
	}
}

// ownStyle lets a page bring its style and its form along, and keeps it out of caches.
func ownStyle(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		next(w, r)
	}
}

// LocalOnly answers /dev/ to the host names localhost and 127.0.0.1 only, so that no other site reaches it by a name of
// its own that leads here.
func LocalOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/dev/") && !localName(r.Host) {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// localName reports whether a Host header names this machine: localhost or 127.0.0.1, with any port.
func localName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.EqualFold(host, "localhost") || host == "127.0.0.1"
}

// fromHere answers to programs of this machine alone: what signs in must not be there for the network.
func fromHere(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !peer.Addr().Unmap().IsLoopback() {
			http.NotFound(w, r)
			return
		}
		next(w, r)
	})
}

// caught is the mail of all calls that have returned.
func (d *Demo) caught(r *http.Request) ([]mail.Caught, error) {
	err := d.runDue(r.Context())
	return d.mails.Messages(), err
}

func (d *Demo) mailPage(w http.ResponseWriter, r *http.Request) {
	messages, err := d.caught(r)
	if err != nil {
		d.failed(w, r, err)
		return
	}
	d.page(w, r, "mail", map[string]any{"Messages": newestFirst(messages)})
}

func newestFirst(messages []mail.Caught) []mail.Caught {
	turned := make([]mail.Caught, 0, len(messages))
	for i := range messages {
		turned = append(turned, messages[len(messages)-1-i])
	}
	return turned
}

func (d *Demo) mailJSON(w http.ResponseWriter, r *http.Request) {
	messages, err := d.caught(r)
	if err != nil {
		d.failed(w, r, err)
		return
	}
	if messages == nil {
		messages = []mail.Caught{}
	}
	answer(w, messages)
}

// moveClockInput is the body of POST /dev/clock.
type moveClockInput struct {
	Advance string `json:"advance"`
}

// moveClock moves the demo's clock on and does what is due by then.
func (d *Demo) moveClock(w http.ResponseWriter, r *http.Request) {
	var in moveClockInput
	if err := json.UnmarshalRead(r.Body, &in, json.RejectUnknownMembers(true)); err != nil {
		http.Error(w, `want a body such as {"advance": "168h"}`, http.StatusBadRequest)
		return
	}
	by, err := time.ParseDuration(in.Advance)
	if err == nil {
		err = d.clock.advance(by)
	}
	if err != nil {
		http.Error(w, fmt.Sprintf("advance is %q: want a duration such as 168h; the clock moves forward only", in.Advance), http.StatusUnprocessableEntity)
		return
	}
	if err := d.runDue(r.Context()); err != nil {
		d.failed(w, r, err)
		return
	}
	answer(w, map[string]time.Time{"now": d.clock.Now().UTC()})
}

func signInURL(base, email string) string {
	return base + "/dev/sign-in?user=" + strings.ReplaceAll(url.QueryEscape(email), "%40", "@")
}

// signInPage asks before it signs in: opening a page changes nothing.
func (d *Demo) signInPage(w http.ResponseWriter, r *http.Request) {
	d.page(w, r, "signin", map[string]any{"User": r.FormValue("user"), "Organizations": d.report.Organizations})
}

// sessionCookie is the name that the server reads a session from on http://localhost.
const sessionCookie = "guildhall"

// signInOnPage gives the browser a session of the person, and leads to their organization.
func (d *Demo) signInOnPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	s, err := signInAs.Call(op.As(r.Context(), machine), d.hall.Service(), signInAsInput{Email: r.PostFormValue("user"), Method: onPage})
	switch e := op.AsError(err); {
	case err != nil && e.Kind == op.NotFound:
		http.Error(w, "nobody has this address", http.StatusNotFound)
		return
	case err != nil:
		d.failed(w, r, err)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: s.Secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(sessionLife.Seconds())})
	http.Redirect(w, r, d.homeOf(s.User), http.StatusSeeOther)
}

// homeOf is the page of the first organization that a user belonged to at the start.
func (d *Demo) homeOf(user string) string {
	for _, o := range d.report.Organizations {
		for _, m := range o.Members {
			if m.User == user {
				return "/o/" + o.Slug
			}
		}
	}
	return "/"
}

func (d *Demo) failed(w http.ResponseWriter, r *http.Request, err error) {
	d.config.Log.ErrorContext(r.Context(), "demo page", "path", r.URL.Path, "error", err)
	http.Error(w, "internal error: the log says which", http.StatusInternalServerError)
}

func (d *Demo) page(w http.ResponseWriter, r *http.Request, name string, data any) {
	var b strings.Builder
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		d.failed(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, b.String())
}

func answer(w http.ResponseWriter, value any) {
	raw, err := json.Marshal(value, jsontext.Multiline(true))
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(raw, '\n'))
}

// linked is a mail's text with its links to be clicked on.
func linked(m mail.Caught) template.HTML {
	text := template.HTMLEscapeString(m.Text)
	for _, link := range m.Links {
		escaped := template.HTMLEscapeString(link)
		text = strings.Replace(text, escaped, `<a href="`+escaped+`">`+escaped+`</a>`, 1)
	}
	return template.HTML(text)
}
