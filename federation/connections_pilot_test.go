package federation_test

import (
	"slices"
	"testing"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
)

// told is a directory of an organization as it has told of itself, with people in a group by the addresses that it says.
func (h *hall) told(organization, group string, people ...string) {
	h.Exec(`INSERT INTO directories (id, organization, name, name_folded, default_role, deactivation, token_hash, token_last4, token_at, recovery_epoch, last_sync_at, version, created_by, created_at)
		VALUES ($1, $2, 'Okta', $1, '', 'suspend', $3, '', 0, 1, 0, 1, '', 0)`, "dir_"+group, organization, []byte(group))
	h.Exec("INSERT INTO directory_groups (id, organization, directory, display, display_folded, external_id, version, created_at, updated_at) VALUES ($1, $2, $3, $1, $1, '', 1, 0, 0)", group, organization, "dir_"+group)
	for _, email := range people {
		h.Exec(`INSERT INTO directory_users (id, organization, directory, user_id, active, access, user_name, user_name_folded, external_id, display_folded, email, email_folded, document, version, created_at, updated_at)
			VALUES ($1, $2, $3, '', TRUE, FALSE, $4, $4, '', '', $4, $4, '{}', 1, 0, 0)`, "scu_"+email, organization, "dir_"+group, email)
		h.Exec("INSERT INTO directory_group_members (organization, group_id, directory_user) VALUES ($1, $2, $3)", organization, group, "scu_"+email)
	}
}

// The pilot may be a group of a directory: its people are led to the provider, whatever the group is called.
func TestAPilotMayBeAGroup(t *testing.T) {
	withProvider(t, func(i *idp) {
		i.told(i.acme, "scg_1", "zoe@acme.test", "yan@acme.test")
		i.told(i.acme, "scg_2", "xi@acme.test")
		globex, _ := i.Found("globex", "gus@globex.test")
		i.told(globex, "scg_3", "vi@acme.test")
		i.changed(i.connection, federation.UpdateConnectionInput{Rollout: new(federation.Pilot), Pilot: []string{"bo@acme.test"}, PilotGroups: []string{"scg_1", "scg_1"}})
		leads := func(when string, wanted ...string) {
			i.T.Helper()
			for _, email := range []string{"zoe@acme.test", "yan@acme.test", "xi@acme.test", "vi@acme.test", "bo@acme.test", "ada@acme.test"} {
				if got := i.leads(email) == "Okta"; got != slices.Contains(wanted, email) {
					i.T.Errorf("%s, %s is led: %t", when, email, got)
				}
			}
		}
		leads("with one group", "zoe@acme.test", "yan@acme.test", "bo@acme.test")
		i.Exec("UPDATE directory_users SET user_id = $2 WHERE organization = $1 AND id = 'scu_yan@acme.test'", i.acme, i.ada.User)
		leads("by the account", "zoe@acme.test", "yan@acme.test", "bo@acme.test", "ada@acme.test")
		i.Exec("UPDATE directory_users SET active = FALSE WHERE organization = $1 AND id = 'scu_yan@acme.test'", i.acme)
		leads("inactive in the directory", "zoe@acme.test", "bo@acme.test")
		i.Exec("UPDATE directory_groups SET display = 'Renamed', display_folded = 'renamed' WHERE organization = $1 AND id = 'scg_1'", i.acme)
		leads("renamed", "zoe@acme.test", "bo@acme.test")
		if groups := i.details(i.connection).PilotGroups; len(groups) != 1 || groups[0] != (federation.PilotGroup{Group: "scg_1", Name: "Renamed", Directory: "dir_scg_1"}) {
			i.T.Errorf("the groups are %+v", groups)
		}
		i.Exec("DELETE FROM directory_groups WHERE organization = $1 AND id = 'scg_1'", i.acme)
		i.told(i.acme, "scg_4", "zoe.2@acme.test")
		i.Exec("UPDATE directory_groups SET display = 'scg_1', display_folded = 'scg_1' WHERE organization = $1 AND id = 'scg_4'", i.acme)
		leads("deleted, and another has its name", "bo@acme.test")
		if groups := i.details(i.connection).PilotGroups; len(groups) != 1 || groups[0] != (federation.PilotGroup{Group: "scg_1", Name: "scg_1", Gone: true}) {
			i.T.Errorf("a group that is gone: %+v", groups)
		}
		i.changed(i.connection, federation.UpdateConnectionInput{PilotGroups: []string{"scg_1", "scg_2"}}) // one that is gone may stay
		leads("with another beside", "xi@acme.test", "bo@acme.test")
		i.changed(i.connection, federation.UpdateConnectionInput{PilotGroups: []string{"scg_2"}})
		for name, group := range map[string]string{"a group of another organization": "scg_3", "no group": "scg_9", "one that is gone": "scg_1"} {
			_, err := i.changes(i.connection, federation.UpdateConnectionInput{PilotGroups: []string{"scg_2", group}})
			i.Refused(name, err, "invalid")
		}
		leads("as before", "xi@acme.test", "bo@acme.test")
		i.changed(i.connection, federation.UpdateConnectionInput{PilotGroups: []string{}})
		leads("without a group", "bo@acme.test")

		i.Exec("INSERT INTO connection_pilot_groups (connection, organization, group_id, name) VALUES ($1, $2, 'scg_3', 'x')", i.connection.ID, i.acme)
		leads("by a row that should not be", "bo@acme.test")
		i.Must(i.Service.Snapshot(i.T.Context(), func(r *op.Reader) error {
			broken, err := federation.Broken(i.T.Context(), r)
			if len(broken) != 1 {
				i.T.Errorf("the doctor says %q", broken)
			}
			return err
		}))
		i.changed(i.connection, federation.UpdateConnectionInput{PilotGroups: []string{}})
	})
}
