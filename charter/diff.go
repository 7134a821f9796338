package charter

import (
	"fmt"
	"slices"
)

// Diff says in words what changes from one version of a charter to the next, one change a line and rights first:
// "editor gains keys.revoke", "role clerk is gone". Titles, meters, plans and texts are not compared.
// It is empty when nothing changes that decides who may do what.
func Diff(before, after *Charter) []string {
	lines := changes("permission", before.permissionWords(), after.permissionWords())
	lines = append(lines, changes("role", before.roleWords(), after.roleWords())...)
	for _, r := range after.roles {
		if old, ok := before.byRole[r.ID]; ok {
			lines = append(lines, gains(string(r.ID), before.IDs(old.Holds), after.IDs(r.Holds))...)
		}
	}
	if was, is := before.OwnerRole().ID, after.OwnerRole().ID; was != is {
		lines = append(lines, fmt.Sprintf("the owner role is %s, was %s", is, was))
	}
	lines = append(lines, gains("an organization key", before.Rules.Keys.OrganizationKeyIDs, after.Rules.Keys.OrganizationKeyIDs)...)
	return append(lines, ruleChanges(before.Rules, after.Rules)...)
}

// changes says which names are gone and which are new.
func changes(what string, before, after []string) []string {
	var lines []string
	for _, name := range missing(before, after) {
		lines = append(lines, fmt.Sprintf("%s %s is gone", what, name))
	}
	for _, name := range missing(after, before) {
		lines = append(lines, fmt.Sprintf("%s %s is new", what, name))
	}
	return lines
}

// gains says which permissions somebody gains and loses.
func gains(who string, before, after []Permission) []string {
	var lines []string
	if lost := missing(before, after); len(lost) > 0 {
		lines = append(lines, fmt.Sprintf("%s loses %s", who, join(lost)))
	}
	if gained := missing(after, before); len(gained) > 0 {
		lines = append(lines, fmt.Sprintf("%s gains %s", who, join(gained)))
	}
	return lines
}

// missing returns what is in a and not in b, in the order of a.
func missing[T comparable](a, b []T) []T {
	var out []T
	for _, item := range a {
		if !slices.Contains(b, item) {
			out = append(out, item)
		}
	}
	return out
}

// ruleChanges says which rules differ; the permissions of organization keys are told apart from them.
func ruleChanges(before, after Rules) []string {
	was, is := before.lines(), after.lines()
	var lines []string
	for i := range is {
		if was[i] != is[i] {
			lines = append(lines, fmt.Sprintf("rules.%s is %s, was %s", is[i][0], is[i][1], was[i][1]))
		}
	}
	return lines
}

// lines returns each rule's name and value.
func (r Rules) lines() [][2]string {
	return [][2]string{
		{"organizations.create", string(r.Organizations.Create)},
		{"owners", string(r.Owners)},
		{"ownership.transfer_to", string(r.Ownership.TransferTo)},
		{"ownership.previous_owner_becomes", string(r.Ownership.PreviousOwnerBecomes)},
		{"ownership.acceptance", string(r.Ownership.Acceptance)},
		{"grant", r.Grant},
		{"keys.kinds", join(r.Keys.Kinds)},
		{"keys.after_creator_leaves", string(r.Keys.AfterCreatorLeaves)},
		{"keys.name_template", fmt.Sprintf("%q", r.Keys.NameTemplate)},
		{"keys.max_age", r.Keys.MaxAge.String()},
		{"invitations.expire_after", r.Invitations.ExpireAfter.String()},
		{"invitations.work_email_only", fmt.Sprint(r.Invitations.WorkEmailOnly)},
		{"invitations.free_mail", join(r.Invitations.FreeMail)},
		{"deletion_grace", r.DeletionGrace.String()},
	}
}
