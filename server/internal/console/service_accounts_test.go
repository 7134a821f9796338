package console_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/op"
)

const accountsPath, tokensPath = "/o/acme/settings/service-accounts", "/o/acme/settings/tokens"

// newAccount makes a service account by its form, and gives the address of its page.
func (b *browser) newAccount(changes ...string) string {
	b.site.t.Helper()
	page := b.get(accountsPath+"/new").says(accountsPath+"/new", 200, "A program of the organization's")
	bound(b.site.t, b.site, page, accountsPath+"/new", "service_accounts.create")
	made := b.submit(page, accountsPath+"/new", changes...)
	if !strings.HasPrefix(made.url, accountsPath+"/sva_") {
		b.site.t.Fatalf("the service account leads to %s: %s", made.url, made.text())
	}
	return made.url
}

func TestAServiceAccountsKeysEndWithIt(t *testing.T) {
	s := newSite(t, "gateway")
	b := s.as(s.Organization("acme").Owner())
	one := b.newAccount("name", "nightly build", "role", "developer")
	id := strings.TrimPrefix(one, accountsPath+"/")
	secret, _ := b.makes("?kind=organization&service_account="+id, "name", "owner@acme.test - nightly", "permissions/Endpoints", "write")
	if err := s.uses(secret); err != nil {
		t.Fatal(err)
	}
	b.get(one).says(one, 200, "Developer", "owner@acme.test - nightly", "View endpoints, and 1 more", "203.0.113.7")
	b.get(accountsPath).says(accountsPath, 200, "nightly build", "Developer", "owner@acme.test")
	page := b.get(one+"/delete").says(one+"/delete", 200, "1 key ends with it, at once.", "owner@acme.test - nightly", "It was last used just now, from 203.0.113.7.")
	bound(t, s, page, one+"/delete", "service_accounts.delete")
	b.submit(page, one+"/delete").says(accountsPath, 200, "nightly build is deleted, and its keys are refused.", "has a role of its own")
	if s.uses(secret) == nil {
		t.Error("the key of a deleted service account works")
	}
	b.get(one).says(one, 404)
	b.get("/o/acme").says("/o/acme", 200, "deleted the service account nightly build", "made the key owner@acme.test - nightly", "made the service account nightly build as Developer")
	s.Sound()
}

func TestAServiceAccountIsChanged(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	b := s.as(acme.People["admin"])
	one := b.newAccount("name", "nightly build", "role", "reader")
	ofReader := newKeyPath + "?service_account=" + strings.TrimPrefix(one, accountsPath+"/")
	b.get(ofReader).says(ofReader, 200, "This key acts as the service account nightly build in acme.", "endpoints.call · The service account's role, Reader, lacks it.")
	page := b.get(one+"/edit").says(one+"/edit", 200, "in force on its keys when you save")
	bound(t, s, page, one+"/edit", "service_accounts.update")
	b.submit(page, one+"/edit", "role", "developer", "description", "runs every night", "manager", acme.Owner().Member).
		says(one, 200, "is changed, and its keys with it", "Developer", "runs every night", "owner@acme.test")
	b.submit(page, one+"/edit", "name", "x", "idempotency_key", "").says(one+"/edit", 412)
	b.newAccount("name", "other", "role", "reader")
	b.submit(b.get(one+"/edit"), one+"/edit", "name", "other").says(one+"/edit", 409, "Another service account is called")
	form := b.get(accountsPath + "/new").form(accountsPath + "/new")
	form.Set("name", "root")
	form.Set("role", string(s.Charter().OwnerRole().ID))
	b.post(accountsPath+"/new", form).says(accountsPath+"/new", 422, "never an owner")
	s.as(acme.People["developer"]).get(one).says(one, 403, "Manage service accounts")
	s.Sound()
}

func TestWithoutOrganizationKeysThereAreNoServiceAccounts(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	list := b.get(accountsPath).says(accountsPath, 200, "This product has personal keys only")
	if slices.Contains(list.links(), accountsPath+"/new") {
		t.Error("a service account is offered that cannot be made")
	}
	b.get(accountsPath+"/new").says(accountsPath+"/new", 200, "This product has personal keys only")
	if slices.Contains(b.get("/o/acme/settings").links(), accountsPath) {
		t.Error("the sidebar or the settings lead to service accounts")
	}
}

// T-044
func TestATokenIsDerivedShownOnceAndRevoked(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b, path := s.as(acme.People["editor"]), tokensPath+"/new"
	page := b.get(path).says(path, 200, "It acts as you, ends with this session at the latest")
	bound(t, s, page, path, "tokens.create")
	b.submit(page, path, "budget", "many").says(path, 422, "is not a number of requests", "Choose at least one permission")
	form := page.form(path)
	for name, value := range map[string]string{"name": "one run", "permissions/Workflows": "write", "budget": "10", "resources": "workflow:wf_1", "read_only": "on"} {
		form.Set(name, value)
	}
	made := b.post(path, form).says(path, 200, "Store the token one run", "this is the one time")
	secret := made.secret()
	if err := s.uses(secret); err != nil {
		t.Fatal(err)
	}
	if again := b.post(path, form).says(path, 200, "was shown once"); strings.Contains(again.Body.String(), secret) {
		t.Error("the secret is shown twice")
	}
	list := b.get(tokensPath).says(tokensPath, 200, "one run", "Everything in Workflows; on 1 resource only; reads only", "of 10 requests", "a session of yours")
	if got := s.as(acme.Owner()).get(tokensPath); !strings.Contains(got.text(), "one run") {
		t.Error("whoever may look into keys does not see the tokens of others")
	}
	var end string
	for _, link := range list.links() {
		if strings.HasSuffix(link, "/revoke") {
			end = link
		}
	}
	ask := b.get(end).says(end, 200, "Revoke one run", "every token derived from it")
	bound(t, s, ask, end, "tokens.revoke")
	b.submit(ask, end, "reason", "done").says(tokensPath, 200, "The token one run is revoked", "Revoked")
	if s.uses(secret) == nil {
		t.Error("the revoked token works")
	}
	s.as(acme.Owner()).get("/o/acme").says("/o/acme", 200, "editor@acme.test revoked the token one run", "editor@acme.test made the token one run")
	s.Sound()
}

func TestTheKeysPagesTellTheirRequestsAndCommands(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	_, id := b.makes("name", "owner@acme.test - ci", "permissions/Prompts", "read")
	account := b.newAccount("name", "nightly build", "role", "developer")
	token, err := credential.CreateToken.Call(acme.Owner().Ctx(), s.Service(), credential.CreateTokenInput{InOrganization: op.InOrganization{Organization: "acme"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{keysPath + "?kind=personal&state=active&unused=90d&q=ci", newKeyPath + "?expires_at=30d", newKeyPath + "?kind=organization",
		keysPath + "/" + id, keysPath + "/" + id + "/secret", keysPath + "/" + id + "/first-use", keysPath + "/" + id + "/edit", keysPath + "/" + id + "/rotate", keysPath + "/" + id + "/revoke",
		account, account + "/edit", account + "/delete", tokensPath + "?state=active", tokensPath + "/new", tokensPath + "/" + token.ID + "/revoke"} {
		tellsWays(t, b, path)
	}
}
