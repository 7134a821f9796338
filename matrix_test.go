package guildhall_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// world is a hall with two organizations, an outsider and a service key: what every operation is tried in.
type world struct {
	*guildhalltest.Hall
	t          *testing.T
	acme       *guildhalltest.Organization
	globex     *guildhalltest.Organization
	outsider   *guildhalltest.Person
	serviceKey string
	fresh      int
	key, token string // of acme's owner, with every scope that they can have
}

func newWorld(t *testing.T, charterName string, options ...guildhalltest.Option) *world {
	options = append(options, guildhalltest.With(func(c *guildhall.Config) {
		c.Settings.InviterHour, c.Settings.TenantDay, c.Settings.ReturnTo = 1e6, 1e6, []string{productURL}
	}))
	h := guildhalltest.New(t, charterName, options...)
	return &world{Hall: h, t: t, acme: h.Organization("acme"), globex: h.Organization("globex"),
		outsider: h.SignIn("outsider@nowhere.test"), serviceKey: h.ServiceKey("matrix")}
}

// productURL is where the product takes people whom the sign-in hands over.
const productURL = "https://product.test/callback"

// charters are the ready-made ones; the first alone under the race detector, which the step of make test without it makes
// up for.
func charters() []string {
	if raceEnabled {
		return charter.Names()[:1]
	}
	return charter.Names()
}

// eachWorld runs a test in the world of every ready-made charter on both databases.
func eachWorld(t *testing.T, run func(*testing.T, *world)) {
	for _, name := range charters() {
		for _, d := range testdb.Dialects {
			t.Run(name+"/"+d.String(), func(t *testing.T) {
				run(t, newWorld(t, name, guildhalltest.OnDatabase(testdb.DSN(t, d))))
			})
		}
	}
}

// caller is a column of the matrix.
type caller struct {
	name string
	op.Caller
}

// callers are all columns: strangers of every kind, every role, the product's back end and the operator.
func (w *world) callers() []caller {
	all := []caller{
		{"nobody", op.Caller{Address: "192.0.2.9"}},
		{"bad token", op.Caller{Address: "192.0.2.9", Credential: "gld_ses_0000000000000000000000000000000000000000000AAAAAA"}},
		{"outsider", w.outsider.Caller()},
		{"of another", w.globex.Owner().Caller()},
	}
	for _, role := range w.Charter().Roles() {
		all = append(all, caller{string(role.ID), w.acme.People[role.ID].Caller()})
	}
	for _, c := range []struct {
		name, kind string
		secret     *string
	}{{"owner's key", "key", &w.key}, {"owner's token", "token", &w.token}} {
		if !w.alive(*c.secret) {
			*c.secret = w.derive(c.kind)
		}
		all = append(all, caller{c.name, op.Caller{Credential: *c.secret, Address: "192.0.2.3"}})
	}
	return append(all, caller{"service key", op.Caller{Credential: w.serviceKey, Address: "192.0.2.2"}}, caller{"operator", op.Caller{Machine: true}})
}

// alive reports whether a credential is still good: a call may have ended it, or whoever is behind it.
func (w *world) alive(secret string) bool {
	_, err := directory.GetMe.Call(op.As(w.t.Context(), op.Caller{Credential: secret, Address: "192.0.2.3"}), w.Service(), directory.GetMeInput{})
	return secret != "" && err == nil
}

// derive makes a key or a token of acme's owner that may as much as one can.
func (w *world) derive(kind string) string {
	w.t.Helper()
	c, owner := w.Charter(), w.acme.Owner()
	if !w.alive(owner.Token) {
		owner.Token = w.SignIn(owner.Email).Token
	}
	all := c.IDs(c.OwnerRole().Holds)
	if kind == "token" {
		made, err := credential.CreateToken.Call(owner.Ctx(), w.Service(), credential.CreateTokenInput{InOrganization: w.acme.In(),
			Scoping: credential.Scoping{Permissions: all}})
		if err != nil {
			w.t.Fatalf("a token of the owner: %v", err)
		}
		return made.Secret
	}
	in := credential.CreateKeyInput{InOrganization: w.acme.In(), Name: "matrix", Kind: c.Rules.Keys.Kinds[0], Scoping: credential.Scoping{Permissions: all}}
	if in.Kind == charter.OrganizationKey {
		in.Permissions = c.Rules.Keys.OrganizationKeyIDs
	}
	made, err := credential.CreateKey.Call(owner.Ctx(), w.Service(), in)
	if err != nil {
		w.t.Fatalf("a key of the owner: %v", err)
	}
	return made.Secret
}

