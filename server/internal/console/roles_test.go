package console_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
)

const rolesPath = "/o/acme/settings/roles"

// makeRole is a role that the owner makes.
func makeRole(t *testing.T, acme *guildhalltest.Organization, s *site, title string, permissions ...charter.Permission) directory.Role {
	t.Helper()
	role, err := directory.CreateRole.Call(acme.Owner().Ctx(), s.Service(), directory.CreateRoleInput{InOrganization: acme.In(), Title: title, Permissions: permissions})
	if err != nil {
		t.Fatal(err)
	}
	return role
}

// titleOf is what people call a permission.
func titleOf(s *site, p charter.Permission) string {
	info, _ := s.Charter().Info(p)
	return info.Title
}

// gives gives a member another role.
func gives(t *testing.T, acme *guildhalltest.Organization, s *site, p *guildhalltest.Person, role string) {
	t.Helper()
	in := directory.UpdateMemberInput{MemberInput: directory.MemberInput{InOrganization: acme.In(), Member: p.Member}, Role: &role}
	if _, err := directory.UpdateMember.Call(acme.Owner().Ctx(), s.Service(), in); err != nil {
		t.Fatal(err)
	}
}

func TestARoleIsMadeInTwoSteps(t *testing.T) {
	for _, name := range charter.Names() {
		s := newSite(t, name)
		acme := s.Organization("acme")
		b, path := s.as(acme.Owner()), rolesPath+"/new"
		page := b.get(path).says(path, 200, "What it holds", "Nothing is saved before you have seen a summary")
		bound(t, s, page, path, "roles.create")
		b.submit(page, path).says(path, 422, "Title is empty", "Say permissions")
		again := b.post(path, url.Values{"title": {"Auditor"}, "permissions": {"audit.view,audit.export"}})
		again.says(path, 200, "Save Auditor?", "A new role, which nobody has yet", titleOf(s, "audit.export"))
		bound(t, s, again, path, "roles.create")
		made := b.submit(again, path)
		if !strings.HasPrefix(made.url, rolesPath+"/rol_") || !strings.Contains(made.Body.String(), "The role Auditor is there") {
			t.Fatalf("%s: the role is not made: %s %s", name, made.url, made.text())
		}
		b.get(rolesPath).says(rolesPath, 200, "Auditor", "the organization")
		if csv := b.get(rolesPath + "?format=csv").Body.String(); !strings.Contains(strings.Split(csv, "\n")[0], "Auditor") {
			t.Errorf("%s: the file lacks the role: %s", name, csv)
		}
		s.Sound()
	}
}

func TestARoleBeginsWithWhatAnotherHoldsAndTheViewerToo(t *testing.T) {
	s := newSite(t, "documents")
	acme := s.Organization("acme")
	path := rolesPath + "/new?from=owner"
	admin := s.as(acme.People["admin"]).get(path).says(path, 200, "You do not hold everything that this role does", "Not in your role")
	kept := admin.form(rolesPath + "/new")
	if strings.Contains(strings.Join(kept["permissions"], " "), "organization.delete") {
		t.Errorf("what the admin lacks is put in: %v", kept)
	}
	s.as(acme.People["admin"]).post(rolesPath+"/new", url.Values{"title": {"More"}, "permissions": {"organization.delete"}, "step": {"save"}}).
		says(rolesPath+"/new", 422)
	s.as(acme.People["member"]).get(rolesPath+"/new").says(rolesPath+"/new", 403, "Manage custom roles", "owner@acme.test")
	s.as(acme.People["member"]).get(rolesPath).says(rolesPath, 200, "does not include: Manage custom roles")
}

func TestARoleIsChangedAfterItsImpactIsSeen(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	role := makeRole(t, acme, s, "Auditor", "audit.view", "members.view")
	gives(t, acme, s, acme.People["viewer"], role.ID)
	b, path := s.as(acme.Owner()), rolesPath+"/"+role.ID+"/edit"
	page := b.get(path).says(path, 200, "Whoever has the role gains and loses at once")
	bound(t, s, page, path, "roles.update")
	other := b.get(path)
	asked := b.submit(page, path, "permissions", "audit.view,audit.export", "permissions/Team", "none").says(path, 200, "1 member gains 1 permission and loses 1", "Member viewer@acme.test", "gains audit.export; loses members.view")
	b.submit(asked, path).says(rolesPath+"/"+role.ID, 200, "The role Auditor is saved, and in force for 1 member", "2 permissions")
	lost := b.submit(other, path, "title", "Examiner", "step", "save").says(path, 412, "Somebody saved this role while you were changing it", "Yours, compared with theirs")
	b.submit(lost, path, "step", "save").says(rolesPath+"/"+role.ID, 200, "Examiner")
	s.Sound()
}

