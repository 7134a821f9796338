package charter

import "slices"

// Changes are what differs from one version of a charter to the next, for a program: it says which of the roles,
// permissions and routes that it keeps elsewhere are touched. Diff says the same in words.
type Changes struct {
	// AddedPermissions and DroppedPermissions are in one version only, bundles among them.
	AddedPermissions, DroppedPermissions []Permission
	// Permissions are those of both versions with another access, feature or parts; What is its id and which of them.
	Permissions []Change
	// Roles are those that differ: first the dropped ones, then those of the new version in its order.
	Roles []RoleChange
	// OrganizationKeys is what an organization key without scopes gains and loses.
	OrganizationKeys Shift
	// Rules are the rules that differ, those of keys among them, by their place in the file: "rules.keys.max_age".
	Rules []Change
	// Resources are the types of resource that can be asked about with other permissions.
	Resources []Change
	// AddedRoutes and DroppedRoutes are in one version only; Routes are those that need something else.
	AddedRoutes, DroppedRoutes []Route
	Routes                     []Change
	Plans                      []PlanChange
	// AddedRegions and DroppedRegions are in one version only.
	AddedRegions, DroppedRegions []string
}

// Change is something that is in both versions and is not the same, in words.
type Change struct {
	What   string
	Before string
	After  string
}

// Shift is what somebody may do after a change and not before, and the reverse, in charter order and without bundles.
type Shift struct {
	Gains, Loses []Permission
}

// RoleChange is what becomes of a role. One that is only in the new version gains all that it holds,
// one that is only in the old loses it.
type RoleChange struct {
	ID RoleID
	// Title is the new one; that of a dropped role is its last.
	Title string
	// FormerTitle is the old title where it is another; "": it is not.
	FormerTitle string
	Shift
	Added, Dropped bool
}

// PlanChange is what becomes of a plan.
type PlanChange struct {
	ID             string
	Title          string
	Added, Dropped bool
	// Changes are of a plan in both versions.
	Changes []Change
}

// Compare says what differs between two versions of a charter.
// Texts for people are not compared, nor meters, but the titles of roles and plans are.
func Compare(before, after *Charter) Changes {
	ch := Changes{
		AddedPermissions:   missing(after.permissionIDs(), before.permissionIDs()),
		DroppedPermissions: missing(before.permissionIDs(), after.permissionIDs()),
		Permissions:        changed(before.permissionFacts(), after.permissionFacts()),
		Roles:              roleChanges(before, after),
		OrganizationKeys:   shift(before.Rules.Keys.OrganizationKeyIDs, after.Rules.Keys.OrganizationKeyIDs),
		Rules:              changed(before.ruleFacts(), after.ruleFacts()),
		Resources:          resourceChanges(before, after),
		Routes:             changed(before.routeFacts(), after.routeFacts()),
		Plans:              planChanges(before, after),
		AddedRegions:       missing(after.Regions, before.Regions),
		DroppedRegions:     missing(before.Regions, after.Regions),
	}
	ch.AddedRoutes, ch.DroppedRoutes = missingRoutes(after.Routes, before.Routes), missingRoutes(before.Routes, after.Routes)
	return ch
}

// shift compares two lists of permissions.
func shift(before, after []Permission) Shift {
	return Shift{Gains: missing(after, before), Loses: missing(before, after)}
}

func roleChanges(before, after *Charter) []RoleChange {
	var changes []RoleChange
	for _, r := range before.roles {
		if _, kept := after.byRole[r.ID]; !kept {
			changes = append(changes, RoleChange{ID: r.ID, Title: r.Title, Shift: Shift{Loses: before.IDs(r.Holds)}, Dropped: true})
		}
	}
	for _, r := range after.roles {
		old, known := before.byRole[r.ID]
		if !known {
			changes = append(changes, RoleChange{ID: r.ID, Title: r.Title, Shift: Shift{Gains: after.IDs(r.Holds)}, Added: true})
			continue
		}
		change := RoleChange{ID: r.ID, Title: r.Title, Shift: shift(before.IDs(old.Holds), after.IDs(r.Holds))}
		if old.Title != r.Title {
			change.FormerTitle = old.Title
		}
		if change.FormerTitle != "" || len(change.Gains)+len(change.Loses) > 0 {
			changes = append(changes, change)
		}
	}
	return changes
}

func resourceChanges(before, after *Charter) []Change {
	kinds := append(before.resourceWords(), missing(after.resourceWords(), before.resourceWords())...)
	return changed(before.resourceFacts(kinds), after.resourceFacts(kinds))
}

