package guildhall_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
)

// allows asks the checks whether a subject sees acme.
func (s *site) allows(t *testing.T, subjectType, subject string) bool {
	t.Helper()
	return s.may(t, subjectType, subject, "organization.view")
}

// views asks the checks whether a credential sees workflows.
func (s *site) views(t *testing.T, credential string) bool {
	t.Helper()
	return s.may(t, "credential", credential, "workflows.view")
}

func (s *site) may(t *testing.T, subjectType, subject, permission string) bool {
	t.Helper()
	got := s.send(ask{method: "POST", target: "/access/v1/evaluation", token: s.serviceKey, body: fmt.Sprintf(
		`{"subject": {"type": %q, "id": %q}, "action": {"name": %q}, "resource": {"type": "organization", "id": %q}}`,
		subjectType, subject, permission, s.acme.ID)})
	var answer struct {
		Decision bool `json:"decision"`
	}
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || !got.ok() {
		t.Fatalf("evaluation: %s %s", got.outcome(), got.body)
	}
	return answer.Decision
}

// seesAcme reports whether a token shows the organization over the API, by header and by cookie.
func (s *site) seesAcme(t *testing.T, token string) bool {
	t.Helper()
	get := ask{method: "GET", target: "/v1/organizations/" + s.acme.ID}
	byCookie := s.send(get.with("Cookie: " + sessionCookie + "=" + token))
	get.token = token
	byHeader := s.send(get)
	if byCookie.ok() != byHeader.ok() {
		t.Errorf("by cookie %s, by header %s", byCookie.outcome(), byHeader.outcome())
	}
	return byHeader.ok()
}

// TestWhatHasEndedIsRefusedAtTheVeryNextRequest: whatever ends access, the next request of the API and the next check
// are refused, and everything before was answered. T-066, T-024, T-053
func TestWhatHasEndedIsRefusedAtTheVeryNextRequest(t *testing.T) {
	tests := []struct {
		name              string
		person, cred, key bool // whether the person, the session with a token of it, and a key of theirs still may afterwards
		rotated           bool // the session lives on, and its tokens do
		end               func(t *testing.T, s *site, p *guildhalltest.Person)
	}{
		{"their session is revoked", true, false, true, false, func(t *testing.T, s *site, p *guildhalltest.Person) {
			s.posts(t, p, "/v1/me/sessions/"+s.sessionOf(p)+"/revoke", "")
		}},
		{"they end all sessions", true, false, true, false, func(t *testing.T, s *site, p *guildhalltest.Person) {
			s.posts(t, p, "/v1/me/sessions/revoke_all", `{}`)
		}},
		{"the session gets a new token", true, false, true, true, func(t *testing.T, s *site, p *guildhalltest.Person) {
			s.posts(t, p, "/v1/signin/begin", `{"purpose": "verify"}`)
			s.posts(t, p, "/v1/signin/verify", `{"token": "`+s.MailedToken(p.Email)+`"}`)
		}},
		{"they are removed", false, false, false, false, func(t *testing.T, s *site, p *guildhalltest.Person) {
			s.posts(t, s.acme.Owner(), "/v1/organizations/acme/members/"+p.Member+"/remove", `{}`)
		}},
		{"they are suspended", false, false, false, false, func(t *testing.T, s *site, p *guildhalltest.Person) {
			s.posts(t, s.acme.Owner(), "/v1/organizations/acme/members/"+p.Member+"/suspend", `{}`)
		}},
		{"they leave", false, false, false, false, func(t *testing.T, s *site, p *guildhalltest.Person) {
			s.posts(t, p, "/v1/organizations/acme/members/leave", "")
		}},
		{"a second factor is asked for", true, false, true, false, func(t *testing.T, s *site, _ *guildhalltest.Person) {
			s.asks(federation.UpdateLoginPolicyInput{MFARequired: new(true)})
		}},
		{"shorter sessions are asked for", true, false, true, false, func(t *testing.T, s *site, _ *guildhalltest.Person) {
			s.asks(federation.UpdateLoginPolicyInput{SessionIdle: new(int64(600))})
		}},
		{"requests from elsewhere are not taken any more", true, false, false, false, func(t *testing.T, s *site, _ *guildhalltest.Person) {
			s.asks(federation.UpdateLoginPolicyInput{Networks: &[]string{"198.51.100.0/24"}})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, "automation")
			p := s.acme.People["editor"]
			key := s.makes(t, p, "/v1/organizations/acme/keys", `{"name": "Editor - nightly", "permissions": ["workflows.view"]}`)
			token := s.makes(t, p, "/v1/organizations/acme/tokens", `{"name": "nightly", "permissions": ["workflows.view"]}`)
			if !s.seesAcme(t, p.Token) || !s.allows(t, "user", p.User) || !s.allows(t, "credential", p.Token) || !s.views(t, key) || !s.views(t, token) {
				t.Fatal("they may not from the start")
			}
			tt.end(t, s, p)
			if got := s.views(t, key); got != tt.key {
				t.Errorf("the check of a key: %v", got)
			}
			if got := s.views(t, token); got != tt.cred && !tt.rotated {
				t.Errorf("the check of a token of the session: %v", got)
			}
			if got := s.allows(t, "credential", p.Token); got != tt.cred {
				t.Errorf("the check of the credential: %v", got)
			}
			if got := s.seesAcme(t, p.Token); got != tt.cred {
				t.Errorf("the API: %v", got)
			}
			if got := s.allows(t, "user", p.User); got != tt.person {
				t.Errorf("the check of the person: %v", got)
			}
		})
	}
}

