package console

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/governance"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func reviewsPages() []page {
	const one = "/o/{slug}/settings/reviews/{review}"
	return []page{
		{"GET /o/{slug}/settings/reviews", member, showReviews},
		{"GET /o/{slug}/settings/reviews/new", member, askReview},
		{"POST /o/{slug}/settings/reviews/new", member, startReview},
		{"GET " + one, member, showReview},
		{"GET " + one + "/items/{item}", member, askDecision},
		{"POST " + one + "/items/{item}", member, decideItem},
		{"GET " + one + "/keep", member, askKeep},
		{"POST " + one + "/keep", member, keepRows},
		{"GET " + one + "/complete", member, askCompletion},
		{"POST " + one + "/complete", member, completeReview},
		{"GET " + one + "/cancel", member, askReviewEnd},
		{"POST " + one + "/cancel", member, cancelReview},
		{"POST " + one + "/repeat", member, repeatReview},
		{"POST " + one + "/remind", member, remindReview},
		{"GET " + one + "/report", member, exportReview},
	}
}

// reviewHref is the address of a review, or of one of its verbs; of all reviews without an id.
func (v *visit) reviewHref(id, verb string) string {
	path := "/settings/reviews"
	for _, part := range []string{id, verb} {
		if part != "" {
			path += "/" + part
		}
	}
	return v.org(path)
}

func (v *visit) reviewsCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("Access reviews"), Href: v.reviewHref("", "")}
}

func (v *visit) oneReview() governance.ReviewInput {
	return governance.ReviewInput{InOrganization: v.inOrg(), Review: v.r.PathValue("review")}
}

// review is the review of the address.
func (v *visit) review() (governance.Review, error) {
	return governance.GetReview.Call(v.ctx, v.Service, v.oneReview())
}

// reviewsPage is the list of reviews.
type reviewsPage struct {
	visit *visit
	list  op.List[governance.Review]
}

func showReviews(v *visit) error {
	p := reviewsPage{visit: v}
	var err error
	if p.list, err = governance.ListReviews.Call(v.ctx, v.Service, governance.ListReviewsInput{InOrganization: v.inOrg(), Page: v.pageOf()}); err != nil {
		return err
	}
	props := ui.PageProps{Title: ui.T("Access reviews"), Lede: ui.T("Who has access, and is it still needed? Asked about each, decided, applied, and kept as evidence."), Crumb: v.settingsCrumb(),
		Ways: v.same(governance.ListReviews)}
	if v.can("reviews.manage") {
		props.Actions = ui.Button(v.newReviewVerb())
	}
	return v.page(props, p.show())
}

func (v *visit) newReviewVerb() ui.ButtonProps {
	return ui.ButtonProps{Text: ui.T("Start a review"), Icon: "plus", Kind: ui.Primary, Href: v.reviewHref("", "new"), Hotkey: "n"}
}

func (p reviewsPage) table() ui.TableProps {
	t := ui.TableProps{ID: "reviews", Caption: ui.T("Access reviews"), Empty: p.none(), Pager: pagerOf(p.visit.reviewHref("", ""), p.visit.form.values, p.list.NextCursor),
		Columns: []ui.Column{{Title: ui.T("Review")}, {Title: ui.T("State")}, {Title: ui.T("Decided")}, {Title: ui.T("Due")}, {Title: ui.T("Started")}}}
	for _, r := range p.list.Data {
		t.Rows = append(t.Rows, ui.Row{ID: r.ID, Over: r.State != governance.Open, Cells: []templ.Component{
			ui.Person(ui.PersonProps{Name: r.Title, Detail: p.visit.about(r), Href: p.visit.reviewHref(r.ID, ""), Square: true}), ui.Badge(reviewState(r)),
			ui.Text(ui.T("%d of %d", r.Decided, r.Rows)), p.visit.at(r.DueAt), p.visit.at(r.StartedAt)}})
	}
	return t
}

// about says what a review asks about.
func (v *visit) about(r governance.Review) string {
	switch r.Subject {
	case governance.OfRole:
		return ui.T("Everybody who is %s", v.roleNamed(r.Role))
	case governance.OfServiceAccounts:
		return ui.T("All service accounts")
	case governance.OfKeys:
		return ui.T("All API keys")
	}
	return ui.T("All members")
}

// roleNamed is a role's title; of one that is gone, its id.
func (v *visit) roleNamed(id charter.RoleID) string {
	roles, err := v.allRoles()
	for _, role := range roles {
		if err == nil && role.ID == string(id) {
			return role.Title
		}
	}
	return string(id)
}

