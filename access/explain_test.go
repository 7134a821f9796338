package access_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

func TestExplainSaysWhyAndWhoMay(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		zoe := h.Join(acme, "zoe@acme.test", "editor")
		sam := h.Join(acme, "sam@acme.test", "editor")
		old := h.Join(acme, "old@acme.test", "editor")
		gone := h.Join(acme, "gone@acme.test", "editor")
		h.Exec("UPDATE members SET status = 'suspended' WHERE id = $1", sam.Member)
		h.Exec("UPDATE members SET ends_at = $2 WHERE id = $1", old.Member, h.Now().UnixMicro())
		h.Exec("UPDATE members SET status = 'removed' WHERE id = $1", gone.Member)
		_, key := h.ServiceKey()
		kind, listed := resourceOf(h.Charter)
		for _, c := range []struct {
			name, as, subject string
			permission        charter.Permission
			resource, want    string
		}{
			{"an editor by address", ada.Token, "zoe@acme.test", "billing.manage", "", "no: role Editor lacks billing.manage · held by: Ada"},
			{"by an address in capitals", ada.Token, "ZOE@acme.test", "billing.manage", "", "no: role Editor lacks billing.manage · held by: Ada"},
			{"by member id", ada.Token, zoe.Member, "workflows.run", "", "yes: role Editor holds workflows.run"},
			{"by user id", ada.Token, zoe.User, "workflows.run", "", "yes: role Editor holds workflows.run"},
			{"by external id", ada.Token, "ext-zoe", "workflows.run", "", "yes: role Editor holds workflows.run"},
			{"oneself", zoe.Token, "", "workflows.run", "", "yes: role Editor holds workflows.run"},
			{"a service key asks", key, "zoe@acme.test", "billing.manage", "", "no: role Editor lacks billing.manage · held by: Ada"},
			{"a suspended member", ada.Token, sam.Member, "billing.manage", "", "no: the membership is suspended · held by: Ada"},
			{"a member whose end has come", ada.Token, old.Member, "billing.manage", "", "no: the membership ended at 2026-11-02 09:00 UTC · held by: Ada"},
			{"somebody removed", ada.Token, gone.Member, "billing.manage", "", "no: not a member any more · held by: Ada"},
			{"a single resource", ada.Token, zoe.Member, listed, kind + ":x", "yes: role Editor holds " + string(listed)},
			{"a resource that there is not", ada.Token, zoe.Member, "members.invite", kind + ":x", "no: members.invite is not asked about a single " + kind + " · held by: Ada"},
		} {
			e, err := access.Explain.Call(h.As(c.as), h.Service, access.ExplainInput{InOrganization: in("acme"), Subject: c.subject,
				Permission: c.permission, Resource: c.resource})
			if err != nil || e.Text != c.want || e.Allow != strings.HasPrefix(c.want, "yes") {
				t.Errorf("%s: %q, %v; want %q", c.name, e.Text, err, c.want)
			}
			if d := ask(t, h, user(e.Subject.User), c.permission, resourceAsked(acme, c.resource)); d.Allow != e.Allow || d.Reason != e.Reason {
				t.Errorf("%s: the explanation says %s and the check %s", c.name, e.Reason, d.Reason)
			}
		}
	})
}

// resourceOf gives a type of resource with a permission that editors hold.
func resourceOf(c *charter.Charter) (string, charter.Permission) {
	editor, _ := c.Role("editor")
	for kind, permissions := range c.Resources {
		for _, p := range permissions {
			if c.Can(editor, p) {
				return kind, p
			}
		}
	}
	return "", ""
}

func resourceAsked(organization, resource string) check.Resource {
	if kind, id, ok := strings.Cut(resource, ":"); ok {
		return check.Resource{Type: kind, ID: id, Organization: organization}
	}
	return check.Resource{Type: check.Organization, ID: organization}
}

func TestExplainIsRefusedAboutOthersWithoutTheRight(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "gateway")
	acme, ada := h.Found("acme", "ada@acme.test")
	_, glen := h.Found("globex", "glen@globex.test")
	rea := h.Join(acme, "rea@acme.test", "reader")
	explain := func(as person, subject string, p charter.Permission) (access.Explanation, error) {
		return access.Explain.Call(h.As(as.Token), h.Service, access.ExplainInput{InOrganization: in("acme"), Subject: subject, Permission: p})
	}
	mine, err := explain(rea, rea.Email, "members.view")
	must(t, err)
	if mine.Allow || mine.Holders != nil || mine.Text != "no: role Reader lacks members.view" {
		t.Errorf("a reader about herself: %+v; nobody is named to her", mine)
	}
	for _, c := range []struct {
		name    string
		as      person
		subject string
		p       charter.Permission
		want    op.ErrorKind
		text    string
	}{
		{"a reader about the owner", rea, ada.Member, "members.view", op.Denied, "role Reader lacks members.view"},
		{"a reader about nobody", rea, "nobody@acme.test", "members.view", op.Denied, "role Reader lacks members.view"},
		{"the owner about a stranger", ada, glen.Email, "members.view", op.NotFound, "not found"},
		{"the owner about a stranger's member id", ada, glen.Member, "members.view", op.NotFound, "not found"},
		{"a stranger", glen, "", "members.view", op.NotFound, "not found"},
		{"a permission mistyped", ada, "", "member.view", op.Invalid, `there is no permission "member.view"; did you mean "members.view"?`},
		{"a permission like no other", ada, "", "zzz.yyyyyyyyyyyy", op.Invalid, `there is no permission "zzz.yyyyyyyyyyyy"`},
	} {
		_, err := explain(c.as, c.subject, c.p)
		var e *op.Error
		if !errors.As(err, &e) || e.Kind != c.want || e.Text != c.text {
			t.Errorf("%s: %v, want %v %q", c.name, err, c.want, c.text)
		}
	}
}

func TestHoldersAreTheActiveMembersWhoMay(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		var want []string
		for _, name := range []string{"bea", "cyd", "dan", "eve", "fay"} {
			p := h.Join(acme, name+"@acme.test", "editor")
			want = append(want, p.Email)
			if name == "eve" {
				h.Exec("UPDATE members SET status = 'suspended' WHERE id = $1", p.Member)
			}
		}
		want = append([]string{ada.Email}, slices.Delete(want, 3, 4)...)
		h.Join(acme, "vic@acme.test", "viewer")
		var got []string
		cursor := ""
		for {
			page, err := access.Holders.Call(h.As(ada.Token), h.Service, access.HoldersInput{InOrganization: in("acme"),
				Page: op.Page{Limit: 2, Cursor: cursor}, Permission: "workflows.run"})
			must(t, err)
			for _, holder := range page.Data {
				got = append(got, holder.Email)
				d := ask(t, h, user(holder.User), "workflows.run", check.Resource{Type: check.Organization, ID: acme})
				if !d.Allow {
					t.Errorf("%s is listed and the check says %v", holder.Email, d)
				}
			}
			if cursor = page.NextCursor; !page.HasMore {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("holders are %v, want %v", got, want)
		}
		h.After(time.Hour)
		_, err := access.Holders.Call(h.As(ada.Token), h.Service, access.HoldersInput{InOrganization: in("acme"), Permission: "workflow.run"})
		var e *op.Error
		if !errors.As(err, &e) || e.Kind != op.Invalid {
			t.Errorf("a permission mistyped: %v", err)
		}
	})
}
