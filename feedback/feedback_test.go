package feedback_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/feedback"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// desk is where readers answer.
type desk struct{ *testroom.Room }

// atDesks runs a test on both databases.
func atDesks(t *testing.T, test func(d *desk)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		d := &desk{testroom.New(t, db, testroom.Ready(t, "automation"))}
		d.Serve(op.Config{Operations: append(feedback.Operations(), directory.ProvisionOrganization)})
		test(d)
	})
}

func (d *desk) records(ctx context.Context, in feedback.RecordInput) feedback.Recorded {
	d.T.Helper()
	out, err := feedback.Record.Call(ctx, d.Service, in)
	d.Must(err)
	return out
}

func (d *desk) answers(in feedback.ListInput) []feedback.Answer {
	d.T.Helper()
	list, err := feedback.List.Call(d.Operator(), d.Service, in)
	d.Must(err)
	return list.Data
}

func TestAReaderWithoutASignInChangesTheAnswerByItsReceipt(t *testing.T) {
	atDesks(t, func(d *desk) {
		first := d.records(d.Nobody(), feedback.RecordInput{Page: "keys", Helpful: true})
		if len(first.Receipt) < 22 {
			d.T.Fatalf("the receipt %q can be guessed", first.Receipt)
		}
		d.After(time.Minute)
		second := d.records(d.Nobody(), feedback.RecordInput{Page: "keys", Comment: "  no example of rotation  ", Receipt: first.Receipt})
		if second.Receipt != first.Receipt {
			d.T.Errorf("the receipt became %q", second.Receipt)
		}
		all := d.answers(feedback.ListInput{})
		if len(all) != 1 || all[0].Helpful || all[0].Comment != "no example of rotation" || all[0].By != "" || !all[0].UpdatedAt.After(all[0].CreatedAt) {
			d.T.Errorf("got %+v, want the one answer, changed", all)
		}
		d.records(d.Nobody(), feedback.RecordInput{Page: "keys", Helpful: true})
		if all := d.answers(feedback.ListInput{}); len(all) != 2 {
			d.T.Errorf("another reader changed the answer of the first: %+v", all)
		}
	})
}

// A receipt is proof of nothing but one answer, and what the tables keep leads neither to it nor to an address.
func TestNothingThatIsKeptLeadsToAReader(t *testing.T) {
	atDesks(t, func(d *desk) {
		got := d.records(d.Nobody(), feedback.RecordInput{Page: "keys", Comment: "ask bob@acme.test"})
		kept := d.Stored("id FROM doc_feedback", "page FROM doc_feedback", "author FROM doc_feedback", "comment FROM doc_feedback", "detail FROM audit_rows")
		for _, secret := range []string{got.Receipt, "198.51.100.9"} {
			if strings.Contains(kept, secret) {
				d.T.Errorf("the tables keep %s", secret)
			}
		}
		if log := d.Stored("detail FROM audit_rows", "body FROM audit_subjects"); strings.Contains(log, "bob@acme.test") {
			d.T.Errorf("the sentence is in the log, which is kept for ever: %s", log)
		}
	})
}

func TestWhoeverIsSignedInHasOneAnswerForAPage(t *testing.T) {
	atDesks(t, func(d *desk) {
		_, ada := d.Found("acme", "ada@acme.test")
		bob := d.User("bob@acme.test")
		got := d.records(d.As(ada.Token), feedback.RecordInput{Page: "keys", Helpful: true})
		if got.Receipt != "" {
			d.T.Errorf("ada got a receipt that she does not need")
		}
		d.records(d.As(ada.Token), feedback.RecordInput{Page: "keys", Receipt: feedback.NewReceipt()})
		d.records(d.As(ada.Token), feedback.RecordInput{Page: "roles", Helpful: true})
		d.records(d.As(bob.Token), feedback.RecordInput{Page: "keys", Helpful: true})
		all := d.answers(feedback.ListInput{Of: "keys", Helpful: "false"})
		if len(all) != 1 || all[0].By != ada.User {
			d.T.Errorf("got %+v, want ada's no", all)
		}
		if all := d.answers(feedback.ListInput{}); len(all) != 3 {
			d.T.Errorf("got %d answers, want 3", len(all))
		}
	})
}