// asks sets a part of the organization's sign-in policy, on a plan that has it.
func (s *site) asks(policy federation.UpdateLoginPolicyInput) {
	plan, _ := s.Charter().PlanWith(directory.SecurityControls)
	s.operator(billing.ChangeSubscription.Call(s.Operator(), s.Service(), billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: s.acme.In(), Plan: plan.ID}}))
	policy.InOrganization = s.acme.In()
	s.operator(federation.UpdateLoginPolicy.Call(s.Operator(), s.Service(), policy))
}

// makes posts, and gives the secret that is shown.
func (s *site) makes(t *testing.T, p *guildhalltest.Person, target, body string) string {
	t.Helper()
	got := s.send(ask{method: "POST", target: target, token: p.Token, body: body})
	var made struct {
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal([]byte(got.body), &made); err != nil || made.Secret == "" {
		t.Fatalf("%s: %s %s", target, got.outcome(), got.body)
	}
	return made.Secret
}

// posts wants a person's request to go well.
func (s *site) posts(t *testing.T, p *guildhalltest.Person, target, body string) {
	t.Helper()
	if got := s.send(ask{method: "POST", target: target, token: p.Token, body: body}); !got.ok() {
		t.Fatalf("%s: %s %s", target, got.outcome(), got.body)
	}
}

// TestARevokedServiceKeyAsksNothingMore: neither the API nor the checks. T-066
func TestARevokedServiceKeyAsksNothingMore(t *testing.T) {
	s := newSite(t, "automation")
	if !s.seesAcme(t, s.serviceKey) || !s.allows(t, "user", s.acme.Owner().User) {
		t.Fatal("the key may nothing from the start")
	}
	keys, err := credential.ListServiceKeys.Call(s.Operator(), s.Service(), credential.ListServiceKeysInput{})
	if err != nil {
		t.Fatal(err)
	}
	s.operator(credential.RevokeServiceKey.Call(s.Operator(), s.Service(), credential.RevokeServiceKeyInput{Key: keys.Data[0].ID}))
	for _, a := range []ask{
		{method: "GET", target: "/v1/organizations/acme", token: s.serviceKey},
		{method: "POST", target: "/access/v1/evaluation", token: s.serviceKey, body: `{}`},
		{method: "POST", target: "/access/v1/evaluations", token: s.serviceKey, body: `{}`},
	} {
		if got := s.send(a); got.status != 401 {
			t.Errorf("%s: %s", a.target, got.outcome())
		}
	}
}

// TestACredentialThatIsNoneIsRefusedBeforeTheDatabase: whatever is not spelled as a credential asks nothing of the
// database, and a credential in an address is never one. T-047
func TestACredentialThatIsNoneIsRefusedBeforeTheDatabase(t *testing.T) {
	s := newSite(t, "automation")
	token := s.acme.Owner().Token
	get := ask{method: "GET", target: "/v1/organizations/acme"}
	wrong := []byte(token)
	wrong[len(wrong)-1] ^= 1
	tests := map[string]ask{
		"a mistyped one":         get.with("Authorization: Bearer " + string(wrong)),
		"one that is cut":        get.with("Authorization: Bearer " + token[:len(token)-1]),
		"a long one":             get.with("Authorization: Bearer " + strings.Repeat(token, 400)),
		"digits of elsewhere":    get.with("Authorization: Bearer gld_ses_" + strings.Repeat("٣", 49)),
		"one twice":              get.with("Authorization: Bearer "+token, "Authorization: Bearer "+token),
		"two in one":             get.with("Authorization: Bearer " + token + ", Bearer " + token),
		"another scheme":         get.with("Authorization: Basic " + token),
		"no scheme":              get.with("Authorization: " + token),
		"a wrong one and cookie": get.with("Authorization: Bearer x", "Cookie: "+sessionCookie+"="+token),
		"a cookie of http":       get.with("Cookie: guildhall=" + token),
		"two cookies":            get.with("Cookie: " + sessionCookie + "=" + token + "; " + sessionCookie + "=" + token),
		"in the query":           {method: "GET", target: get.target + "?access_token=" + token},
		"in the query, unnamed":  {method: "GET", target: get.target + "?q=" + token, token: token},
		"in another header":      get.with("X-API-Key: "+token, "X-Auth-Token: "+token, "Proxy-Authorization: Bearer "+token),
	}
	if !s.seesAcme(t, token) {
		t.Fatal("the token shows nothing from the start")
	}
	for name, a := range tests {
		before := s.Stats()
		if got := s.send(a); got.status != 401 {
			t.Errorf("%s: %s", name, got.outcome())
		}
		if asked := s.Stats().Statements - before.Statements; asked != 0 {
			t.Errorf("%s: %d statements", name, asked)
		}
	}
}

// TestNothingActsWithARightOfItsOwn: a mail that waits and an invitation that was made act for whoever caused them, with
// the rights that these have when it comes to it. T-025
func TestNothingActsWithARightOfItsOwn(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose func(t *testing.T, s *site, p *guildhalltest.Person)
	}{
		{"the inviter is removed", func(t *testing.T, s *site, p *guildhalltest.Person) {
			s.posts(t, s.acme.Owner(), "/v1/organizations/acme/members/"+p.Member+"/remove", `{}`)
		}},
		{"the inviter is suspended", func(t *testing.T, s *site, p *guildhalltest.Person) {
			s.posts(t, s.acme.Owner(), "/v1/organizations/acme/members/"+p.Member+"/suspend", `{}`)
		}},
		{"the inviter gets a lower role", func(t *testing.T, s *site, p *guildhalltest.Person) {
			if err := setRole(s.world.Hall, s.acme.Owner(), s.acme, p.Member, "reader"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, "gateway")
			admin := s.acme.People[charter.RoleID("admin")]
			s.posts(t, admin, "/v1/organizations/acme/invitations", `{"email": "zoe@acme.test", "role": "admin"}`)
			tt.lose(t, s, admin) // the mail still waits
			token := s.MailedToken("zoe@acme.test")
			accept := ask{method: "POST", target: "/v1/invitations/accept", body: `{"token": "` + token + `"}`}
			if got := s.send(accept); got.status != 409 || got.problem().Code != "needs_reapproval" {
				t.Errorf("accepting: %s %s", got.outcome(), got.body)
			}
			if n := members(t, s, "zoe@acme.test"); n != 0 {
				t.Errorf("%d members", n)
			}
			s.posts(t, s.acme.Owner(), "/v1/organizations/acme/invitations/"+s.invitation(t, "zoe@acme.test")+"/reapprove", "")
			if got := s.send(accept); !got.ok() {
				t.Errorf("accepting what the owner stands for: %s %s", got.outcome(), got.body)
			}
			s.Sound()
		})
	}
}

// members counts acme's members with an address.
func members(t *testing.T, s *site, email string) (n int) {
	t.Helper()
	list, err := directory.ListMembers.Call(s.Operator(), s.Service(), directory.ListMembersInput{InOrganization: s.acme.In(), Page: op.Page{Limit: 100}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Data {
		if m.Email == email {
			n++
		}
	}
	return n
}

// invitation is the id of the pending invitation of an address.
func (s *site) invitation(t *testing.T, email string) string {
	t.Helper()
	list, err := directory.ListInvitations.Call(s.Operator(), s.Service(), directory.ListInvitationsInput{InOrganization: s.acme.In(), Page: op.Page{Limit: 100}})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list.Data {
		if i.Email == email && i.State == directory.Pending {
			return i.ID
		}
	}
	t.Fatalf("no invitation of %s", email)
	return ""
}
