// Package start lets the first owner in. On an installation where nobody ever was, `guildhall serve` prints a link; its
// page makes the first organization, and leads its owner through the usual sign-in without a mail server.
package start

import (
	"context"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// Path is where the page stands.
const Path = "/start"

// Config is what the page needs.
type Config struct {
	Service *op.Service
	Secrets *secret.Ring // authenticates the link
	Post    *Post        // through which the installation's mail goes
	BaseURL string
	Log     *slog.Logger
}

// Page is the page of the first owner. It is safe for concurrent use.
type Page struct {
	config Config
	token  string
	turn   sync.Mutex // two first owners at once are one too many
}

// New makes the page.
func New(c Config) *Page {
	mac := c.Secrets.MAC("first owner")
	return &Page{config: c, token: base64.RawURLEncoding.EncodeToString(mac)}
}

// Link is the address to print: who has it becomes the first owner. It stays the same until the instance secret is
// rotated, and leads nowhere as soon as somebody is there.
func (p *Page) Link() string { return p.config.BaseURL + Path + "?token=" + p.token }

// errTaken answers whoever comes too late.
var errTaken = errors.New("somebody is here already")

// founder is the organization that a first owner has made and not yet used, if any.
type founder struct{ organization, email string }

// Vacant reports whether nobody has been here yet.
func (p *Page) Vacant(ctx context.Context) (bool, error) {
	_, err := p.founder(ctx)
	if errors.Is(err, errTaken) {
		return false, nil
	}
	return err == nil, err
}

// founder looks who is there. A first owner who has not come in yet may try again.
func (p *Page) founder(ctx context.Context) (founder, error) {
	ctx = op.As(ctx, op.Caller{System: "first-owner"})
	all, err := directory.ListOrganizations.Call(ctx, p.config.Service, directory.ListOrganizationsInput{Page: op.Page{Limit: 2}})
	if err != nil || len(all.Data) == 0 {
		return founder{}, err
	}
	if len(all.Data) > 1 {
		return founder{}, errTaken
	}
	members, err := directory.ListMembers.Call(ctx, p.config.Service, directory.ListMembersInput{
		InOrganization: op.InOrganization{Organization: all.Data[0].ID}, Page: op.Page{Limit: 2}})
	if err != nil {
		return founder{}, err
	}
	if len(members.Data) != 1 || members.Data[0].LastActiveAt != nil {
		return founder{}, errTaken
	}
	return founder{all.Data[0].ID, members.Data[0].Email}, nil
}

//go:embed page.html
var source string

var page = template.Must(template.New("start").Parse(source))

// form is what the page shows and is sent.
type form struct {
	Token, Name, Email, Organization, Wrong string
	Mailed                                  bool
}

// ServeHTTP shows the form, and takes it.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the address is the proof
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	f := form{Token: r.FormValue("token")}
	if subtle.ConstantTimeCompare([]byte(f.Token), []byte(p.token)) != 1 {
		http.NotFound(w, r)
		return
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	found, err := p.founder(r.Context())
	switch {
	case errors.Is(err, errTaken):
		http.NotFound(w, r)
	case err != nil:
		p.failed(w, r, err)
	case r.Method == http.MethodPost:
		p.take(w, r, f, found)
	default:
		p.show(w, r, http.StatusOK, f)
	}
}

// take makes the organization, if it is not there yet, and sends the owner on to sign in.
func (p *Page) take(w http.ResponseWriter, r *http.Request, f form, found founder) {
	f.Name, f.Email, f.Organization = r.PostFormValue("name"), r.PostFormValue("email"), r.PostFormValue("organization")
	link, err := p.found(r, f, found)
	var e *op.Error
	switch {
	case errors.As(err, &e) && e.Kind != op.Internal && e.Kind != op.Unavailable:
		f.Wrong = e.Text
		p.show(w, r, e.Kind.Status(), f)
	case err != nil:
		p.failed(w, r, err)
	case link == "":
		f.Mailed = true
		p.show(w, r, http.StatusOK, f)
	default:
		http.Redirect(w, r, link, http.StatusSeeOther)
	}
}

// found provisions the organization and gives the link that signs its owner in; empty: it went to the owner by mail.
func (p *Page) found(r *http.Request, f form, found founder) (string, error) {
	address, err := directory.ParseAddress(f.Email)
	if err != nil {
		return "", op.InvalidField("email", "invalid", "%v", err)
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if found.organization == "" {
		caller := op.Caller{System: "first-owner", Address: host, Agent: r.UserAgent()}
		if _, err := directory.ProvisionOrganization.Call(op.As(r.Context(), caller), p.config.Service, directory.ProvisionOrganizationInput{
			CreateOrganizationInput: directory.CreateOrganizationInput{Name: f.Organization}, Owner: address.Email, OwnerName: f.Name}); err != nil {
			return "", err
		}
	} else if found.email != address.Email {
		return "", op.InvalidField("email", "other", "the organization is made already: give the address that you gave before")
	}
	return p.signIn(r, host, address.Email)
}

// patience is how long the page waits for the letter. It comes as soon as the outbox is looked at.
const patience = 10 * time.Second

// signIn begins a sign-in, and takes its letter out of the mail.
func (p *Page) signIn(r *http.Request, host, email string) (string, error) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	letter, done := p.config.Post.await(email)
	defer done()
	caller := op.Caller{Address: host, Agent: r.UserAgent()}
	if _, err := signin.BeginSignIn.Call(op.As(ctx, caller), p.config.Service, signin.BeginSignInInput{Email: email, ReturnTo: "/orgs"}); err != nil {
		return "", err
	}
	select {
	case m := <-letter:
		return linkIn(m.Text, p.config.BaseURL), nil
	case <-ctx.Done():
		return "", nil // another server on this database has sent it
	}
}

// linkIn finds the link of a letter; it stands in a line of its own.
func linkIn(text, base string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, base+"/") {
			return line
		}
	}
	return ""
}

func (p *Page) show(w http.ResponseWriter, r *http.Request, status int, f form) {
	var b strings.Builder
	if err := page.Execute(&b, f); err != nil {
		p.failed(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, b.String())
}

func (p *Page) failed(w http.ResponseWriter, r *http.Request, err error) {
	p.config.Log.ErrorContext(r.Context(), "first owner", "error", err)
	http.Error(w, "internal error: the log says which", http.StatusInternalServerError)
}
