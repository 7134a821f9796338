package console

import (
	"slices"
	"strings"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func holdsPages() []page {
	return []page{
		{"GET /o/{slug}/settings/artifacts/holds", member, showHolds},
		{"POST /o/{slug}/settings/artifacts/holds", member, placeHold},
		{"GET /o/{slug}/settings/artifacts/holds/{hold}/release", member, askHoldEnd},
		{"POST /o/{slug}/settings/artifacts/holds/{hold}/release", member, releaseHold},
	}
}

// holdsPage is the list of legal holds, with the form of a new one.
type holdsPage struct {
	visit *visit
	list  op.List[artifacts.Hold]
}

func showHolds(v *visit) error {
	p := holdsPage{visit: v}
	var err error
	in := artifacts.ListHoldsInput{InOrganization: v.inOrg(), Page: v.pageOf(), State: v.form.value("state")}
	if p.list, err = artifacts.ListHolds.Call(v.ctx, v.Service, in); err != nil && !v.again(err) {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Legal holds"), Lede: ui.T("What a case needs is kept, in spite of retention and of everybody, until the hold is released."),
		Crumb: v.artifactsCrumb(), Ways: v.same(artifacts.CreateHold, "reason", "case 24-117")}, p.show())
}

func (p holdsPage) tabs() ui.TabsProps {
	path, state := p.visit.artifactsHref("/holds"), p.visit.form.value("state")
	t := ui.TabsProps{Label: ui.T("Legal holds")}
	for _, tab := range []struct{ text, state string }{{ui.T("All"), ""}, {ui.T("In force"), "in_force"}, {ui.T("Released"), "released"}} {
		t.Tabs = append(t.Tabs, ui.Tab{Text: tab.text, Href: asking(path, "state", tab.state), Current: state == tab.state})
	}
	return t
}

func (p holdsPage) field(name, label, hint, example string) ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: name, Label: label, Hint: hint, Error: p.visit.form.error(name), Optional: name != "reason"},
		Value: p.visit.form.value(name), Placeholder: example}
}

func (p holdsPage) reason() ui.InputProps {
	f := p.field("reason", ui.T("Reason"), ui.T("The case or the request. Kept in the audit log."), "case 24-117")
	f.MaxLength = "500"
	return f
}

func (p holdsPage) resource() ui.InputProps {
	return p.field("resource", ui.T("What belongs to"), ui.T("Every file whose resource begins with this, those of tomorrow too."), "execution:ex_1")
}

func (p holdsPage) files() ui.InputProps {
	return p.field("artifacts", ui.T("Single files"), ui.T("Their ids, with spaces between. With neither this nor the field above, every file of the organization is kept."), "art_01k...")
}

func (p holdsPage) table() ui.TableProps {
	t := ui.TableProps{ID: "holds", Caption: ui.T("Legal holds"), Pager: pagerOf(p.visit.artifactsHref("/holds"), p.visit.form.values, p.list.NextCursor),
		Empty:   ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("There is no legal hold here. Retention deletes what is over its time.")}),
		Columns: []ui.Column{{Title: ui.T("Reason")}, {Title: ui.T("Keeps")}, {Title: ui.T("Since")}, {Title: ui.T("State")}, {Title: ui.T("Actions"), Acts: true}}}
	for _, h := range p.list.Data {
		t.Rows = append(t.Rows, ui.Row{ID: h.ID, Over: h.ReleasedAt != nil, Cells: []templ.Component{ui.Text(h.Reason), ui.Text(keeps(h)), p.visit.at(h.CreatedAt), p.visit.holdState(h), p.visit.holdVerb(h)}})
	}
	return t
}

// keeps says what a hold covers.
func keeps(h artifacts.Hold) string {
	switch h.Covers {
	case "resource":
		return ui.T("What belongs to %s…", h.Resource)
	case "artifacts":
		return ui.N(len(h.Artifacts), "1 file", "%d files")
	}
	return ui.T("Every file")
}

func (v *visit) holdState(h artifacts.Hold) component {
	if h.ReleasedAt == nil {
		return ui.Badge(ui.BadgeProps{Text: ui.T("In force"), Tone: ui.Warn, Icon: "lock"})
	}
	return ui.Join(ui.Text(ui.T("Released: %s", h.ReleaseReason)), v.at(*h.ReleasedAt))
}

func (v *visit) holdVerb(h artifacts.Hold) component {
	if h.ReleasedAt != nil {
		return ui.Muted("–")
	}
	return ui.Button(ui.ButtonProps{Text: ui.T("Release"), Small: true, Href: v.artifactsHref("/holds/" + h.ID + "/release")})
}

func placeHold(v *visit) error {
	in := artifacts.CreateHoldInput{InOrganization: v.inOrg(), Reason: v.form.value("reason"), Resource: v.form.value("resource"),
		Artifacts: slices.Collect(strings.FieldsSeq(strings.ReplaceAll(v.form.value("artifacts"), ",", " ")))}
	h, err := artifacts.CreateHold.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return showHolds(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.artifactsHref("/holds"), done(ui.T("The hold for %s is in force.", h.Reason)))
}

// askHoldEnd says what the next sweep would delete, and asks why.
func askHoldEnd(v *visit) error {
	in := artifacts.ReleaseHoldInput{InOrganization: v.inOrg(), Hold: v.r.PathValue("hold"), Reason: v.form.or("reason", "released")}
	if in.Reason == "" {
		in.Reason = "released"
	}
	impact, err := v.dryRun(artifacts.ReleaseHold, in)
	if err != nil {
		return err
	}
	return v.ask(confirmation{id: "release-hold", title: ui.T("Release the legal hold"), cancel: v.artifactsHref("/holds"), fields: v.whyReleased(),
		text:   []string{ui.T("What only this hold keeps is deleted when its time is over."), sentence(impact.Summary)},
		submit: ui.ButtonProps{Text: ui.T("Release the hold"), Kind: ui.Danger}, ways: v.same(artifacts.ReleaseHold, "hold", in.Hold, "reason", ui.T("the case is closed"))})
}

func releaseHold(v *visit) error {
	in := artifacts.ReleaseHoldInput{InOrganization: v.inOrg(), Hold: v.r.PathValue("hold"), Reason: v.form.value("reason")}
	_, err := artifacts.ReleaseHold.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askHoldEnd(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.artifactsHref("/holds"), done(ui.T("The hold is released.")))
}
