package charter_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
)

// roleOf is what the letters and names of the tables mean.
var roleOf = map[string]charter.RoleID{
	"O": "owner", "A": "admin", "E": "editor", "D": "developer", "V": "viewer", "R": "reader", "M": "member",
	"Owner": "owner", "Admin": "admin", "Editor": "editor", "Developer": "developer",
	"Viewer": "viewer", "Reader": "reader", "Member": "member",
}

// productTables are the permission tables of the three products, row by row: who holds what, and nobody else.
var productTables = map[string][][2]string{
	"automation": {
		{"workflows.view", "Owner Editor Viewer"},
		{"artifacts.view", "Owner Editor Viewer"},
		{"usage.view", "Owner Editor Viewer"},
		{"workflows.edit", "Owner Editor"},
		{"workflows.run", "Owner Editor"},
		{"workflows.deploy", "Owner Editor"},
		{"mcp_servers.register", "Owner Editor"},
		{"credentials.manage", "Owner Editor"},
		{"keys.create", "Owner Editor"},
		{"members.invite", "Owner"},
		{"members.remove", "Owner"},
		{"members.assign_role", "Owner"},
		{"billing.manage", "Owner"},
		{"sso.configure", "Owner"},
		{"settings.update", "Owner"},
		{"organization.delete", "Owner"},
		{"audit.view", "Owner"},
	},
	"gateway": {
		{"endpoints.view", "Reader Developer Admin Owner"},
		{"prompts.view", "Reader Developer Admin Owner"},
		{"logs.view", "Reader Developer Admin Owner"},
		{"endpoints.edit", "Developer Admin Owner"},
		{"endpoints.call", "Developer Admin Owner"},
		{"prompts.edit", "Developer Admin Owner"},
		{"snippets.edit", "Developer Admin Owner"},
		{"prompts.promote", "Developer Admin Owner"},
		{"keys.create_own", "Developer Admin Owner"},
		{"keys.manage", "Admin Owner"},
		{"members.manage", "Admin Owner"},
		{"billing.manage", "Owner"},
		{"organization.delete", "Owner"},
	},
	"documents": {
		{"pipelines.use", "Owner Admin Member"},
		{"processors.use", "Owner Admin Member"},
		{"files.use", "Owner Admin Member"},
		{"api.call", "Owner Admin Member"},
		{"usage.view", "Owner Admin Member"},
		{"logs.view", "Owner Admin Member"},
		{"keys.view", "Owner Admin Member"},
		{"keys.create", "Owner Admin"},
		{"keys.rename", "Owner Admin"},
		{"keys.revoke", "Owner Admin"},
		{"billing.manage", "Owner Admin"},
		{"members.invite", "Owner Admin"},
		{"members.remove", "Owner Admin"},
		{"members.assign_role", "Owner Admin"},
		{"organization.delete", "Owner"},
	},
}

// ownTable is the table of Guildhall's own permissions: who holds them in automation, gateway and documents.
var ownTable = [][4]string{
	{"organization.view", "all", "all", "all"},
	{"settings.update", "O", "A O", "O A"},
	{"organization.delete", "O", "O", "O"},
	{"organization.transfer", "O", "O", "O"},
	{"members.view", "all", "A O", "all"},
	{"members.invite", "O", "A O", "O A"},
	{"members.remove", "O", "A O", "O A"},
	{"members.assign_role", "O", "A O", "O A"},
	{"members.suspend", "O", "A O", "O A"},
	{"roles.manage", "O", "O", "O A"},
	{"keys.view", "O E", "A O", "all"},
	{"keys.inspect", "O", "A O", "O A"},
	{"keys.create", "O E", "A O", "O A"},
	{"keys.create_own", "O E", "D A O", "-"},
	{"keys.rename", "O", "A O", "O A"},
	{"keys.revoke", "O", "A O", "O A"},
	{"keys.approve", "O", "A O", "O A"},
	{"service_accounts.manage", "O", "A O", "O A"},
	{"tokens.create", "O E", "D A O", "O A"},
	{"usage.view", "all", "all", "all"},
	{"cost.view", "all", "O", "O A"},
	{"billing.view", "O", "O", "O A"},
	{"billing.manage", "O", "O", "O A"},
	{"budgets.manage", "O", "O", "O A"},
	{"sso.configure", "O", "A O", "O A"},
	{"audit.view", "O", "A O", "O A"},
	{"audit.export", "O", "A O", "O A"},
	{"logs.view", "O E", "all", "all"},
	{"webhooks.manage", "O", "A O", "O A"},
	{"artifacts.view", "all", "A O", "all"},
	{"artifacts.manage", "O E", "A O", "O A"},
	{"reviews.manage", "O", "A O", "O A"},
	{"support.grant", "O", "O", "O"},
}

