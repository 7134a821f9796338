package gate_test

import (
	"strings"
	"testing"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
)

// A key of an organization that is scheduled for deletion is known and refused: 403, which no other proof of who it is
// would change (RFC 9110, section 15.5.4). Restored, it passes; when the organization ends, it is nobody's: 401.
func TestAKeyOfAClosedOrganizationIsRefusedAndNotUnknown(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	owner := f.acme.Owner()
	key, err := credential.CreateKey.Call(owner.Ctx(), f.hall.Service(), credential.CreateKeyInput{InOrganization: f.acme.In(), Name: "ci", Scoping: credential.Scoping{ExpiresAt: "60d"}})
	if err != nil {
		t.Fatal(err)
	}
	answers := func(code int, reason string) {
		t.Helper()
		w := f.asks("GET /api/workflows", bearing(key.Secret))
		if w.Code != code || w.Header().Get("X-Guildhall-Reason") != reason || (w.Header().Get("WWW-Authenticate") != "") != (code == 401) {
			t.Errorf("got %d %v %s, want %d %s", w.Code, w.Header(), w.Body, code, reason)
		}
		if code == 403 && !strings.Contains(w.Body.String(), "scheduled for deletion") {
			t.Errorf("it does not say why: %s", w.Body)
		}
	}
	deletes := func() {
		t.Helper()
		if _, err := directory.DeleteOrganization.Call(owner.Ctx(), f.hall.Service(), directory.DeleteOrganizationInput{InOrganization: f.acme.In()}); err != nil {
			t.Fatal(err)
		}
	}
	answers(200, "")
	deletes()
	answers(403, "organization_deleted")
	if _, err := directory.RestoreOrganization.Call(owner.Ctx(), f.hall.Service(), directory.RestoreOrganizationInput{InOrganization: f.acme.In()}); err != nil {
		t.Fatal(err)
	}
	answers(200, "")
	deletes()
	f.hall.Clock.Advance(31 * 24 * 60 * 60 * 1e9)
	for range 3 {
		f.hall.Clock.Advance(2 * 60e9)
		if err := f.hall.RunDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	answers(401, "unauthenticated")
}
