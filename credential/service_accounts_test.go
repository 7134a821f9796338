package credential_test

import (
	"slices"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

func (c caller) founds(name string, role charter.RoleID) (credential.ServiceAccount, error) {
	return call(c, credential.CreateServiceAccount, credential.CreateServiceAccountInput{InOrganization: c.in(), Name: name, Role: role})
}

func (c caller) changes(in credential.UpdateServiceAccountInput) (credential.ServiceAccount, error) {
	in.InOrganization = c.in()
	return call(c, credential.UpdateServiceAccount, in)
}

func (c caller) deletes(account string) (credential.ServiceAccount, error) {
	return call(c, credential.DeleteServiceAccount, credential.ServiceAccountInput{InOrganization: c.in(), ServiceAccount: account})
}

func account(id string) credential.ServiceAccountInput {
	return credential.ServiceAccountInput{ServiceAccount: id}
}

func TestAServiceAccountsKeyMayWhatItsRoleHolds(t *testing.T) {
	inAcme(t, "gateway", func(t testing.TB, a *acme) {
		bo := a.joins("bo", "admin")
		sa := has(bo.founds(" build ", "developer"))(t)
		if sa.Name != "build" || sa.Manager != bo.member || sa.RoleTitle != "Developer" {
			t.Errorf("made %+v", sa)
		}
		k := has(bo.creates(credential.CreateKeyInput{ServiceAccount: sa.ID}))(t)
		if k.Kind != charter.OrganizationKey || k.ServiceAccount != sa.ID || !slices.Equal(k.Permissions, may("endpoints.view", "endpoints.call", "prompts.view")) {
			t.Errorf("made key %+v", k)
		}
		a.allows(k.Secret, "endpoints.call", "")
		a.Fenced()
		has(bo.changes(credential.UpdateServiceAccountInput{ServiceAccountInput: account(sa.ID), Role: new(charter.RoleID("reader"))}))(t)
		a.fences(op.Fence{Kind: op.FenceKey, ID: k.ID})
		a.denies(k.Secret, "endpoints.call", "", decide.NoPermission)
		a.allows(k.Secret, "endpoints.view", "")
		_, err := bo.creates(credential.CreateKeyInput{ServiceAccount: sa.ID, Scoping: credential.Scoping{Permissions: may("endpoints.call")}})
		a.Refused("naming what its role lacks", err, "invalid")
		a.is(bo, "removed")
		a.allows(k.Secret, "endpoints.view", "")
	})
}

func TestAServiceAccountsKeysEndWithIt(t *testing.T) {
	inAcme(t, "documents", func(t testing.TB, a *acme) {
		sa := has(a.ada.founds("build", "member"))(t)
		one, two, other := has(a.ada.creates(credential.CreateKeyInput{ServiceAccount: sa.ID}))(t),
			has(a.ada.creates(credential.CreateKeyInput{ServiceAccount: sa.ID}))(t), a.ada.key("api.call")
		a.Fenced()
		gone := has(a.ada.deletes(sa.ID))(t)
		a.fences(op.Fence{Kind: op.FenceKey, ID: one.ID}, op.Fence{Kind: op.FenceKey, ID: two.ID})
		if gone.DeletedAt.IsZero() || gone.Keys != 0 {
			t.Errorf("deleted %+v", gone)
		}
		a.Dead("its key", one.Secret)
		a.Dead("its other key", two.Secret)
		a.allows(other.Secret, "api.call", "")
		if seen := has(a.ada.gets(one.ID))(t); seen.State != "revoked" || seen.RevokedReason != "service account deleted" {
			t.Errorf("its key is listed as %s (%s)", seen.State, seen.RevokedReason)
		}
		has(a.ada.deletes(sa.ID))(t)
		_, err := a.ada.creates(credential.CreateKeyInput{ServiceAccount: sa.ID})
		a.Refused("a key for a deleted service account", err, "invalid")
		_, err = a.ada.changes(credential.UpdateServiceAccountInput{ServiceAccountInput: account(sa.ID), Name: new("again")})
		a.Refused("changing a deleted one", err, "deleted")
		has(a.ada.founds("BUILD", "member"))(t) // its name is free again
	})
}

// T-042
func TestNobodyHasAServiceAccountThatMayWhatTheyMayNot(t *testing.T) {
	inAcme(t, "documents", func(t testing.TB, a *acme) {
		bo := a.joins("bo", "member")
		_, err := bo.founds("build", "member")
		a.Refused("making one as a member", err, "denied")
		for _, row := range []struct {
			name string
			role charter.RoleID
			want string
		}{
			{"the owner role", "owner", "invalid"},
			{"a role that is none", "admni", "invalid"},
		} {
			_, err := a.ada.founds("build", row.role)
			a.Refused(row.name, err, row.want)
		}
		a.Exec(`INSERT INTO organization_roles (id, organization, title, title_folded, description, permissions, version, created_by, created_at, updated_at)
			VALUES ('rol_sa', $1, 'Accounts', 'accounts', '', 'organization.view service_accounts.manage keys.create api.call', 1, '', 0, 0)`, a.id)
		bo = a.joins("bea", "rol_sa")
		_, err = bo.founds("build", "admin")
		a.Refused("a role above one's own", err, "above_your_level")
		own := has(bo.founds("build", "rol_sa"))(t)
		if own.RoleTitle != "Accounts" {
			t.Errorf("made %+v", own)
		}
		strong := has(a.ada.founds("strong", "admin"))(t)
		_, err = bo.creates(credential.CreateKeyInput{ServiceAccount: strong.ID})
		a.Refused("a key for a stronger one", err, "above_your_level")
		_, err = bo.changes(credential.UpdateServiceAccountInput{ServiceAccountInput: account(strong.ID), Name: new("weak")})
		a.Refused("renaming a stronger one", err, "above_your_level")
		_, err = bo.deletes(strong.ID)
		a.Refused("deleting a stronger one", err, "above_your_level")
		if k := has(bo.creates(credential.CreateKeyInput{ServiceAccount: own.ID}))(t); !slices.Equal(k.Permissions, may("api.call")) {
			t.Errorf("its key may %v", k.Permissions)
		}
	})
}

func TestServiceAccountsAreKeptInOrder(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		_, err := a.ada.founds("build", "viewer")
		a.Refused("where there are no organization keys", err, "no_organization_keys")
	})
	inAcme(t, "documents", func(t testing.TB, a *acme) {
		one := has(a.ada.founds("build", "member"))(t)
		a.After(1000)
		two := has(a.ada.founds("deploy", "admin"))(t)
		_, err := a.ada.founds("Build", "member")
		a.Refused("a name that another has", err, "name_taken")
		_, err = a.ada.changes(credential.UpdateServiceAccountInput{ServiceAccountInput: account(two.ID), Name: new("build")})
		a.Refused("renaming to a name that another has", err, "name_taken")
		_, err = a.ada.changes(credential.UpdateServiceAccountInput{ServiceAccountInput: account(two.ID), Manager: new("mem_none")})
		a.Refused("a manager who is none", err, "invalid")
		bo := a.joins("bo", "member")
		two = has(a.ada.changes(credential.UpdateServiceAccountInput{ServiceAccountInput: account(two.ID), Manager: &bo.member, Description: new("ships")}))(t)
		if two.Manager != bo.member || two.Description != "ships" || two.Role != "admin" || two.Version != 2 {
			t.Errorf("changed to %+v", two)
		}
		has(a.ada.creates(credential.CreateKeyInput{ServiceAccount: one.ID}))(t)
		list := has(call(a.ada, credential.ListServiceAccounts, credential.ListServiceAccountsInput{InOrganization: a.ada.in()}))(t)
		if len(list.Data) != 2 || list.Data[0].ID != two.ID || list.Data[1].Keys != 1 {
			t.Errorf("listed %+v", list.Data)
		}
	})
}
