package charter

import (
	"slices"
	"strings"
)

// Residency is where an organization may have its data and run its work: its default region first, then, if its plan
// unlocks several regions, those of the charter's that it allows (text with spaces between). Empty where it has no region.
func (c *Charter) Residency(plan, home, allowed string) []string {
	if home == "" {
		return nil
	}
	all := []string{home}
	if allowed == "" || !c.Unlocked(plan, "regions") {
		return all
	}
	for region := range strings.FieldsSeq(allowed) {
		if !slices.Contains(all, region) && slices.Contains(c.Regions, region) {
			all = append(all, region)
		}
	}
	return all
}