func TestEveryCellOfTheProductTables(t *testing.T) {
	for name, table := range productTables {
		c := ready(t, name)
		for _, row := range table {
			wantHolders(t, c, charter.Permission(row[0]), row[1])
		}
	}
}

func TestEveryCellOfTheTableOfOwnPermissions(t *testing.T) {
	for column, name := range map[int]string{1: "automation", 2: "gateway", 3: "documents"} {
		c := ready(t, name)
		for _, row := range ownTable {
			wantHolders(t, c, charter.Permission(row[0]), row[column])
		}
	}
}

// TestTheTablesNameEveryPermission keeps a permission from being added to a charter and to no table.
func TestTheTablesNameEveryPermission(t *testing.T) {
	named := map[string]bool{}
	for _, row := range ownTable {
		named[row[0]] = true
	}
	for name, table := range productTables {
		for _, row := range table {
			named[name+" "+row[0]] = true
		}
	}
	for _, name := range charter.Names() {
		for _, info := range ready(t, name).Permissions() {
			if info.Own && !named[string(info.ID)] || !info.Own && !named[name+" "+string(info.ID)] {
				t.Errorf("%s has %s, which no table names", name, info.ID)
			}
		}
	}
}

// wantHolders checks one row: "all", "-" for a permission that is not there, or the roles that hold it.
func wantHolders(t *testing.T, c *charter.Charter, id charter.Permission, cell string) {
	t.Helper()
	need, exists := c.Need(id)
	if exists != (cell != "-") {
		t.Errorf("%s: %s exists = %t, want %q", c.Name, id, exists, cell)
		return
	}
	var holders []charter.RoleID
	for _, word := range strings.Fields(cell) {
		holders = append(holders, roleOf[word])
	}
	for _, r := range c.Roles() {
		want := cell == "all" || slices.Contains(holders, r.ID)
		if got := exists && need.SubsetOf(r.Holds); got != want {
			t.Errorf("%s: %s holds %s = %t, want %t", c.Name, r.ID, id, got, want)
		}
		if got := c.Can(r, id); got != want {
			t.Errorf("%s: %s can %s = %t, want %t", c.Name, r.ID, id, got, want)
		}
	}
}

func TestShippedRoles(t *testing.T) {
	roles := map[string]string{"automation": "Viewer Editor Owner", "gateway": "Reader Developer Admin Owner", "documents": "Member Admin Owner"}
	for name, want := range roles {
		c := ready(t, name)
		var titles []string
		for i, r := range c.Roles() {
			titles = append(titles, r.Title)
			if r.Rank != i {
				t.Errorf("%s: rank of %s = %d, want %d", name, r.ID, r.Rank, i)
			}
			if r.Owner != (r.ID == "owner") {
				t.Errorf("%s: %s is the owner role: %t", name, r.ID, r.Owner)
			}
			if found, ok := c.Role(r.ID); !ok || found != r {
				t.Errorf("%s: role %s is not found by its id", name, r.ID)
			}
		}
		if got := strings.Join(titles, " "); got != want {
			t.Errorf("%s: roles are %q, want %q", name, got, want)
		}
		if owner := c.OwnerRole(); owner.ID != "owner" || owner.Holds != c.All() {
			t.Errorf("%s: owner role %s holds %d of %d permissions", name, owner.ID, owner.Holds.Len(), c.All().Len())
		}
	}
}

func TestShippedRolesFormAChainOfSubsets(t *testing.T) {
	for _, name := range charter.Names() {
		roles := ready(t, name).Roles()
		for i := 1; i < len(roles); i++ {
			lower, higher := roles[i-1], roles[i]
			if !lower.Holds.SubsetOf(higher.Holds) || lower.Holds == higher.Holds {
				t.Errorf("%s: %s does not hold less than %s", name, lower.ID, higher.ID)
			}
		}
	}
}

