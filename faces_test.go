package guildhall_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/server"
)

// faces is a world that can be asked in every way that there is.
type faces struct {
	*world
	site   *httptest.Server
	client *client.Client
}

func newFaces(t *testing.T, w *world) *faces {
	f := &faces{world: w}
	f.site = httptest.NewServer(server.ForHall(w.Hall.Hall, server.HallConfig{BaseURL: guildhalltest.BaseURL,
		Gateways: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(f.site.Close)
	f.client = client.New(f.site.URL, w.serviceKey)
	return f
}

// bearers are a person's credentials, by their kinds.
type bearers struct {
	session, key, token string
	keyHolds            charter.Set // what the key is to be allowed
}

// bearersOf makes a person's credentials, with every scope that they can have.
func (f *faces) bearersOf(t *testing.T, p *guildhalltest.Person) bearers {
	c := f.Charter()
	role, _ := c.Role(p.Role)
	b := bearers{session: p.Token}
	kind := c.Rules.Keys.Kinds[0]
	scopes := role.Holds
	if kind == charter.OrganizationKey {
		scopes = scopes.Intersect(c.Rules.Keys.OrganizationKeys)
	}
	key, err := credential.CreateKey.Call(p.Ctx(), f.Service(), credential.CreateKeyInput{InOrganization: f.acme.In(), Name: "faces", Kind: kind,
		Scoping: credential.Scoping{Permissions: c.IDs(scopes)}})
	mayMake := c.Can(role, "keys.create") || kind == charter.PersonalKey && c.Can(role, "keys.create_own")
	if (err == nil) != mayMake {
		t.Errorf("%s makes a key: %v", p.Role, err)
	}
	b.key, b.keyHolds = key.Secret, scopes
	token, err := credential.CreateToken.Call(p.Ctx(), f.Service(), credential.CreateTokenInput{InOrganization: f.acme.In(), Name: "faces",
		Scoping: credential.Scoping{Permissions: c.IDs(role.Holds)}})
	if (err == nil) != c.Can(role, "tokens.create") {
		t.Errorf("%s derives a token: %v", p.Role, err)
	}
	b.token = token.Secret
	return b
}

// TestEveryCellInEveryWay asks every permission of the three tables for every role: about the person, by session, by key,
// by scoped token, each in process, over HTTP and through a gateway, and by the library's middleware. What a role may is
// the same everywhere; what a key may besides depends on its kind alone.
func TestEveryCellInEveryWay(t *testing.T) {
	var cells atomic.Int64
	t.Cleanup(func() { t.Logf("%d answers", cells.Load()) }) // the worlds run side by side, after this function
	eachWorld(t, func(t *testing.T, w *world) {
		f := newFaces(t, w)
		for _, role := range w.Charter().Roles() {
			b := f.bearersOf(t, w.acme.People[role.ID])
			for _, info := range w.Charter().Permissions() {
				cells.Add(int64(f.tryCell(t, role, info.ID, b)))
			}
		}
		w.Sound()
	})
}

// tryCell asks one permission of one role in every way, and says how many answers that were.
func (f *faces) tryCell(t *testing.T, role *charter.Role, p charter.Permission, b bearers) (answers int) {
	t.Helper()
	person := f.acme.People[role.ID]
	may := f.Charter().Can(role, p)
	need, _ := f.Charter().Need(p)
	want := func(way string, got, want bool) {
		answers++
		if got != want {
			t.Errorf("%s, %s, %s: %v", role.ID, p, way, got)
		}
	}
	for _, face := range []check.Checker{f.Hall.Hall, f.client} {
		by := fmt.Sprintf("%T", face)
		want("the person by "+by, f.answer(t, face, check.ByUser(person.User), p), may)
		want("session by "+by, f.answer(t, face, check.ByCredential(b.session), p), may)
		if b.key != "" {
			want("key by "+by, f.answer(t, face, check.ByCredential(b.key), p), need.SubsetOf(b.keyHolds))
		}
		if b.token != "" {
			want("token by "+by, f.answer(t, face, check.ByCredential(b.token), p), may)
		}
	}
	want("middleware with a session", f.middleware(b.session, p), may)
	for _, route := range f.routesOf(p) {
		want("forward-auth with a session on "+route.String(), f.forwardAuth(t, b.session, route), may)
		if b.key != "" {
			want("forward-auth with a key on "+route.String(), f.forwardAuth(t, b.key, route), need.SubsetOf(b.keyHolds))
		}
		if b.token != "" {
			want("forward-auth with a token on "+route.String(), f.forwardAuth(t, b.token, route), may)
		}
	}
	return answers
}

func (f *faces) answer(t *testing.T, by check.Checker, who check.Subject, p charter.Permission) bool {
	t.Helper()
	d, err := by.Check(context.Background(), check.Request{Subject: who, Permission: p, Resource: check.Whole(f.acme.ID)})
	if err != nil {
		t.Errorf("%s by %T: %v", p, by, err)
	}
	return d.Allow
}

func (f *faces) middleware(token string, p charter.Permission) bool {
	handler := f.Hall.Hall.Require(p, func(*http.Request) check.Resource { return check.Whole(f.acme.ID) })(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code == http.StatusNoContent
}

// routesOf are the product's requests that need a permission.
func (f *faces) routesOf(p charter.Permission) (routes []charter.Route) {
	for _, r := range f.Charter().Routes {
		if r.Needs == p {
			routes = append(routes, r)
		}
	}
	return routes
}

func (f *faces) forwardAuth(t *testing.T, token string, route charter.Route) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), "GET", f.site.URL+"/forward-auth", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-Forwarded-Method", route.Method)
	r.Header.Set("X-Forwarded-Uri", strings.NewReplacer("{", "", "}", "").Replace(route.Pattern)+"?x=1")
	answer, err := f.site.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusForbidden {
		t.Errorf("forward-auth of %s: %s", route.String(), answer.Status)
	}
	return answer.StatusCode == http.StatusOK
}

// TestRandomQuestionsAreAnsweredAlike asks the same random questions, of worlds that were made alike on both databases,
// in process and over HTTP: allow and reason are the same everywhere.
func TestRandomQuestionsAreAnsweredAlike(t *testing.T) {
	oneAfterAnother(t)
	questions := 10_000
	if testing.Short() {
		questions = 1_000
	}
	for _, name := range charter.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all []*faces
			var scenes []scene
			for _, d := range testdb.Dialects {
				f := newFaces(t, newWorld(t, name, guildhalltest.OnDatabase(testdb.DSN(t, d))))
				all = append(all, f)
				scenes = append(scenes, f.scene(t))
			}
			random := rand.New(rand.NewPCG(3, 2026))
			reasons := map[string]int{}
			for range questions / len(charter.Names()) {
				ask := scenes[0].random(random)
				reasons[compareFaces(t, all, scenes, ask)]++
			}
			if len(reasons) < 6 || reasons["role"] < questions/100 {
				t.Errorf("the questions are too much alike: %v", reasons)
			}
			t.Logf("answers: %v", reasons)
		})
	}
}