// fields makes an operation's input of its example, in an organization, with things that exist there: every field of
// the route gets a fresh one by its name, so a new operation joins by itself.
func (w *world) fields(info op.Info, in *guildhalltest.Organization) map[string]any {
	raw, err := json.Marshal(info.Example)
	if err != nil {
		w.t.Fatal(err)
	}
	values := map[string]any{}
	if err := json.Unmarshal(raw, &values); err != nil {
		w.t.Fatal(err)
	}
	if _, ok := values["organization"]; ok {
		values["organization"] = in.ID
	}
	for name, value := range values {
		if within, ok := value.(map[string]any); ok && name == "role" {
			within["id"] = string(w.Charter().Roles()[0].ID)
		} else if made := w.thing(info, name, in); made != "" {
			values[name] = made
		} else if text, ok := value.(string); ok && (name == "email" || name == "title" || name == "name") {
			w.fresh++
			values[name] = fmt.Sprintf("fresh%d-%s", w.fresh, text)
		}
	}
	return values
}

// thing makes something that a field can name. Names that it does not know keep the example's value.
func (w *world) thing(info op.Info, name string, in *guildhalltest.Organization) string {
	w.fresh++
	email := fmt.Sprintf("thing%d@%s.test", w.fresh, in.Slug)
	lowest := w.Charter().Roles()[0].ID
	switch name {
	case "member":
		role := lowest
		if info.Name == "ownership.transfer" {
			role = w.Charter().Rules.Ownership.TransferTo
		}
		return in.Join(email, role).Member
	case "invitation":
		made, err := directory.CreateInvitation.Call(w.Operator(), w.Service(), directory.CreateInvitationInput{InOrganization: in.In(), Email: email, Role: lowest})
		if err != nil {
			w.t.Fatal(err)
		}
		return made.ID
	case "role", "from", "move_to":
		if name == "role" && (info.Name == "roles.update" || info.Name == "roles.delete") {
			return w.customRole(in)
		}
		return string(lowest)
	case "permission":
		return "members.view"
	case "subject":
		return in.Owner().Member
	case "event":
		return w.someEvent(in)
	case "session":
		return w.sessionOf(in.Owner())
	case "key", "token", "service_account":
		return w.derived(info, name, in)
	case "user":
		if info.Name == "members.add" {
			return w.SignIn(email).User
		}
		return in.Join(email, lowest).User
	case "external_id":
		return email
	case "service_key":
		made, err := credential.CreateServiceKey.Call(w.Operator(), w.Service(), credential.CreateServiceKeyInput{Name: email})
		if err != nil {
			w.t.Fatal(err)
		}
		return made.ID
	case "slug":
		return fmt.Sprintf("slug-%d", w.fresh)
	}
	return ""
}

// derived makes a key, a token or a service account of the owner's; empty where the charter has none.
func (w *world) derived(info op.Info, name string, in *guildhalltest.Organization) string {
	ctx, c := in.Owner().Ctx(), w.Charter()
	var id string
	var err error
	switch {
	case info.Noun() == "service_keys":
		return w.thing(info, "service_key", in)
	case name == "key":
		var made credential.NewKey
		made, err = credential.CreateKey.Call(ctx, w.Service(), credential.CreateKeyInput{InOrganization: in.In(), Name: "thing", Kind: c.Rules.Keys.Kinds[0]})
		id = made.ID
	case name == "token":
		var made credential.NewToken
		made, err = credential.CreateToken.Call(ctx, w.Service(), credential.CreateTokenInput{InOrganization: in.In()})
		id = made.ID
	case c.Rules.Keys.Allows(charter.OrganizationKey):
		var made credential.ServiceAccount
		made, err = credential.CreateServiceAccount.Call(ctx, w.Service(), credential.CreateServiceAccountInput{InOrganization: in.In(),
			Name: fmt.Sprintf("account %d", w.fresh), Role: c.Roles()[0].ID})
		id = made.ID
	}
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	return id
}

func (w *world) customRole(in *guildhalltest.Organization) string {
	made, err := directory.CreateRole.Call(in.Owner().Ctx(), w.Service(), directory.CreateRoleInput{InOrganization: in.In(),
		Title: fmt.Sprintf("Role %d", w.fresh), Permissions: []charter.Permission{"organization.view"}})
	if err != nil {
		w.t.Fatalf("a role: %v", err)
	}
	return made.ID
}

func (w *world) someEvent(in *guildhalltest.Organization) string {
	list, err := audit.ListEvents.Call(w.Operator(), w.Service(), audit.ListEventsInput{InOrganization: in.In()})
	if err != nil || len(list.Data) == 0 {
		w.t.Fatalf("events: %v", err)
	}
	return list.Data[0].ID
}

