package federation_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// passkey gives somebody a passkey that nobody uses.
func (h *hall) passkey(p testroom.Person) {
	h.T.Helper()
	h.Exec(`INSERT INTO passkeys (id, user_id, name, credential, public_key, aaguid, transports, sign_count, backup_eligible, backed_up, created_at, last_used_at, version)
		VALUES ($1, $2, 'Laptop', $3, $3, $3, '', 0, FALSE, FALSE, $4, 0, 1)`, "pky_"+p.User, p.User, []byte(p.User), h.Now().UnixMicro())
}

// began says how a session began.
func (h *hall) began(p testroom.Person, way decide.Way, second bool, organization string) {
	h.T.Helper()
	h.Exec("UPDATE sessions SET way = $2, second_factor = $3, organization = $4 WHERE id = $1", p.Session, int64(way), second, organization)
}

// connected gives Acme a provider that is on, at a domain of its own.
func (h *hall) connected() {
	h.T.Helper()
	h.owns("acme.test")
	c, err := federation.CreateConnection.Call(h.As(h.ada.Token), h.Service, federation.CreateConnectionInput{InOrganization: h.in(), Name: "Okta", Issuer: "https://acme.okta.com",
		ClientID: "x", ClientSecret: "y"})
	h.Must(err)
	h.Exec("UPDATE connections SET state = 'on' WHERE organization = $1 AND id = $2", h.acme, c.ID)
	h.connection = c.ID
}

func (h *hall) asks(of federation.UpdateLoginPolicyInput) (federation.LoginPolicy, error) {
	of.InOrganization = h.in()
	return federation.UpdateLoginPolicy.Call(h.As(h.ada.Token), h.Service, of)
}

// enters asks for something that every member sees.
func (h *hall) enters(p testroom.Person) error {
	_, err := directory.ListMembers.Call(h.As(p.Token), h.Service, directory.ListMembersInput{InOrganization: h.in()})
	return err
}

