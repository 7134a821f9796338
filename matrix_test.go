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
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/governance"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/outbound"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/requestlog"
	"github.com/guildhall/guildhall/scim"
	"github.com/guildhall/guildhall/usage"
)

// world is a hall with two organizations, an outsider and a service key: what every operation is tried in.
type world struct {
	lately []string // passkeys that were made last, for whom they are still to be used
	*guildhalltest.Hall
	t          *testing.T
	acme       *guildhalltest.Organization
	globex     *guildhalltest.Organization
	outsider   *guildhalltest.Person
	serviceKey string
	fresh      int
	dns        *records
	key, token string      // of acme's owner, with every scope that they can have
	moved      atomic.Bool // whether a call went well that changes who may do what, since the people were last looked after
}

func newWorld(t *testing.T, charterName string, options ...guildhalltest.Option) *world {
	w := &world{t: t, dns: &records{of: map[string]string{}}}
	options = append(options, guildhalltest.With(func(c *guildhall.Config) {
		c.Settings.InviterHour, c.Settings.TenantDay, c.Settings.ReturnTo = 1e6, 1e6, []string{productURL}
		c.Billing.Provider, c.Resolver = pages{}, w.dns
		c.Outbound = outbound.New(outbound.Config{Resolver: noNames})
	}))
	h := guildhalltest.New(t, charterName, append(options, guildhalltest.With(w.watchAccess))...)
	w.Hall, w.acme, w.globex = h, h.Organization("acme"), h.Organization("globex")
	w.outsider, w.serviceKey = h.SignIn("outsider@nowhere.test"), h.ServiceKey("matrix")
	return w
}

// watchAccess notes every call that may have moved the people of the matrix: no other can.
func (w *world) watchAccess(c *guildhall.Config) {
	seen := c.Observe
	c.Observe = func(o op.Observation) {
		if o.Kind == op.Access && o.Changed {
			w.moved.Store(true)
		}
		if seen != nil {
			seen(o)
		}
	}
}

// preparing runs what makes things for a call: it moves nobody of the matrix.
func (w *world) preparing(make func()) {
	moved := w.moved.Load()
	make()
	w.moved.Store(moved)
}

// productURL is where the product takes people whom the sign-in hands over.
const productURL = "https://product.test/callback"

// oneAfterAnother leaves a loop to the step of make test that runs it whole, without the race detector: where one call
// waits for the one before, or another process does the work, the detector sees nothing that it does not see when
// TestEveryOperationOfManyAtOnce calls the same operations at once.
func oneAfterAnother(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("one call after another: run without -race")
	}
}

// eachWorld runs a test in the world of every ready-made charter on both databases.
func eachWorld(t *testing.T, run func(*testing.T, *world), options ...guildhalltest.Option) {
	oneAfterAnother(t)
	for _, name := range charter.Names() {
		for _, d := range testdb.Dialects {
			t.Run(name+"/"+d.String(), func(t *testing.T) {
				t.Parallel()
				run(t, newWorld(t, name, append(slices.Clone(options), guildhalltest.OnDatabase(testdb.DSN(t, d)))...))
			})
		}
	}
}

// caller is a column of the matrix.
type caller struct {
	name string
	op.Caller
}

// callers are all columns, as they stand now.
func (w *world) callers() (all []caller) {
	for _, name := range w.columns() {
		all = append(all, w.caller(name))
	}
	return all
}

// columns are the names of all callers: strangers of every kind, every role, the product's back end and the operator.
func (w *world) columns() []string {
	all := []string{"nobody", "bad token", "outsider", "of another"}
	for _, role := range w.Charter().Roles() {
		all = append(all, string(role.ID))
	}
	return append(all, "owner's key", "owner's token", "service key", "operator")
}

// caller is one of the columns, as it stands now: a call may have ended a session or a key.
func (w *world) caller(name string) caller {
	return caller{name, w.standing(name)}
}

