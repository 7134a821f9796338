package governance_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/governance"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// starts begins a review as somebody.
func (a *acme) starts(p testroom.Person, in governance.StartReviewInput) governance.Review {
	a.T.Helper()
	in.InOrganization = a.in()
	if in.Title == "" {
		in.Title = "Q4"
	}
	if in.Subject == "" {
		in.Subject = governance.OfMembers
	}
	return does(a, p, governance.StartReview, in)
}

func (a *acme) review(r governance.Review) governance.ReviewInput {
	return governance.ReviewInput{InOrganization: a.in(), Review: r.ID}
}

// rows are the rows of a review that somebody sees, by name.
func (a *acme) rows(p testroom.Person, r governance.Review, f governance.ItemFilter) map[string]governance.Item {
	a.T.Helper()
	rows := map[string]governance.Item{}
	for _, i := range does(a, p, governance.ListItems, governance.ListItemsInput{ReviewInput: a.review(r), Page: op.Page{Limit: 100}, ItemFilter: f}).Data {
		rows[i.Subject.Name] = i
	}
	return rows
}

// names are the names of rows, sorted.
func names(rows map[string]governance.Item) string {
	var all []string
	for name := range rows {
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// decides tries to decide about a row.
func (a *acme) decides(p testroom.Person, r governance.Review, subject string, d governance.Choice, role charter.RoleID, options ...op.Option) error {
	in := governance.DecideInput{ReviewInput: a.review(r), Item: subject, Decision: d, Role: role}
	if d != governance.Keep {
		in.Reason = "not needed any more"
	}
	return tries(a, p, governance.Decide, in, options...)
}

// completes tries to complete a review.
func (a *acme) completes(p testroom.Person, r governance.Review, undecided string) error {
	a.Most = 200 // it ends and lowers everything that was decided, in one transaction
	defer func() { a.Most = 8 }()
	return tries(a, p, governance.CompleteReview, governance.CompleteReviewInput{ReviewInput: a.review(r), Undecided: undecided})
}

// T-017: a review ends in decisions that are applied all at once.
func TestAReviewIsStartedDecidedAndApplied(t *testing.T) {
	inAcme(t, "automation", func(a *acme) {
		bo, cy, di := a.joins("bo", "owner"), a.joins("cy", "editor"), a.joins("di", "editor")
		does(a, di, credential.CreateKey, credential.CreateKeyInput{InOrganization: a.in(), Name: "di's"})
		a.After(100 * day)
		a.seen(a.ada, bo, cy)
		r := a.starts(a.ada, governance.StartReviewInput{})
		if r.Rows != 4 || r.State != governance.Open || !r.DueAt.Equal(a.Now().Add(14*day)) {
			a.T.Errorf("started %+v", r)
		}
		rows := a.rows(a.ada, r, governance.ItemFilter{})
		if got := names(rows); got != "Ada Bo Cy Di" {
			a.T.Fatalf("rows of %s", got)
		}
		if g := rows["Ada"].Granted; g == nil || g.How != "founder" {
			a.T.Errorf("ada was granted her role by %+v", g)
		}
		if diff := cmp.Diff([]governance.Flag{governance.OwnerRole}, rows["Ada"].Flags); diff != "" || !rows["Ada"].Yourself {
			a.T.Errorf("ada's own row: yourself %v, flags: %s", rows["Ada"].Yourself, diff)
		}
		if got := names(a.rows(a.ada, r, governance.ItemFilter{Flag: governance.Unused})); got != "Di" {
			a.T.Errorf("unused are %s", got)
		}
		a.Refused("ada about herself", a.decides(a.ada, r, a.ada.Member, governance.Keep, ""), "yourself")
		a.Refused("without a reason", tries(a, a.ada, governance.Decide, governance.DecideInput{ReviewInput: a.review(r), Item: di.Member, Decision: governance.Remove}), "invalid")
		a.Refused("to the same role", a.decides(a.ada, r, cy.Member, governance.Reduce, "editor"), "invalid")
		a.Must(a.decides(a.ada, r, cy.Member, governance.Reduce, "viewer"))
		a.Must(a.decides(a.ada, r, di.Member, governance.Remove, ""))
		if a.is(cy)+a.is(di) != "editor activeeditor active" {
			a.T.Errorf("decisions changed something before the end: %s, %s", a.is(cy), a.is(di))
		}
		e := a.Refused("undecided rows", a.completes(a.ada, r, ""), "review_undecided")
		if !strings.HasPrefix(e.Text, "the row of Ada is not decided (and 1 more)") {
			a.T.Errorf("it says %q", e.Text)
		}
		kept := does(a, a.ada, governance.DecideMany, governance.KeepManyInput{ReviewInput: a.review(r)})
		if kept.Kept != 1 { // Bo's: not ada's own
			a.T.Errorf("kept %d", kept.Kept)
		}
		a.Must(a.decides(bo, r, a.ada.Member, governance.Keep, ""))
		preview := a.previews(a.ada, r)
		if preview.Summary != "2 kept, 1 reduced, 1 removed" {
			a.T.Errorf("the preview says %q", preview.Summary)
		}
		var effects []string
		for _, e := range preview.Effects {
			effects = append(effects, e.Name+" "+e.Text)
		}
		if diff := cmp.Diff([]string{"Cy becomes Viewer", "Di is removed", "di's ends with the membership"}, effects); diff != "" {
			a.T.Errorf("effects: %s", diff)
		}
		a.Fenced()
		a.Must(a.completes(a.ada, r, ""))
		if a.is(cy) != "viewer active" || a.is(di) != "editor removed" || a.is(bo) != "owner active" {
			a.T.Errorf("cy is %s, di %s, bo %s", a.is(cy), a.is(di), a.is(bo))
		}
		fenced := map[string]bool{}
		for _, f := range a.Fenced() {
			fenced[f.ID] = true
		}
		if !fenced[cy.User] || !fenced[di.User] {
			a.T.Errorf("fenced were %v", fenced)
		}
		outcomes := a.rows(a.ada, r, governance.ItemFilter{})
		if got := outcomes["Ada"].Outcome + outcomes["Bo"].Outcome + outcomes["Cy"].Outcome + outcomes["Di"].Outcome; got != "keptkeptreducedremoved" {
			a.T.Errorf("outcomes: %s", got)
		}
		a.Refused("a decision afterwards", a.decides(a.ada, r, bo.Member, governance.Keep, ""), "review_over")
		a.Refused("completing again", a.completes(a.ada, r, "keep"), "review_over")
	})
}

// previews is the dry run of a completion.
func (a *acme) previews(p testroom.Person, r governance.Review) op.Impact {
	a.T.Helper()
	answer, err := a.Service.Invoke(a.T.Context(), governance.CompleteReview, op.Request{Caller: op.CallerOf(a.As(p.Token)),
		Input: governance.CompleteReviewInput{ReviewInput: a.review(r)}, DryRun: true})
	a.Must(err)
	impact, _ := answer.Output.(op.Impact)
	return impact
}

// T-017: whoever would be the last owner stays, the row is named, and nothing of the rest is applied.
func TestTheLastOwnerStaysAndNothingIsApplied(t *testing.T) {
	inAcme(t, "automation", func(a *acme) {
		bo, cy := a.joins("bo", "owner"), a.joins("cy", "editor")
		r := a.starts(a.ada, governance.StartReviewInput{})
		a.Must(a.decides(a.ada, r, cy.Member, governance.Remove, ""))
		a.Must(a.decides(a.ada, r, bo.Member, governance.Remove, ""))
		a.Must(a.decides(bo, r, a.ada.Member, governance.Reduce, "editor"))
		e := a.Refused("without an owner", a.completes(a.ada, r, ""), "last_owner")
		if !strings.Contains(e.Text, "Bo is the only active owner") || e.Refers["member"] != bo.Member {
			a.T.Errorf("it says %q about %v", e.Text, e.Refers)
		}
		if got := a.is(a.ada) + ", " + a.is(bo) + ", " + a.is(cy); got != "owner active, owner active, editor active" {
			a.T.Errorf("something was applied: %s", got)
		}
		a.Must(a.decides(a.ada, r, bo.Member, governance.Keep, ""))
		a.Must(a.completes(bo, r, ""))
		if got := a.is(a.ada) + ", " + a.is(bo) + ", " + a.is(cy); got != "editor active, owner active, editor removed" {
			a.T.Errorf("afterwards: %s", got)
		}
	})
}

// Nobody decides what they could not do at once: an admin about an admin may, about an owner may not.
func TestNobodyDecidesBeyondTheirRights(t *testing.T) {
	inAcme(t, "documents", func(a *acme) {
		bo, cy, vic := a.joins("bo", "admin"), a.joins("cy", "admin"), a.joins("vic", "member")
		r := a.starts(a.ada, governance.StartReviewInput{Reviewers: []string{}})
		a.Must(a.decides(bo, r, cy.Member, governance.Reduce, "member"))
		a.Refused("an admin about the owner", a.decides(bo, r, a.ada.Member, governance.Remove, ""), "owners_only")
		a.Must(a.decides(bo, r, a.ada.Member, governance.Keep, ""))
		a.Refused("a member decides", a.decides(vic, r, cy.Member, governance.Keep, ""), "denied")
		a.Refused("a member looks", tries(a, vic, governance.GetReview, a.review(r)), "denied")
		// An owner decides to remove the owner, and an admin, who could not do it, does not complete that.
		eve := a.joins("eve", "owner")
		r2 := a.starts(a.ada, governance.StartReviewInput{Title: "owners", Subject: governance.OfRole, Role: "owner"})
		a.Must(a.decides(a.ada, r2, eve.Member, governance.Remove, ""))
		e := a.Refused("an admin completes it", a.completes(bo, r2, "keep"), "owners_only")
		if !strings.Contains(e.Text, "Eve") {
			a.T.Errorf("the row is not named: %q", e.Text)
		}
		if a.is(eve) != "owner active" {
			a.T.Errorf("eve is %s", a.is(eve))
		}
		a.Must(a.completes(a.ada, r2, "keep"))
		if a.is(eve) != "owner removed" {
			a.T.Errorf("eve is %s", a.is(eve))
		}
	})
}

// Named reviewers see and decide only the rows that they are asked about, and never their own.
func TestReviewersSeeOnlyTheirOwnRows(t *testing.T) {
	inAcme(t, "automation", func(a *acme) {
		bo, cy := a.joins("bo", "viewer"), a.joins("cy", "viewer")
		for n := range 6 {
			a.joins(fmt.Sprintf("m%d", n), "viewer")
		}
		a.Refused("a stranger is asked", tries(a, a.ada, governance.StartReview, governance.StartReviewInput{InOrganization: a.in(), Title: "Q4",
			Subject: governance.OfMembers, Reviewers: []string{"mem_1"}}), "invalid")
		r := a.starts(a.ada, governance.StartReviewInput{Reviewers: []string{bo.Member, cy.Member}})
		if mails := a.Mails(); len(mails) != 2 || !strings.Contains(mails[0].Text, "https://hall.test/o/acme/settings/reviews/"+r.ID) {
			a.T.Errorf("mailed %v", mails)
		}
		ofBo, ofCy := a.rows(bo, r, governance.ItemFilter{}), a.rows(cy, r, governance.ItemFilter{})
		if len(ofBo)+len(ofCy) != 9 || len(ofBo) < 3 || len(ofCy) < 3 {
			a.T.Errorf("bo sees %s, cy sees %s", names(ofBo), names(ofCy))
		}
		if _, own := ofBo["Bo"]; own {
			a.T.Error("bo is asked about himself")
		}
		if _, own := ofCy["Cy"]; own {
			a.T.Error("cy is asked about herself")
		}
		for name, i := range ofCy {
			a.Refused("bo about "+name, a.decides(bo, r, i.Subject.ID, governance.Keep, ""), "denied")
			a.Must(a.decides(cy, r, i.Subject.ID, governance.Keep, ""))
			a.Refused("a viewer removes "+name, a.decides(cy, r, i.Subject.ID, governance.Remove, ""), "denied")
		}
		kept := does(a, bo, governance.DecideMany, governance.KeepManyInput{ReviewInput: a.review(r)})
		if int(kept.Kept) != len(ofBo) {
			a.T.Errorf("bo kept %d of %d", kept.Kept, len(ofBo))
		}
		if list := does(a, bo, governance.ListReviews, governance.ListReviewsInput{InOrganization: a.in()}).Data; len(list) != 1 || list[0].Decided != 9 {
			a.T.Errorf("bo lists %+v", list)
		}
		m := a.joins("zed", "viewer")
		if list := does(a, m, governance.ListReviews, governance.ListReviewsInput{InOrganization: a.in()}).Data; len(list) != 0 {
			a.T.Errorf("somebody who is not asked lists %+v", list)
		}
		a.Refused("a reviewer completes", a.completes(bo, r, ""), "denied")
		a.Must(a.completes(a.ada, r, ""))
	})
}

// A person who changed since is asked about again, and one who left meanwhile is gone: nothing is to decide.
func TestWhoChangedIsAskedAboutAgain(t *testing.T) {
	inAcme(t, "automation", func(a *acme) {
		bo, cy := a.joins("bo", "editor"), a.joins("cy", "editor")
		r := a.starts(a.ada, governance.StartReviewInput{})
		a.Must(a.decides(a.ada, r, bo.Member, governance.Reduce, "viewer"))
		a.Must(a.decides(a.ada, r, cy.Member, governance.Remove, ""))
		role := "owner"
		does(a, a.ada, directory.UpdateMember, directory.UpdateMemberInput{MemberInput: a.member(bo), Role: &role})
		does(a, cy, directory.Leave, directory.LeaveInput{InOrganization: a.in()})
		rows := a.rows(a.ada, r, governance.ItemFilter{})
		if !rows["Bo"].Changed || rows["Bo"].Gone || !rows["Cy"].Gone || rows["Ada"].Changed {
			a.T.Errorf("bo: %+v, cy: %+v", rows["Bo"], rows["Cy"])
		}
		if got := names(a.rows(a.ada, r, governance.ItemFilter{Decision: "none"})); got != "Ada Bo" {
			a.T.Errorf("waiting are %s", got)
		}
		a.Refused("about somebody who is gone", a.decides(a.ada, r, cy.Member, governance.Keep, ""), "subject_gone")
		a.Must(a.decides(bo, r, a.ada.Member, governance.Keep, ""))
		e := a.Refused("on an old decision", a.completes(a.ada, r, ""), "review_undecided")
		if !strings.HasPrefix(e.Text, "the row of Bo changed since it was decided") {
			a.T.Errorf("it says %q", e.Text)
		}
		if kept := does(a, a.ada, governance.DecideMany, governance.KeepManyInput{ReviewInput: a.review(r)}); kept.Kept != 0 {
			a.T.Errorf("kept %d rows unseen", kept.Kept)
		}
		a.Must(a.completes(a.ada, r, "keep"))
		rows = a.rows(a.ada, r, governance.ItemFilter{})
		if a.is(bo) != "owner active" || rows["Bo"].Outcome != "undecided" || rows["Cy"].Outcome != "gone" {
			a.T.Errorf("bo is %s with outcome %s; cy's outcome is %s", a.is(bo), rows["Bo"].Outcome, rows["Cy"].Outcome)
		}
	})
}

// Of two decisions on what both saw, the second is told.
func TestTheSecondOfTwoDecisionsIsTold(t *testing.T) {
	inAcme(t, "automation", func(a *acme) {
		bo, cy := a.joins("bo", "owner"), a.joins("cy", "editor")
		r := a.starts(a.ada, governance.StartReviewInput{})
		seen := op.IfMatch(a.rows(a.ada, r, governance.ItemFilter{})["Cy"].ETag())
		results := make(chan error, 2)
		for _, p := range []testroom.Person{a.ada, bo} {
			go func() { results <- a.decides(p, r, cy.Member, governance.Keep, "", seen) }()
		}
		first, second := <-results, <-results
		if first != nil {
			first, second = second, first
		}
		if first != nil {
			a.T.Fatalf("both are refused: %v, %v", first, second)
		}
		a.Refused("the second", second, "stale")
	})
}

// Keys and service accounts are reviewed as members are.
func TestKeysAndServiceAccountsAreReviewed(t *testing.T) {
	inAcme(t, "documents", func(a *acme) {
		bo := a.joins("bo", "admin")
		account := does(a, a.ada, credential.CreateServiceAccount, credential.CreateServiceAccountInput{InOrganization: a.in(), Name: "build", Role: "admin"})
		other := does(a, a.ada, credential.CreateServiceAccount, credential.CreateServiceAccountInput{InOrganization: a.in(), Name: "old", Role: "member"})
		key := does(a, a.ada, credential.CreateKey, credential.CreateKeyInput{InOrganization: a.in(), Name: "=ci", Kind: charter.OrganizationKey})
		keys := a.starts(bo, governance.StartReviewInput{Title: "keys", Subject: governance.OfKeys})
		a.Refused("a key has no role", a.decides(bo, keys, key.ID, governance.Reduce, "member"), "invalid")
		a.Must(a.decides(bo, keys, key.ID, governance.Remove, ""))
		a.Must(a.completes(bo, keys, ""))
		a.Dead("the key", key.Secret)
		accounts := a.starts(bo, governance.StartReviewInput{Title: "accounts", Subject: governance.OfServiceAccounts})
		a.Must(a.decides(bo, accounts, account.ID, governance.Reduce, "member"))
		a.Must(a.decides(bo, accounts, other.ID, governance.Remove, ""))
		a.Must(a.completes(bo, accounts, ""))
		left := does(a, a.ada, credential.ListServiceAccounts, credential.ListServiceAccountsInput{InOrganization: a.in()}).Data
		if len(left) != 1 || left[0].Role != "member" {
			a.T.Errorf("left are %+v", left)
		}
		a.Refused("nothing to ask about", tries(a, bo, governance.StartReview, governance.StartReviewInput{InOrganization: a.in(), Title: "none", Subject: governance.OfKeys}), "nothing_to_review")
		a.Refused("an unknown role", tries(a, bo, governance.StartReview, governance.StartReviewInput{InOrganization: a.in(), Title: "none", Subject: governance.OfRole, Role: "pilot"}), "invalid")
		if cells := a.report(a.ada, keys); len(cells) != 2 || cells[1][6] != "'=ci" || cells[1][15] != "remove" || cells[1][17] != "not needed any more" || cells[1][19] != "Bo" || cells[1][21] != "removed" {
			a.T.Errorf("the report has %q", cells) // a name that begins like a formula is made harmless. T-071
		}
	})
}

// report is the CSV of a review.
func (a *acme) report(p testroom.Person, r governance.Review) [][]string {
	a.T.Helper()
	var b bytes.Buffer
	a.Must(a.Service.Stream(a.T.Context(), governance.ReportReview, op.Request{Caller: op.CallerOf(a.As(p.Token)), Input: a.review(r)}, func(op.Info) io.Writer { return &b }))
	cells, err := csv.NewReader(&b).ReadAll()
	a.Must(err)
	return cells
}

// A review that repeats begins again by itself, and an overdue one is reminded of, once a week.
func TestReviewsRepeatAndRemind(t *testing.T) {
	inAcme(t, "automation", func(a *acme) {
		bo := a.joins("bo", "owner")
		system := op.As(a.T.Context(), op.Caller{System: "access reviews"})
		due := func() (due governance.Due) {
			a.Must(a.Service.Snapshot(a.T.Context(), func(r *op.Reader) (err error) {
				due, err = governance.DueNow(a.T.Context(), r)
				return err
			}))
			return due
		}
		r := a.starts(a.ada, governance.StartReviewInput{RepeatDays: 91, DueAt: "10d"})
		a.Refused("while it is open", tries(a, a.ada, governance.RepeatReview, a.review(r)), "review_open")
		if d := due(); len(d.Repeat)+len(d.Remind) != 0 {
			a.T.Errorf("due at once: %+v", d)
		}
		a.After(11 * day)
		d := due()
		if len(d.Remind) != 1 || d.Remind[0].Review != r.ID {
			a.T.Fatalf("overdue are %+v", d.Remind)
		}
		_, err := governance.RemindReview.Call(system, a.Service, d.Remind[0])
		a.Must(err)
		mails := a.Mails()
		if len(mails) != 1 || mails[0].To != "ada@acme.test" || !strings.Contains(mails[0].Text, "0 of 2 rows are decided") {
			a.T.Errorf("mailed %+v", mails)
		}
		if d := due(); len(d.Remind) != 0 {
			a.T.Errorf("reminded twice: %+v", d.Remind)
		}
		a.Refused("again by hand", tries(a, a.ada, governance.RemindReview, a.review(r)), "reminded")
		a.Must(a.completes(a.ada, r, "keep"))
		if d := due(); len(d.Repeat) != 0 {
			a.T.Errorf("repeats at once: %+v", d.Repeat)
		}
		a.After(80 * day)
		d = due()
		if len(d.Repeat) != 1 {
			a.T.Fatalf("to repeat are %+v", d.Repeat)
		}
		next, err := governance.RepeatReview.Call(system, a.Service, d.Repeat[0])
		a.Must(err)
		if next.Title != r.Title || next.Starter != a.ada.Member || next.Rows != 2 || !next.DueAt.Equal(a.Now().Add(10*day)) {
			a.T.Errorf("the next one is %+v", next)
		}
		if d := due(); len(d.Repeat) != 0 {
			a.T.Errorf("repeats twice: %+v", d.Repeat)
		}
		e := a.Refused("by hand too", tries(a, bo, governance.RepeatReview, a.review(r)), "repeated")
		if e.Refers["review"] != next.ID {
			a.T.Errorf("it refers to %v", e.Refers)
		}
		does(a, a.ada, governance.CancelReview, governance.CancelReviewInput{ReviewInput: a.review(next)})
		a.After(200 * day)
		if d := due(); len(d.Repeat)+len(d.Remind) != 0 {
			a.T.Errorf("a cancelled one is due: %+v", d)
		}
	})
}

// What a review of another organization is called, nobody finds out.
func TestAReviewOfAnotherOrganizationDoesNotExist(t *testing.T) {
	inAcme(t, "automation", func(a *acme) {
		r := a.starts(a.ada, governance.StartReviewInput{})
		_, glen := a.Found("globex", "glen@globex.test")
		in := governance.ReviewInput{InOrganization: op.InOrganization{Organization: "globex"}, Review: r.ID}
		a.Refused("get", tries(a, glen, governance.GetReview, in), "not_found")
		a.Refused("decide", tries(a, glen, governance.Decide, governance.DecideInput{ReviewInput: in, Item: a.ada.Member, Decision: governance.Keep}), "not_found")
		err := a.Service.Stream(a.T.Context(), governance.ReportReview, op.Request{Caller: op.CallerOf(a.As(glen.Token)), Input: in}, func(op.Info) io.Writer {
			a.T.Error("the report begins")
			return io.Discard
		})
		a.Refused("report", err, "not_found")
	})
}

// The doctor finds what no operation could have written.
func TestTheDoctorLooksAtReviews(t *testing.T) {
	for _, c := range []struct{ statement, want string }{
		{"UPDATE reviews SET state = 'completed', settled_at = 1", "is not complete, or the other way round"},
		{"UPDATE reviews SET settled_at = 1", "otherwise than its state says"},
		{"UPDATE reviews SET next = 'rev_1'", "does not exist in its organization"},
		{"UPDATE review_items SET decision = 'keep'", "decided by half"},
		{"UPDATE review_items SET decision = 'keep', decided_at = 1, decided_by = person", "by the person themselves"},
		{"UPDATE review_items SET subject = 'mem_1'", "stands in a review and does not exist"},
		{"INSERT INTO dismissals (organization, finding, reason, until_at, dismissed_by, dismissed_at) SELECT id, 'x:y', '', 2, '', 1 FROM organizations", "dismissed without a reason"},
	} {
		inAcme(t, "automation", func(a *acme) {
			a.starts(a.ada, governance.StartReviewInput{})
			a.Exec(c.statement)
			var lines []string
			a.Must(a.Service.Snapshot(a.T.Context(), func(r *op.Reader) (err error) {
				lines, err = governance.Broken(a.T.Context(), r)
				return err
			}))
			if !strings.Contains(strings.Join(lines, "\n"), c.want) {
				a.T.Errorf("after %q the doctor says %q", c.statement, lines)
			}
			a.sick = true
		})
	}
}
