package audit_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// story is an organization in which a few things happened.
type story struct {
	*hall
	acme     string
	ada, bob person
	cyd      person
}

func tell(t *testing.T, db *sqldb.DB) *story {
	t.Helper()
	s := &story{hall: newHall(t, db, "automation")}
	s.acme, s.ada = s.Found("acme", "ada@acme.test")
	s.bob, s.cyd = s.Join(s.acme, "bob@acme.test", "editor"), s.Join(s.acme, "cyd@acme.test", "editor")
	s.After(24 * time.Hour) // Tuesday
	s.changes(s.bob, "viewer")
	s.suspends(s.cyd)
	s.After(24 * time.Hour) // Wednesday
	s.changes(s.bob, "viewer")
	_, err := directory.RemoveMember.Call(s.As(s.bob.Token), s.Service, directory.EndMemberInput{MemberInput: s.member(s.ada)})
	if err == nil {
		t.Fatal("bob removed ada")
	}
	s.Must(s.Service.WriteRefusals(t.Context()))
	return s
}

func (s *story) member(p person) directory.MemberInput {
	return directory.MemberInput{InOrganization: op.InOrganization{Organization: s.acme}, Member: p.Member}
}

func (s *story) changes(p person, role string) {
	s.T.Helper()
	_, err := directory.UpdateMember.Call(s.As(s.ada.Token), s.Service, directory.UpdateMemberInput{MemberInput: s.member(p), Role: &role})
	s.Must(err)
}

func (s *story) suspends(p person) {
	s.T.Helper()
	_, err := directory.SuspendMember.Call(s.As(s.ada.Token), s.Service, directory.EndMemberInput{MemberInput: s.member(p), Reason: "on leave"})
	s.Must(err)
}

// lists reads the log as ada.
func (s *story) lists(f audit.Filter, p op.Page) (op.List[audit.Event], error) {
	return audit.ListEvents.Call(s.As(s.ada.Token), s.Service, audit.ListEventsInput{
		InOrganization: op.InOrganization{Organization: "acme"}, Filter: f, Page: p})
}

// sentences are those of a list, the newest first, without those about looking at the log.
func (s *story) sentences(f audit.Filter) []string {
	s.T.Helper()
	page, err := s.lists(f, op.Page{Limit: 100})
	s.Must(err)
	said := []string{}
	for _, e := range page.Data {
		if e.Action != "audit.list" {
			said = append(said, e.Sentence)
		}
	}
	return said
}

// onBoth runs a test in a story on both databases.
func onBoth(t *testing.T, test func(t *testing.T, s *story)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) { test(t, tell(t, db)) })
}

const (
	founded   = "The operator created the organization Acme for Ada"
	changed   = "Ada changed Bob from Editor to Viewer"
	suspended = "Ada suspended Cyd"
	again     = "Ada changed Bob, which changed nothing"
	refused   = "Bob was refused members.remove: needs members.remove"
)