func planChanges(before, after *Charter) []PlanChange {
	var changes []PlanChange
	for _, plan := range before.Plans {
		if _, kept := after.Plan(plan.ID); !kept {
			changes = append(changes, PlanChange{ID: plan.ID, Title: plan.Title, Dropped: true})
		}
	}
	for _, plan := range after.Plans {
		old, known := before.Plan(plan.ID)
		change := PlanChange{ID: plan.ID, Title: plan.Title, Added: !known}
		if known {
			change.Changes = changed(before.planFacts(old), after.planFacts(plan))
		}
		if change.Added || len(change.Changes) > 0 {
			changes = append(changes, change)
		}
	}
	return changes
}

// missingRoutes returns the routes of a that b has not, by method and pattern.
func missingRoutes(a, b []Route) []Route {
	var out []Route
	for _, r := range a {
		same := func(other Route) bool { return other.Method == r.Method && other.Pattern == r.Pattern }
		if !slices.ContainsFunc(b, same) {
			out = append(out, r)
		}
	}
	return out
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

// fact is one thing that a charter says, in words; only those of both versions are compared.
type fact struct{ what, is string }

// changed returns the facts that both versions have and that differ, in the order of the new one.
func changed(before, after []fact) []Change {
	was := map[string]string{}
	for _, f := range before {
		was[f.what] = f.is
	}
	var changes []Change
	for _, f := range after {
		if old, known := was[f.what]; known && old != f.is {
			changes = append(changes, Change{What: f.what, Before: old, After: f.is})
		}
	}
	return changes
}

// Diff says in words what changes from one version of a charter to the next, one change a line and rights first:
// "guest (Guest) gains files.edit (Edit files)", "region eu-west-1 is gone". Texts for people and meters are not compared.
// It is empty when nothing changes.
func Diff(before, after *Charter) []string {
	ch := Compare(before, after)
	lines := fates("permission ", before.called(ch.DroppedPermissions), after.called(ch.AddedPermissions))
	lines = append(lines, told("permission ", ch.Permissions)...)
	for _, r := range ch.Roles {
		lines = append(lines, r.words(before, after)...)
	}
	lines = append(lines, ch.OrganizationKeys.words("an organization key", before, after)...)
	lines = append(lines, told("", ch.Rules)...)
	lines = append(lines, told("resource ", ch.Resources)...)
	lines = append(lines, fates("route ", routeLines(ch.DroppedRoutes), nil)...)
	for _, r := range ch.AddedRoutes {
		lines = append(lines, "route "+r.String()+" is new: "+r.words())
	}
	lines = append(lines, told("route ", ch.Routes)...)
	for _, plan := range ch.Plans {
		lines = append(lines, plan.words()...)
	}
	return append(lines, fates("region ", ch.DroppedRegions, ch.AddedRegions)...)
}

// words says what becomes of a role.
func (r RoleChange) words(before, after *Charter) []string {
	name := called(r.ID, r.Title)
	switch {
	case r.Dropped:
		return []string{"role " + name + " is gone; it held " + join(r.Loses)}
	case r.Added:
		return []string{"role " + name + " is new and holds " + join(r.Gains)}
	}
	var lines []string
	if r.FormerTitle != "" {
		lines = append(lines, "role "+name+" was called "+r.FormerTitle)
	}
	return append(lines, r.Shift.words(name, before, after)...)
}

// words says what somebody gains and loses.
func (s Shift) words(who string, before, after *Charter) []string {
	var lines []string
	for _, name := range before.called(s.Loses) {
		lines = append(lines, who+" loses "+name)
	}
	for _, name := range after.called(s.Gains) {
		lines = append(lines, who+" gains "+name)
	}
	return lines
}

// words says what becomes of a plan.
func (pl PlanChange) words() []string {
	name := "plan " + called(pl.ID, pl.Title)
	switch {
	case pl.Dropped:
		return []string{name + " is gone"}
	case pl.Added:
		return []string{name + " is new"}
	}
	return told(name+", ", pl.Changes)
}

// told says what became of facts: "rules.keys.max_age: 30 days; before: no limit".
func told(kind string, changes []Change) []string {
	lines := make([]string, len(changes))
	for i, ch := range changes {
		lines[i] = kind + ch.What + ": " + ch.After + "; before: " + ch.Before
	}
	return lines
}

// fates says which things are gone and which are new.
func fates(kind string, dropped, added []string) []string {
	var lines []string
	for _, name := range dropped {
		lines = append(lines, kind+name+" is gone")
	}
	for _, name := range added {
		lines = append(lines, kind+name+" is new")
	}
	return lines
}

func routeLines(routes []Route) []string {
	lines := make([]string, len(routes))
	for i := range routes {
		lines[i] = routes[i].String()
	}
	return lines
}

// called returns an id with its title: "files.edit (Edit files)".
func called[T ~string](id T, title string) string {
	return string(id) + " (" + title + ")"
}

// called returns permissions with their titles.
func (c *Charter) called(ids []Permission) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		info, _ := c.Info(id)
		names[i] = called(id, info.Title)
	}
	return names
}