func reviewState(r governance.Review) ui.BadgeProps {
	switch {
	case r.Overdue:
		return ui.BadgeProps{Text: ui.T("Overdue"), Tone: ui.Warn}
	case r.State == governance.Open:
		return ui.BadgeProps{Text: ui.T("Running"), Tone: ui.Info}
	case r.State == governance.Completed:
		return ui.BadgeProps{Text: ui.T("Complete"), Tone: ui.OK}
	}
	return ui.BadgeProps{Text: ui.T("Cancelled")}
}

func (p reviewsPage) none() component {
	if !p.visit.can("reviews.manage") {
		return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Nobody has asked you to review access.")})
	}
	verb := repeated(p.visit.newReviewVerb())
	return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Auditors ask who has access, who looked at it, and what came of it. A review is that answer."), Verb: &verb,
		Docs: ui.LinkProps{Text: ui.T("How reviews work"), Href: p.visit.href("/docs/reviews#access-reviews")}, Command: p.visit.same(governance.StartReview, "title", "Access in the fourth quarter", "subject", "members").Command})
}

// reviewForm starts a review.
type reviewForm struct {
	visit *visit
	roles []directory.Role
	names map[string]string
}

func askReview(v *visit) error {
	if err := v.demandAny([]charter.Permission{"reviews.manage"}); err != nil {
		return err
	}
	f := reviewForm{visit: v}
	var err error
	if f.roles, err = v.allRoles(); err != nil {
		return err
	}
	if f.names, err = v.memberNames(); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Start a review"), Lede: ui.T("Who or what has access is written down when you start. Nothing changes before you complete the review."), Crumb: v.reviewsCrumb(),
		Ways: v.same(governance.StartReview, "title", f.title().Value, "subject", f.subject().Value, "due_at", "14d")}, f.fields())
}

func (f reviewForm) title() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "title", Label: ui.T("Title"), Error: f.visit.form.error("title")}, MaxLength: "120",
		Value: f.visit.form.or("title", ui.T("Access in %s", f.visit.now.Format("January 2006")))}
}

func (f reviewForm) subject() ui.ChoicesProps {
	p := ui.ChoicesProps{FieldProps: ui.FieldProps{Name: "subject", Label: ui.T("Ask about"), Error: f.visit.form.error("subject")}, Value: f.visit.form.or("subject", string(governance.OfMembers)),
		Options: []ui.Option{{Value: string(governance.OfMembers), Text: ui.T("All members")}, {Value: string(governance.OfRole), Text: ui.T("The members with one role"), Hint: ui.T("Which one you choose below.")}}}
	if f.visit.hasOrganizationKeys() {
		p.Options = append(p.Options, ui.Option{Value: string(governance.OfServiceAccounts), Text: ui.T("All service accounts")})
	}
	p.Options = append(p.Options, ui.Option{Value: string(governance.OfKeys), Text: ui.T("All API keys")})
	return p
}

func (f reviewForm) role() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "role", Label: ui.T("Role"), Hint: ui.T("For a review of one role."), Optional: true, Error: f.visit.form.error("role")},
		Value: f.visit.form.value("role"), Options: []ui.Option{{Text: ui.T("No single role")}}}
	for _, role := range f.roles {
		s.Options = append(s.Options, ui.Option{Value: role.ID, Text: role.Title})
	}
	return s
}

func (f reviewForm) due() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "due_at", Label: ui.T("Last day to decide"), Error: f.visit.form.error("due_at")}, Type: "date",
		Value: f.visit.form.or("due_at", f.visit.now.Add(governance.DefaultDue).Format(time.DateOnly))}
}

func (f reviewForm) repeat() ui.SelectProps {
	return ui.SelectProps{FieldProps: ui.FieldProps{Name: "repeat_days", Label: ui.T("Begin the next one"), Error: f.visit.form.error("repeat_days")}, Value: f.visit.form.or("repeat_days", "0"),
		Options: []ui.Option{{Value: "0", Text: ui.T("Not by itself")}, {Value: "91", Text: ui.T("After a quarter")}, {Value: "182", Text: ui.T("After half a year")}, {Value: "365", Text: ui.T("After a year")}}}
}

// reviewers are boxes for who is asked; without any, whoever manages reviews decides.
func (f reviewForm) reviewers() (boxes []ui.CheckboxProps) {
	for _, id := range sortedByValue(f.names) {
		boxes = append(boxes, ui.CheckboxProps{FieldProps: ui.FieldProps{Name: "reviewers", ID: "f-reviewers-" + id, Label: f.names[id]}, Value: id,
			Checked: slices.Contains(f.visit.form.values["reviewers"], id)})
	}
	return boxes
}

