package console

import (
	"net/url"
	"slices"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func socialPages() []page {
	return []page{
		{"POST /login/with/{provider}", anybody, beginSocial},
		{"GET /account/identities/{provider}/link", signedIn, askProviderLink},
		{"POST /account/identities/{provider}/link", signedIn, beginProviderLink},
		{"GET /account/identities/{identity}/delete", signedIn, askUnlink},
		{"POST /account/identities/{identity}/delete", signedIn, unlink},
	}
}

// socialName is what people call a provider that anybody may sign in with; empty: there is none of that name here.
func (v *visit) socialName(provider string) string {
	if !slices.Contains(v.settings.SignInWith, provider) {
		return ""
	}
	return map[string]string{federation.Google: "Google", federation.GitHub: "GitHub"}[provider]
}

// socialCookie keeps what the answer of a provider has to come back with, in the browser that began.
const socialCookie = "social"

// social is a way to a provider that a browser was sent on.
type social struct {
	Provider, Browser string
	Links             bool // it links an account, and signs nobody in
}

// onward shows the way to a provider, and goes it. A form must lead to no other site; a page may.
func (v *visit) onward(begun federation.SocialBegun, links bool) error {
	v.drop(federatedCookie) // an answer belongs to the way that was begun last
	v.keep(socialCookie, social{Provider: begun.Provider, Browser: begun.Browser, Links: links}, begun.ExpiresAt.Sub(v.now))
	v.w.Header().Set("Refresh", "0; url="+begun.URL)
	return v.hosted(ui.HostedProps{Title: ui.T("On the way to %s", begun.Name)}, onward(begun))
}

func beginSocial(v *visit) error {
	in := federation.BeginSocialInput{SocialInput: federation.SocialInput{Provider: v.r.PathValue("provider")}, ReturnTo: v.form.value("return_to")}
	begun, err := federation.BeginSocial.Call(v.ctx, v.Service, in)
	if e := op.AsError(err); err != nil && (e.Kind == op.Unavailable || e.Kind == op.Limited) {
		v.form.status, v.form.whole, v.form.retryAfter = e.Kind.Status(), sentence(e.Text), e.RetryAfter
		return v.showLogin()
	}
	if err != nil {
		return err
	}
	return v.onward(begun, false)
}

// socialCallback takes the answer of Google or GitHub. The state, the browser's secret and the provider of the address have to
// belong together.
func socialCallback(v *visit) error {
	v.private = true
	var kept social
	if !v.kept(socialCookie, &kept) || kept.Provider != v.r.PathValue("connection") {
		return v.providerRefused(&op.Error{Kind: op.Gone, Text: "this sign-in was begun in another browser, or took too long: begin again"})
	}
	v.drop(socialCookie)
	in := federation.SocialAnswer{SocialInput: federation.SocialInput{Provider: kept.Provider}, Browser: kept.Browser, State: v.form.value("state"), Code: v.form.value("code"),
		Issuer: v.form.value("iss"), Error: v.form.value("error")}
	if kept.Links {
		return v.link(in)
	}
	answer, err := v.Service.Invoke(v.ctx, federation.CompleteSocial, op.Request{Caller: v.caller, Input: in})
	if e := op.AsError(err); err != nil && e.FullCode() == "link_required" {
		v.form.status = e.Kind.Status()
		return v.hosted(ui.HostedProps{Title: ui.T("You have an account already")}, linkFirst(v, kept.Provider))
	}
	if err != nil {
		return v.providerRefused(op.AsError(err))
	}
	return v.signedIn(answer)
}

// link links what a provider has answered. What went wrong stands on the page of the ways to sign in.
func (v *visit) link(in federation.SocialAnswer) error {
	made, err := federation.CreateIdentity.Call(v.ctx, v.Service, in)
	if err != nil {
		e := op.AsError(err)
		if e.Kind == op.Internal {
			return e
		}
		text := sentence(e.Text)
		if e.Kind == op.NotFound || e.Kind == op.Unauthenticated {
			text = ui.T("The answer does not belong to this browser or person. Begin again.")
		}
		return v.redirect(v.href("/account/passkeys"), &flash{Text: text, Tone: ui.Bad})
	}
	return v.redirect(v.href("/account/passkeys"), done(ui.T("%s signs you in from now on.", made.Name)))
}

// askProviderLink asks for the way to a provider: opening a page leads nowhere.
func askProviderLink(v *visit) error {
	name := v.socialName(v.r.PathValue("provider"))
	if name == "" {
		return op.ErrNotFound
	}
	if v.stale() {
		return v.away(v.signInAddress("/verify"))
	}
	return v.accountPage(ui.PageProps{Title: ui.T("Link %s", name), Crumb: v.passkeysCrumb(),
		Lede: ui.T("You sign in there once, with the account that is to sign you in here from then on.")}, linkProvider(v, v.r.PathValue("provider"), name))
}

func beginProviderLink(v *visit) error {
	in := federation.BeginIdentityInput{SocialInput: federation.SocialInput{Provider: v.r.PathValue("provider")}}
	begun, err := federation.BeginIdentity.Call(v.ctx, v.Service, in)
	if e := op.AsError(err); err != nil && (e.Kind == op.Unavailable || e.Kind == op.Limited) {
		v.form.status, v.form.whole, v.form.retryAfter = e.Kind.Status(), sentence(e.Text), e.RetryAfter
		return askProviderLink(v)
	}
	if err != nil {
		return err
	}
	return v.onward(begun, true)
}

// identities are the person's accounts elsewhere.
func (v *visit) identities() ([]federation.Identity, error) {
	list, err := federation.ListIdentities.Call(v.ctx, v.Service, federation.ListIdentitiesInput{Page: op.Page{Limit: 50}})
	return list.Data, err
}

func (v *visit) identitiesTable(all []federation.Identity) ui.TableProps {
	t := ui.TableProps{ID: "identities", Caption: ui.T("Linked accounts"),
		Columns: []ui.Column{{Title: ui.T("Provider")}, {Title: ui.T("Address there")}, {Title: ui.T("Linked")}, {Title: ui.T("Last used")}, {Title: ui.T("Actions"), Acts: true}},
		Empty:   ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No account is linked.")})}
	for _, i := range all {
		used := ui.Muted(ui.T("not yet"))
		if !i.LastUsedAt.IsZero() {
			used = v.at(i.LastUsedAt)
		}
		t.Rows = append(t.Rows, ui.Row{ID: i.ID, Cells: []component{ui.Text(i.Name), ui.Muted(i.Email), v.at(i.CreatedAt), used,
			ui.Button(ui.ButtonProps{Text: ui.T("Unlink"), Small: true, Dialog: true, Href: v.href("/account/identities/" + i.ID + "/delete")})}})
	}
	return t
}

func askUnlink(v *visit) error {
	all, err := v.identities()
	if err != nil {
		return err
	}
	n := slices.IndexFunc(all, func(i federation.Identity) bool { return i.ID == v.r.PathValue("identity") })
	if n < 0 {
		return op.ErrNotFound
	}
	return v.dialog(ui.DialogProps{
		Title:      ui.T("Unlink the account at %s", all[n].Name),
		CancelHref: v.href("/account/passkeys"),
		Form:       &ui.FormProps{Action: v.href("/account/identities/" + all[n].ID + "/delete"), Hidden: v.hidden("")},
		Submit:     []ui.ButtonProps{{Text: ui.T("Unlink the account"), Kind: ui.Danger}},
	}, ui.Text(ui.T("It does not sign you in any more. A mail still does, and sessions that it began stay. You get a mail about it.")))
}

func unlink(v *visit) error {
	i, err := federation.DeleteIdentity.Call(v.ctx, v.Service, federation.IdentityInput{Identity: v.r.PathValue("identity")}, v.form.options()...)
	if err != nil {
		return err
	}
	return v.redirect(v.href("/account/passkeys"), done(ui.T("%s does not sign you in any more.", i.Name)))
}

// linkPath is the page that begins to link a provider.
func (v *visit) linkPath(provider string) string {
	return v.href("/account/identities/" + provider + "/link")
}

// loginFor is the sign-in by mail after which a provider is linked.
func (v *visit) loginFor(provider string) string {
	return v.href("/login?") + url.Values{"return_to": {v.linkPath(provider)}}.Encode()
}
