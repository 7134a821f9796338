package charter

import (
	"fmt"
	"slices"
	"strings"
)

// Explain says in one line whether a role holds a permission, and where from or who does:
// "developer holds prompts.promote: granted to developer",
// "reader lacks prompts.promote: held by developer, admin, owner".
// The error is about a role or a permission that nobody has heard of.
func (c *Charter) Explain(role RoleID, id Permission) (string, error) {
	r, ok := c.byRole[role]
	if !ok {
		return "", fmt.Errorf("unknown role %q%s", role, didYouMean(string(role), c.roleWords()))
	}
	if _, ok := c.byID[id]; !ok && !c.isAbsent(id) {
		return "", fmt.Errorf("unknown permission %q%s", id, didYouMean(string(id), c.permissionWords()))
	}
	if c.Can(r, id) {
		return c.holdsBy(r, id), nil
	}
	return c.lacks(r, id), nil
}

func (c *Charter) isAbsent(id Permission) bool {
	return slices.Contains(c.absent, id)
}

// holdsBy says where a permission that the role holds comes from.
func (c *Charter) holdsBy(r *Role, id Permission) string {
	return fmt.Sprintf("%s holds %s: %s", r.ID, id, c.source(r, id))
}

// source follows the roles that r extends to the one that was granted the permission.
func (c *Charter) source(r *Role, id Permission) string {
	var above []string
	for at := r; at != nil; at = at.extends {
		if how := c.grantOf(at, id); how != "" {
			return how + strings.Join(above, "")
		}
		if at.extends != nil {
			above = append([]string{fmt.Sprintf(", which %s extends", at.ID)}, above...)
		}
	}
	return "all its parts are held: " + join(c.IDs(c.needs[id]))
}

// grantOf says how the role itself, without the roles that it extends, gets a permission; "": it does not.
func (c *Charter) grantOf(r *Role, id Permission) string {
	if slices.Contains(r.grants, id) {
		return fmt.Sprintf("granted to %s", r.ID)
	}
	for _, granted := range r.grants {
		if info, _ := c.Info(granted); info.Bit < 0 && c.needs[id].SubsetOf(c.needs[granted]) {
			return fmt.Sprintf("part of the bundle %s, granted to %s", granted, r.ID)
		}
	}
	if r.all {
		return fmt.Sprintf("%s has grants: all", r.ID)
	}
	return ""
}

// lacks says who holds a permission that the role lacks.
func (c *Charter) lacks(r *Role, id Permission) string {
	if c.isAbsent(id) {
		return fmt.Sprintf("%s lacks %s: it does not exist in this charter", r.ID, id)
	}
	return fmt.Sprintf("%s lacks %s: held by %s", r.ID, id, join(c.rolesWith(id)))
}