func startReview(v *visit) error {
	days, _ := strconv.Atoi(v.form.value("repeat_days"))
	in := governance.StartReviewInput{InOrganization: v.inOrg(), Title: v.form.value("title"), Subject: governance.Scope(v.form.value("subject")),
		Role: charter.RoleID(v.form.value("role")), DueAt: endOf(v.form.value("due_at"), v.zone()), Reviewers: v.form.values["reviewers"], RepeatDays: days}
	if in.Subject != governance.OfRole {
		in.Role = ""
	}
	r, err := governance.StartReview.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askReview(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.reviewHref(r.ID, ""), done(ui.N(r.Rows, "The review is running: 1 row waits for a decision.", "The review is running: %d rows wait for a decision.")))
}

// reviewPage is one review with its rows.
type reviewPage struct {
	visit  *visit
	review governance.Review
	list   op.List[governance.Item]
	names  map[string]string
}

// itemFilter is what the address asks for.
func (v *visit) itemFilter() governance.ItemFilter {
	return governance.ItemFilter{Role: charter.RoleID(v.form.value("role")), Flag: governance.Flag(v.form.value("flag")), Decision: v.form.value("decided")}
}

func showReview(v *visit) error {
	p := reviewPage{visit: v}
	var err error
	if p.review, err = v.review(); err != nil {
		return err
	}
	in := governance.ListItemsInput{ReviewInput: v.oneReview(), Page: v.pageOf(), ItemFilter: v.itemFilter()}
	if p.list, err = governance.ListItems.Call(v.ctx, v.Service, in); err != nil && !v.again(err) {
		return err
	}
	if p.names, err = v.memberNames(); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: p.review.Title, Lede: v.about(p.review), Crumb: v.reviewsCrumb(), Actions: p.actions(),
		Ways: v.same(governance.ListItems, "review", p.review.ID)}, p.show())
}

// actions are the review's verbs.
func (p reviewPage) actions() component {
	if !p.visit.can("reviews.manage") {
		return nil
	}
	buttons := []component{ui.Button(ui.ButtonProps{Text: ui.T("Export CSV"), Icon: "download", Href: p.visit.reviewHref(p.review.ID, "report")})}
	if p.review.State == governance.Open {
		buttons = append(buttons, ui.Button(ui.ButtonProps{Text: ui.T("Cancel the review"), Href: p.visit.reviewHref(p.review.ID, "cancel"), Dialog: true}),
			ui.Button(ui.ButtonProps{Text: ui.T("Complete the review"), Kind: ui.Primary, Href: p.visit.reviewHref(p.review.ID, "complete"), Dialog: true}))
	}
	return ui.Join(buttons...)
}

// facts say how far the review is.
func (p reviewPage) facts() []ui.Fact {
	r := p.review
	facts := []ui.Fact{{Name: ui.T("State"), Value: ui.Badge(reviewState(r))}, {Name: ui.T("Decided"), Value: ui.Text(ui.T("%d of %d rows", r.Decided, r.Rows))},
		{Name: ui.T("Due"), Value: p.visit.at(r.DueAt)}, {Name: ui.T("Started"), Value: p.visit.at(r.StartedAt)}}
	if len(r.Reviewers) > 0 {
		named := make([]string, len(r.Reviewers))
		for i, id := range r.Reviewers {
			named[i] = p.memberNamed(id)
		}
		facts = append(facts, ui.Fact{Name: ui.T("Reviewers"), Value: ui.Text(strings.Join(named, ", "))})
	}
	if r.RepeatDays > 0 {
		facts = append(facts, ui.Fact{Name: ui.T("Repeats"), Value: ui.Text(ui.T("every %d days", r.RepeatDays))})
	}
	if r.SettledAt != nil {
		facts = append(facts, ui.Fact{Name: ui.T("Over since"), Value: p.visit.at(*r.SettledAt)})
	}
	if r.Next != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Repeated by"), Value: ui.Link(ui.LinkProps{Text: r.Next, Href: p.visit.reviewHref(r.Next, "")})})
	}
	return facts
}

func (p reviewPage) memberNamed(id string) string {
	if name := p.names[id]; name != "" {
		return name
	}
	return id
}

// filters are the choices above the rows.
func (p reviewPage) filters() ui.FilterBarProps {
	path := p.visit.reviewHref(p.review.ID, "")
	bar := ui.FilterBarProps{Action: path, ClearHref: path}
	for _, name := range itemFields {
		bar.Chips = append(bar.Chips, p.visit.chip(path, name, ui.T("%s: %s", name, strings.ReplaceAll(p.visit.form.value(name), "_", " ")))...)
	}
	return bar
}

// itemFields are the fields of governance.ItemFilter.
var itemFields = []string{"decided", "flag", "role"}

