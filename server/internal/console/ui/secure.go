package ui

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/a-h/templ"
)

// HTMXConfig is the configuration that every page carries for htmx: only the
// two vendored extensions may register themselves, no style is injected, and a
// request ends after 15 seconds.
const HTMXConfig = `extensions:"hx-sse,hx-csp", includeIndicatorCSS:false, defaultTimeout:15000`

// Secure sets the security headers of a page or fragment and returns the nonce
// that its scripts and its hx-* attributes must carry. The nonce is new for
// every response; a fragment has its own, which htmx exchanges for the page's.
//
// The response may not be stored, framed, or opened into by another origin.
func Secure(w http.ResponseWriter) (nonce string) {
	nonce = rand.Text()
	h := w.Header()
	h.Set("Content-Security-Policy", policy(nonce, "'self'"))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	return nonce
}

// AllowFormTo widens the policy that Secure set, so that forms of this page
// may also post to origin, such as "https://idp.example.com". Only the page
// that posts to an identity provider needs it. The origin comes from checked
// configuration, never from a request.
func AllowFormTo(w http.ResponseWriter, nonce, origin string) {
	w.Header().Set("Content-Security-Policy", policy(nonce, "'self' "+origin))
}

// NoReferrer keeps the address of a page with a token in its path from every
// other page. It is not the rule everywhere, because browsers then send
// "Origin: null" with forms, and over plain HTTP the protection against forged
// requests has nothing else to compare.
func NoReferrer(w http.ResponseWriter) {
	w.Header().Set("Referrer-Policy", "no-referrer")
}

// policy is the content security policy of every page.
func policy(nonce, forms string) string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'nonce-" + nonce + "'",
		"style-src 'self' 'nonce-" + nonce + "'",
		"img-src 'self' data:",
		"connect-src 'self'",
		"form-action " + forms,
		"base-uri 'none'",
		"frame-ancestors 'none'",
	}, "; ")
}

// Fragment reports whether the request wants a part of the page and not all of
// it. A request that restores history wants all of it.
func Fragment(r *http.Request) bool {
	return r.Header.Get("HX-Request") == "true" &&
		r.Header.Get("HX-Request-Type") == "partial" &&
		r.Header.Get("HX-History-Restore-Request") != "true"
}

// Respond calls Secure, renders what build makes with the nonce, and writes
// it. Nothing is written if rendering fails; the caller then answers with an
// error page.
func Respond(w http.ResponseWriter, r *http.Request, status int, build func(nonce string) templ.Component) error {
	nonce := Secure(w)
	var body bytes.Buffer
	if err := build(nonce).Render(WithNonce(r.Context(), nonce), &body); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Add("Vary", "HX-Request, HX-Request-Type")
	w.WriteHeader(status)
	_, err := body.WriteTo(w)
	return err
}

// WithNonce gives components rendered with the context the nonce of their
// response. Page and Hosted do it themselves.
func WithNonce(ctx context.Context, nonce string) context.Context {
	return templ.WithNonce(ctx, nonce)
}

// HX turns htmx attributes, named without their "hx-", into attributes of an
// element and adds the hx-nonce without which they are ignored. In a template:
//
//	<form { HX(ctx, "post", "/theme", "target", "#main")... }>
//
// It panics on an odd number of pairs.
func HX(ctx context.Context, pairs ...string) templ.OrderedAttributes {
	if len(pairs)%2 != 0 {
		panic("ui: HX needs names and values in pairs")
	}
	var attrs templ.OrderedAttributes
	for i := 0; i < len(pairs); i += 2 {
		attrs = append(attrs, templ.KeyValue[string, any]{Key: "hx-" + pairs[i], Value: pairs[i+1]})
	}
	return append(attrs, templ.KeyValue[string, any]{Key: "hx-nonce", Value: templ.GetNonce(ctx)})
}