func TestAnAnswerIsInTheLogOfWhoGaveIt(t *testing.T) {
	atDesks(t, func(d *desk) {
		ada := d.User("ada@acme.test")
		d.records(d.As(ada.Token), feedback.RecordInput{Page: "keys", Helpful: true})
		d.records(d.As(ada.Token), feedback.RecordInput{Page: "keys", Helpful: true})
		d.records(d.Nobody(), feedback.RecordInput{Page: "keys"})
		for stream, want := range map[string]int64{ada.User: 1, op.InstanceStream: 1} {
			if n := d.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND action = 'feedback.record' AND outcome = 'ok'", stream); n != want {
				d.T.Errorf("%s has %d rows, want %d", stream, n, want)
			}
		}
		if n := d.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND outcome = 'unchanged'", ada.User); n != 1 {
			d.T.Errorf("the same answer again has %d rows that say so, want 1", n)
		}
		e := audit.Event{Action: "feedback.record", Outcome: op.OutcomeOK, Actor: audit.Actor{Kind: op.NobodyActor}, Targets: []audit.Target{{Type: "page", ID: "keys", Name: "API keys"}}}
		if got, want := audit.Sentence(d.Charter, e), "Somebody said whether the page API keys helped"; got != want {
			d.T.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestAnswersThatAreNone(t *testing.T) {
	atDesks(t, func(d *desk) {
		for what, in := range map[string]feedback.RecordInput{
			"a page that is not there":  {Page: "nothing"},
			"a file outside the folder": {Page: "../README"},
			"no page":                   {},
			"a sentence that is a book": {Page: "keys", Comment: strings.Repeat("x", feedback.MaxComment+1)},
			"a receipt to guess":        {Page: "keys", Receipt: "1234"},
			"a receipt with a quote":    {Page: "keys", Receipt: "'; DROP TABLE doc_feedback; --"},
		} {
			_, err := feedback.Record.Call(d.Nobody(), d.Service, in)
			d.Refused(what, err, "invalid")
		}
		d.records(d.Nobody(), feedback.RecordInput{Page: "keys", Comment: strings.Repeat("ü", feedback.MaxComment)})
		if n := d.Number("SELECT count(*) FROM doc_feedback"); n != 1 {
			d.T.Errorf("%d answers are kept, want 1", n)
		}
	})
}

func TestOneAddressAnswersSoOftenAndNoMore(t *testing.T) {
	atDesks(t, func(d *desk) {
		for range feedback.Record.Limit.Times {
			d.records(d.Nobody(), feedback.RecordInput{Page: "keys", Helpful: true})
		}
		_, err := feedback.Record.Call(d.Nobody(), d.Service, feedback.RecordInput{Page: "keys"})
		if e := d.Refused("one more", err, "limited"); e.RetryAfter <= 0 {
			d.T.Error("the refusal does not say when to come again")
		}
		elsewhere := op.As(d.T.Context(), op.Caller{Address: "198.51.100.10"})
		d.records(elsewhere, feedback.RecordInput{Page: "keys"})
	})
}

func TestOnlyTheOperatorAndTheProductReadAnswers(t *testing.T) {
	atDesks(t, func(d *desk) {
		_, ada := d.Found("acme", "ada@acme.test")
		_, err := feedback.List.Call(d.As(ada.Token), d.Service, feedback.ListInput{})
		d.Refused("an owner", err, "operator_only")
		_, err = feedback.List.Call(d.Nobody(), d.Service, feedback.ListInput{})
		d.Refused("nobody", err, "unauthenticated")
	})
}

func TestAnswersAreListedByPages(t *testing.T) {
	atDesks(t, func(d *desk) {
		for range 5 {
			d.records(d.Nobody(), feedback.RecordInput{Page: "keys", Helpful: true})
		}
		seen, in := map[string]bool{}, feedback.ListInput{Page: op.Page{Limit: 2}}
		for range 3 {
			list, err := feedback.List.Call(d.Operator(), d.Service, in)
			d.Must(err)
			for _, a := range list.Data {
				seen[a.ID] = true
			}
			in.Cursor = list.NextCursor
		}
		if len(seen) != 5 || in.Cursor != "" {
			d.T.Errorf("three pages of two show %d of 5 answers, and go on at %q", len(seen), in.Cursor)
		}
	})
}