func (p reviewPage) selects() []ui.SelectProps {
	role := ui.SelectProps{FieldProps: ui.FieldProps{Name: "role", ID: "f-filter-role", Label: ui.T("Role")}, Value: p.visit.form.value("role"), Options: []ui.Option{{Text: ui.T("Any role")}}}
	roles, err := p.visit.allRoles()
	for _, one := range roles {
		if err == nil {
			role.Options = append(role.Options, ui.Option{Value: one.ID, Text: one.Title})
		}
	}
	all := []ui.SelectProps{
		{FieldProps: ui.FieldProps{Name: "decided", Label: ui.T("Decision")}, Value: p.visit.form.value("decided"), Options: []ui.Option{{Text: ui.T("Any")},
			{Value: "none", Text: ui.T("Not decided")}, {Value: "keep", Text: ui.T("Keep")}, {Value: "reduce", Text: ui.T("Reduce")}, {Value: "remove", Text: ui.T("Remove")}}},
		{FieldProps: ui.FieldProps{Name: "flag", Label: ui.T("Asks for a look")}, Value: p.visit.form.value("flag"), Options: []ui.Option{{Text: ui.T("Any")},
			{Value: string(governance.Unused), Text: flagWord(governance.Unused)}, {Value: string(governance.NoEnd), Text: flagWord(governance.NoEnd)},
			{Value: string(governance.Suspended), Text: flagWord(governance.Suspended)}, {Value: string(governance.LeftBehind), Text: flagWord(governance.LeftBehind)}}},
	}
	if p.review.Subject == governance.OfMembers || p.review.Subject == governance.OfServiceAccounts {
		all = append(all, role)
	}
	return all
}

func flagWord(f governance.Flag) string {
	switch f {
	case governance.Unused:
		return ui.T("Unused for 90 days")
	case governance.NoEnd:
		return ui.T("Never ends")
	case governance.Ended:
		return ui.T("End date passed")
	case governance.Suspended:
		return ui.T("Suspended")
	case governance.LeftBehind:
		return ui.T("Left behind")
	}
	return ui.T("Owner")
}

func (p reviewPage) table() ui.TableProps {
	t := ui.TableProps{ID: "rows", Caption: ui.T("Rows"), Empty: ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No row has what you filter for.")}),
		Pager:   pagerOf(p.visit.reviewHref(p.review.ID, ""), p.visit.form.values, p.list.NextCursor),
		Columns: []ui.Column{{Title: ui.T("Who")}, {Title: ui.T("Role")}, {Title: ui.T("Last active or used")}, {Title: ui.T("Look")}, {Title: ui.T("Decision")}, {Title: ui.T("Decide"), Acts: true}}}
	for _, i := range p.list.Data {
		t.Rows = append(t.Rows, ui.Row{ID: "row-" + i.Subject.ID, Over: i.Gone, Cells: []templ.Component{p.who(i), p.roleOf(i), p.lastSeen(i), p.flags(i), p.decision(i), p.decide(i)}})
	}
	return t
}

func (p reviewPage) lastSeen(i governance.Item) component {
	if i.LastUsedAt == nil {
		return ui.Muted(ui.T("never"))
	}
	return p.visit.at(*i.LastUsedAt)
}

// grantedText says how a member got the role.
func grantedText(g *governance.Grant) string {
	if g == nil {
		return ""
	}
	by := g.By
	if by == "" {
		by = ui.T("somebody")
	}
	day := g.At.Format(time.DateOnly)
	switch g.How {
	case "founder":
		return ui.T("since the organization was made, %s", day)
	case "invitation":
		return ui.T("invited by %s, joined %s", by, day)
	case "added":
		return ui.T("added %s", day)
	case "ownership":
		return ui.T("by a hand-over of ownership, %s", day)
	}
	return ui.T("given by %s, %s", by, day)
}

// waits reports whether the viewer can decide about a row.
func (p reviewPage) waits(i governance.Item) bool {
	return p.review.State == governance.Open && !i.Gone && !i.Yourself
}

func (p reviewPage) itemHref(i governance.Item) string {
	return p.visit.reviewHref(p.review.ID, "items/"+i.Subject.ID)
}

func choiceBadge(i governance.Item) ui.BadgeProps {
	switch i.Decision {
	case governance.Keep:
		return ui.BadgeProps{Text: ui.T("Keep"), Tone: ui.OK}
	case governance.Reduce:
		return ui.BadgeProps{Text: ui.T("Reduce"), Tone: ui.Warn}
	case governance.Remove:
		return ui.BadgeProps{Text: ui.T("Remove"), Tone: ui.Bad}
	}
	return ui.BadgeProps{Text: ui.T("Not decided")}
}