func (w *world) standing(name string) op.Caller {
	switch name {
	case "nobody":
		return op.Caller{Address: "192.0.2.9"}
	case "bad token":
		return op.Caller{Address: "192.0.2.9", Credential: "gld_ses_0000000000000000000000000000000000000000000AAAAAA"}
	case "outsider":
		return w.outsider.Caller()
	case "of another":
		return w.globex.Owner().Caller()
	case "owner's key":
		return w.ownersOwn("key", &w.key)
	case "owner's token":
		return w.ownersOwn("token", &w.token)
	case "service key":
		return op.Caller{Credential: w.serviceKey, Address: "192.0.2.2"}
	case "operator":
		return op.Caller{Machine: true}
	}
	return w.acme.People[charter.RoleID(name)].Caller()
}

// ownersOwn is a key or a token of acme's owner; a new one if the last is dead.
func (w *world) ownersOwn(kind string, secret *string) op.Caller {
	if !w.alive(*secret) {
		w.preparing(func() { *secret = w.derive(kind) })
	}
	return op.Caller{Credential: *secret, Address: "192.0.2.3"}
}

// alive reports whether a credential is still good: a call may have ended it, or whoever is behind it.
func (w *world) alive(secret string) bool {
	if secret == "" {
		return false
	}
	_, err := directory.GetMe.Call(op.As(w.t.Context(), op.Caller{Credential: secret, Address: "192.0.2.3"}), w.Service(), directory.GetMeInput{})
	return err == nil
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
func (w *world) fields(info op.Info, in *guildhalltest.Organization) (values map[string]any) {
	w.preparing(func() { values = w.things(info, in) })
	return values
}

func (w *world) things(info op.Info, in *guildhalltest.Organization) map[string]any {
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
		if made := w.sold(info, name, in); made != "" {
			values[name] = made
			continue
		}
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
	case "directory":
		made, err := scim.CreateDirectory.Call(w.Operator(), w.Service(), scim.CreateDirectoryInput{InOrganization: in.In(), Name: email, DefaultRole: string(lowest)})
		if err != nil {
			w.t.Fatal(err)
		}
		return made.ID
	case "role", "from", "move_to", "default_role":
		if name == "role" && (info.Name == "roles.update" || info.Name == "roles.delete") {
			return w.customRole(in)
		}
		return string(lowest)
	case "permission":
		return "members.view"
	case "subject":
		if info.Noun() == "reviews" { // what a review is of, and not a person
			return ""
		}
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
	case "artifact":
		return w.stored(in).ID
	case "link":
		if info.Noun() == "setup" {
			return w.setupSecret(info, in)
		}
		made, err := artifacts.Link.Call(in.Owner().Ctx(), w.Service(), artifacts.LinkInput{ArtifactInput: artifacts.ArtifactInput{InOrganization: in.In(), Artifact: w.stored(in).ID}})
		if err != nil {
			w.t.Fatal(err)
		}
		return made.Link[strings.LastIndex(made.Link, "/")+1:]
	case "hold":
		made, err := artifacts.CreateHold.Call(w.Operator(), w.Service(), artifacts.CreateHoldInput{InOrganization: in.In(), Reason: "matrix", Resource: "case:"})
		if err != nil {
			w.t.Fatal(err)
		}
		return made.ID
	case "due": // of another day each time
		return fmt.Sprintf("due_%s_%s", strings.TrimPrefix(in.ID, "org_"), w.Clock.Now().AddDate(0, 0, -60-w.fresh).Format("20060102"))
	case "slug":
		return fmt.Sprintf("slug-%d", w.fresh)
	case "meter":
		if info.Noun() == "budgets" {
			w.fewBudgets(in)
		}
		return w.meter()
	case "reservation":
		made, err := usage.Reserve.Call(w.Operator(), w.Service(), usage.ReserveInput{InOrganization: in.In(), Meter: w.meter()})
		if err != nil {
			w.t.Fatal(err)
		}
		return made.ID
	case "by":
		m, _ := w.Charter().Meter(w.meter())
		return string(m.Dimensions[0])
	case "budget":
		if info.Noun() != "budgets" { // the number of requests of a token
			return ""
		}
		w.fewBudgets(in)
		made, err := usage.CreateBudget.Call(w.Operator(), w.Service(), usage.CreateBudgetInput{InOrganization: in.In(), Name: email, BudgetFields: usage.BudgetFields{Meter: w.meter(), Amount: 1_000_000}})
		if err != nil {
			w.t.Fatal(err)
		}
		return made.ID
	case "finding":
		return "unexpiring_key:" + w.unexpiring(in)
	case "request":
		return w.logged(in)
	case "review":
		return w.startedReview(info, in)
	case "metadata":
		return w.metadata()
	case "client_id":
		return email
	case "connection":
		return w.connection(info, in)
	case "setup_link":
		return w.setupLink(in).ID
	case "domain":
		return w.domain(info, in)
	case "join_request":
		return w.joinRequest(in)
	case "item":
		return in.People[lowest].Member
	case "passkey":
		return w.passkeyOf(in.Owner())
	case "identity":
		return "idn_00000000000000000000000000"
	}
	return ""
}

