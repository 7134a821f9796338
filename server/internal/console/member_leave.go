package console

import (
	"slices"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func memberLeavePages() []page {
	return []page{{"GET /o/{slug}/settings/team/{member}/removed", member, showRemoved}}
}

// leavePlan is what becomes of all that hangs on a membership when it ends, with what there is to choose.
type leavePlan struct {
	visit    *visit
	member   string // the name of whoever goes
	own      bool   // the viewer goes
	impact   op.Impact
	managers []ui.Option // who can look after the person's service accounts
}

// leavePlan reads who could look after the service accounts, if there are any.
func (v *visit) leavePlan(m directory.Member, impact op.Impact) (leavePlan, error) {
	p := leavePlan{visit: v, member: m.Label(), own: m.User == v.actor.User, impact: impact}
	if len(p.of("service_account")) == 0 {
		return p, nil
	}
	names, err := v.memberNames()
	for _, id := range sortedByValue(names) {
		if id != m.ID {
			p.managers = append(p.managers, ui.Option{Value: id, Text: names[id]})
		}
	}
	return p, err
}

// of are the effects on things of some kinds.
func (p leavePlan) of(kinds ...string) (some []op.Effect) {
	for _, e := range p.impact.Effects {
		if slices.Contains(kinds, e.Type) {
			some = append(some, e)
		}
	}
	return some
}

// others are the effects that leave nothing to choose.
func (p leavePlan) others() op.Impact {
	chosen := p.keysToChoose()
	return op.Impact{Effects: slices.DeleteFunc(slices.Clone(p.impact.Effects), func(e op.Effect) bool { return slices.Contains(chosen, e) })}
}

// keysToChoose are the keys that stay, left behind, unless they are revoked.
func (p leavePlan) keysToChoose() (keys []op.Effect) {
	for _, e := range p.of("key") {
		if e.Action == "left_behind" {
			keys = append(keys, e)
		}
	}
	return keys
}

// keyChoice is the choice about one key: it stays unless it is ticked.
func (p leavePlan) keyChoice(e op.Effect) ui.CheckboxProps {
	return ui.CheckboxProps{FieldProps: ui.FieldProps{Name: "revoke_keys", ID: "f-revoke-keys-" + e.ID, Label: ui.T("Revoke %s", e.Name), Hint: ui.T("Otherwise it %s.", e.Text)},
		Value: e.ID, Checked: slices.Contains(p.visit.form.values["revoke_keys"], e.ID)}
}

// manager chooses who looks after the service accounts; left alone, it is whoever removes.
func (p leavePlan) manager() ui.SelectProps {
	first := ui.Option{Text: ui.T("You")}
	if p.own {
		first.Text = ui.T("Nobody")
	}
	return ui.SelectProps{FieldProps: ui.FieldProps{Name: "service_accounts_to", Label: ui.T("Who looks after the service accounts"), Error: p.visit.form.error("service_accounts_to")},
		Value: p.visit.form.value("service_accounts_to"), Options: append([]ui.Option{first}, p.managers...)}
}

// choices are what the form says about keys and service accounts.
func (v *visit) removalChoices() directory.RemovalChoices {
	return directory.RemovalChoices{RevokeKeys: v.form.values["revoke_keys"], ServiceAccountsTo: v.form.value("service_accounts_to")}
}

func askRemove(v *visit) error {
	m, err := v.member()
	if err != nil {
		return err
	}
	c := confirmation{id: "remove-member", title: ui.T("Remove %s from %s", m.Label(), v.organization.Name), version: m.ETag(), cancel: v.memberHref(m.ID, ""),
		submit: ui.ButtonProps{Text: ui.T("Remove %s", m.Label()), Kind: ui.Danger},
		text:   []string{ui.T("Access ends at once, everywhere, and pending invitations of their address are cancelled. They can be invited again.")},
		ways:   v.same(directory.RemoveMember, "member", m.ID)}
	if v.verbsOn(m).suspend {
		c.helps = []ui.ButtonProps{{Text: ui.T("Suspend instead"), Small: true, Href: v.memberHref(m.ID, "suspend")}}
	}
	impact, failed := v.dryRun(directory.RemoveMember, directory.EndMemberInput{MemberInput: v.oneMember()})
	return v.askWithPlan(c, m, impact, failed)
}

// askLeave shows what leaving does to the viewer.
func askLeave(v *visit) error {
	own := directory.MemberInput{InOrganization: v.inOrg(), Member: v.principal.Member}
	m, err := directory.GetMember.Call(v.ctx, v.Service, own)
	if err != nil {
		return err
	}
	impact, failed := directory.PreviewRemoval.Call(v.ctx, v.Service, own)
	c := confirmation{id: "leave", title: ui.T("Leave %s", v.organization.Name), cancel: v.afterMember(),
		text:   []string{ui.T("You lose access at once, on every session. To come back you need a new invitation.")},
		submit: ui.ButtonProps{Text: ui.T("Leave %s", v.organization.Name), Kind: ui.Danger}, ways: v.same(directory.Leave)}
	return v.askWithPlan(c, m, impact, failed)
}

// askWithPlan asks whether a membership is to end, with what becomes of all that hangs on it; or says why it cannot.
func (v *visit) askWithPlan(c confirmation, m directory.Member, impact op.Impact, failed error) (err error) {
	if failed != nil {
		if c.impossible, err = impossible(failed); err != nil {
			return err
		}
		c.helps = v.ownerHelp(failed)
		return v.ask(c)
	}
	plan, err := v.leavePlan(m, impact)
	if err != nil {
		return err
	}
	c.affected, c.lost, c.fields = affectedBy(plan.others()), v.permissions(impact.Loses), plan.fields()
	return v.ask(c)
}

func removeMember(v *visit) error {
	in := v.endInput()
	in.RemovalChoices = v.removalChoices()
	out, err := directory.RemoveMember.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askRemove(v)
	}
	if err != nil {
		return err
	}
	to := v.afterMember()
	if v.can("members.view") {
		to = v.memberHref(out.Member.ID, "removed")
	}
	return v.redirect(to, done(v.removalText(out)))
}