// TestAPolicyTakesTheSignInsItAsksFor tries every kind of sign-in against every part of a policy. T-064, T-065
func TestAPolicyTakesTheSignInsItAsksFor(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		h.connected()
		h.passkey(h.ada)
		h.began(h.ada, decide.ByPasskey, true, "")
		glass := &[]string{h.ada.Member}
		p := h.Join(h.acme, "bo@acme.test", "editor")
		off := federation.UpdateLoginPolicyInput{SSO: new("optional"), MFARequired: new(false), Methods: &[]string{}, SessionLife: new(int64(0)), SessionIdle: new(int64(0)), Networks: &[]string{}}
		for _, c := range []struct {
			name   string
			of     federation.UpdateLoginPolicyInput
			way    decide.Way
			second bool
			begun  string
			want   string
		}{
			{"nothing asked, by mail", off, decide.ByMail, false, "", ""},
			{"another organization's provider", off, decide.ByProvider, false, "org_other", "signed_in_elsewhere"},
			{"enforced, by mail", federation.UpdateLoginPolicyInput{SSO: new("enforced"), BreakGlass: glass}, decide.ByMail, true, "", "sso_required"},
			{"enforced, by a passkey of somebody else", federation.UpdateLoginPolicyInput{SSO: new("enforced"), BreakGlass: glass}, decide.ByPasskey, true, "", "sso_required"},
			{"enforced, by Google", federation.UpdateLoginPolicyInput{SSO: new("enforced"), BreakGlass: glass}, decide.ByGoogle, true, "", "sso_required"},
			{"enforced, by its provider", federation.UpdateLoginPolicyInput{SSO: new("enforced"), BreakGlass: glass, Methods: &[]string{"mail"}}, decide.ByProvider, false, h.acme, ""},
			{"passkeys only, by mail", federation.UpdateLoginPolicyInput{Methods: &[]string{"passkey"}}, decide.ByMail, true, "", "way_not_allowed"},
			{"passkeys only, by passkey", federation.UpdateLoginPolicyInput{Methods: &[]string{"passkey"}}, decide.ByPasskey, true, "", ""},
			{"a second factor, by mail", federation.UpdateLoginPolicyInput{MFARequired: new(true)}, decide.ByMail, false, "", "mfa_required"},
			{"a second factor, by mail and app", federation.UpdateLoginPolicyInput{MFARequired: new(true)}, decide.ByMail, true, "", ""},
			{"a second factor, by its provider", federation.UpdateLoginPolicyInput{MFARequired: new(true)}, decide.ByProvider, false, h.acme, ""},
			{"a second factor from tomorrow on", federation.UpdateLoginPolicyInput{MFARequired: new(true), MFAFrom: new(h.Now().Add(24 * time.Hour))}, decide.ByMail, false, "", ""},
			{"shorter sessions", federation.UpdateLoginPolicyInput{SessionLife: new(int64(3600))}, decide.ByMail, false, "", "sign_in_again"},
			{"sessions that idle less", federation.UpdateLoginPolicyInput{SessionIdle: new(int64(600))}, decide.ByMail, false, "", "sign_in_again"},
		} {
			_, err := h.asks(off)
			h.Must(err)
			h.began(p, c.way, c.second, c.begun)
			_, err = h.asks(c.of)
			h.Must(err)
			if c.want == "" {
				h.Must(h.enters(p))
			} else {
				h.Refused(c.name, h.enters(p), c.want)
			}
		}
		// What the policy shortens it shortens from the next sign-in on, and at once for whoever set it.
		_, err := h.asks(off)
		h.Must(err)
		_, err = h.asks(federation.UpdateLoginPolicyInput{SessionLife: new(int64(3600)), SessionIdle: new(int64(600))})
		h.Must(err)
		h.Must(h.enters(h.ada))
		again := h.SignIn(h.Nobody(), "bo@acme.test")
		h.Must(h.enters(testroom.Person{Token: again.Secret}))
		h.After(11 * time.Minute)
		h.Refused("idle", h.enters(testroom.Person{Token: again.Secret}), "unauthenticated")
	})
}

func TestNetworksBindSessionsAndKeys(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		_, err := h.asks(federation.UpdateLoginPolicyInput{Networks: &[]string{"192.0.2.0/24"}})
		if e := h.Refused("without the own address", err, "locks_you_out"); !strings.Contains(e.Text, "address") {
			t.Error(e.Text)
		}
		_, err = h.asks(federation.UpdateLoginPolicyInput{Networks: &[]string{"10.0.0.0/33"}})
		h.Refused("no prefix", err, "invalid")
	})
}