// scene is what there is to ask about, in the same order in every world.
type scene struct {
	subjects      []check.Subject
	organizations []string
	permissions   []charter.Permission
	kinds         []string
}

// asked is a question by its numbers in a scene.
type asked struct {
	subject, organization, permission, kind int
	id, address                             string
}

func (s scene) random(r *rand.Rand) asked {
	return asked{r.IntN(len(s.subjects)), r.IntN(len(s.organizations)), r.IntN(len(s.permissions)), r.IntN(len(s.kinds)),
		[]string{"1", "2", "wf_1"}[r.IntN(3)], []string{"", "203.0.113.7", "192.0.2.1"}[r.IntN(3)]}
}

func (s scene) request(a asked) check.Request {
	q := check.Request{Subject: s.subjects[a.subject], Permission: s.permissions[a.permission], Address: a.address}
	if s.kinds[a.kind] == check.Organization {
		q.Resource = check.Whole(s.organizations[a.organization])
	} else {
		q.Resource = check.On(s.kinds[a.kind], a.id).In(s.organizations[a.organization])
	}
	return q
}

// compareFaces asks one question everywhere and gives the reason of the answer.
func compareFaces(t *testing.T, all []*faces, scenes []scene, a asked) (reason string) {
	t.Helper()
	for i, f := range all {
		q := scenes[i].request(a)
		if q.Resource.ID == "" && q.Subject.Type == check.User {
			q.Resource.ID = "org_00000000000000000000000000"
		}
		for _, by := range []check.Checker{f.Hall.Hall, f.client} {
			d, err := by.Check(t.Context(), q)
			if err != nil {
				t.Fatalf("%+v by %T: %v", a, by, err)
			}
			got := fmt.Sprintf("%v %s %s", d.Allow, d.Reason, d.Needs)
			if reason == "" {
				reason = got
			}
			if got != reason {
				t.Fatalf("%T on database %d answers %s of %s on %s, not %s", by, i, got, q.Permission, q.Resource.Type, reason)
			}
		}
	}
	_, reason, _ = strings.Cut(reason, " ")
	reason, _, _ = strings.Cut(reason, " ")
	return reason
}

