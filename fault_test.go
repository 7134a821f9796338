package guildhall_test

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// pragmaInput is a setting of the one connection that writes.
type pragmaInput struct {
	Text string `json:"text"`
}

// pragma is an operation of this test: it changes a setting of the hall's own connection, as no caller can.
var pragma = &op.Op[pragmaInput, struct{}]{
	Name: "store.set", Route: "POST /v1/store/set", Summary: "Set", Kind: op.Count, Scope: op.Instance, Allow: op.ByOperator,
	Do: func(ctx context.Context, tx *op.Tx, in pragmaInput) (struct{}, error) {
		_, err := tx.Exec(ctx, "PRAGMA "+in.Text)
		return struct{}{}, err
	},
}

// ailing is a site whose database fails when the test wants it to.
type ailing struct {
	*site
	dsn, path string // of the database, and of an SQLite file
	beside    *sql.DB
}

func newAiling(t *testing.T, dsn string) *ailing {
	t.Helper()
	a := &ailing{dsn: dsn, path: strings.TrimPrefix(dsn, "sqlite:")}
	a.site = newSite(t, "automation", guildhalltest.OnDatabase(dsn), guildhalltest.With(func(c *guildhall.Config) {
		c.Extra = append(c.Extra, pragma)
	}))
	driver, name := "pgx", dsn
	if a.path != dsn {
		driver, name = "sqlite", "file:"+a.path
	}
	var err error
	if a.beside, err = sql.Open(driver, name); err != nil {
		t.Fatal(err)
	}
	a.beside.SetMaxOpenConns(1)
	t.Cleanup(func() { a.beside.Close() })
	return a
}

func (a *ailing) do(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := a.beside.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// fault makes the database fail, and gives what mends it.
type fault struct {
	name  string
	begin func(t *testing.T, a *ailing) (mend func())
}

// onFile are what befalls an SQLite file. The log is in the same file as the data: what it cannot keep is not done.
var onFile = []fault{
	{"its file is removed", func(t *testing.T, a *ailing) func() {
		rename(t, a.path, a.path+".away")
		return func() { rename(t, a.path+".away", a.path) }
	}},
	{"another file is in its place", func(t *testing.T, a *ailing) func() {
		rename(t, a.path, a.path+".away")
		if err := os.WriteFile(a.path, read(t, a.path+".away"), 0o600); err != nil {
			t.Fatal(err)
		}
		return func() { rename(t, a.path+".away", a.path) }
	}},
	{"it is too slow: somebody holds it", func(t *testing.T, a *ailing) func() {
		a.do(t, "BEGIN IMMEDIATE")
		return func() { a.do(t, "ROLLBACK") }
	}},
}

// onServer are what befalls the log's table in PostgreSQL, as its errors tell it.
var onServer = []fault{
	{"the disk of the log is full", refusing("53100")},
	{"the log is read-only", refusing("25006")},
	{"the disk of the log fails", refusing("58030")},
}

// refusing lets the log, and the table that the server tries whether it may write, refuse every row with an error of
// PostgreSQL.
func refusing(state string) func(*testing.T, *ailing) func() {
	return func(t *testing.T, a *ailing) func() {
		a.do(t, `CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN RAISE EXCEPTION 'the log takes nothing' USING ERRCODE = '`+state+`'; END $$`,
			"CREATE TRIGGER refuse BEFORE INSERT ON audit_rows FOR EACH ROW EXECUTE FUNCTION refuse()",
			"CREATE TRIGGER refuse BEFORE UPDATE ON goose_db_version FOR EACH ROW EXECUTE FUNCTION refuse()")
		return func() { a.do(t, "DROP TRIGGER refuse ON audit_rows", "DROP TRIGGER refuse ON goose_db_version") }
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestWhatTheLogCannotKeepIsNotDone: while the store of the log is full, read-only, gone or too slow, every change is
// answered 503 and leaves no trace; reads and checks go on. Afterwards it goes on where it was, without a restart.
// T-093, T-105
func TestWhatTheLogCannotKeepIsNotDone(t *testing.T) {
	oneAfterAnother(t)
	for i, faults := range [][]fault{onFile, onServer} {
		for _, f := range faults {
			t.Run(testdb.Dialects[i].String()+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				a := newAiling(t, testdb.DSN(t, testdb.Dialects[i]))
				a.survives(t, f)
			})
		}
	}
}

func (a *ailing) survives(t *testing.T, f fault) {
	t.Helper()
	if word := a.rename(t, "Before"); word != "ok" {
		t.Fatalf("before: %s", word)
	}
	rows := rowsNow(t, a.world)
	mend := f.begin(t, a)
	for what, word := range map[string]string{"a name": a.rename(t, "Meanwhile"), "an invitation": a.invite(t), "a removal": a.removal(t)} {
		if word != "unavailable" {
			t.Errorf("%s meanwhile: %s", what, word)
		}
	}
	a.goesOn(t, "Before", 503)
	if got := rowsNow(t, a.world); got != rows {
		t.Errorf("%d rows, want %d", got, rows)
	}
	mend()
	a.goesOn(t, "Before", 200)
	if word := a.rename(t, "Afterwards"); word != "ok" {
		t.Errorf("afterwards: %s", word)
	}
	a.goesOn(t, "Afterwards", 200)
	a.Sound()
}

// within runs an operation as acme's owner, who waits for a second.
func (a *ailing) within(t *testing.T, o op.Any, in any) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := a.Service().Invoke(ctx, o, op.Request{Caller: a.acme.Owner().Caller(), Input: in}); err != nil {
		return op.AsError(err).FullCode()
	}
	return "ok"
}

func (a *ailing) rename(t *testing.T, name string) string {
	t.Helper()
	return a.within(t, directory.UpdateOrganization, directory.UpdateOrganizationInput{InOrganization: a.acme.In(), Name: &name})
}

func (a *ailing) invite(t *testing.T) string {
	t.Helper()
	return a.within(t, directory.CreateInvitation, directory.CreateInvitationInput{InOrganization: a.acme.In(), Email: "zoe@acme.test", Role: "viewer"})
}

// removal removes the editor, which fences: a removal that is not done takes nothing away.
func (a *ailing) removal(t *testing.T) string {
	t.Helper()
	return a.within(t, directory.RemoveMember, directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: a.acme.In(),
		Member: a.acme.People["editor"].Member}})
}

// goesOn wants reads and checks to be answered, the organization to have a name, and the server to say whether it is ready.
func (a *ailing) goesOn(t *testing.T, name string, ready int) {
	t.Helper()
	got := a.send(ask{method: "GET", target: "/v1/organizations/acme", token: a.acme.Owner().Token})
	if !got.ok() || !strings.Contains(got.body, `"name":"`+name+`"`) {
		t.Errorf("a read, want the name %s: %s %s", name, got.outcome(), got.body)
	}
	if !a.allows(t, "user", a.acme.People["editor"].User) {
		t.Error("a check of the editor is refused")
	}
	for path, want := range map[string]int{"/readyz": ready, "/healthz": 200} {
		if got := a.send(ask{method: "GET", target: path}); got.status != want {
			t.Errorf("%s: %s, want %d", path, got.outcome(), want)
		}
	}
}