func (w *world) sessionOf(p *guildhalltest.Person) string {
	list, err := credential.ListSessions.Call(p.Ctx(), w.Service(), credential.ListSessionsInput{})
	if err != nil || len(list.Data) == 0 {
		w.t.Fatalf("sessions: %v", err)
	}
	return list.Data[0].ID
}

// try runs an operation and says in a word how it went.
func (w *world) try(o op.Any, c op.Caller, fields map[string]any) (string, *op.Error) {
	_, err := w.Service().Invoke(context.Background(), o, op.Request{Caller: c, Input: fields})
	if err == nil {
		return "ok", nil
	}
	e := op.AsError(err)
	return e.FullCode(), e
}

// TestOutcomesOfEveryOperation tries every operation as everybody and compares with a table that people review, and so
// how many statements each takes inside its transaction: eight at most.
// T-013, T-014, T-015: what each role may, through the real operation.
func TestOutcomesOfEveryOperation(t *testing.T) {
	var statements sync.Map
	observe := guildhalltest.With(func(c *guildhall.Config) {
		c.Observe = func(o op.Observation) {
			if o.Error != nil || !o.Changed {
				return
			}
			if most, known := statements.Load(o.Operation); !known || most.(int) < o.Statements {
				statements.Store(o.Operation, o.Statements)
			}
		}
	})
	for _, name := range charters() {
		golden(t, "outcomes-"+name+".txt", outcomes(newWorld(t, name, observe)))
	}
	var lines []string
	statements.Range(func(name, most any) bool {
		lines = append(lines, fmt.Sprintf("%-30s %d\n", name, most))
		if reason := manyStatements[name.(string)]; most.(int) > 8 && reason == "" {
			t.Errorf("%s takes %d statements", name, most)
		}
		return true
	})
	if raceEnabled {
		return // the most is known only after all charters
	}
	slices.Sort(lines)
	golden(t, "statements.txt", strings.Join(lines, ""))
}

// manyStatements are the operations that may take more than eight, each with the reason.
var manyStatements = map[string]string{
	"users.delete": "it ends a membership in each of the person's organizations, behind the locks of all of them",
}

// outcomes is the table: an operation a row, a caller a column.
func outcomes(w *world) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-30s", "operation")
	for _, c := range w.callers() {
		fmt.Fprintf(&b, " %-18s", c.name)
	}
	b.WriteString("\n")
	for _, o := range guildhall.Operations() {
		fmt.Fprintf(&b, "%-30s", o.Info().Name)
		w.tryAsAll(o, func(_ caller, word string, _ *op.Error) { fmt.Fprintf(&b, " %-18s", word) })
		b.WriteString("\n")
	}
	return trimLines(b.String())
}

// tryAsAll runs an operation as everybody, each time in a world that is as it was; ready is called before each.
func (w *world) tryAsAll(o op.Any, tell func(caller, string, *op.Error), ready ...func()) {
	fields := w.fields(o.Info(), w.acme)
	for i := range w.callers() {
		c := w.callers()[i] // again: a call may have ended a session
		for _, f := range ready {
			f()
		}
		word, e := w.try(o, c.Caller, fields)
		tell(c, word, e)
		if e == nil && o.Info().Changes() {
			w.mend()
			fields = w.fields(o.Info(), w.acme)
		}
	}
}

// mend undoes what a call did to the people of the matrix, so that the next one finds them as they were.
func (w *world) mend() {
	for _, o := range []*guildhalltest.Organization{w.acme, w.globex} {
		for role, p := range o.People {
			if w.holdsOn(o, p, role) {
				continue
			}
			w.rejoin(o, p, role)
		}
	}
	if _, err := directory.GetMe.Call(w.outsider.Ctx(), w.Service(), directory.GetMeInput{}); err != nil {
		w.outsider.Token = w.SignIn(w.outsider.Email).Token
	}
}

func (w *world) holdsOn(o *guildhalltest.Organization, p *guildhalltest.Person, role charter.RoleID) bool {
	m, err := directory.GetMember.Call(p.Ctx(), w.Service(), directory.MemberInput{InOrganization: o.In(), Member: p.Member})
	return err == nil && m.Role == string(role) && m.Status == "active"
}

