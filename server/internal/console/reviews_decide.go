package console

import (
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/governance"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// oneItem reads the row of the address.
func (v *visit) oneItem() (p reviewPage, i governance.Item, err error) {
	p = reviewPage{visit: v}
	if p.review, err = v.review(); err != nil {
		return p, i, err
	}
	items, err := all(func(page op.Page) (op.List[governance.Item], error) {
		return governance.ListItems.Call(v.ctx, v.Service, governance.ListItemsInput{ReviewInput: v.oneReview(), Page: page})
	})
	for _, i := range items {
		if i.Subject.ID == v.r.PathValue("item") {
			return p, i, nil
		}
	}
	if err == nil {
		err = op.ErrNotFound
	}
	return p, i, err
}

// askDecision asks what becomes of a row.
func askDecision(v *visit) error {
	p, i, err := v.oneItem()
	if err != nil {
		return err
	}
	c := confirmation{id: "decide", title: ui.T("Decide about %s", i.Subject.Name), cancel: p.visit.reviewHref(p.review.ID, ""), version: i.ETag(),
		text:   []string{ui.T("Nothing changes before the review is completed.")},
		submit: ui.ButtonProps{Text: ui.T("Decide"), Kind: ui.Primary}, ways: v.same(governance.Decide, "review", p.review.ID, "item", i.Subject.ID, "decision", v.form.or("decision", "keep"))}
	if !p.waits(i) {
		c.impossible = ui.T("Somebody else decides about this, or there is nothing to decide any more.")
		return v.ask(c)
	}
	if c.fields, err = v.decisionFields(i); err != nil {
		return err
	}
	return v.ask(c)
}

func (v *visit) decisionFields(i governance.Item) (component, error) {
	choices := ui.ChoicesProps{FieldProps: ui.FieldProps{Name: "decision", Label: ui.T("Decision"), Error: v.form.error("decision")},
		Value: v.form.or("decision", string(i.Decision)), Options: []ui.Option{{Value: string(governance.Keep), Text: ui.T("Keep"), Hint: ui.T("The access stays as it is.")}}}
	if i.Subject.Type == "key" {
		choices.Options = append(choices.Options, ui.Option{Value: string(governance.Remove), Text: ui.T("Revoke")})
		return v.decisionForm(choices, nil), nil
	}
	choices.Options = append(choices.Options, ui.Option{Value: string(governance.Reduce), Text: ui.T("Reduce"), Hint: ui.T("To the lower role below.")},
		ui.Option{Value: string(governance.Remove), Text: ui.T("Remove"), Hint: ui.T("Access ends when the review is completed.")})
	roles, err := v.allRoles()
	lower := ui.SelectProps{FieldProps: ui.FieldProps{Name: "role", Label: ui.T("Lower role"), Optional: true, Error: v.form.error("role")}, Value: v.form.or("role", string(i.ToRole)),
		Options: []ui.Option{{Text: ui.T("None")}}}
	for _, role := range roles {
		if role.ID == string(i.Role) {
			break // lowest first: what follows holds as much or more
		}
		lower.Options = append(lower.Options, ui.Option{Value: role.ID, Text: role.Title})
	}
	return v.decisionForm(choices, &lower), err
}

func (v *visit) noteField() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "reason", Label: ui.T("Why"), Hint: ui.T("Required unless you keep it: it is the evidence."), Error: v.form.error("reason")}, Value: v.form.value("reason"), MaxLength: "500"}
}