// TestAPolicyLeavesAWayIn tries to close every way into an organization.
func TestAPolicyLeavesAWayIn(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		_, err := h.asks(federation.UpdateLoginPolicyInput{SSO: new("enforced")})
		h.Refused("without a provider", err, "no_connection")
		h.connected()
		_, err = h.asks(federation.UpdateLoginPolicyInput{SSO: new("enforced")})
		h.Refused("without a way in", err, "no_way_in")
		_, err = h.asks(federation.UpdateLoginPolicyInput{SSO: new("enforced"), BreakGlass: &[]string{h.ada.Member}})
		h.Refused("without a passkey", err, "no_passkey")
		_, err = h.asks(federation.UpdateLoginPolicyInput{Methods: &[]string{"google", "sso"}})
		h.Refused("by nothing that an owner surely has", err, "no_way_in")
		bo := h.Join(h.acme, "bo@acme.test", "editor")
		h.passkey(bo)
		_, err = h.asks(federation.UpdateLoginPolicyInput{BreakGlass: &[]string{bo.Member}})
		h.Refused("by somebody who is no owner", err, "invalid")
		h.passkey(h.ada)
		got, err := h.asks(federation.UpdateLoginPolicyInput{SSO: new("enforced"), BreakGlass: &[]string{h.ada.Member}})
		if err != nil || got.SSO != "enforced" || len(got.BreakGlass) != 1 || got.Owners[0].Passkeys != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		h.Refused("the owner's own mail", h.enters(h.ada), "sso_required")
		h.began(h.ada, decide.ByPasskey, true, "")
		h.Must(h.enters(h.ada))

		one := federation.ConnectionInput{InOrganization: h.in(), Connection: h.connection}
		_, err = federation.UpdateConnection.Call(h.As(h.ada.Token), h.Service, federation.UpdateConnectionInput{ConnectionInput: one, On: new(false)})
		h.Refused("switching the only provider off", err, "sso_enforced")
		_, err = federation.UpdateConnection.Call(h.As(h.ada.Token), h.Service, federation.UpdateConnectionInput{ConnectionInput: one, Rollout: new(federation.Pilot)})
		h.Refused("making it a pilot", err, "sso_enforced")
		_, err = federation.DeleteConnection.Call(h.As(h.ada.Token), h.Service, one)
		h.Refused("deleting it", err, "sso_enforced")

		// The last of the ways in is kept: nobody takes it from the owner who is it.
		cy := h.Join(h.acme, "cy@acme.test", "owner")
		h.began(cy, decide.ByProvider, true, h.acme)
		_, err = directory.SuspendMember.Call(h.As(cy.Token), h.Service, directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: h.in(), Member: h.ada.Member}})
		h.Refused("suspending the way in", err, "last_way_in")
		_, err = directory.RemoveMember.Call(h.As(cy.Token), h.Service, directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: h.in(), Member: h.ada.Member}})
		h.Refused("removing the way in", err, "last_way_in")
		_, err = directory.DeleteUser.Call(h.Operator(), h.Service, directory.DeleteUserInput{UserInput: directory.UserInput{User: h.ada.User}})
		h.Refused("deleting the way in", err, "last_way_in")
		h.passkey(cy)
		_, err = h.asks(federation.UpdateLoginPolicyInput{BreakGlass: &[]string{h.ada.Member, cy.Member}})
		h.Must(err)
		_, err = directory.SuspendMember.Call(h.As(cy.Token), h.Service, directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: h.in(), Member: h.ada.Member}})
		h.Must(err)
	})
}

func TestAPreviewNamesWhoSignsInAgain(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		for i := range 3 {
			p := h.Join(h.acme, fmt.Sprintf("p%d@acme.test", i), "viewer")
			h.began(p, decide.ByMail, i == 0, "")
		}
		h.began(h.ada, decide.ByPasskey, true, "")
		answer, err := h.Service.Invoke(h.As(h.ada.Token), federation.UpdateLoginPolicy, op.Request{Caller: op.CallerOf(h.As(h.ada.Token)), DryRun: true,
			Input: federation.UpdateLoginPolicyInput{InOrganization: h.in(), MFARequired: new(true)}})
		h.Must(err)
		impact := answer.Output.(op.Impact)
		if len(impact.Effects) != 2 || !strings.Contains(impact.Summary, "2 sessions of 2 people") {
			t.Errorf("%+v", impact)
		}
		h.Must(h.enters(h.ada))
	})
}

// TestAPlanThatLosesThePolicyLetsPeopleIn: what is not paid for asks nothing.
func TestAPlanThatLosesThePolicyLetsPeopleIn(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		p := h.Join(h.acme, "bo@acme.test", "editor")
		_, err := h.asks(federation.UpdateLoginPolicyInput{MFARequired: new(true)})
		h.Must(err)
		h.Refused("a mail alone", h.enters(p), "mfa_required")
		h.Exec("UPDATE organizations SET plan = 'free' WHERE id = $1", h.acme)
		h.Must(h.enters(p))
		_, err = h.asks(federation.UpdateLoginPolicyInput{SessionLife: new(int64(3600))})
		h.Refused("on the plan", err, "plan_required")
		_, err = h.asks(federation.UpdateLoginPolicyInput{MFARequired: new(false)})
		h.Must(err)
	})
}
