package scim_test

import (
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/scim"
)

// A role that a directory gives is not deleted under it: newcomers would get what is no more.
func TestARoleThatADirectoryGivesStays(t *testing.T) {
	each(t, func(c *company) {
		owner := c.acme.Owner().Ctx()
		role, err := directory.CreateRole.Call(owner, c.hall.Service(), directory.CreateRoleInput{InOrganization: c.acme.In(), Title: "Press",
			Permissions: []charter.Permission{"workflows.view"}})
		if err != nil {
			t.Fatal(err)
		}
		gives := func(role string) {
			t.Helper()
			_, err := scim.UpdateDirectory.Call(owner, c.hall.Service(), scim.UpdateDirectoryInput{DirectoryInput: scim.DirectoryInput{InOrganization: c.acme.In(), Directory: c.id}, DefaultRole: &role})
			if err != nil {
				t.Fatal(err)
			}
		}
		in := directory.DeleteRoleInput{GetRoleInput: directory.GetRoleInput{InOrganization: c.acme.In(), Role: role.ID}, MoveTo: "viewer"}
		gives(role.ID)
		if _, err := directory.DeleteRole.Call(owner, c.hall.Service(), in); op.AsError(err).FullCode() != "role_given" {
			t.Errorf("deleting it: %v", err)
		}
		gives("viewer")
		if _, err := directory.DeleteRole.Call(owner, c.hall.Service(), in); err != nil {
			t.Errorf("when it gives another one: %v", err)
		}
	})
}
