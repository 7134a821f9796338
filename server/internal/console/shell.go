package console

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/server/internal/web"
)

type component = templ.Component

// visit is one request, as the page that answers it sees it.
type visit struct {
	*Console
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context // carries the caller: operations called with it are called as whoever asked
	caller op.Caller
	form   form
	shell

	private bool   // the page's address holds a secret: no other page is told of it
	formsTo string // a further origin that the page's forms may lead to
	failed  bool   // the page is about an error, and names the request itself

	roles []directory.Role // of the organization, once allRoles has asked for them
}

// shell is what the frame around a page needs, all of it from one snapshot of the data.
type shell struct {
	now           time.Time
	actor         op.Actor
	principal     decide.Principal      // in organization
	organization  directory.Belonging   // the one in the address, else the last one seen; without an ID there is none
	organizations []directory.Belonging // all of the person's
	settings      op.Settings
	secrets       *secret.Ring
}

// enter reads who asks, and turns away whom the page is not for.
func (v *visit) enter(who audience) error {
	slug := ""
	if who >= member {
		slug = v.r.PathValue("slug")
	}
	err := v.Service.View(v.ctx, v.caller, slug, func(r *op.Reader) error { return v.read(r, slug) })
	if err != nil && (who != memberStill || op.AsError(err).FullCode() != string(decide.OrganizationGone)) {
		return err
	}
	switch {
	case who != anybody && v.actor.Kind != op.UserActor:
		return op.ErrUnauthenticated
	case who >= member && v.principal.Organization == "":
		return op.ErrNotFound
	}
	return nil
}

func (v *visit) read(r *op.Reader, slug string) error {
	v.now, v.settings, v.secrets = r.Now, r.Settings, r.Secrets
	v.actor, v.principal = *r.Actor, r.Actor.Principal
	if v.actor.Kind != op.UserActor {
		return nil
	}
	var err error
	if v.organizations, err = directory.BelongingsOf(v.ctx, r, v.actor.User, v.actor.Credential.Organization); err != nil {
		return err
	}
	if slug != "" {
		return v.readMember(r)
	}
	if v.organization = v.lastOrganization(); v.organization.ID != "" {
		v.principal, err = directory.PrincipalOf(v.ctx, r, v.organization.ID, v.actor.User)
	}
	return err
}

// readMember finds the organization of the address, and refuses a membership that gives no access.
func (v *visit) readMember(r *op.Reader) error {
	for _, o := range v.organizations {
		if o.ID == v.principal.Organization {
			v.organization = o
		}
	}
	if v.principal.Organization == "" {
		return nil
	}
	if d := v.may("organization.view"); !d.Allow && d.Reason != decide.NoPermission {
		return r.Refuse(v.ctx, d)
	}
	return nil
}

// lastOrganization is the one whose pages the browser saw last, else the first.
func (v *visit) lastOrganization() directory.Belonging {
	for _, o := range v.organizations {
		if o.Slug == v.remembered("last") {
			return o
		}
	}
	if len(v.organizations) > 0 {
		return v.organizations[0]
	}
	return directory.Belonging{}
}

// moved leads from an organization's id or former slug to its address, and remembers the organization.
func (v *visit) moved() bool {
	named := v.r.PathValue("slug")
	if named == "" || v.organization.Slug == "" {
		return false
	}
	if named == v.organization.Slug {
		v.remember("last", named)
		return false
	}
	if v.r.Method != http.MethodGet {
		return false
	}
	to := *v.r.URL
	to.Path = v.renamed()
	http.Redirect(v.w, v.r, to.RequestURI(), http.StatusFound)
	return true
}

// renamed is the request's path with the organization's present slug.
func (v *visit) renamed() string {
	_, route, _ := strings.Cut(v.r.Pattern, " ")
	parts := strings.Split(v.r.URL.Path, "/")
	for n, part := range strings.Split(route, "/") {
		if part == "{slug}" {
			parts[n] = v.organization.Slug
		}
	}
	return strings.Join(parts, "/")
}

// may says whether the person holds a permission in the organization, and why not: for the whole page from the one
// snapshot of its frame.
func (v *visit) may(p charter.Permission) decide.Decision {
	return decide.Decide(&v.principal, decide.Ask(v.Service.Charter(), p, ""), v.now.UnixMicro())
}

// can reports whether the person holds a permission in the organization.
func (v *visit) can(p charter.Permission) bool { return v.may(p).Allow }

// href is the address of a path of the console.
func (v *visit) href(path string) string { return v.BasePath + path }

// org is the address of a path of the organization's: org("/settings/team").
func (v *visit) org(path string) string { return v.href("/o/" + v.organization.Slug + path) }

// here is the address of this page.
func (v *visit) here() string { return v.r.URL.RequestURI() }

// personName is what the person is called.
func (v *visit) personName() string {
	if v.actor.Name != "" {
		return v.actor.Name
	}
	return v.actor.Email
}

// at shows a moment, relative to now.
func (v *visit) at(t time.Time) component { return ui.Time(ui.TimeProps{At: t, Now: v.now}) }

