package console

import (
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/server/internal/web"
)

// fail answers with an error: whoever is not signed in, or has to prove again that it is them, is asked to and comes
// back here; everybody else sees what is wrong, and who can help.
func (v *visit) fail(err error) {
	e := op.AsError(err)
	if e != err && e.Kind == op.Internal {
		v.logFailure("page", err)
	}
	if v.r.Header.Get("Accept") == eventStream {
		v.w.WriteHeader(e.Kind.Status()) // no page, and nowhere else to go: the browser does not come back by itself
		return
	}
	switch {
	case e.Kind == op.Unauthenticated:
		err = v.away(v.signInAddress("/login"))
	case v.closed(e):
		err = v.away(v.href("/o/" + v.r.PathValue("slug") + "/deleted"))
	case e.FullCode() == "verification_required":
		err = v.away(v.signInAddress("/verify"))
	default:
		err = v.errorPage(e)
	}
	if err != nil {
		v.logFailure("page", err)
		http.Error(v.w, "internal error", http.StatusInternalServerError)
	}
}

// logFailure says whole what the person is not told.
func (v *visit) logFailure(what string, err error) {
	v.Log.LogAttrs(v.ctx, web.Severity(v.ctx), what, slog.String("route", v.r.Pattern), slog.String("request_id", v.caller.RequestID), slog.Any("error", err))
}

// errorPage shows an error in the frame of the organization, else of the product, else in the dialog that asked.
func (v *visit) errorPage(e *op.Error) error {
	if e.RetryAfter > 0 {
		v.w.Header().Set("Retry-After", inSeconds(e.RetryAfter))
	}
	v.failed = true
	p := v.errorProps(e)
	if ui.Fragment(v.r) {
		d := ui.DialogProps{ID: "dialog", Title: p.Title(), Arrived: true}
		return v.render(p.Status, within(ui.Dialog(d), deniedPart(p)))
	}
	if v.organization.ID == "" {
		return v.hostedAs(p.Status, ui.HostedProps{Title: p.Title(), OwnHeading: true}, ui.ErrorPage(p))
	}
	return v.pageAs(p.Status, ui.PageProps{Title: p.Title(), OwnHeading: true}, ui.ErrorPage(p))
}

// inSeconds rounds up, so that nobody comes back too early.
func inSeconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

func (v *visit) errorProps(e *op.Error) ui.ErrorPageProps {
	p := ui.ErrorPageProps{Status: e.Kind.Status(), HomeHref: v.href("/"), RequestID: web.RequestID(v.r)}
	switch e.Kind {
	case op.NotFound, op.Internal: // the page's own words say more
	default:
		p.Detail = sentence(e.Text)
	}
	p.Verbs = v.signInVerbs(e)
	if support := v.Service.Charter().Links["support"]; support != "" {
		p.Support = ui.LinkProps{Text: ui.T("Support"), Href: support, External: true}
	}
	if documentation := v.Service.Charter().Links["documentation"]; e.Kind == op.Denied && documentation != "" {
		p.Documentation = ui.LinkProps{Text: ui.T("Documentation"), Href: documentation, External: true}
	}
	if e.Needs == "" {
		return p
	}
	p.Permission = permissionOf(v.Service.Charter(), e.Needs)
	for _, h := range e.Holders {
		p.Holders = append(p.Holders, h.Name)
	}
	return p
}

// signInVerbs are what helps somebody whose sign-in an organization does not take.
func (v *visit) signInVerbs(e *op.Error) (verbs []ui.ButtonProps) {
	again := ui.ButtonProps{Text: ui.T("Sign in again"), Kind: ui.Primary, Href: v.signInAddress("/login") + "&again=1"}
	switch e.Reason {
	case decide.MFARequired:
		return []ui.ButtonProps{again, {Text: ui.T("Add a passkey or an authenticator app"), Href: v.href("/account/passkeys")}}
	case decide.SSORequired, decide.WayNotAllowed, decide.SignInAgain, decide.SignedInElsewhere:
		return []ui.ButtonProps{again}
	}
	return nil
}

// permissionOf is a permission as people read it.
func permissionOf(c *charter.Charter, id charter.Permission) ui.Permission {
	text := string(id)
	if info, ok := c.Info(id); ok && info.Title != "" {
		text = info.Title
	}
	return ui.Permission{ID: string(id), Text: text}
}
