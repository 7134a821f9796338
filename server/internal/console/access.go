package console

import (
	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func accessPages() []page {
	return []page{{"GET /o/{slug}/settings/access", member, showAccess}}
}

// accessPage explains why somebody may do something, or why not, and who may.
type accessPage struct {
	visit   *visit
	answer  *access.Explanation
	holders *op.List[access.Holder]
}

// showAccess asks about the viewer unless the address names somebody else.
func showAccess(v *visit) error {
	if v.form.value("what") != "" {
		return showWhatIf(v)
	}
	p := accessPage{visit: v}
	if v.form.value("can") != "" {
		if err := p.ask(); err != nil {
			return err
		}
	}
	return v.page(ui.PageProps{Title: ui.T("Access explainer"), Lede: ui.T("Why somebody may do something, why not, and who may."), Crumb: v.settingsCrumb(),
		Ways: v.same(access.Explain, "permission", v.form.or("can", "members.invite"), "subject", v.form.value("who"), "resource", v.form.value("on"))}, p.show())
}

// ask gets the answers. A question that makes no sense comes back with what is wrong.
func (p *accessPage) ask() error {
	in := access.ExplainInput{InOrganization: p.visit.inOrg(), Subject: p.visit.form.value("who"), Permission: charter.Permission(p.visit.form.value("can")), Resource: p.visit.form.value("on")}
	answer, err := access.Explain.Call(p.visit.ctx, p.visit.Service, in)
	switch e := op.AsError(err); {
	case err == nil:
		p.answer = &answer
	case e.Kind == op.NotFound && in.Subject != "":
		p.visit.form.say("who", ui.T("there is no member, key or token %q here", in.Subject))
		return nil
	case p.visit.again(err):
		p.renameFields()
		return nil
	default:
		return err
	}
	if !p.visit.can("members.view") {
		return nil
	}
	holders, err := access.Holders.Call(p.visit.ctx, p.visit.Service, access.HoldersInput{InOrganization: in.InOrganization, Page: p.visit.pageOf(), Permission: in.Permission})
	p.holders = &holders
	return err
}

// renameFields gives the operation's fields the names that they have in the address.
func (p *accessPage) renameFields() {
	names := map[string]string{"permission": "can", "subject": "who", "resource": "on"}
	for i, w := range p.visit.form.wrong {
		if name, ok := names[fieldOf(w)]; ok {
			p.visit.form.wrong[i].Pointer = "/" + name
		}
	}
}

// sentence is the answer as people say it.
func (p accessPage) sentence() string {
	what := permissionOf(p.visit.Service.Charter(), p.answer.Permission).Text
	who := p.asked()
	on := ""
	if p.answer.Resource != "" {
		on = ui.T(", on %s", p.answer.Resource)
	}
	if p.answer.Subject.Credential == "" && p.answer.Subject.User == p.visit.actor.User {
		if p.answer.Allow {
			return ui.T("You can: %s%s.", what, on)
		}
		return ui.T("You cannot: %s%s.", what, on)
	}
	if p.answer.Allow {
		return ui.T("%s can: %s%s.", who, what, on)
	}
	return ui.T("%s cannot: %s%s.", who, what, on)
}

// asked is whom the answer is about, within a sentence.
func (p accessPage) asked() string {
	name := nameOf(p.answer.Subject)
	switch {
	case p.answer.Subject.Credential == "":
		return name
	case p.answer.Subject.Kind == string(op.TokenActor):
		return ui.T("The scoped token %s", name)
	}
	return ui.T("The key %s", name)
}

// why is the answer with its reason and who could help.
func (p accessPage) why() ui.WhyBoxProps {
	box := ui.WhyBoxProps{Answer: p.sentence(), Allowed: p.answer.Allow, Chain: []string{because(*p.answer)}}
	if p.answer.GrantedBy != "" {
		box.Chain = append(box.Chain, sentence(p.answer.GrantedBy))
	}
	for _, h := range p.answer.Holders {
		box.Holders = append(box.Holders, h.Name)
	}
	return box
}

// steps lists everything that decides, in order: the way to the answer.
func (p accessPage) steps() ui.TableProps {
	t := ui.TableProps{ID: "steps", Caption: ui.T("Everything that decides"), ShowCaption: true,
		Columns: []ui.Column{{Title: ui.T("Step")}, {Title: ui.T("Lets it pass")}, {Title: ui.T("How it decides")}}}
	for _, step := range p.answer.Steps {
		passes := ui.BadgeProps{Text: ui.T("Yes"), Tone: ui.OK, Icon: "check"}
		if !step.Holds {
			passes = ui.BadgeProps{Text: ui.T("No"), Tone: ui.Bad, Icon: "x"}
		}
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{ui.Text(capitalised(step.Name)), ui.Badge(passes), ui.Text(sentence(step.Text))}})
	}
	return t
}

func (p accessPage) who() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "who", Label: ui.T("Who"), Optional: true, Hint: ui.T("A member's e-mail address or id, or the id of a key or scoped token. Empty: yourself."),
		Error: p.visit.form.error("who")}, Value: p.visit.form.value("who"), Placeholder: "zoe@example.com"}
}

func (p accessPage) what() ui.SelectProps {
	s := permissionSelect(p.visit.Service.Charter(), p.visit.form.value("can"))
	s.Label, s.Error = ui.T("Can do what"), p.visit.form.error("can")
	return s
}

func (p accessPage) onWhat() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "on", Label: ui.T("On what"), Optional: true, Hint: ui.T("A single thing, as its type and id. Empty: the organization as a whole."),
		Error: p.visit.form.error("on")}, Value: p.visit.form.value("on"), Placeholder: "workflow:wf_1"}
}

// table lists who may.
func (p accessPage) table() ui.TableProps {
	t := ui.TableProps{ID: "holders", Caption: ui.T("Who can: %s", permissionOf(p.visit.Service.Charter(), p.answer.Permission).Text), ShowCaption: true,
		Columns: []ui.Column{{Title: ui.T("Person")}, {Title: ui.T("By the role")}},
		Empty:   ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Nobody here can.")}),
		Pager:   pagerOf(p.visit.org("/settings/access"), p.visit.form.values, p.holders.NextCursor)}
	for _, h := range p.holders.Data {
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{
			ui.Person(ui.PersonProps{Name: h.Name, Detail: h.Email, Href: p.visit.memberHref(h.Member, "")}), ui.Text(h.RoleTitle)}})
	}
	return t
}