// rejoin signs somebody in again and, if they lost it, gives them their place back.
func (w *world) rejoin(o *guildhalltest.Organization, p *guildhalltest.Person, role charter.RoleID) {
	w.t.Helper()
	p.Token = w.SignIn(p.Email).Token
	m, err := directory.GetMember.Call(w.Operator(), w.Service(), directory.MemberInput{InOrganization: o.In(), Member: p.Member})
	switch {
	case err != nil:
		*p = *o.Join(p.Email, role)
		p.Role = role
	case m.Role != string(role):
		w.giveBack(o, p, role)
	}
}

func (w *world) giveBack(o *guildhalltest.Organization, p *guildhalltest.Person, role charter.RoleID) {
	w.t.Helper()
	rules := w.Charter().Rules
	if role != w.Charter().OwnerRole().ID || rules.Owners == charter.ManyOwners {
		id := string(role)
		if _, err := directory.UpdateMember.Call(w.Operator(), w.Service(), directory.UpdateMemberInput{
			MemberInput: directory.MemberInput{InOrganization: o.In(), Member: p.Member}, Role: &id}); err != nil {
			w.t.Fatalf("giving %s back: %v", role, err)
		}
		return
	}
	if _, err := directory.TransferOwnership.Call(w.Operator(), w.Service(), directory.TransferInput{InOrganization: o.In(), Member: p.Member}); err != nil {
		w.t.Fatalf("giving ownership back: %v", err)
	}
}

func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// TestOnRulesFollowTheTable: where an operation asks for one permission and nothing else, a role may exactly if the
// product's own table, written out in the charter's tests and not read from here, gives it that permission.
func TestOnRulesFollowTheTable(t *testing.T) {
	cells := 0
	eachWorld(t, func(t *testing.T, w *world) {
		for _, o := range guildhall.Operations() {
			info := o.Info()
			if info.Scope != op.Organization || len(info.Allow.Permissions()) != 1 || info.Allow.Owning() {
				continue
			}
			needs := info.Allow.Permissions()[0]
			w.tryAsAll(o, func(c caller, _ string, e *op.Error) {
				role, known := w.Charter().Role(charter.RoleID(c.name))
				if !known {
					return
				}
				cells++
				denied := e != nil && e.Kind == op.Denied && e.Needs == needs
				if denied == w.Charter().Can(role, needs) {
					t.Errorf("%s as %s: denied %v, but the role has %s: %v (%v)", info.Name, role.ID, denied, needs, w.Charter().Can(role, needs), e)
				}
			})
		}
		w.Sound()
	})
	t.Logf("%d cells", cells)
}

// TestStrangersLearnNothing: whoever does not belong to an organization is told the same about it, whatever they name,
// as about one that does not exist; nothing is written and nothing locked. T-001, T-006, T-007.
func TestStrangersLearnNothing(t *testing.T) {
	pairs := 0
	eachWorld(t, func(t *testing.T, w *world) {
		for _, o := range guildhall.Operations() {
			info := o.Info()
			if info.Scope != op.Organization {
				continue
			}
			real := w.fields(info, w.acme)
			unreal := maps.Clone(real)
			unreal["organization"] = "org_00000000000000000000000000"
			for _, c := range w.callers()[:4] {
				pairs++
				before := w.Stats()
				_, got := w.try(o, c.Caller, real)
				if wrote := w.Stats().Writes - before.Writes; wrote != 0 {
					t.Errorf("%s as %s began %d writing transactions", info.Name, c.name, wrote)
				}
				_, want := w.try(o, c.Caller, unreal)
				if got == nil || want == nil {
					t.Errorf("%s as %s: %v, and %v of what does not exist", info.Name, c.name, got, want)
					continue
				}
				if diff := cmp.Diff(problem(t, want), problem(t, got)); diff != "" {
					t.Errorf("%s as %s is told more:\n%s", info.Name, c.name, diff)
				}
			}
		}
	})
	t.Logf("%d pairs", pairs)
}

// TestForeignObjectsDoNotExist: every object of one organization, named in the address of another by its own people, is
// answered like one that never was; nothing of it changes. T-001, T-002.
func TestForeignObjectsDoNotExist(t *testing.T) {
	pairs := 0
	eachWorld(t, func(t *testing.T, w *world) {
		for _, o := range guildhall.Operations() {
			info := o.Info()
			for _, field := range info.PathFields() {
				if info.Scope != op.Organization || field == "organization" || field == "role" {
					continue
				}
				for _, role := range w.Charter().Roles() {
					pairs++
					checkForeign(t, w, o, field, role.ID)
				}
			}
		}
		w.Sound()
	})
	t.Logf("%d pairs", pairs)
}

