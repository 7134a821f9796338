package console

import (
	"errors"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func transferPages() []page {
	return []page{
		{"GET /o/{slug}/settings/team/{member}/transfer", member, askTransfer},
		{"POST /o/{slug}/settings/team/{member}/transfer", member, transferOwnership},
		{"GET /o/{slug}/settings/ownership", member, askOffer},
		{"POST /o/{slug}/settings/ownership/accept", member, acceptOwnership},
		{"POST /o/{slug}/settings/ownership/cancel", member, cancelOwnership},
	}
}

// askTransfer spells out what handing ownership over does to both, and asks for the recipient's name.
func askTransfer(v *visit) error {
	to, err := v.member()
	if err != nil {
		return err
	}
	impact, failed := v.dryRun(directory.TransferOwnership, v.transferInput())
	c := confirmation{id: "transfer", title: ui.T("Transfer ownership of %s to %s", v.organization.Name, to.Label()), cancel: v.memberHref(to.ID, ""),
		version: to.ETag(), submit: ui.ButtonProps{Text: ui.T("Transfer ownership to %s", to.Label()), Kind: ui.Danger},
		ways: v.same(directory.TransferOwnership, "member", to.ID)}
	if failed != nil {
		if c.impossible, err = impossible(failed); err != nil {
			return err
		}
		c.helps = v.transferHelp(failed, to)
		return v.ask(c)
	}
	c.text = append([]string{sentence(impact.Summary)}, v.transferRules(to)...)
	c.affected, c.fields = v.outcomes(to, impact), v.transferFields(to)
	return v.ask(c)
}

func (v *visit) transferInput() directory.TransferInput {
	return directory.TransferInput{InOrganization: v.inOrg(), Member: v.r.PathValue("member"), Reason: v.form.value("reason")}
}

// transferRules say when it happens, and whether it can be taken back.
func (v *visit) transferRules(to directory.Member) []string {
	if v.Service.Charter().Rules.Ownership.Acceptance == charter.AcceptanceRequired {
		return []string{ui.T("Nothing changes until %s accepts. Until then either of you can cancel.", to.Label())}
	}
	return []string{ui.T("It happens at once and cannot be undone: only the new owner can give ownership back. Every owner is told by mail.")}
}

// outcomes say what becomes of both.
func (v *visit) outcomes(to directory.Member, impact op.Impact) []ui.Fact {
	c := v.Service.Charter()
	facts := []ui.Fact{{Name: to.Label(), Value: ui.Text(ui.T("becomes %s and gains %d permissions", c.OwnerRole().Title, len(impact.Gains)))}}
	if previous, ok := c.Role(c.Rules.Ownership.PreviousOwnerBecomes); ok {
		lost := c.IDs(c.OwnerRole().Holds.Minus(previous.Holds))
		facts = append(facts, ui.Fact{Name: ui.T("You"), Value: ui.Text(ui.T("become %s and lose %d permissions", previous.Title, len(lost)))})
	}
	return facts
}

// transferHelp is what helps a member who may not receive ownership.
func (v *visit) transferHelp(err error, to directory.Member) []ui.ButtonProps {
	switch op.AsError(err).FullCode() {
	case "wrong_role":
		return []ui.ButtonProps{{Text: ui.T("Change the role of %s", to.Label()), Href: v.memberHref(to.ID, "role")}}
	case "owner_with_end":
		return []ui.ButtonProps{{Text: ui.T("Change the end date"), Href: v.memberHref(to.ID, "end")}}
	case "transfer_pending":
		return []ui.ButtonProps{{Text: ui.T("Look at it"), Href: v.org("/settings/ownership")}}
	}
	return nil
}

func transferOwnership(v *visit) error {
	to, err := v.member()
	if err != nil {
		return err
	}
	if !v.typed(to.Label()) {
		return askTransfer(v)
	}
	t, err := directory.TransferOwnership.Call(v.ctx, v.Service, v.transferInput(), v.form.options()...)
	if v.again(err) {
		return askTransfer(v)
	}
	if err != nil {
		return err
	}
	if t.State == "pending" {
		return v.redirect(v.org("/settings/ownership"), done(ui.T("%s is asked to take ownership over.", to.Label())))
	}
	return v.redirect(v.org("/settings"), done(ui.T("%s owns %s now.", to.Label(), v.organization.Name)))
}

// offer is a hand-over of ownership that waits, as one of the two whom it concerns sees it.
type offer struct {
	directory.Transfer
	from, to  directory.Member
	receiving bool
}

// pendingOffer is the hand-over that waits for, or was begun by, the viewer; nil: there is none.
func (v *visit) pendingOffer() (*offer, error) {
	if v.Service.Charter().Rules.Ownership.Acceptance != charter.AcceptanceRequired {
		return nil, nil
	}
	var o offer
	err := v.Service.View(v.ctx, v.caller, v.organization.ID, func(r *op.Reader) (err error) {
		o.Transfer, o.from, o.to, err = directory.TransferOf(v.ctx, r, v.actor.User)
		return err
	})
	if errors.Is(err, op.ErrNotFound) {
		return nil, nil
	}
	o.receiving = o.to.User == v.actor.User
	return &o, err
}

// text says what waits for whom.
func (o *offer) text() string {
	if o.receiving {
		return ui.T("%s wants to hand ownership over to you.", o.from.Label())
	}
	return ui.T("You are handing ownership over to %s, who has not accepted yet.", o.to.Label())
}

// askOffer shows the hand-over that waits.
func askOffer(v *visit) error {
	o, err := v.pendingOffer()
	if err != nil {
		return err
	}
	ways := v.same(directory.CancelOwnership)
	if o != nil && o.receiving {
		ways = v.same(directory.AcceptOwnership)
	}
	return v.page(ui.PageProps{Title: ui.T("Ownership"), Crumb: v.settingsCrumb(), Ways: ways}, v.offerPage(o))
}

func acceptOwnership(v *visit) error {
	_, err := directory.AcceptOwnership.Call(v.ctx, v.Service, directory.PendingInput{InOrganization: v.inOrg()}, v.form.options()...)
	if v.again(err) {
		return askOffer(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.org("/settings"), done(ui.T("You own %s now.", v.organization.Name)))
}

func cancelOwnership(v *visit) error {
	_, err := directory.CancelOwnership.Call(v.ctx, v.Service, directory.PendingInput{InOrganization: v.inOrg()}, v.form.options()...)
	if v.again(err) {
		return askOffer(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.org("/settings"), done(ui.T("The hand-over is cancelled. Nothing has changed.")))
}
