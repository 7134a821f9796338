package console_test

import (
	"net/url"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/testroom"
)

func TestOwnershipIsTransferredByItsRecipientsName(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	owner, admin := acme.Owner(), acme.People["admin"]
	b, path := s.as(owner), "/o/acme/settings/team/"+admin.Member+"/transfer"
	page := b.get(path).says(path, 200, "cannot be undone", "becomes Owner and gains", "become Admin and lose", "Type admin@acme.test to confirm")
	bound(t, s, page, path, "ownership.transfer")
	b.submit(page, path, "confirm", "admin").says(path, 422, "Type admin@acme.test to confirm")
	b.submit(page, path, "confirm", "admin@acme.test").says("/o/acme/settings", 200, "admin@acme.test owns acme now")
	s.as(admin).get("/o/acme/settings").says("/o/acme/settings", 200, "Owner")
	b.get(path).says(path, 403)

	wrong := "/o/acme/settings/team/" + acme.People["reader"].Member + "/transfer"
	s.as(admin).get(wrong).says(wrong, 200, "Ownership passes to a member with the role Admin only", "Change the role of reader@acme.test")
	s.as(acme.People["reader"]).post(path, url.Values{"confirm": {"admin@acme.test"}}).says(path, 403)
	s.Sound()
}

// asked is the gateway's charter, where the recipient of ownership has to accept.
func asked(t *testing.T) *charter.Charter {
	t.Helper()
	return testroom.With(t, "gateway", "acceptance: none", "acceptance: required")
}

func TestAHandOverWaitsForItsRecipient(t *testing.T) {
	s := siteWith(t, asked(t), "")
	acme := s.Organization("acme")
	b, admin := s.as(acme.Owner()), s.as(acme.People["admin"])
	path := "/o/acme/settings/team/" + acme.People["admin"].Member + "/transfer"
	const offer = "/o/acme/settings/ownership"
	ask := func() {
		t.Helper()
		b.submit(b.get(path).says(path, 200, "Nothing changes until admin@acme.test accepts"), path, "confirm", "admin@acme.test").
			says(offer, 200, "You are handing ownership over to admin@acme.test")
	}
	ask()
	b.get("/o/acme").says("/o/acme", 200, "has not accepted yet")
	admin.get("/o/acme/settings/team").says("/o/acme/settings/team", 200, "owner@acme.test wants to hand ownership over to you")
	s.as(acme.People["reader"]).get(offer).says(offer, 200, "No hand-over of ownership waits for you")
	s.as(acme.People["reader"]).post(offer+"/accept", url.Values{}).says(offer+"/accept", 403)
	admin.submit(admin.get(offer), offer+"/cancel").says("/o/acme/settings", 200, "The hand-over is cancelled")
	ask()
	bound(t, s, admin.get(offer), offer+"/accept", "ownership.accept")
	admin.submit(admin.get(offer), offer+"/accept").says("/o/acme/settings", 200, "You own acme now")
	s.Sound()
}
