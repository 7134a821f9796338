package guildhall_test

import (
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/server"
)

// TestWhatPeopleReview: the reference of the API and the table of operations are files whose changes are seen.
func TestWhatPeopleReview(t *testing.T) {
	h := guildhalltest.New(t, "automation")
	golden(t, "openapi.json", string(server.OpenAPI(h.Service())))
	golden(t, "operations.txt", server.OperationTable(h.Service()))
}

// TestPermissionsOfEveryCharter: who holds what, and which operations ask for it, is a file for each charter.
func TestPermissionsOfEveryCharter(t *testing.T) {
	for _, name := range charter.Names() {
		h := guildhalltest.New(t, name)
		golden(t, "permissions-"+name+".txt", server.PermissionTable(h.Service()))
	}
}
