package guildhall_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
)

// TestADeletedOrganizationIsRefusedInEveryWay asks with every kind of credential in every way that there is: all of it
// is answered before, refused at the very next request after the deletion has returned, and answered after it is
// restored. T-011
func TestADeletedOrganizationIsRefusedInEveryWay(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		f := newFaces(t, w)
		owner := w.acme.Owner()
		b := f.bearersOf(t, owner)
		before := f.everyWay(t, b)
		if _, err := directory.DeleteOrganization.Call(owner.Ctx(), w.Service(), directory.DeleteOrganizationInput{InOrganization: w.acme.In()}); err != nil {
			t.Fatal(err)
		}
		allowed := 0
		for way, got := range f.everyWay(t, b) {
			if got {
				t.Errorf("%s: is let in after the deletion", way)
			}
			if before[way] {
				allowed++
			}
		}
		if allowed < 12 {
			t.Errorf("only %d ways were open before: %v", allowed, before)
		}
		if _, err := directory.RestoreOrganization.Call(owner.Ctx(), w.Service(), directory.RestoreOrganizationInput{InOrganization: w.acme.In()}); err != nil {
			t.Fatal(err)
		}
		for way, got := range f.everyWay(t, b) {
			if got != before[way] {
				t.Errorf("%s: %v after it is restored, and %v before", way, got, before[way])
			}
		}
		w.Sound()
	})
}

// everyWay tries to see something of acme with each credential of an owner, in each way.
func (f *faces) everyWay(t *testing.T, b bearers) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	credentials := map[string]string{"session": b.session, "key": b.key, "token": b.token}
	for name, secret := range credentials {
		if secret == "" {
			continue
		}
		for _, p := range f.Charter().Permissions() {
			for _, by := range []check.Checker{f.Hall.Hall, f.client} {
				way := fmt.Sprintf("%s by %T", name, by)
				seen[way] = seen[way] || f.answer(t, by, check.ByCredential(secret), p.ID)
			}
			seen[name+" by the middleware"] = seen[name+" by the middleware"] || f.middleware(secret, p.ID)
			for _, route := range f.routesOf(p.ID) {
				seen[name+" by forward-auth"] = seen[name+" by forward-auth"] || f.passes(t, secret, route)
			}
		}
		for _, path := range []string{"", "/members", "/keys"} {
			way := name + " by the API at " + path
			seen[way] = f.api(t, secret, path)
		}
	}
	for _, by := range []check.Checker{f.Hall.Hall, f.client} {
		seen[fmt.Sprintf("the person by %T", by)] = f.answer(t, by, check.ByUser(f.acme.Owner().User), "organization.view")
	}
	return seen
}

// passes reports whether a gateway lets a request through.
func (f *faces) passes(t *testing.T, secret string, route charter.Route) bool {
	t.Helper()
	return f.asks(t, secret, "/forward-auth", "X-Forwarded-Method", route.Method, "X-Forwarded-Uri", strings.NewReplacer("{", "", "}", "").Replace(route.Pattern))
}

// api reports whether a path of acme's is shown.
func (f *faces) api(t *testing.T, secret, path string) bool {
	t.Helper()
	return f.asks(t, secret, "/v1/organizations/"+f.acme.ID+path)
}

// asks reports whether a GET with further headers, by name and value, is answered with 200.
func (f *faces) asks(t *testing.T, secret, path string, headers ...string) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", f.site.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	for n := 0; n+1 < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	answer, err := f.site.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// TestADeletionAgainstChanges runs a deletion together with everything that would let somebody in: whatever comes first,
// what is there afterwards is refused, and nothing is made in an organization that is to be deleted. T-011
func TestADeletionAgainstChanges(t *testing.T) {
	eachDatabase(t, "gateway", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		owner, admin := acme.Owner(), acme.People["admin"]
		for n := range max(rounds()/10, 3) {
			email := fmt.Sprintf("new%d@acme.test", n)
			if _, err := directory.CreateInvitation.Call(owner.Ctx(), h.Service(), directory.CreateInvitationInput{InOrganization: acme.In(), Email: email, Role: "reader"}); err != nil {
				t.Fatal(err)
			}
			accept := directory.AcceptInvitationInput{}
			accept.Token = h.MailedToken(email)
			var key credential.NewKey
			errs := together(
				func() error {
					_, err := directory.DeleteOrganization.Call(owner.Ctx(), h.Service(), directory.DeleteOrganizationInput{InOrganization: acme.In()})
					return err
				},
				func() error { _, err := directory.AcceptInvitation.Call(h.Nobody(), h.Service(), accept); return err },
				func() (err error) {
					key, err = credential.CreateKey.Call(admin.Ctx(), h.Service(), credential.CreateKeyInput{InOrganization: acme.In(), Name: "late"})
					return err
				},
				func() error {
					return setRole(h, owner, acme, acme.People["developer"].Member, []string{"reader", "developer"}[n%2])
				},
			)
			if errs[0] != nil {
				t.Fatalf("the deletion: %v", errs[0])
			}
			expected(t, errs, op.Denied, op.NotFound)
			if key.Secret != "" {
				if _, err := directory.GetMe.Call(op.As(t.Context(), op.Caller{Credential: key.Secret, Address: "192.0.2.1"}), h.Service(), directory.GetMeInput{}); op.AsError(err).FullCode() != "organization_deleted" {
					t.Errorf("the key that was made meanwhile: %v", err)
				}
			}
			if _, err := directory.RestoreOrganization.Call(owner.Ctx(), h.Service(), directory.RestoreOrganizationInput{InOrganization: acme.In()}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestTheJobEndsOrganizations lets the scheduled work end an organization when its grace is over, and a restored one not;
// and carries a recovery out. T-012
func TestTheJobEndsOrganizations(t *testing.T) {
	eachDatabase(t, "automation", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		globex := h.Organization("globex")
		for _, o := range []*guildhalltest.Organization{acme, globex} {
			if _, err := directory.DeleteOrganization.Call(o.Owner().Ctx(), h.Service(), directory.DeleteOrganizationInput{InOrganization: o.In()}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := directory.RestoreOrganization.Call(globex.Owner().Ctx(), h.Service(), directory.RestoreOrganizationInput{InOrganization: globex.In()}); err != nil {
			t.Fatal(err)
		}
		if _, err := directory.RecoverOwner.Call(h.Operator(), h.Service(), directory.RecoverOwnerInput{InOrganization: globex.In(),
			Owner: globex.People["editor"].Email, Reason: "the owner left"}); err != nil {
			t.Fatal(err)
		}
		h.Clock.Advance(721 * time.Hour)
		for range 3 {
			if err := h.RunDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.Clock.Advance(2 * time.Minute)
		}
		list, err := directory.ListOrganizations.Call(h.Operator(), h.Service(), directory.ListOrganizationsInput{})
		if err != nil || len(list.Data) != 2 {
			t.Fatalf("%+v, %v", list.Data, err)
		}
		for _, o := range list.Data {
			if want := map[string]string{acme.ID: "gone", globex.ID: "active"}[o.ID]; o.State != want {
				t.Errorf("%s is %s, want %s", o.Slug, o.State, want)
			}
		}
		if got := h.Deliver("owner@acme.test").Text; !strings.Contains(got, "nobody can bring it back") {
			t.Errorf("the owner of what is gone was told last: %s", got)
		}
		m, err := directory.GetMember.Call(h.Operator(), h.Service(), directory.MemberInput{InOrganization: globex.In(), Member: globex.People["editor"].Member})
		if err != nil || m.Role != "owner" {
			t.Errorf("the editor of globex is %+v, %v", m, err)
		}
	})
}
