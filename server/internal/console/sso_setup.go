package console

import (
	"net/http"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func setupPages() []page {
	const links = "/o/{slug}/settings/sso/links"
	return []page{
		{"GET " + links, member, showSetupLinks},
		{"GET " + links + "/new", member, askSetupLink},
		{"POST " + links + "/new", member, makeSetupLink},
		{"GET " + links + "/{setup_link}/revoke", member, askSetupLinkEnd},
		{"POST " + links + "/{setup_link}/revoke", member, revokeSetupLink},
		{"GET /setup/{link}", anybody, showSetup},
		{"POST /setup/{link}", anybody, configureSetup},
		{"POST /setup/{link}/saml", anybody, configureSAMLSetup},
		{"GET /setup/{link}/mapping", anybody, showSetupMapping},
		{"POST /setup/{link}/mapping", anybody, saveSetupMapping},
		{"POST /setup/{link}/test", anybody, testSetup},
	}
}

func (v *visit) setupLinksCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("Set-up links"), Href: v.ssoHref("/links")}
}

func (v *visit) newSetupLinkVerb() ui.ButtonProps {
	return ui.ButtonProps{Text: ui.T("Make a set-up link"), Icon: "plus", Href: v.ssoHref("/links/new")}
}

func showSetupLinks(v *visit) error {
	list, err := federation.ListSetupLinks.Call(v.ctx, v.Service, federation.ListSetupLinksInput{InOrganization: v.inOrg(), Page: v.pageOf()})
	if err != nil {
		return err
	}
	p := ui.PageProps{Title: ui.T("Set-up links"), Lede: ui.T("By such a link somebody without an account sets one provider up, and nothing else."), Crumb: v.ssoCrumb(), Ways: v.same(federation.ListSetupLinks)}
	if len(v.locks("sso")) == 0 && len(list.Data) > 0 {
		p.Actions = ui.Button(v.newSetupLinkVerb())
	}
	return v.page(p, ui.Table(v.setupLinksTable(list)))
}

func (v *visit) setupLinksTable(list op.List[federation.SetupLink]) ui.TableProps {
	t := ui.TableProps{ID: "links", Caption: ui.T("Set-up links"), Pager: pagerOf(v.ssoHref("/links"), v.form.values, list.NextCursor),
		Columns: []ui.Column{{Title: ui.T("Link")}, {Title: ui.T("State")}, {Title: ui.T("Made")}, {Title: ui.T("Last used")}, {Title: ui.T("Until")}, {Title: ui.T("Actions"), Acts: true}}}
	verb := repeated(v.newSetupLinkVerb())
	empty := ui.EmptyStateProps{Sentence: ui.T("There is no link. Make one for whoever looks after the provider."), Verb: &verb, Docs: ui.LinkProps{Text: ui.T("What a link opens"), Href: v.href("/docs/sso")}}
	if len(v.locks("sso")) > 0 {
		empty = ui.EmptyStateProps{Sentence: ui.T("There is no link.")}
	}
	t.Empty = ui.EmptyState(empty)
	for _, l := range list.Data {
		menu := component(templ.NopComponent)
		if l.State == federation.LinkOpen {
			menu = ui.Menu(ui.MenuProps{ID: "menu-" + l.ID, Label: ui.T("Actions for %s", l.ID), Items: []ui.MenuItem{
				{Text: ui.T("Revoke"), Icon: "trash-2", Href: v.ssoHref("/links/" + l.ID + "/revoke"), Dialog: true, Danger: true}}})
		}
		t.Rows = append(t.Rows, ui.Row{ID: l.ID, Over: l.State != federation.LinkOpen, Cells: []templ.Component{ui.Code(l.ID), ui.Badge(linkBadge(l)), v.at(l.CreatedAt),
			v.maybe(l.UsedAt, ui.T("never")), v.at(l.ExpiresAt), menu}})
	}
	return t
}