// removalText says what a removal did.
func (v *visit) removalText(out directory.Removal) string {
	text := ui.T("%s is removed. No session reaches %s any more.", out.Member.Label(), v.organization.Name)
	for _, part := range []struct {
		n         int
		one, many string
	}{
		{len(out.KeysEnded), "1 key is refused.", "%d keys are refused."},
		{len(out.KeysLeftBehind), "1 key stays, left behind.", "%d keys stay, left behind."},
		{len(out.ServiceAccounts), "1 service account has another manager.", "%d service accounts have another manager."},
		{int(out.InvitationsCancelled), "1 invitation was cancelled.", "%d invitations were cancelled."},
		{int(out.TransfersCancelled), "1 hand-over of ownership was cancelled.", "%d hand-overs of ownership were cancelled."},
	} {
		if part.n > 0 {
			text += " " + ui.N(part.n, part.one, part.many)
		}
	}
	return text
}

func leave(v *visit) error {
	in := directory.LeaveInput{InOrganization: v.inOrg(), RemovalChoices: v.removalChoices(), Reason: v.form.value("reason")}
	_, err := directory.Leave.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askLeave(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.href("/orgs"), done(ui.T("You have left %s.", v.organization.Name)))
}

// probe is what a check of somebody, or of a key, answers now.
type probe struct {
	name   string
	answer access.Explanation
	key    *credential.Key // nil: the person
}

// removedPage proves that a removal is in force: it asks, now, whether the person and the keys get in.
type removedPage struct {
	visit  *visit
	probes []probe
}

// showRemoved asks about somebody who was a member, and about the personal keys that the viewer may look into.
func showRemoved(v *visit) error {
	p := removedPage{visit: v}
	person, err := p.ask(v.r.PathValue("member"))
	if err != nil {
		return err
	}
	name := nameOf(person.Subject)
	p.probes = []probe{{name: ui.T("%s, on every session", name), answer: person}}
	if v.can("keys.inspect") {
		if err := p.askKeys(person.Subject.User); err != nil {
			return err
		}
	}
	return v.page(ui.PageProps{Title: ui.T("Access of %s", name), Lede: ui.T("Asked anew whenever this page is loaded."), Crumb: v.teamCrumb(),
		Ways: v.same(access.Explain, "permission", string(seesAnything), "subject", person.Subject.Member)}, p.show())
}

// seesAnything is the permission that everybody has who gets in at all.
const seesAnything charter.Permission = "organization.view"

func (p removedPage) ask(subject string) (access.Explanation, error) {
	return access.Explain.Call(p.visit.ctx, p.visit.Service, access.ExplainInput{InOrganization: p.visit.inOrg(), Subject: subject, Permission: seesAnything})
}

// askKeys asks about the personal keys that somebody made, of as many as one page of keys has.
func (p *removedPage) askKeys(user string) error {
	keys, err := credential.ListKeys.Call(p.visit.ctx, p.visit.Service, credential.ListKeysInput{InOrganization: p.visit.inOrg(), Page: op.Page{Limit: pageSize}, Owner: user, Kind: charter.PersonalKey})
	for _, key := range keys.Data {
		answer, err := p.ask(key.ID)
		if err != nil {
			return err
		}
		p.probes = append(p.probes, probe{name: ui.T("Key %s", key.Name), answer: answer, key: &key})
	}
	return err
}

func (p removedPage) table() ui.TableProps {
	t := ui.TableProps{ID: "probes", Caption: ui.T("Who and what gets in"),
		Columns: []ui.Column{{Title: ui.T("Who or what")}, {Title: ui.T("Answer")}, {Title: ui.T("Why")}, {Title: ui.T("Since")}, {Title: ui.T("Asked")}}}
	for _, probe := range p.probes {
		t.Rows = append(t.Rows, ui.Row{Cells: []component{p.named(probe), ui.Badge(answerBadge(probe.answer.Allow)), ui.Text(because(probe.answer)), p.since(probe), p.visit.at(p.visit.now)}})
	}
	return t
}

func (p removedPage) named(of probe) component {
	if of.key == nil {
		return ui.Text(of.name)
	}
	return ui.Link(ui.LinkProps{Text: of.name, Href: p.visit.keyHref(of.key.ID, "")})
}

func answerBadge(allowed bool) ui.BadgeProps {
	if allowed {
		return ui.BadgeProps{Text: ui.T("Gets in"), Tone: ui.Warn}
	}
	return ui.BadgeProps{Text: ui.T("Refused"), Tone: ui.OK, Icon: "check"}
}

// since is when a key was revoked or left behind.
func (p removedPage) since(of probe) component {
	switch {
	case of.key == nil || of.key.RevokedAt.IsZero() && of.key.LeftAt.IsZero():
		return ui.Muted(ui.T("the membership's end"))
	case !of.key.RevokedAt.IsZero():
		return p.visit.at(of.key.RevokedAt)
	}
	return p.visit.at(of.key.LeftAt)
}
