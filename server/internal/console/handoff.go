package console

import (
	"net/url"
	"strings"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/signin"
)

const handOffPath = "/login/handoff"

func handOffPages() []page {
	return []page{
		{"GET " + handOffPath, signedIn, showHandOff},
		{"POST " + handOffPath, signedIn, handOff},
	}
}

// errNotListed answers a product that is not in the configuration. It names no address: what a request says is not shown
// as if it were ours.
var errNotListed = op.Errorf(op.Malformed, "return_to_not_listed", "the product that sent you here is not one that this installation leads back to: return_to is not in its list, or state is too long")

// maxHandOff bounds the path of a hand-off, so that a mail can lead to it.
const maxHandOff = 1024

// toHandOff leads whom a product sent to the page that hands them back. Who is not signed in signs in on the way.
func (v *visit) toHandOff() error {
	values := url.Values{"return_to": {v.form.values.Get("return_to")}, "state": {v.form.values.Get("state")}}
	to := v.href(handOffPath) + "?" + values.Encode()
	if len(to) > maxHandOff || !signin.Listed(v.settings, values.Get("return_to")) {
		return errNotListed
	}
	return v.away(to)
}

// showHandOff has a button only: opening a page hands nobody on.
func showHandOff(v *visit) error {
	in := v.handOffInput(v.form.values)
	if !signin.Listed(v.settings, in.ReturnTo) {
		return errNotListed
	}
	v.formsTo = foreignOrigin(in.ReturnTo)
	return v.hosted(ui.HostedProps{Title: ui.T("Continue to %s", hostOf(in.ReturnTo)),
		Lede: ui.T("You are signed in as %s.", v.actor.Email)}, handOffForm(v, in))
}

func handOff(v *visit) error {
	out, err := signin.HandOff.Call(v.ctx, v.Service, v.handOffInput(v.form.values))
	if err != nil {
		return err
	}
	return v.away(out.RedirectTo)
}

func (v *visit) handOffInput(values url.Values) signin.HandOffInput {
	return signin.HandOffInput{ReturnTo: values.Get("return_to"), State: values.Get("state")}
}

// handOffAt is the hand-off that an address of this server leads to.
func (v *visit) handOffAt(address string) (signin.HandOffInput, bool) {
	path, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	in := v.handOffInput(values)
	return in, err == nil && path == v.href(handOffPath) && signin.Listed(v.settings, in.ReturnTo)
}

// afterSignIn is where a person goes who has just signed in with a session: to the product at once, if it sent them.
func (v *visit) afterSignIn(returnTo string, s *op.NewSession) string {
	in, handed := v.handOffAt(returnTo)
	if !handed || s == nil {
		return returnTo
	}
	caller := v.caller
	caller.Credential, caller.Cookie = s.Token, true
	out, err := signin.HandOff.Call(op.As(v.ctx, caller), v.Service, in)
	if err != nil {
		return returnTo // its page tells the error
	}
	return out.RedirectTo
}

// originAfter is the other origin that a sign-in leads to at once; empty: it stays here.
func (v *visit) originAfter(returnTo string) string {
	if in, handed := v.handOffAt(returnTo); handed {
		returnTo = in.ReturnTo
	}
	if !signin.Listed(v.settings, returnTo) {
		return ""
	}
	return foreignOrigin(returnTo)
}

// originsAfter are all origins that a sign-in may lead to: where it does is only known to the mailed link.
func (v *visit) originsAfter() string {
	var all []string
	for _, listed := range v.settings.ReturnTo {
		if signin.Listed(v.settings, listed) {
			all = append(all, foreignOrigin(listed))
		}
	}
	return strings.Join(all, " ")
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
