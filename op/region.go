package op

import "strings"

// RegionNotAllowed refuses a region that is not one of an organization's: residency cannot be left.
func RegionNotAllowed(region string, allowed []string) *Error {
	return &Error{Kind: Denied, Code: "region_not_allowed", FixURL: "/docs/artifacts#regions",
		Text: "this organization keeps its data in " + strings.Join(allowed, ", ") + ", and not in " + region}
}