// checkForeign names globex's object in acme's address, as one of acme's people.
func checkForeign(t *testing.T, w *world, o op.Any, field string, role charter.RoleID) {
	t.Helper()
	info := o.Info()
	theirs := w.fields(info, w.globex)
	theirs["organization"] = w.acme.ID
	never := maps.Clone(theirs)
	prefix, _, _ := strings.Cut(theirs[field].(string), "_")
	never[field] = prefix + "_00000000000000000000000000"
	before := w.Stats()
	_, got := w.try(o, w.acme.People[role].Caller(), theirs)
	if wrote := w.Stats().Writes - before.Writes; wrote != 0 && !info.Recorded {
		t.Errorf("%s as %s began %d writing transactions", info.Name, role, wrote)
	}
	_, want := w.try(o, w.acme.People[role].Caller(), never)
	if got == nil || want == nil {
		t.Errorf("%s as %s of a foreign %s: %v; of none: %v", info.Name, role, field, got, want)
		return
	}
	if diff := cmp.Diff(problem(t, want), problem(t, got)); diff != "" {
		t.Errorf("%s as %s tells a foreign %s from none:\n%s", info.Name, role, field, diff)
	}
}

// problem is an error as the bytes that a caller compares.
func problem(t *testing.T, e *op.Error) string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"kind": e.Kind.Status(), "code": e.FullCode(), "text": e.Text, "needs": e.Needs,
		"holders": e.Holders, "fields": e.Fields, "fix": e.FixURL, "refers": e.Refers}, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// rowsElsewhere are the rows that a call writes to the logs of other organizations than the one that it is about, in the
// world of the matrix: each person there belongs to one.
var rowsElsewhere = map[string]int{"users.delete": 1}

// TestEveryChangeHasItsRow: a call that changes something writes exactly one audit row, and a refused one is counted in
// a row within the minute. T-091.
func TestEveryChangeHasItsRow(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		for _, o := range guildhall.Operations() {
			info := o.Info()
			if !info.Changes() || info.MediaType != "" {
				continue
			}
			before := 0
			w.settle(&before)
			w.tryAsAll(o, func(c caller, word string, e *op.Error) {
				after := rowsNow(t, w)
				want := 0
				if e == nil {
					want = 1 + rowsElsewhere[info.Name]
				}
				if got := after - before; got != want && word != "wrong_code" {
					t.Errorf("%s as %s (%s) wrote %d rows, want %d", info.Name, c.name, word, got, want)
				}
				checkRefusalRow(t, w, c, e, after)
			}, func() { w.settle(&before) })
		}
	})
}

// settle writes what is gathered and counts the rows.
func (w *world) settle(rows *int) {
	if err := w.Service().WriteRefusals(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	*rows = rowsNow(w.t, w)
}

// checkRefusalRow wants one row more for a denied call of somebody who is known, once the minute's refusals are written.
func checkRefusalRow(t *testing.T, w *world, c caller, e *op.Error, before int) {
	t.Helper()
	if e == nil || e.Kind != op.Denied || c.name == "nobody" {
		return
	}
	if err := w.Service().WriteRefusals(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rowsNow(t, w) <= before {
		t.Errorf("the refusal of %s (%s) left no row", c.name, e.FullCode())
	}
}

// rowsNow counts all audit rows of the hall.
func rowsNow(t *testing.T, w *world) (n int) {
	t.Helper()
	err := w.Service().Snapshot(t.Context(), func(r *op.Reader) error {
		return r.QueryRow(t.Context(), "SELECT count(*) FROM audit_rows").Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// golden compares with a file of testdata, which UPDATE=1 rewrites.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run make golden, and read what it wrote", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (make golden rewrites it; the diff is the review):\n%s", path, diff)
	}
}

// A dry run asks what would happen: one that is refused is no attempt, and a page that asks leaves no trace.
func TestARefusedDryRunLeavesNoTrace(t *testing.T) {
	w := newWorld(t, "automation")
	rows := 0
	w.settle(&rows)
	fields := w.fields(directory.RemoveMember.Info(), w.acme)
	w.settle(&rows)
	viewer := w.acme.People[w.Charter().Roles()[0].ID].Caller()
	_, err := w.Service().Invoke(t.Context(), directory.RemoveMember, op.Request{Caller: viewer, Input: fields, DryRun: true})
	if op.AsError(err).Kind != op.Denied {
		t.Fatalf("a viewer's dry run: %v", err)
	}
	after := 0
	if w.settle(&after); after != rows {
		t.Errorf("it left %d rows", after-rows)
	}
	if word, _ := w.try(directory.RemoveMember, viewer, fields); word != "denied" {
		t.Fatalf("the real one: %s", word)
	}
	if w.settle(&after); after <= rows {
		t.Error("a refused attempt left no row")
	}
}