func TestBundlesOfGateway(t *testing.T) {
	parts := map[charter.Permission][]charter.Permission{
		"members.manage": {"members.view", "members.invite", "members.remove", "members.assign_role", "members.suspend"},
		"keys.manage": {"keys.view", "keys.inspect", "keys.create", "keys.rename", "keys.revoke", "keys.approve",
			"service_accounts.manage"},
	}
	c := ready(t, "gateway")
	for bundle, want := range parts {
		info, ok := c.Info(bundle)
		if !ok || info.Bit != -1 || info.Own || !slices.Equal(info.Includes, want) {
			t.Errorf("%s = %+v, want a bundle of %v", bundle, info, want)
		}
		need, _ := c.Need(bundle)
		if got := c.IDs(need); !slices.Equal(got, want) {
			t.Errorf("%s needs %v, want %v", bundle, got, want)
		}
	}
}

func TestWhatIsNotMentionedBelongsToTheOwner(t *testing.T) {
	c := parse(t, small)
	guest, _ := c.Role("guest")
	if got := c.IDs(guest.Holds); !slices.Equal(got, []charter.Permission{"organization.view", "files.view"}) {
		t.Errorf("guest holds %v, want what it is granted", got)
	}
	if got, want := c.OwnerRole().Holds.Len(), len(ownTable)+2; got != want {
		t.Errorf("owner holds %d permissions, want %d", got, want)
	}
}

func TestABundleIsHeldWhenAllItsPartsAre(t *testing.T) {
	c := parse(t, `product: Studio
key_prefix: stu
permissions:
  files.view: View files
  files.edit: Edit files
  files.manage: {title: Manage files, includes: [files.view, files.edit]}
  desk.manage: {title: Manage the desk, includes: [members.view, files.manage]}
roles:
  guest: {title: Guest, grants: [organization.view, files.view]}
  clerk: {title: Clerk, extends: guest, grants: [files.edit]}
  chief: {title: Chief, grants: [organization.view, desk.manage]}
  owner: {title: Owner, grants: all}
`)
	for _, row := range [][2]string{
		{"files.manage", "clerk chief owner"},
		{"desk.manage", "chief owner"},
		{"files.edit", "clerk chief owner"},
		{"members.view", "chief owner"},
	} {
		for _, r := range c.Roles() {
			want := strings.Contains(row[1], string(r.ID))
			if got := c.Can(r, charter.Permission(row[0])); got != want {
				t.Errorf("%s can %s = %t, want %t", r.ID, row[0], got, want)
			}
		}
	}
}

func TestPermissionsComeInCharterOrder(t *testing.T) {
	c := ready(t, "documents")
	bit := 0
	for _, info := range c.Permissions() {
		if info.Bit != bit {
			t.Errorf("bit of %s = %d, want %d", info.ID, info.Bit, bit)
		}
		bit++
		if info.Title == "" || info.Group == "" {
			t.Errorf("%s has title %q and group %q, want both", info.ID, info.Title, info.Group)
		}
		if found, ok := c.Info(info.ID); !ok || found.Bit != info.Bit {
			t.Errorf("%s is not found by its id", info.ID)
		}
	}
	if bit != c.All().Len() {
		t.Errorf("%d permissions in all, %d in the list", c.All().Len(), bit)
	}
	if got := c.Absent(); !slices.Equal(got, []charter.Permission{"keys.create_own"}) {
		t.Errorf("absent = %v, want keys.create_own", got)
	}
	if _, ok := c.Info("keys.create_own"); ok {
		t.Error("an absent permission is in the charter")
	}
}

func TestAFileMayRetitleGuildhallsOwnPermissions(t *testing.T) {
	c := ready(t, "documents")
	for id, want := range map[charter.Permission]string{
		"keys.revoke": "Delete API keys, anybody's",
		"keys.view":   "View API keys (name, created, expires)",
	} {
		if info, _ := c.Info(id); info.Title != want || info.Group != "API keys" || !info.Own {
			t.Errorf("%s = %+v, want title %q in its group", id, info, want)
		}
	}
}
