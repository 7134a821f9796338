package access_test

import (
	"strings"
	"testing"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

func TestExplainSaysWhyAKeyMay(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHallOf(t, db, edited(t, "automation", "  audit.view: View the admin audit log",
			"  audit.view: {title: View the admin audit log, feature: security_controls}"))
		acme, ada := h.Found("acme", "ada@acme.test")
		bob := h.Join(acme, "bob@acme.test", "editor")
		runner, err := directory.CreateRole.Call(h.As(ada.Token), h.Service, directory.CreateRoleInput{InOrganization: in("acme"), Title: "Runner",
			Permissions: []charter.Permission{"workflows.run"}})
		must(t, err)
		rob := h.Join(acme, "rob@acme.test", runner.ID)
		full, owners := h.Key(acme, bob, nil), h.Key(acme, ada, nil)
		narrow := h.Key(acme, bob, func(k *keyRow) { k.Name, k.Permissions = "nightly", []charter.Permission{"workflows.view"} })
		one := h.Token(acme, bob, func(k *tokenRow) { k.Resources, k.Networks, k.Budget = "workflow:wf_1", "10.0.0.0/8", 3 })
		gone := h.Key(acme, bob, func(k *keyRow) { k.Expires = h.Now().UnixMicro() })
		for _, c := range []struct {
			name, subject string
			permission    charter.Permission
			resource      string
			want          string
			reason        decide.Reason
			breaks        string // the step that does not hold
		}{
			{"a key", full.ID, "workflows.run", "", "yes: role Editor holds workflows.run, and key CI is for it", decide.ByRole, ""},
			{"a key beyond its creator", full.ID, "billing.manage", "", "no: role Editor lacks billing.manage · held by: Ada", decide.NoPermission, "role scopes"},
			{"a key beyond its scopes", narrow.ID, "workflows.run", "", "no: the scopes of key nightly leave out workflows.run", decide.OutOfScope, "scopes"},
			{"a limited token on its workflow", one.ID, "workflows.run", "workflow:wf_1", "yes: role Editor holds workflows.run, and token agent is for it", decide.ByRole, ""},
			{"a limited token on another", one.ID, "workflows.run", "workflow:wf_2", "no: token agent is limited to workflow:wf_1", decide.OtherResource, "resources"},
			{"an expired key", gone.ID, "workflows.run", "", "no: key CI is dead: revoked, expired, or ended with what it hangs on", decide.UnknownSubject, "credential"},
			{"an owner's key, beyond the plan", owners.ID, "audit.view", "", "no: plan Free lacks audit.view: Business has it", decide.PlanRequired, "plan"},
			{"a person, beyond the plan", ada.Member, "audit.view", "", "no: plan Free lacks audit.view: Business has it", decide.PlanRequired, "plan"},
			{"a role of the organization's own", rob.Member, "workflows.run", "", "yes: role Runner holds workflows.run", decide.ByRole, ""},
			{"a role of its own that lacks it", rob.Member, "workflows.edit", "", "no: role Runner lacks workflows.edit · held by: Ada, Bob", decide.NoPermission, "role"},
		} {
			e, err := access.Explain.Call(h.As(ada.Token), h.Service, access.ExplainInput{InOrganization: in("acme"), Subject: c.subject,
				Permission: c.permission, Resource: c.resource})
			if err != nil || e.Text != c.want || e.Reason != c.reason || e.Allow != (c.reason == decide.ByRole) {
				t.Errorf("%s: %q (%s), %v; want %q", c.name, e.Text, e.Reason, err, c.want)
			}
			var broken []string
			for _, step := range e.Steps {
				if !step.Holds {
					broken = append(broken, step.Name)
				}
				if step.Text == "" {
					t.Errorf("%s: step %s says nothing", c.name, step.Name)
				}
			}
			if strings.Join(broken, " ") != c.breaks {
				t.Errorf("%s: the steps that break are %v, want %q: %+v", c.name, broken, c.breaks, e.Steps)
			}
		}
		for secret, id := range map[string]string{full.Secret: full.ID, narrow.Secret: narrow.ID, one.Secret: one.ID, gone.Secret: gone.ID, owners.Secret: owners.ID} {
			for _, resource := range []string{"", "workflow:wf_1", "workflow:wf_2"} {
				e, err := access.Explain.Call(h.As(ada.Token), h.Service, access.ExplainInput{InOrganization: in("acme"), Subject: id, Permission: "workflows.run", Resource: resource})
				must(t, err)
				d, err := h.Access.Check(t.Context(), check.Request{Subject: sent(secret), Permission: "workflows.run", Resource: resourceAsked("acme", resource), Address: "10.0.0.1"})
				if must(t, err); d.Reason != e.Reason || d.Allow != e.Allow || d.FixURL != e.FixURL {
					t.Errorf("%s on %q is explained as %s (%s), and the check says %s (%s)", id, resource, e.Reason, e.FixURL, d.Reason, d.FixURL)
				}
			}
		}
	})
}

func TestAKeyIsExplainedToItsCreatorAndToInspectors(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	globex, glen := h.Found("globex", "glen@globex.test")
	bob, eve := h.Join(acme, "bob@acme.test", "editor"), h.Join(acme, "eve@acme.test", "editor")
	key, theirs := h.Key(acme, bob, nil), h.Key(globex, glen, nil)
	token := h.Token(acme, bob, nil)
	_, service := h.ServiceKey()
	for _, c := range []struct {
		name, as, subject, want string
	}{
		{"the creator", bob.Token, key.ID, ""}, {"the creator, of a token", bob.Token, token.ID, ""}, {"an owner", ada.Token, key.ID, ""},
		{"the back end", service, key.ID, ""}, {"the key itself", key.Secret, key.ID, ""}, {"the key, of what it is", key.Secret, "", ""},
		{"another editor", eve.Token, key.ID, "denied"}, {"another editor, of a token", eve.Token, token.ID, "denied"},
		{"an owner, of a key elsewhere", ada.Token, theirs.ID, "not_found"}, {"an owner, of no key", ada.Token, "key_none", "not_found"},
	} {
		e, err := access.Explain.Call(h.As(c.as), h.Service, access.ExplainInput{InOrganization: in("acme"), Subject: c.subject, Permission: "workflows.run"})
		switch {
		case c.want != "":
			h.Refused(c.name, err, c.want)
		case err != nil || !e.Allow || e.Subject.Credential == "" || e.Subject.User != bob.User || e.Role != "editor":
			t.Errorf("%s: %+v, %v", c.name, e, err)
		}
	}
}

// TestHoldersOfARoleOfItsOwn lists who may by a role that the organization made.
func TestHoldersOfARoleOfItsOwn(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	runner, err := directory.CreateRole.Call(h.As(ada.Token), h.Service, directory.CreateRoleInput{InOrganization: in("acme"), Title: "Runner",
		Permissions: []charter.Permission{"workflows.run"}})
	must(t, err)
	rob := h.Join(acme, "rob@acme.test", runner.ID)
	page, err := access.Holders.Call(h.As(ada.Token), h.Service, access.HoldersInput{InOrganization: in("acme"), Permission: "workflows.run"})
	must(t, err)
	if len(page.Data) != 2 || page.Data[1].User != rob.User || page.Data[1].RoleTitle != "Runner" {
		t.Errorf("got %+v", page.Data)
	}
}
