package main

import (
	"crypto/rand"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// The cookies of a browser. The session's is what the proxy turns into a credential; scripts read neither.
const (
	sessionCookie = "gateway_session"
	stateCookie   = "gateway_state"
)

// stateLife is how long a person may take to sign in.
const stateLife = time.Hour

// callbackPath is where a person comes back to. Guildhall's configuration lists its whole address under return_to.
const callbackPath = "/callback"

// signIn sends the browser to Guildhall's sign-in page. The state stays in this browser, so that nobody can be made to
// come back with a code that is somebody else's.
func (p *product) signIn(w http.ResponseWriter, r *http.Request) {
	state := rand.Text()
	p.setCookie(w, stateCookie, state, p.now().Add(stateLife))
	query := url.Values{"return_to": {p.options.public + callbackPath}, "state": {state}}
	http.Redirect(w, r, p.options.guildhall+"/login?"+query.Encode(), http.StatusSeeOther)
}

// callback takes the code that the browser brings and exchanges it, behind the scenes and with the product's service key,
// for who it is: a session, which the browser keeps in a cookie of the product.
func (p *product) callback(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer") // the code is in the address
	state := cookieOf(r, stateCookie)
	p.clearCookie(w, stateCookie)
	if state == "" || subtle.ConstantTimeCompare([]byte(state), []byte(r.FormValue("state"))) != 1 {
		http.Error(w, "This sign-in was begun in another browser, or too long ago. Go to /signin.", http.StatusBadRequest)
		return
	}
	got, err := signin.Exchange.Call(r.Context(), p.guildhall, signin.ExchangeInput{Code: r.FormValue("code"), State: state,
		ReturnTo: p.options.public + callbackPath})
	if err != nil {
		p.notExchanged(w, r, err)
		return
	}
	p.setCookie(w, sessionCookie, got.Secret, got.ExpiresAt)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *product) notExchanged(w http.ResponseWriter, r *http.Request, err error) {
	if isKind(err, op.Gone) || isKind(err, op.NotFound) {
		http.Error(w, "This code is used or has ended. Go to /signin.", http.StatusBadRequest)
		return
	}
	slog.ErrorContext(r.Context(), "exchange of a code", "error", err)
	http.Error(w, "Signing in does not work now. Try again.", http.StatusBadGateway)
}

// signOut ends the session everywhere, and not in this browser alone.
func (p *product) signOut(w http.ResponseWriter, r *http.Request) {
	if token := cookieOf(r, sessionCookie); token != "" {
		_, err := credential.RevokeSession.Call(r.Context(), client.New(p.options.guildhall, token), credential.RevokeSessionInput{Session: "current"})
		if err != nil && !isKind(err, op.Unauthenticated) {
			slog.ErrorContext(r.Context(), "sign-out", "error", err)
			http.Error(w, "Signing out does not work now. Try again.", http.StatusBadGateway)
			return
		}
	}
	p.clearCookie(w, sessionCookie)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// cookieOf is a cookie's value. Of two with one name, one was planted: they are nobody's.
func cookieOf(r *http.Request, name string) string {
	if sent := r.CookiesNamed(name); len(sent) == 1 {
		return sent[0].Value
	}
	return ""
}

func (p *product) setCookie(w http.ResponseWriter, name, value string, until time.Time) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", Expires: until, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(p.options.public, "https:")})
}

func (p *product) clearCookie(w http.ResponseWriter, name string) {
	p.setCookie(w, name, "", time.Unix(0, 0))
}