// unexpiring is a key that never ends.
func (w *world) unexpiring(in *guildhalltest.Organization) string {
	made, err := credential.CreateKey.Call(in.Owner().Ctx(), w.Service(), credential.CreateKeyInput{InOrganization: in.In(), Name: "for ever",
		Kind: w.Charter().Rules.Keys.Kinds[0], Scoping: credential.Scoping{ExpiresAt: "never"}})
	if err != nil {
		w.t.Fatalf("a key for ever: %v", err)
	}
	return made.ID
}

// logged is a line of the request log.
func (w *world) logged(in *guildhalltest.Organization) string {
	w.Requests().Add(&requestlog.Entry{Organization: check.MakeID(in.ID), At: w.Clock.Now(), Face: "authzen", Kind: "user", Code: "role", Allowed: true,
		User: check.MakeID(in.Owner().User), Member: check.MakeID(in.Owner().Member)})
	if err := w.Requests().Flush(context.Background()); err != nil {
		w.t.Fatalf("a line: %v", err)
	}
	list, err := requestlog.ListRequests.Call(w.Operator(), w.Service(), requestlog.ListRequestsInput{InOrganization: in.In()})
	if err != nil || len(list.Data) == 0 {
		w.t.Fatalf("lines: %v", err)
	}
	return list.Data[0].ID
}