func TestTheProductsRolesAreNotChanged(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	page := b.get(rolesPath+"/viewer").says(rolesPath+"/viewer", 200, "It is part of the product", "Make a role from it")
	for _, link := range page.links() {
		if strings.HasSuffix(link, "/edit") || strings.HasSuffix(link, "/delete") {
			t.Errorf("a role of the product has %s", link)
		}
	}
	b.get(rolesPath+"/viewer/edit").says(rolesPath+"/viewer/edit", 409, "which nobody changes")
	b.get(rolesPath+"/viewer/delete").says(rolesPath+"/viewer/delete", 200, "which nobody changes")
	s.as(s.Organization("globex").Owner()).get(rolesPath+"/viewer").says(rolesPath+"/viewer", 404)
}

func TestARoleInUseIsDeletedAfterItsMembersHaveAPlace(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	role := makeRole(t, acme, s, "Auditor", "audit.view", "members.view")
	gives(t, acme, s, acme.People["viewer"], role.ID)
	b, path := s.as(acme.Owner()), rolesPath+"/"+role.ID+"/delete"
	page := b.get(path).says(path, 200, "1 member has it", "Move it to", "Nobody becomes an owner this way")
	bound(t, s, page, path, "roles.delete")
	b.submit(page, path).says(path, 409, "say in move_to which role they get")
	b.submit(page, path, "move_to", "viewer", "reason", "not needed").says(rolesPath, 200, "The role Auditor is deleted. 1 moved: Viewer now.")
	unused := makeRole(t, acme, s, "Unused", "audit.view")
	path = rolesPath + "/" + unused.ID + "/delete"
	b.submit(b.get(path).says(path, 200, "Nobody has it"), path).says(rolesPath, 200, "The role Unused is deleted.")
	s.Sound()
}

func TestARoleOfTheOrganizationsOwnIsShownOnItsMembersPage(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	viewer := acme.People["viewer"]
	role := makeRole(t, acme, s, "Auditor", "audit.view", "members.view")
	gives(t, acme, s, viewer, role.ID)
	path := "/o/acme/settings/team/" + viewer.Member
	s.as(acme.Owner()).get(path).says(path, 200, "Auditor", titleOf(s, "audit.view"), "put into Auditor, which the organization made", "What if they were removed?")
	own := s.as(viewer).get("/o/acme/settings/access?can=audit.view").says("/o/acme/settings/access?can=audit.view", 200, "You can", "Everything that decides")
	if strings.Contains(own.text(), "What if") {
		t.Error("somebody who may change nobody's access is offered to try changes out")
	}
	s.as(viewer).get("/o/acme/settings/access?what=role").says("/o/acme/settings/access?what=role", 403)
}

func TestAChangeIsTriedOutBeforeItIsMade(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	editor := acme.People["editor"]
	makeKey(t, s, acme, editor)
	b := s.as(acme.Owner())
	for query, says := range map[string][]string{
		"?what=role":             {"Choose a role"},
		"?what=role&role=viewer": {"0 members gain, 0 lose", "Nobody gains anything"},
		"?what=role&role=viewer&permissions=audit.view":    {"1 member gains, 1 loses", "viewer@acme.test"},
		"?what=member&role=viewer&member=" + editor.Member: {"0 members gain, 1 loses", "editor@acme.test", "Key ci", "Loses"},
		"?what=remove&member=" + editor.Member:             {"1 loses", "Key ci", "Ends"},
		"?what=remove&member=mem_nobody":                   {"There is no member"},
	} {
		page := b.get("/o/acme/settings/access" + query)
		for _, text := range says {
			if !strings.Contains(page.text(), text) {
				t.Errorf("%s does not say %q: %s", query, text, page.text())
			}
		}
	}
	s.as(editor).get("/o/acme").says("/o/acme", 200)
}