// decideItem decides about a row: from its form, or by the button beside it.
func decideItem(v *visit) error {
	in := governance.DecideInput{ReviewInput: v.oneReview(), Item: v.r.PathValue("item"), Decision: governance.Choice(v.form.value("decision")), Reason: v.form.value("reason")}
	if in.Decision == governance.Reduce {
		in.Role = charter.RoleID(v.form.value("role"))
	}
	i, err := governance.Decide.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askDecision(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(withQuery(v.reviewHref(in.Review, ""), cloned(v.r.URL.Query())), done(ui.T("%s: %s.", i.Subject.Name, choiceBadge(i).Text)))
}

// askKeep says how many rows a filter leaves to keep at once.
func askKeep(v *visit) error {
	r, err := v.review()
	if err != nil {
		return err
	}
	return v.ask(confirmation{id: "keep", title: ui.T("Keep every row that is not decided"), cancel: withQuery(v.reviewHref(r.ID, ""), cloned(v.r.URL.Query())),
		action: withQuery(v.reviewHref(r.ID, "keep"), cloned(v.r.URL.Query())), fields: ui.Input(v.noteField()),
		text:   []string{ui.T("This decides to keep every row that your filter leaves and that nobody has decided. Your own row, and rows that changed since the review began, are left out.")},
		submit: ui.ButtonProps{Text: ui.T("Keep them"), Kind: ui.Primary}, ways: v.same(governance.DecideMany, "review", r.ID)})
}

func keepRows(v *visit) error {
	query := v.r.URL.Query()
	in := governance.KeepManyInput{ReviewInput: v.oneReview(), Reason: v.form.value("reason"), ItemFilter: governance.ItemFilter{
		Role: charter.RoleID(query.Get("role")), Flag: governance.Flag(query.Get("flag")), Decision: query.Get("decided")}}
	kept, err := governance.DecideMany.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askKeep(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(withQuery(v.reviewHref(in.Review, ""), cloned(query)), done(ui.N(int(kept.Kept), "1 row is kept.", "%d rows are kept.")))
}

func (v *visit) completionInput() governance.CompleteReviewInput {
	return governance.CompleteReviewInput{ReviewInput: v.oneReview(), Undecided: v.form.or("undecided", "refuse")}
}

// askCompletion lists by name what completing does.
func askCompletion(v *visit) error {
	r, err := v.review()
	if err != nil {
		return err
	}
	in := v.completionInput()
	c := confirmation{id: "complete", title: ui.T("Complete %s", r.Title), cancel: v.reviewHref(r.ID, ""), version: r.ETag(),
		submit: ui.ButtonProps{Text: ui.T("Complete the review"), Kind: ui.Danger}, fields: ui.HiddenFields([]ui.Hidden{{Name: "undecided", Value: in.Undecided}}),
		ways: v.same(governance.CompleteReview, "review", r.ID, "undecided", in.Undecided)}
	impact, failed := v.dryRun(governance.CompleteReview, in)
	if failed == nil {
		c.text, c.affected = []string{sentence(impact.Summary), ui.T("All of it happens at once, or nothing.")}, affectedBy(impact)
		return v.ask(c)
	}
	if op.AsError(failed).FullCode() == "review_undecided" {
		c.helps = []ui.ButtonProps{{Text: ui.T("Decide about them"), Href: asking(v.reviewHref(r.ID, ""), "decided", "none")},
			{Text: ui.T("Keep what nobody decided"), Href: asking(v.reviewHref(r.ID, "complete"), "undecided", "keep"), Dialog: true}}
	}
	if e := op.AsError(failed); e.Kind == op.Denied {
		c.impossible = sentence(e.Text)
		return v.ask(c)
	}
	if c.impossible, err = impossible(failed); err != nil {
		return err
	}
	return v.ask(c)
}

func completeReview(v *visit) error {
	r, err := governance.CompleteReview.Call(v.ctx, v.Service, v.completionInput(), v.form.options()...)
	if v.again(err) {
		return askCompletion(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.reviewHref(r.ID, ""), done(ui.T("The review is complete, and what was decided is in force.")))
}

func askReviewEnd(v *visit) error {
	r, err := v.review()
	if err != nil {
		return err
	}
	return v.ask(confirmation{id: "cancel-review", title: ui.T("Cancel %s", r.Title), cancel: v.reviewHref(r.ID, ""), version: r.ETag(), fields: v.reasonField(),
		text:   []string{ui.T("Nothing of it is applied, and it is not repeated. What was decided stays readable.")},
		submit: ui.ButtonProps{Text: ui.T("Cancel the review"), Kind: ui.Danger}, ways: v.same(governance.CancelReview, "review", r.ID)})
}

func cancelReview(v *visit) error {
	r, err := governance.CancelReview.Call(v.ctx, v.Service, governance.CancelReviewInput{ReviewInput: v.oneReview(), Reason: v.form.value("reason")}, v.form.options()...)
	if v.again(err) {
		return askReviewEnd(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.reviewHref(r.ID, ""), done(ui.T("The review is cancelled.")))
}

func repeatReview(v *visit) error {
	r, err := governance.RepeatReview.Call(v.ctx, v.Service, v.oneReview(), v.form.options()...)
	if err != nil {
		return err
	}
	return v.redirect(v.reviewHref(r.ID, ""), done(ui.T("The next review is running.")))
}

func remindReview(v *visit) error {
	r, err := governance.RemindReview.Call(v.ctx, v.Service, v.oneReview(), v.form.options()...)
	if v.again(err) {
		return showReview(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.reviewHref(r.ID, ""), done(ui.T("Everybody who has to act is reminded by mail.")))
}

// exportReview streams the review as CSV.
func exportReview(v *visit) error {
	return v.download(governance.ReportReview, v.oneReview())
}