// fewBudgets takes budgets away before there are as many as there may be.
func (w *world) fewBudgets(in *guildhalltest.Organization) {
	list, err := usage.ListBudgets.Call(w.Operator(), w.Service(), usage.ListBudgetsInput{InOrganization: in.In()})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, b := range list.Data[min(len(list.Data), 20):] {
		if _, err := usage.DeleteBudget.Call(w.Operator(), w.Service(), usage.DeleteBudgetInput{InOrganization: in.In(), Budget: b.ID}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// meter is one of the charter's that can be reserved.
func (w *world) meter() string {
	for _, m := range w.Charter().Meters {
		if m.Adds() {
			return m.ID
		}
	}
	w.t.Fatal("the charter has no meter that adds up")
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

// startedReview makes a review; one that is over, to repeat it.
func (w *world) startedReview(info op.Info, in *guildhalltest.Organization) string {
	ctx := in.Owner().Ctx()
	made, err := governance.StartReview.Call(ctx, w.Service(), governance.StartReviewInput{InOrganization: in.In(), Title: "thing", Subject: governance.OfMembers})
	if err == nil && info.Name == governance.RepeatReview.Name {
		_, err = governance.CancelReview.Call(ctx, w.Service(), governance.CancelReviewInput{ReviewInput: governance.ReviewInput{InOrganization: in.In(), Review: made.ID}})
	}
	if err != nil {
		w.t.Fatalf("a review: %v", err)
	}
	return made.ID
}

// stored is a file of an organization.
func (w *world) stored(in *guildhalltest.Organization) artifacts.Artifact {
	a, err := artifacts.Put.Call(w.Operator(), w.Service(), artifacts.PutInput{InOrganization: in.In(), Name: "thing.txt"}, op.Content{Body: strings.NewReader("thing"), Size: 5})
	if err != nil {
		w.t.Fatalf("a file: %v", err)
	}
	return a
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

// TestOutcomesOfEveryOperation tries every operation as everybody, on both databases. The outcomes are a table that
// people review; so is how many statements each operation takes inside its transaction, eight at most. Each cell is
// judged besides: by the product's own table, and by the audit rows that the call left.
// T-013, T-014, T-015: what each role may, through the real operation.
func TestOutcomesOfEveryOperation(t *testing.T) {
	oneAfterAnother(t)
	most := &most{of: map[string]int{}}
	t.Run("worlds", func(t *testing.T) {
		eachWorld(t, func(t *testing.T, w *world) {
			golden(t, "outcomes-"+w.Charter().Name+".txt", outcomes(t, w))
			w.Sound()
		}, guildhalltest.With(func(c *guildhall.Config) { c.Observe = most.note }))
	})
	most.check(t)
}

// most is the highest number of statements that each operation took.
type most struct {
	mu sync.Mutex
	of map[string]int
}

func (m *most) note(o op.Observation) {
	if o.Error != nil || !o.Changed {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of[o.Operation] = max(m.of[o.Operation], o.Statements)
}

func (m *most) check(t *testing.T) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.of)) {
		fmt.Fprintf(&b, "%-30s %d\n", name, m.of[name])
		if m.of[name] > 8 && manyStatements[name] == "" {
			t.Errorf("%s takes %d statements", name, m.of[name])
		}
	}
	golden(t, "statements.txt", b.String())
}

// manyStatements are the operations that may take more than eight, each with the reason.
var manyStatements = map[string]string{
	"ownership.transfer":              "it tells the owners beside moving two roles",
	"organizations.recover_owner":     "it tells every member",
	"reviews.complete":                "it ends and lowers everything that was decided, in one transaction",
	"organizations.purge":             "a step of a room may take some, and owners are told when it begins",
	"organizations.complete_recovery": "it makes a member of somebody new, and tells everybody",
	"users.delete":                    "it ends a membership in each of the person's organizations, behind the locks of all of them",
	"domains.join":                    "a pending invitation is consumed beside",
	"connections.delete":              "everything that hangs on a provider goes with it, one table after another, and its sessions end",
	"setup.configure":                 "it makes or changes a provider with its settings, on behalf of whoever made the link, who is looked up again",
	"setup.configure_saml":            "as setup.configure, and its settings of SAML are kept beside, with a key",
	"setup.map":                       "as setup.configure: whoever made the link is looked up again",
	"signin.federated":                "a person, an identity and a membership are made at once",
	"signin.saml":                     "as signin.federated, and the assertion is remembered beside",
	"join_requests.decide":            "it makes a member, tells them, and consumes a pending invitation",
	"subscription.change":             "an invoice gets the next number of the installation, and what was used is looked up for it: five",
	"invoices.close":                  "once a month it looks up what was used (five), bills it, begins the next period and carries out what waited for it",
	"signin.passkey":                  "the session that the browser had ends beside it",
	"signin.second_factor":            "the session that the browser had ends beside it, and a recovery code is mailed",
	"invoices.remind":                 "three times and once more it looks up whom to mail",
}

// outcomes is the table: an operation a row, a caller a column. Every cell is judged on the way.
func outcomes(t *testing.T, w *world) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-30s", "operation")
	for _, name := range w.columns() {
		fmt.Fprintf(&b, " %-18s", name)
	}
	b.WriteString("\n")
	for _, o := range guildhall.Operations() {
		fmt.Fprintf(&b, "%-30s", o.Info().Name)
		rows := &rowJudge{world: w, info: o.Info()}
		w.tryAsAll(o, func(c caller, word string, e *op.Error) {
			fmt.Fprintf(&b, " %-18s", word)
			followsTheTable(t, w, o.Info(), c, e)
			rows.judge(t, c, word, e)
		}, rows.ready)
		b.WriteString("\n")
	}
	return trimLines(b.String())
}

// tryAsAll runs an operation as everybody, each time in a world that is as it was; ready is called before each.
func (w *world) tryAsAll(o op.Any, tell func(caller, string, *op.Error), ready ...func()) {
	fields := w.fields(o.Info(), w.acme)
	for _, name := range w.columns() {
		c := w.caller(name)
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

// mend undoes what calls did to the people of the matrix, so that the next one finds them as they were.
func (w *world) mend() {
	if !w.moved.Load() {
		return
	}
	for _, o := range []*guildhalltest.Organization{w.acme, w.globex} {
		w.restore(o)
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
	w.moved.Store(false)
}

// restore takes back what would end an organization, or give it another owner.
func (w *world) restore(o *guildhalltest.Organization) {
	w.t.Helper()
	if _, err := directory.RestoreOrganization.Call(w.Operator(), w.Service(), directory.RestoreOrganizationInput{InOrganization: o.In()}); err != nil {
		w.t.Fatalf("restoring %s: %v", o.Slug, err)
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

// followsTheTable: where an operation asks for one permission and nothing else, a role may exactly if the product's own
// table, written out in the charter's tests and not read from here, gives it that permission.
func followsTheTable(t *testing.T, w *world, info op.Info, c caller, e *op.Error) {
	t.Helper()
	role, known := w.Charter().Role(charter.RoleID(c.name))
	if !known || info.Scope != op.Organization || len(info.Allow.Permissions()) != 1 || info.Allow.Owning() ||
		strings.Contains(info.Allow.String(), op.AnyMember.String()) {
		return
	}
	needs := info.Allow.Permissions()[0]
	denied := e != nil && e.Kind == op.Denied && e.Needs == needs
	if denied == w.Charter().Can(role, needs) {
		t.Errorf("%s as %s: denied %v, but the role has %s: %v (%v)", info.Name, role.ID, denied, needs, w.Charter().Can(role, needs), e)
	}
}

// TestStrangersLearnNothing: whoever does not belong to an organization is told the same about it, whatever they name,
// as about one that does not exist; nothing is written and nothing locked. T-001, T-006, T-007.
func TestStrangersLearnNothing(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		pairs := 0
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
		t.Logf("%d pairs", pairs)
	})
}

// TestForeignObjectsDoNotExist: every object of one organization, named in the address of another by its own people, is
// answered like one that never was; nothing of it changes. T-001, T-002.
func TestForeignObjectsDoNotExist(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		pairs := 0
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
		t.Logf("%d pairs", pairs)
	})
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

// rowJudge wants a call that changes something to write exactly one audit row, and a refused one to be counted in a row
// within the minute. T-091.
type rowJudge struct {
	*world
	info   op.Info
	before int
}

func (j *rowJudge) judges() bool { return j.info.Changes() && j.info.MediaType == "" }

func (j *rowJudge) ready() {
	if j.judges() {
		j.settle(&j.before)
	}
}

func (j *rowJudge) judge(t *testing.T, c caller, word string, e *op.Error) {
	t.Helper()
	if !j.judges() {
		return
	}
	after := rowsNow(t, j.world)
	want := 0
	if e == nil {
		want = 1 + rowsElsewhere[j.info.Name]
	}
	if got := after - j.before; got != want && word != "wrong_code" {
		t.Errorf("%s as %s (%s) wrote %d rows, want %d", j.info.Name, c.name, word, got, want)
	}
	checkRefusalRow(t, j.world, c, e, after)
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
	err := w.Service().Committed(t.Context(), func(r *op.Reader) error {
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