// makeKey makes a key called ci in somebody's name.
func makeKey(t *testing.T, s *site, acme *guildhalltest.Organization, p *guildhalltest.Person) credential.NewKey {
	t.Helper()
	key, err := credential.CreateKey.Call(p.Ctx(), s.Service(), credential.CreateKeyInput{InOrganization: acme.In(), Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAccessOfAKeyIsExplained(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	key := makeKey(t, s, acme, acme.People["editor"])
	path := "/o/acme/settings/access?can=billing.manage&who=" + key.ID
	s.as(acme.Owner()).get(path).says(path, 200, "The key ci cannot: Manage billing", "Credential", "Scopes", "Everything that decides")
	s.as(acme.People["viewer"]).get(path).says(path, 403)
}

func TestKeysAreLeftBehindOrRevokedWithTheirCreatorsMembership(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	developer := acme.People["developer"]
	kept, ended := makeKey(t, s, acme, developer), makeKey(t, s, acme, developer)
	b, base := s.as(acme.Owner()), "/o/acme/settings/team/"+developer.Member
	page := b.get(base+"/remove").says(base+"/remove", 200, "2 personal keys stay unless you revoke them", "Otherwise it stays, left behind", "Suspend instead")
	bound(t, s, page, base+"/remove", "members.remove")
	b.submit(page, base+"/remove", "revoke_keys", "key_nobodys").says(base+"/remove", 422, "no living personal key")
	proof := b.submit(page, base+"/remove", "revoke_keys", ended.ID).says(base+"/removed", 200, "is removed", "1 key is refused", "1 key stays, left behind", "Refused", "Gets in")
	for id, answer := range map[string]string{kept.ID: "Gets in", ended.ID: "Refused"} {
		if row := rowWith(proof, "/o/acme/settings/api-keys/"+id); !strings.Contains(row, answer) {
			t.Errorf("of %s the proof says %q, not %q", id, row, answer)
		}
	}
	s.as(s.Organization("globex").Owner()).get(base+"/removed").says(base+"/removed", 404)
	s.Sound()
}

// rowWith is the text of the table's row that links to an address.
func rowWith(s *sight, href string) (text string) {
	s.each(func(n *htmlNode, attrs map[string]string) {
		if n.Data != "tr" {
			return
		}
		eachIn(n, func(a *htmlNode, attrs map[string]string) {
			if attrs["href"] == href {
				text = textOf(n)
			}
		})
	})
	return text
}

func TestServiceAccountsGetAnotherManagerWhenTheirsLeaves(t *testing.T) {
	s := newSite(t, "documents")
	acme := s.Organization("acme")
	admin, owner := acme.People["admin"], acme.Owner()
	in := credential.CreateServiceAccountInput{InOrganization: acme.In(), Name: "nightly", Role: "member"}
	if _, err := credential.CreateServiceAccount.Call(admin.Ctx(), s.Service(), in); err != nil {
		t.Fatal(err)
	}
	b, base := s.as(owner), "/o/acme/settings/team/"+admin.Member
	page := b.get(base+"/remove").says(base+"/remove", 200, "Service account nightly", "Who looks after the service accounts", "You")
	b.submit(page, base+"/remove", "service_accounts_to", acme.People["member"].Member).says(base+"/removed", 200, "1 service account has another manager")
	b.get("/o/acme/settings/service-accounts").says("/o/acme/settings/service-accounts", 200, "member@acme.test")
	s.Sound()
}

func TestPersonalKeysEndWhereTheCharterEndsThem(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	editor := acme.People["editor"]
	makeKey(t, s, acme, editor)
	b, base := s.as(acme.Owner()), "/o/acme/settings/team/"+editor.Member
	page := b.get(base+"/remove").says(base+"/remove", 200, "Key ci", "ends with the membership")
	if _, asked := page.form(base + "/remove")["revoke_keys"]; asked || strings.Contains(page.text(), "unless you revoke") {
		t.Error("there is a choice about keys that end anyway")
	}
	b.submit(page, base+"/remove").says(base+"/removed", 200, "1 key is refused", "Refused")
}
