package federation_test

import (
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/testroom"
)

func (h *hall) joinable(p testroom.Person) []federation.Joinable {
	h.T.Helper()
	all, err := federation.ListJoinable.Call(h.As(p.Token), h.Service, federation.ListJoinableInput{})
	h.Must(err)
	return all.Data
}

func (h *hall) joins(p testroom.Person) (federation.DomainJoined, error) {
	return federation.JoinDomain.Call(h.As(p.Token), h.Service, federation.JoinDomainInput{Organization: "acme"})
}

func (h *hall) decides(p testroom.Person, request, decision, role string) (federation.Applicant, error) {
	return federation.DecideJoinRequest.Call(h.As(p.Token), h.Service, federation.DecideJoinRequestInput{InOrganization: h.in(), Request: request, Decision: decision, Role: charter.RoleID(role)})
}

// waiting are the people who ask to join.
func (h *hall) waiting() []federation.Applicant {
	h.T.Helper()
	list, err := federation.ListJoinRequests.Call(h.As(h.ada.Token), h.Service, federation.ListJoinRequestsInput{InOrganization: h.in()})
	h.Must(err)
	return list.Data
}

func TestPeopleOfADomainJoinAtOnce(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		d := h.owns("acme.test")
		zoe, bob := h.User("zoe@acme.test"), h.User("bob@mail.acme.test")
		if got := h.joinable(zoe); len(got) != 0 {
			h.T.Errorf("a domain that lets nobody in opens %+v", got)
		}
		_, err := h.joins(zoe)
		h.Refused("before it is opened", err, "not_found")
		h.opens(d, federation.JoinAutomatic, "viewer")
		if got := h.joinable(zoe); len(got) != 1 || got[0].Name != "Acme" || got[0].Joining != federation.JoinAutomatic || got[0].RoleTitle != "Viewer" {
			h.T.Errorf("zoe can join %+v", got)
		}
		if got := h.joinable(bob); len(got) != 0 {
			h.T.Errorf("an address below the domain opens %+v", got)
		}
		_, err = h.joins(bob)
		h.Refused("an address below the domain", err, "not_found")
		got, err := h.joins(zoe)
		if err != nil || got.State != "joined" || got.Role != "viewer" || got.Member == "" {
			h.T.Errorf("zoe joins: %v, %+v", err, got)
		}
		if h.Statements() > 8 {
			h.T.Errorf("joining took %d statements", h.Statements())
		}
		_, err = h.joins(zoe)
		h.Refused("a member", err, "not_found")
	})
}

// An identity provider's word for an address opens nothing of somebody else's. T-061
func TestJoiningNeedsASessionThatProvesTheAddress(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		h.opens(h.owns("acme.test"), federation.JoinAutomatic, "viewer")
		zoe := h.User("zoe@acme.test")
		for _, method := range []string{"google", "github", "oidc", "mailbox", "passkey"} {
			h.Exec("UPDATE sessions SET method = $2 WHERE user_id = $1", zoe.User, method)
			_, err := h.joins(zoe)
			h.Refused(method, err, "prove_address")
		}
		h.Exec("UPDATE sessions SET method = 'mail+totp' WHERE user_id = $1", zoe.User)
		_, err := h.joins(zoe)
		h.Must(err)
	})
}

func TestAnInvitationIsConsumedByJoiningAndGivesTheRole(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		h.opens(h.owns("acme.test"), federation.JoinAutomatic, "viewer")
		zoe := h.User("zoe@acme.test")
		_, err := directory.CreateInvitation.Call(h.As(h.ada.Token), h.Service, directory.CreateInvitationInput{InOrganization: h.in(), Email: "zoe@acme.test", Role: "editor"})
		h.Must(err)
		got, err := h.joins(zoe)
		if err != nil || got.Role != "editor" {
			h.T.Errorf("zoe joins: %v, %+v", err, got)
		}
		if n := h.Number("SELECT count(*) FROM invitations WHERE organization = $1 AND state = 'accepted'", h.acme); n != 1 {
			h.T.Errorf("%d invitations are accepted", n)
		}
	})
}

func TestNobodyJoinsWithoutASeat(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		h.opens(h.owns("acme.test"), federation.JoinAutomatic, "viewer")
		h.Exec("UPDATE organizations SET seats = 1 WHERE id = $1", h.acme)
		_, err := h.joins(h.User("zoe@acme.test"))
		h.Refused("no seat", err, "no_seat")
	})
}

// Whoever was removed or suspended does not come back by an address alone.
func TestAFormerMemberAsks(t *testing.T) {
	inHalls(t, "automation", func(h *hall) {
		h.opens(h.owns("acme.test"), federation.JoinAutomatic, "viewer")
		zoe := h.Join(h.acme, "zoe@acme.test", "editor")
		in := directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: h.in(), Member: zoe.Member}}
		_, err := directory.SuspendMember.Call(h.As(h.ada.Token), h.Service, in)
		h.Must(err)
		if got := h.joinable(zoe); len(got) != 0 {
			h.T.Errorf("a suspended member can join %+v", got)
		}
		_, err = directory.RemoveMember.Call(h.As(h.ada.Token), h.Service, in)
		h.Must(err)
		if got := h.joinable(zoe); len(got) != 1 || got[0].Joining != federation.JoinRequest {
			h.T.Errorf("a removed member can join %+v", got)
		}
		got, err := h.joins(zoe)
		if err != nil || got.State != "requested" || got.Member != "" {
			h.T.Errorf("a removed member joins: %v, %+v", err, got)
		}
	})
}

func TestARequestToJoinIsDecided(t *testing.T) {
	inHalls(t, "gateway", func(h *hall) {
		h.opens(h.owns("acme.test"), federation.JoinRequest, "reader")
		zoe, dev := h.User("zoe@acme.test"), h.Join(h.acme, "dev@acme.test", "developer")
		for range 2 {
			got, err := h.joins(zoe)
			if err != nil || got.State != "requested" {
				h.T.Errorf("zoe asks: %v, %+v", err, got)
			}
		}
		if h.Statements() > 8 {
			h.T.Errorf("asking took %d statements", h.Statements())
		}
		all := h.waiting()
		if len(all) != 1 || all[0].Email != "zoe@acme.test" || !h.joinable(zoe)[0].Requested || !h.tellsOf("asks to join") {
			h.T.Fatalf("waiting: %+v", all)
		}
		_, err := h.decides(dev, all[0].ID, "approve", "")
		h.Refused("a developer decides", err, "denied")
		al := h.Join(h.acme, "al@acme.test", "admin")
		_, err = h.decides(al, all[0].ID, "approve", "owner")
		h.Refused("as owner", err, "invalid")
		got, err := h.decides(al, all[0].ID, "approve", "developer")
		if err != nil || got.State != "approved" || got.Role != "developer" || !h.tellsOf("You can come in") {
			h.T.Errorf("an admin approves: %v, %+v", err, got)
		}
		_, err = h.decides(al, all[0].ID, "decline", "")
		h.Refused("again", err, "decided")
		yan := h.User("yan@acme.test")
		_, err = h.joins(yan)
		h.Must(err)
		declined, err := h.decides(al, h.waiting()[0].ID, "decline", "")
		if err != nil || declined.State != "declined" || len(h.joinable(yan)) != 1 {
			h.T.Errorf("an admin declines: %v, %+v", err, declined)
		}
	})
}
