package console_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/directory"
)

func TestAnOrganizationIsDeletedByItsNameAndRestored(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	owner, admin := s.as(acme.Owner()), s.as(acme.People["admin"])
	const general, path, deleted = "/o/acme/settings/general", "/o/acme/settings/general/delete", "/o/acme/deleted"
	owner.get(general).says(general, 200, "Danger zone", "Delete the organization")
	if got := admin.get(general).says(general, 200); strings.Contains(got.text(), "Danger zone") {
		t.Error("the admin is shown the danger zone")
	}
	admin.get(path).says(path, 403)
	page := owner.get(path).says(path, 200, "Delete acme", "Member admin@acme.test", "loses access", "can be restored as it was", "Type acme to confirm")
	bound(t, s, page, path, "organizations.delete")
	owner.submit(page, path, "confirm", "Acme").says(path, 422, "Type acme to confirm")
	owner.submit(page, path, "confirm", "acme", "reason", "moving on").says(deleted, 200, "acme is scheduled for deletion", "Nobody has access", "moving on", "Restore acme")
	for _, at := range []string{"/o/acme", general, "/o/acme/settings/team"} {
		if got := admin.get(at); got.Code != 302 && !strings.Contains(got.text(), "is scheduled for deletion") {
			t.Errorf("%s is %d to the admin: %s", at, got.Code, got.text())
		}
	}
	admin.post(general, url.Values{"name": {"Mine"}}).says(general, 403, "scheduled for deletion")
	reader := admin.get(deleted).says(deleted, 200, "ask an owner")
	if strings.Contains(reader.text(), "Restore acme") {
		t.Error("the admin is offered to restore it")
	}
	admin.post(deleted, url.Values{}).says(deleted, 403)
	owner.get("/orgs").says("/orgs", 200, "acme", "gone for good on", "Scheduled for deletion")
	s.as(s.Organization("globex").Owner()).get(deleted).says(deleted, 404)
	page = owner.get(deleted)
	bound(t, s, page, deleted, "organizations.restore")
	owner.submit(page, deleted, "reason", "a mistake").says("/o/acme", 200, "acme is restored")
	admin.get("/o/acme/settings/team").says("/o/acme/settings/team", 200, "owner@acme.test")
	s.Sound()
}

func TestARecoveryIsShownAndCancelled(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	const path = "/o/acme/settings/recovery"
	reader, owner := s.as(acme.People["reader"]), s.as(acme.Owner())
	reader.get(path).says(path, 200, "No recovery of an owner waits")
	if _, err := directory.RecoverOwner.Call(s.Operator(), s.Service(), directory.RecoverOwnerInput{InOrganization: acme.In(), Owner: "admin@acme.test", Reason: "the owner left"}); err != nil {
		t.Fatal(err)
	}
	reader.get(path).says(path, 200, "admin@acme.test becomes Owner", "the owner left", "an owner can cancel it")
	reader.post(path, url.Values{}).says(path, 403)
	page := owner.get(path)
	bound(t, s, page, path, "organizations.cancel_recovery")
	owner.submit(page, path).says("/o/acme/settings", 200, "The recovery is cancelled")
	s.Sound()
}
