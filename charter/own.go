package charter

import (
	"slices"
	"strings"
)

// own lists the permissions that Guildhall's own operations ask for. Every charter has them, except
// those that it declares absent; a charter's permissions may give them another title and group.
var own = []Info{
	{ID: "organization.view", Title: "See the organization, its name and its roles", Group: "Organization"},
	{ID: "settings.update", Title: "Update organization settings", Group: "Organization"},
	{ID: "organization.delete", Title: "Delete the organization", Group: "Organization"},
	{ID: "organization.transfer", Title: "Hand ownership over", Group: "Organization"},
	{ID: "members.view", Title: "See the team", Group: "Team"},
	{ID: "members.invite", Title: "Invite members", Group: "Team"},
	{ID: "members.remove", Title: "Remove members", Group: "Team"},
	{ID: "members.assign_role", Title: "Assign and change roles", Group: "Team"},
	{ID: "members.suspend", Title: "Suspend and reactivate members", Group: "Team"},
	{ID: "roles.manage", Title: "Manage custom roles", Group: "Team"},
	{ID: "keys.view", Title: "View API keys (name, created, expires)", Group: "API keys"},
	{ID: "keys.inspect", Title: "View API keys in full (prefix, scopes, creator, last use)", Group: "API keys"},
	{ID: "keys.create", Title: "Create API keys", Group: "API keys"},
	{ID: "keys.create_own", Title: "Create personal API keys", Group: "API keys"},
	{ID: "keys.rename", Title: "Rename API keys, anybody's", Group: "API keys"},
	{ID: "keys.revoke", Title: "Revoke, rotate and narrow API keys, anybody's", Group: "API keys"},
	{ID: "keys.approve", Title: "Approve API keys", Group: "API keys"},
	{ID: "service_accounts.manage", Title: "Manage service accounts", Group: "API keys"},
	{ID: "tokens.create", Title: "Derive scoped tokens from one's own credentials", Group: "API keys"},
	{ID: "usage.view", Title: "View the usage dashboard", Group: "Usage and billing"},
	{ID: "cost.view", Title: "View what usage costs", Group: "Usage and billing"},
	{ID: "billing.view", Title: "View billing and invoices", Group: "Usage and billing"},
	{ID: "billing.manage", Title: "Manage billing and subscription", Group: "Usage and billing"},
	{ID: "budgets.manage", Title: "Manage budgets", Group: "Usage and billing"},
	{ID: "sso.configure", Title: "Configure SSO: connections, domains, sign-in policy, SCIM", Group: "Security"},
	{ID: "audit.view", Title: "View the audit log", Group: "Security"},
	{ID: "audit.export", Title: "Export the audit log", Group: "Security"},
	{ID: "logs.view", Title: "View the request log", Group: "Developers"},
	{ID: "webhooks.manage", Title: "Manage webhooks", Group: "Developers"},
	{ID: "artifacts.view", Title: "View artifacts", Group: "Artifacts"},
	{ID: "artifacts.manage", Title: "Manage artifacts", Group: "Artifacts"},
	{ID: "reviews.manage", Title: "Manage access reviews and findings", Group: "Security"},
	{ID: "support.grant", Title: "Let support staff in", Group: "Security"},
}

// everybodys is the permission that no charter and no role of one goes without.
const everybodys Permission = "organization.view"

// unscoped are those of Guildhall's own permissions that a key holds without its scopes naming them: what looks on, and
// what work needs. The others administer an organization, and one that is added administers too until it stands here.
var unscoped = []Permission{
	"organization.view", "members.view", "keys.view", "usage.view", "cost.view", "billing.view", "logs.view",
	"artifacts.view", "artifacts.manage", "tokens.create",
}

// readingVerbs are the verbs of permissions that read, unless a charter says otherwise; every other verb writes.
var readingVerbs = []string{"view", "list", "get", "read", "inspect", "export"}

// readsByVerb reports whether a permission reads, by its verb.
func readsByVerb(id Permission) bool {
	_, verb, _ := strings.Cut(string(id), ".")
	return slices.Contains(readingVerbs, verb)
}

// ownIDs returns the ids of Guildhall's own permissions as words for error texts.
func ownIDs() []string {
	ids := make([]string, len(own))
	for i, info := range own {
		ids[i] = string(info.ID)
	}
	return ids
}

// isOwn reports whether the permission is one of Guildhall's own, absent from a charter or not.
func isOwn(p Permission) bool {
	for _, info := range own {
		if info.ID == p {
			return true
		}
	}
	return false
}