func linkBadge(l federation.SetupLink) ui.BadgeProps {
	switch {
	case l.State == federation.LinkOpen:
		return ui.BadgeProps{Text: ui.T("Open"), Tone: ui.OK}
	case l.State == federation.LinkExpired:
		return ui.BadgeProps{Text: ui.T("Expired")}
	case l.EndedBecause == "switched_on":
		return ui.BadgeProps{Text: ui.T("Done: switched on")}
	}
	return ui.BadgeProps{Text: ui.T("Ended")}
}

// setupLinkForm makes a set-up link.
type setupLinkForm struct {
	visit       *visit
	connections []federation.Connection
}

func (f setupLinkForm) connection() ui.SelectProps {
	options := []ui.Option{{Text: ui.T("A new one")}}
	for _, c := range f.connections {
		if c.State != federation.On && c.Kind != federation.Google && c.Kind != federation.GitHub {
			options = append(options, ui.Option{Value: c.ID, Text: c.Name})
		}
	}
	return ui.SelectProps{FieldProps: ui.FieldProps{Name: "connection", Label: ui.T("Which provider"), Error: f.visit.form.error("connection")}, Options: options, Value: f.visit.form.value("connection")}
}

func (f setupLinkForm) hours() ui.SelectProps {
	return ui.SelectProps{FieldProps: ui.FieldProps{Name: "hours", Label: ui.T("For how long"), Error: f.visit.form.error("hours")}, Value: f.visit.form.or("hours", "168"),
		Options: []ui.Option{{Value: "1", Text: ui.T("1 hour")}, {Value: "24", Text: ui.T("1 day")}, {Value: "168", Text: ui.T("7 days")}, {Value: "720", Text: ui.T("30 days")}}}
}

func askSetupLink(v *visit) error {
	if err := v.demandSSO(); err != nil {
		return err
	}
	connections, err := v.connections()
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Make a set-up link"), Lede: ui.T("Whoever has it sets one provider up. It counts while you may do that yourself, and is over once the provider is switched on."),
		Crumb: v.setupLinksCrumb(), Ways: v.same(federation.CreateSetupLink, "hours", v.form.or("hours", "168"))}, setupLinkForm{v, connections}.fields())
}

// madeLink shows a link once.
type madeLink struct {
	visit *visit
	made  federation.NewSetupLink
}

func makeSetupLink(v *visit) error {
	hours, _ := v.form.number("hours")
	l, err := federation.CreateSetupLink.Call(v.ctx, v.Service, federation.CreateSetupLinkInput{InOrganization: v.inOrg(), Connection: v.form.value("connection"), Hours: hours}, v.form.options()...)
	if v.again(err) {
		return askSetupLink(v)
	}
	if err != nil {
		return err
	}
	return v.pageAs(http.StatusOK, ui.PageProps{Title: ui.T("The set-up link"), Crumb: v.setupLinksCrumb(), Ways: v.same(federation.ListSetupLinks)}, madeLink{v, l}.shown())
}

func (v *visit) oneSetupLink() federation.SetupLinkInput {
	return federation.SetupLinkInput{InOrganization: v.inOrg(), SetupLink: v.r.PathValue("setup_link")}
}

func askSetupLinkEnd(v *visit) error {
	if err := v.demandSSO(); err != nil {
		return err
	}
	return v.ask(confirmation{id: "revoke-link", title: ui.T("Revoke the set-up link"), cancel: v.ssoHref("/links"), text: []string{ui.T("Nobody sets anything up by it any more. What was set up stays.")},
		submit: ui.ButtonProps{Text: ui.T("Revoke it"), Kind: ui.Danger}, ways: v.same(federation.RevokeSetupLink, "setup_link", v.r.PathValue("setup_link"))})
}

func revokeSetupLink(v *visit) error {
	_, err := federation.RevokeSetupLink.Call(v.ctx, v.Service, v.oneSetupLink(), v.form.options()...)
	if v.again(err) {
		return askSetupLinkEnd(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.ssoHref("/links"), done(ui.T("The link is over.")))
}