// newKey is a new idempotency key for a form.
func (v *visit) newKey() string { return id.New("frm", v.now) }

// redirect leads to an address of the console (from href or org) after something was done; flash says what.
func (v *visit) redirect(to string, f *flash) error {
	v.setFlash(f)
	return v.away(to)
}

// away leads to another address, also from within a dialog.
func (v *visit) away(to string) error {
	v.w.Header().Set("Cache-Control", "no-store")
	if ui.Fragment(v.r) {
		v.w.Header().Set("HX-Redirect", to)
		v.w.WriteHeader(http.StatusOK)
		return nil
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// signInAddress is the page path that asks for a proof and leads back here.
func (v *visit) signInAddress(page string) string {
	return v.href(page) + "?" + url.Values{"return_to": {v.form.backTo(v.r)}}.Encode()
}

// respond renders what build makes of the response's nonce.
func (v *visit) respond(status int, build func(nonce string) component) error {
	return ui.Respond(v.w, v.r, status, func(nonce string) component {
		if v.private {
			ui.NoReferrer(v.w)
		}
		if v.form.retryAfter > 0 {
			v.w.Header().Set("Retry-After", inSeconds(v.form.retryAfter))
		}
		if v.formsTo != "" {
			ui.AllowFormTo(v.w, nonce, v.formsTo)
		}
		return build(nonce)
	})
}

// render shows a component as the whole answer: a fragment.
func (v *visit) render(status int, c component) error {
	return v.respond(status, func(nonce string) component {
		return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
			return c.Render(ui.WithNonce(ctx, nonce), w)
		})
	})
}

// page shows content in the organization's frame; p says what is particular to the page. The status is that of the
// form, if there is one.
func (v *visit) page(p ui.PageProps, content component) error {
	return v.pageAs(v.form.statusCode(), p, content)
}

func (v *visit) pageAs(status int, p ui.PageProps, content component) error {
	if v.organization.ID == "" {
		if p.Actions != nil {
			content = join(p.Actions, content)
		}
		return v.hostedAs(status, ui.HostedProps{Title: p.Title, Lede: p.Lede, OwnHeading: p.OwnHeading, Wide: true}, join(content, wayOut(v)))
	}
	p.BasePath, p.Theme, p.Here = v.BasePath, v.theme(), v.here()
	p.Viewer = ui.Viewer{Name: v.personName(), Email: v.actor.Email}
	p.Organization = frameOrganization(v.organization)
	for _, o := range v.organizations {
		p.Organizations = append(p.Organizations, frameOrganization(o))
	}
	p.Nav, p.Menu, p.Flash, p.RequestID = v.navigation(), v.menu(), v.takeFlash(), v.requestID()
	p.NoCreate = !v.mayFound()
	return v.respond(status, func(nonce string) component {
		p.Nonce = nonce
		return within(ui.Page(p), content)
	})
}

// requestID is what the foot of the page shows.
func (v *visit) requestID() string {
	if v.failed {
		return ""
	}
	return web.RequestID(v.r)
}

func frameOrganization(b directory.Belonging) ui.Organization {
	return ui.Organization{Name: b.Name, Slug: b.Slug, RoleTitle: b.RoleTitle}
}

// hosted shows content in the product's frame, without an organization.
func (v *visit) hosted(p ui.HostedProps, content component) error {
	return v.hostedAs(v.form.statusCode(), p, content)
}

func (v *visit) hostedAs(status int, p ui.HostedProps, content component) error {
	p.BasePath, p.Theme, p.RequestID = v.BasePath, v.theme(), v.requestID()
	p.Brand, p.Footer = ui.Brand{Name: v.Service.Charter().Product}, v.links()
	p.Flash = v.takeFlash()
	return v.respond(status, func(nonce string) component {
		p.Nonce = nonce
		return within(ui.Hosted(p), content)
	})
}

// links are the charter's for people, in a fixed order.
func (v *visit) links() (all []ui.LinkProps) {
	for _, l := range [][2]string{{"documentation", ui.T("Documentation")}, {"support", ui.T("Support")}, {"status", ui.T("Status")},
		{"terms", ui.T("Terms")}, {"privacy", ui.T("Privacy")}} {
		if href := v.Service.Charter().Links[l[0]]; href != "" {
			all = append(all, ui.LinkProps{Text: l[1], Href: href, External: true})
		}
	}
	return all
}

// dialog shows a question or a form: over the page that it was asked from, else as a page of its own.
func (v *visit) dialog(d ui.DialogProps, content component) error {
	if d.ID == "" {
		d.ID = "dialog"
	}
	if ui.Fragment(v.r) {
		d.Arrived = true
		return v.render(v.form.statusCode(), within(ui.Dialog(d), content))
	}
	d.Page = true
	return v.page(ui.PageProps{Title: d.Title, OwnHeading: true}, within(ui.Dialog(d), content))
}

// way tells the other ways to what a page shows.
func (v *visit) way(request, command string) ui.Ways {
	return ui.Ways{Request: request, Command: command}
}