func TestTheLogTellsTheStory(t *testing.T) {
	onBoth(t, func(t *testing.T, s *story) {
		for _, c := range []struct {
			name   string
			filter audit.Filter
			want   []string
		}{
			{"all of it", audit.Filter{}, []string{refused, again, suspended, changed, founded}},
			{"by actor", audit.Filter{Actor: s.ada.User}, []string{again, suspended, changed}},
			{"by the actor's member id", audit.Filter{Actor: s.ada.Member}, []string{again, suspended, changed}},
			{"by the actor's address", audit.Filter{Actor: "ADA@acme.test"}, []string{again, suspended, changed}},
			{"by an address of nobody", audit.Filter{Actor: "eve@acme.test"}, []string{}},
			{"by action", audit.Filter{Action: "members.update"}, []string{again, changed}},
			{"by target", audit.Filter{Target: s.bob.Member}, []string{again, changed}},
			{"by the target's address", audit.Filter{Target: "cyd@acme.test"}, []string{suspended}},
			{"an actor is no target", audit.Filter{Target: s.bob.User}, []string{}},
			{"by outcome", audit.Filter{Outcome: "denied"}, []string{refused}},
			{"from Wednesday on", audit.Filter{From: "2026-11-04"}, []string{refused, again}},
			{"before Tuesday", audit.Filter{Until: "2026-11-03"}, []string{founded}},
			{"after everything", audit.Filter{From: "2027-01-01"}, []string{}},
			{"before everything", audit.Filter{Until: "2020-01-01"}, []string{}},
			{"by actor, on Tuesday", audit.Filter{Actor: s.ada.User, Query: "created:2026-11-03"}, []string{suspended, changed}},
			{"by actor, from Wednesday on", audit.Filter{Actor: s.ada.User, From: "2026-11-04"}, []string{again}},
			{"by target, from Wednesday on", audit.Filter{Target: s.bob.Member, From: "2026-11-04"}, []string{again}},
			{"on Tuesday", audit.Filter{Query: "created:2026-11-03"}, []string{suspended, changed}},
			{"all at once", audit.Filter{Query: "actor:ada@acme.test target:" + s.bob.Member + " created:>2026-11-03", Action: "members.update"}, []string{again}},
			{"two targets", audit.Filter{Target: s.bob.Member, Query: "target:" + s.cyd.Member}, []string{}},
			{"not ada's", audit.Filter{Query: "-actor:" + s.ada.User}, []string{refused, founded}},
			{"not about bob", audit.Filter{Query: "-target:" + s.bob.Member}, []string{refused, suspended, founded}},
			{"not denied, not unchanged", audit.Filter{Query: "-outcome:denied -outcome:unchanged"}, []string{suspended, changed, founded}},
		} {
			if got := s.sentences(c.filter); !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
	})
}

func TestAnEventSaysEverything(t *testing.T) {
	onBoth(t, func(t *testing.T, s *story) {
		page, err := s.lists(audit.Filter{Action: "members.suspend"}, op.Page{})
		s.Must(err)
		listed := page.Data[0]
		e, err := audit.GetEvent.Call(s.As(s.ada.Token), s.Service, audit.GetEventInput{
			InOrganization: op.InOrganization{Organization: "acme"}, Event: listed.ID})
		s.Must(err)
		if fmt.Sprintf("%+v", e) != fmt.Sprintf("%+v", listed) {
			t.Errorf("the event alone is %+v, in the list %+v", e, listed)
		}
		if e.Actor.Kind != op.UserActor || e.Actor.ID != s.ada.User || e.Actor.Name != "Ada" || e.Actor.Email != s.ada.Email ||
			e.Organization != s.acme || len(e.Targets) != 1 || e.Targets[0].ID != s.cyd.Member || e.Targets[0].Name != "Cyd" ||
			e.Outcome != op.OutcomeOK || e.Count != 1 || e.Reason != "on leave" || e.Address != "203.0.113.7" || e.Agent != "test" ||
			e.RequestID != "req_1" || len(e.Leaf) != 64 || !e.Time.Equal(testroom.Monday.Add(24*time.Hour)) {
			t.Errorf("got %+v", e)
		}
		if len(e.Changes) != 1 || e.Changes[0].Field != "status" || e.Changes[0].Before != "active" || e.Changes[0].After != "suspended" {
			t.Errorf("changes are %+v", e.Changes)
		}
	})
}

func TestTheLogIsForThoseWhoMay(t *testing.T) {
	s := tell(t, testdb.SQLite(t))
	_, glen := s.Found("globex", "glen@globex.test")
	page, err := s.lists(audit.Filter{}, op.Page{})
	s.Must(err)
	for _, c := range []struct {
		name, token, organization, event string
		want                             op.ErrorKind
	}{
		{"an editor", s.bob.Token, "acme", page.Data[0].ID, op.Denied},
		{"a stranger", glen.Token, "acme", page.Data[0].ID, op.NotFound},
		{"a stranger in their own organization", glen.Token, "globex", page.Data[0].ID, op.NotFound},
		{"nobody", "", "acme", page.Data[0].ID, op.Unauthenticated},
		{"no such event", s.ada.Token, "acme", "evt_nothing", op.NotFound},
	} {
		_, err := audit.GetEvent.Call(s.As(c.token), s.Service, audit.GetEventInput{InOrganization: op.InOrganization{Organization: c.organization}, Event: c.event})
		var e *op.Error
		if !errors.As(err, &e) || e.Kind != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	for _, f := range []audit.Filter{{Query: "zoe"}, {From: "soon"}, {Until: "soon"}, {Outcome: "great"}} {
		var e *op.Error
		if _, err := s.lists(f, op.Page{}); !errors.As(err, &e) || e.Kind != op.Invalid {
			t.Errorf("%+v: %v, want invalid", f, err)
		}
	}
}

// TestPagesFollowEachOther reads the log two by two while new events come in. T-003: the cursor is good for nothing else.
func TestPagesFollowEachOther(t *testing.T) {
	onBoth(t, func(t *testing.T, s *story) {
		_, glen := s.Found("globex", "glen@globex.test")
		var got []int64
		cursor := ""
		for {
			page, err := s.lists(audit.Filter{}, op.Page{Limit: 2, Cursor: cursor})
			s.Must(err)
			for _, e := range page.Data {
				got = append(got, e.Sequence)
			}
			if cursor == "" {
				cursor = page.NextCursor
				wrong := func(token, organization string, f audit.Filter, cursor string) {
					_, err := audit.ListEvents.Call(s.As(token), s.Service, audit.ListEventsInput{
						InOrganization: op.InOrganization{Organization: organization}, Filter: f, Page: op.Page{Limit: 2, Cursor: cursor}})
					var e *op.Error
					if !errors.As(err, &e) || e.Kind != op.Invalid {
						t.Errorf("the cursor in %s with %+v: %v, want invalid", organization, f, err)
					}
				}
				wrong(glen.Token, "globex", audit.Filter{}, cursor)
				wrong(s.ada.Token, "acme", audit.Filter{Outcome: "ok"}, cursor)
				wrong(s.ada.Token, "acme", audit.Filter{}, "x"+cursor)
				wrong(s.ada.Token, "acme", audit.Filter{}, cursor[:len(cursor)-4]+"AAAA")
			}
			if cursor = page.NextCursor; !page.HasMore {
				break
			}
		}
		if !slices.Equal(got, []int64{5, 4, 3, 2, 1}) {
			t.Errorf("sequences are %v", got)
		}
	})
}

// T-091: every call that may change something has its row, and looking at the log too.
func TestEveryCallWritesOneRow(t *testing.T) {
	onBoth(t, func(t *testing.T, s *story) {
		rows := func() (n int64) {
			s.Must(s.DB.Read(t.Context(), func(tx *sqldb.Tx) error {
				return tx.QueryRow(t.Context(), "SELECT count(*) FROM audit_rows").Scan(&n)
			}))
			return n
		}
		before := rows()
		for i, call := range []func(){
			func() { s.changes(s.bob, "editor") },
			func() { s.changes(s.bob, "editor") },
			func() { _, err := s.lists(audit.Filter{}, op.Page{}); s.Must(err) },
			func() { s.export(audit.Filter{}) },
		} {
			if call(); rows() != before+int64(i)+1 {
				t.Errorf("after call %d there are %d rows, want %d", i, rows(), before+int64(i)+1)
			}
		}
	})
}

// TestAPageIsTwoStatements counts what a page asks, whatever stands on it.
func TestAPageIsTwoStatements(t *testing.T) {
	onBoth(t, func(t *testing.T, s *story) {
		count := func(limit int) int64 {
			before := s.DB.Stats().Statements
			_, err := s.lists(audit.Filter{}, op.Page{Limit: limit})
			s.Must(err)
			return s.DB.Stats().Statements - before
		}
		if one, all := count(1), count(100); one != all {
			t.Errorf("a page of one is %d statements, a page of all %d", one, all)
		}
	})
}

// TestEveryFilterHasAnIndex asks SQLite how it would answer.
func TestEveryFilterHasAnIndex(t *testing.T) {
	const (
		byActor    = "SEARCH r USING INDEX audit_rows_actor (stream=? AND actor=? AND seq<?)"
		byTarget   = "SEARCH s USING INDEX audit_subjects_id (stream=? AND id=? AND seq<?)"
		bothBounds = "SEARCH r USING INDEX sqlite_autoindex_audit_rows_1 (stream=? AND seq>? AND seq<?)"
		timeAfter  = "SEARCH b USING COVERING INDEX audit_rows_at (stream=? AND at>?)"
		timeBefore = "SEARCH b USING COVERING INDEX audit_rows_at (stream=? AND at<?)"
	)
	s := tell(t, testdb.SQLite(t))
	for _, c := range []struct {
		name   string
		filter audit.Filter
		want   []string
	}{
		{"nothing", audit.Filter{}, []string{"SEARCH r USING INDEX sqlite_autoindex_audit_rows_1 (stream=? AND seq<?)"}},
		{"actor", audit.Filter{Actor: "usr_1"}, []string{byActor}},
		{"action", audit.Filter{Action: "members.update"}, []string{"SEARCH r USING INDEX audit_rows_action (stream=? AND action=? AND seq<?)"}},
		{"outcome", audit.Filter{Outcome: "denied"}, []string{"SEARCH r USING INDEX audit_rows_outcome (stream=? AND outcome=? AND seq<?)"}},
		{"target", audit.Filter{Target: "mem_1"}, []string{byTarget,
			"SEARCH r USING INDEX sqlite_autoindex_audit_rows_1 (stream=? AND seq=?)"}},
		{"after", audit.Filter{From: "2026-11-01"}, []string{bothBounds, timeAfter}},
		{"before", audit.Filter{Until: "2026-11-01"}, []string{"SEARCH r USING INDEX sqlite_autoindex_audit_rows_1 (stream=? AND seq<?)"}},
		{"actor after", audit.Filter{Actor: "usr_1", From: "2026-11-01"}, []string{byActor, timeAfter}},
		{"actor within a time", audit.Filter{Actor: "usr_1", From: "2026-11-01", Until: "2026-11-30"}, []string{byActor, timeAfter}},
		{"target within a time", audit.Filter{Target: "mem_1", From: "2026-11-01", Until: "2026-11-30"}, []string{byTarget, timeAfter}},
		{"all but an action", audit.Filter{Query: "-action:audit.list", From: "2026-11-01"}, []string{bothBounds, timeAfter}},
	} {
		s.Must(s.Service.Snapshot(t.Context(), func(r *op.Reader) error {
			text, args, err := audit.TextOf(t.Context(), r, s.acme, c.filter, 1000)
			if err != nil {
				return err
			}
			return wantPlan(t, r, c.name, text, args, c.want)
		}))
	}
	s.Must(s.Service.Snapshot(t.Context(), func(r *op.Reader) error {
		first := audit.Filter{Actor: "usr_1", From: "2026-11-01", Until: "2026-11-30"}
		text, args, err := audit.TextOf(t.Context(), r, s.acme, first, 0)
		if err != nil {
			return err
		}
		return wantPlan(t, r, "the first page within a time", text, args, []string{byActor, timeAfter, timeBefore})
	}))
	s.Must(s.Service.Snapshot(t.Context(), func(r *op.Reader) error {
		text, args := audit.ActivityText(s.ada.User, []string{"1", "evt_1"})
		return wantPlan(t, r, "one's own activity", text, args, []string{"SEARCH r USING INDEX audit_rows_person (actor=? AND at<?)"})
	}))
}

// wantPlan asserts that the plan has these searches, no scan, and sorts nothing as a whole.
func wantPlan(t *testing.T, r *op.Reader, name, text string, args []any, want []string) error {
	t.Helper()
	rows, err := r.Query(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return err
		}
		plan = append(plan, detail)
	}
	whole := strings.Join(plan, "\n")
	for _, search := range want {
		if !slices.Contains(plan, search) {
			t.Errorf("%s: the plan lacks %q:\n%s", name, search, whole)
		}
	}
	if strings.Contains(whole, "SCAN") || strings.Contains(whole, "TEMP B-TREE FOR ORDER BY") {
		t.Errorf("%s: the plan scans or sorts:\n%s", name, whole)
	}
	return rows.Err()
}

// export reads the log as CSV.
func (s *story) export(f audit.Filter) [][]string {
	s.T.Helper()
	var out bytes.Buffer
	s.Must(s.Service.Stream(s.T.Context(), audit.ExportEvents, op.Request{Caller: op.CallerOf(s.As(s.ada.Token)),
		Input: audit.ExportEventsInput{InOrganization: op.InOrganization{Organization: "acme"}, Filter: f}},
		func(op.Info) io.Writer { return &out }))
	records, err := csv.NewReader(&out).ReadAll()
	s.Must(err)
	return records
}

func TestTheExportHasEveryRow(t *testing.T) {
	onBoth(t, func(t *testing.T, s *story) {
		records := s.export(audit.Filter{Actor: "ada@acme.test", Action: "members.suspend"})
		if len(records) != 2 || records[0][4] != "sentence" || records[1][4] != suspended || records[1][13] != "status: active -> suspended" ||
			records[1][12] != "member "+s.cyd.Member+" Cyd" {
			t.Errorf("got %q", records)
		}
		// A name that a spreadsheet would run. T-094
		mal := s.Join(s.acme, "mal@acme.test", "viewer")
		s.Exec("UPDATE users SET name = $2 WHERE id = $1", mal.User, "=HYPERLINK(\"http://evil.test\")\r\n+1")
		_, err := directory.Leave.Call(s.As(mal.Token), s.Service, directory.LeaveInput{InOrganization: op.InOrganization{Organization: s.acme}})
		s.Must(err)
		records = s.export(audit.Filter{Action: "members.leave"})
		if len(records) != 2 || records[1][7] != "'=HYPERLINK(\"http://evil.test\")\n+1" || !strings.HasPrefix(records[1][4], "'=") {
			t.Errorf("got %q", records)
		}
	})
}

func TestALongExportGoesOnPageByPage(t *testing.T) {
	s := tell(t, testdb.SQLite(t))
	for range 510 {
		_, err := s.lists(audit.Filter{Outcome: "failed"}, op.Page{})
		s.Must(err)
	}
	records := s.export(audit.Filter{})
	if len(records) != 1+5+510+1 {
		t.Fatalf("%d records", len(records))
	}
	for i, r := range records[1:] {
		if want := fmt.Sprint(516 - i); r[2] != want {
			t.Fatalf("record %d has sequence %s, want %s", i, r[2], want)
		}
	}
}

func TestOnesOwnActivityIsOnesOwn(t *testing.T) {
	onBoth(t, func(t *testing.T, s *story) {
		mine := func(p person) []string {
			var said []string
			cursor := ""
			for {
				page, err := audit.MyActivity.Call(s.As(p.Token), s.Service, audit.MyActivityInput{Page: op.Page{Limit: 2, Cursor: cursor}})
				s.Must(err)
				for _, e := range page.Data {
					said = append(said, e.Sentence)
				}
				if cursor = page.NextCursor; !page.HasMore {
					return said
				}
			}
		}
		if got, want := mine(s.ada), []string{again, suspended, changed}; !slices.Equal(got, want) {
			t.Errorf("ada did %q, want %q", got, want)
		}
		// A refusal stands in bob's own log and in the organization's.
		if got, want := mine(s.bob), []string{refused, refused}; !slices.Equal(got, want) {
			t.Errorf("bob did %q, want %q", got, want)
		}
		s.Exec("UPDATE members SET status = 'removed' WHERE id = $1", s.ada.Member)
		if got := mine(s.ada); strings.Contains(strings.Join(got, " "), "Bob") || strings.Contains(strings.Join(got, " "), "Cyd") || len(got) != 3 {
			t.Errorf("after she left, ada is told %q", got)
		}
	})
}

// broken verifies every stream.
func (s *story) broken() []string {
	s.T.Helper()
	var lines []string
	s.Must(s.Service.Snapshot(s.T.Context(), func(r *op.Reader) (err error) {
		lines, err = audit.Broken(s.T.Context(), r)
		return err
	}))
	return lines
}

// TestEveryChangeOfARowIsFound changes one thing after the other, in every column. T-092
func TestEveryChangeOfARowIsFound(t *testing.T) {
	onBoth(t, func(t *testing.T, s *story) {
		if lines := s.broken(); len(lines) != 0 {
			t.Fatalf("untouched: %q", lines)
		}
		text := func(column string) string { return column + " = " + column + " || 'x'" }
		changes := map[string][]string{
			"audit_rows": {text("id"), text("action"), text("actor_kind"), text("actor"), text("credential"), text("on_behalf"), text("outcome"),
				text("reason"), text("request_id"), text("detail"), "at = at + 1", "times = times + 1"},
			"audit_subjects": {text("type"), text("id"), text("body"), "body = ''", "n = n + 10"},
		}
		for table, all := range changes {
			for _, change := range all {
				s.found("UPDATE " + table + " SET " + change + " WHERE stream = $1 AND seq = 3")
			}
		}
		for _, change := range []string{"leaf", "salt", "commitment"} {
			table := map[string]string{"leaf": "audit_rows"}[change]
			if table == "" {
				table = "audit_subjects"
			}
			s.found("UPDATE " + table + " SET " + change + " = (SELECT d." + change + " FROM " + table + " d WHERE d.stream = $1 AND d.seq = 2 ORDER BY d." + change + " LIMIT 1) WHERE stream = $1 AND seq = 3")
		}
		s.found("DELETE FROM audit_subjects WHERE stream = $1 AND seq = 3 AND n = 1")
		s.found("DELETE FROM audit_subjects WHERE stream = $1 AND seq = 3", "DELETE FROM audit_rows WHERE stream = $1 AND seq = 3")
		s.found("DELETE FROM audit_subjects WHERE stream = $1 AND seq = 5", "DELETE FROM audit_rows WHERE stream = $1 AND seq = 5")
		s.found("UPDATE streams SET seq = seq + 1 WHERE id = $1")
		s.found("UPDATE streams SET at = at + 1 WHERE id = $1")
		if lines := s.broken(); len(lines) != 0 {
			t.Errorf("in the end: %q", lines)
		}
	})
}

// errUndo ends a transaction that is not to stay.
var errUndo = errors.New("undo")

// found makes a change that Verify has to find, and undoes it.
func (s *story) found(statements ...string) {
	s.T.Helper()
	var problems []audit.Problem
	_ = s.Change(func(ctx context.Context, tx *op.Tx) error {
		for _, statement := range statements {
			n, err := tx.Exec(ctx, statement, s.acme)
			if err != nil || n == 0 {
				s.T.Errorf("%s: %d rows, %v", statement, n, err)
			}
		}
		var err error
		problems, err = audit.Verify(ctx, tx.Reader, s.acme)
		return errors.Join(errUndo, err)
	})
	if len(problems) == 0 {
		s.T.Errorf("not found: %s", statements)
	}
}

// T-095: a person is taken out of the log, and it still verifies.
func TestAPersonIsErasedAndTheLogStillVerifies(t *testing.T) {
	onBoth(t, func(t *testing.T, s *story) {
		for _, subject := range []string{s.bob.User, s.bob.Member} {
			s.Must(s.Change(func(ctx context.Context, tx *op.Tx) error { return audit.Erase(ctx, tx, subject) }))
		}
		if lines := s.broken(); len(lines) != 0 {
			t.Errorf("after the erasure: %q", lines)
		}
		want := []string{"erased was refused members.remove: needs members.remove", "Ada changed erased, which changed nothing",
			suspended, "Ada changed erased from Editor to Viewer", founded}
		if got := s.sentences(audit.Filter{}); !slices.Equal(got, want) {
			t.Errorf("the log says %q, want %q", got, want)
		}
		var left int64
		s.Must(s.DB.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT count(*) FROM audit_subjects WHERE body LIKE '%Bob%' OR body LIKE '%bob@%'").Scan(&left)
		}))
		if left != 0 {
			t.Errorf("%d texts still name bob", left)
		}
	})
}