// scene makes credentials of every kind, with scopes and limits, and some that are dead.
func (f *faces) scene(t *testing.T) scene {
	c := f.Charter()
	s := scene{organizations: []string{f.acme.ID, f.acme.Slug, f.globex.ID, "org_00000000000000000000000000"},
		permissions: []charter.Permission{"no.such", "members.view", "keys.create"}, kinds: []string{check.Organization, check.Organization, "nothing"}}
	for _, info := range c.Permissions() {
		s.permissions = append(s.permissions, info.ID)
	}
	for kind := range c.Resources {
		s.kinds = append(s.kinds, kind)
	}
	slices.Sort(s.kinds)
	s.subjects = append(s.subjects, check.ByUser("usr_00000000000000000000000000"), check.ByUser(f.outsider.User), check.ByCredential("gld_live_x"),
		check.ByCredential(f.outsider.Token), check.ByCredential(f.serviceKey), check.Subject{Type: "robot", ID: "r2"})
	for _, role := range c.Roles() {
		s.subjects = append(s.subjects, f.subjectsOf(t, f.acme.People[role.ID])...)
	}
	return s
}

// subjectsOf are a person, their session, and what can be derived of it.
func (f *faces) subjectsOf(t *testing.T, p *guildhalltest.Person) []check.Subject {
	all := []check.Subject{check.ByUser(p.User), check.ByCredential(p.Token)}
	b := f.bearersOf(t, p)
	if b.key != "" {
		all = append(all, check.ByCredential(b.key))
	}
	if b.token == "" {
		return all
	}
	all = append(all, check.ByCredential(b.token))
	kind := slices.Sorted(func(yield func(string) bool) {
		for kind := range f.Charter().Resources {
			if !yield(kind) {
				return
			}
		}
	})[0]
	for _, limited := range []credential.CreateTokenInput{
		{Scoping: credential.Scoping{Resources: []string{kind + ":1"}}},
		{Scoping: credential.Scoping{Resources: []string{kind + ":*"}}, ReadOnly: true},
		{Scoping: credential.Scoping{Networks: []string{"203.0.113.0/24"}}},
		{Scoping: credential.Scoping{Permissions: []charter.Permission{"tokens.create"}}},
	} {
		limited.InOrganization = f.acme.In()
		token, err := credential.CreateToken.Call(p.Ctx(), f.Service(), limited)
		if err != nil {
			t.Fatalf("a token of %s: %v", p.Role, err)
		}
		all = append(all, check.ByCredential(token.Secret))
	}
	dead, err := credential.CreateToken.Call(p.Ctx(), f.Service(), credential.CreateTokenInput{InOrganization: f.acme.In()})
	if err == nil {
		_, err = credential.RevokeToken.Call(p.Ctx(), f.Service(), credential.RevokeTokenInput{InOrganization: f.acme.In(), Token: dead.ID})
	}
	if err != nil {
		t.Fatal(err)
	}
	return append(all, check.ByCredential(dead.Secret))
}