// within puts content into a frame.
func within(frame, content component) component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		return frame.Render(templ.WithChildren(ctx, content), w)
	})
}

// entry is a place of the sidebar, for those who hold what it needs.
type entry struct {
	group, text, path, icon, hotkey string
	needs                           charter.Permission // empty: every member
}

// entries are the sidebar's, in order.
func (v *visit) entries() []entry {
	all := []entry{
		{"", ui.T("Overview"), "", "layout-dashboard", "g o", ""},
		{"", ui.T("Account & settings"), "/settings", "settings", "g s", ""},
		{ui.T("People"), ui.T("Team"), "/settings/team", "users", "g t", "members.view"},
		{ui.T("People"), ui.T("Roles"), "/settings/roles", "shield-check", "g r", "organization.view"},
		{ui.T("People"), ui.T("Access explainer"), "/settings/access", "circle-question-mark", "", ""},
		{ui.T("Keys"), ui.T("API keys"), "/settings/api-keys", "key-round", "g k", v.firstOf(readingKeys)},
		{ui.T("Keys"), ui.T("Service accounts"), "/settings/service-accounts", "bot", "", "service_accounts.manage"},
		{ui.T("Keys"), ui.T("Scoped tokens"), "/settings/tokens", "fingerprint", "", v.firstOf(readingTokens)},
		{ui.T("Organization"), ui.T("General"), "/settings/general", "pencil", "", "organization.view"},
		{ui.T("Organization"), ui.T("Files"), "/settings/artifacts", "inbox", "", "artifacts.view"},
		{ui.T("Usage and billing"), ui.T("Usage"), "/settings/usage", "chart-column", "g u", readsUsage},
		{ui.T("Usage and billing"), ui.T("Billing"), "/settings/billing", "credit-card", "g b", readsBilling},
		{ui.T("Security"), ui.T("Security policies"), "/settings/security-policies", "lock", "", ""},
		{ui.T("Security"), ui.T("SSO and domains"), "/settings/sso", "circle-user", "", managesSSO},
		{ui.T("Security"), ui.T("Directory sync"), "/settings/directory", "users", "", managesSSO},
		{ui.T("Security"), ui.T("Findings"), "/settings/findings", "circle-alert", "", "reviews.manage"},
		{ui.T("Security"), ui.T("Access reviews"), "/settings/reviews", "clipboard-check", "", "reviews.manage"},
		{ui.T("Security"), ui.T("Audit log"), "/settings/audit-log", "scroll-text", "g a", "audit.view"},
		{ui.T("Security"), ui.T("Request log"), "/settings/logs", "list", "", "logs.view"},
	}
	if !v.hasOrganizationKeys() {
		all = slices.DeleteFunc(all, func(e entry) bool { return v.org(e.path) == v.accountsCrumb().Href })
	}
	if !v.counts() {
		all = slices.DeleteFunc(all, func(e entry) bool { return v.org(e.path) == v.usageHref("") })
	}
	if !v.sells() {
		all = slices.DeleteFunc(all, func(e entry) bool { return v.org(e.path) == v.billingHref("") })
	}
	return all
}

// navigation is the sidebar, as far as the person may read its pages.
func (v *visit) navigation() (groups []ui.NavGroup) {
	current := v.currentEntry()
	for _, e := range v.entries() {
		if e.needs != "" && !v.can(e.needs) {
			continue
		}
		if len(groups) == 0 || groups[len(groups)-1].Title != e.group {
			groups = append(groups, ui.NavGroup{Title: e.group})
		}
		g := &groups[len(groups)-1]
		g.Items = append(g.Items, ui.NavItem{Text: e.text, Href: v.org(e.path), Icon: e.icon, Hotkey: e.hotkey, Current: v.org(e.path) == current})
	}
	return groups
}

// currentEntry is the address of the longest entry that this page stands under.
func (v *visit) currentEntry() (longest string) {
	for _, e := range v.entries() {
		href := v.org(e.path)
		if (v.r.URL.Path == href || strings.HasPrefix(v.r.URL.Path, href+"/") && e.path != "") && len(href) > len(longest) {
			longest = href
		}
	}
	return longest
}

// menu are the first entries of the profile menu.
func (v *visit) menu() []ui.MenuItem {
	people := ui.MenuItem{Text: ui.T("View admins"), Icon: "users", Href: v.org("/settings/admins")}
	if v.can("members.view") {
		people = ui.MenuItem{Text: ui.T("Team"), Icon: "users", Href: v.org("/settings/team")}
	}
	menu := []ui.MenuItem{people, {Text: ui.T("Documentation"), Icon: "book-open", Href: v.href("/docs")}}
	for _, l := range v.links() {
		menu = append(menu, ui.MenuItem{Text: ui.T("%s: %s", v.Service.Charter().Product, l.Text), Icon: "external-link", Href: l.Href})
	}
	return menu
}

// lastActive shows when somebody was last seen; nil: not within what is kept.
func (v *visit) lastActive(t *time.Time) component {
	if t == nil {
		return ui.Muted(ui.T("not yet"))
	}
	return v.at(*t)
}
