package charter_test

import (
	"slices"
	"testing"
)

// Without the feature an organization has its default region and no other; regions that the charter has no more are none.
func TestResidencyFollowsThePlan(t *testing.T) {
	c := ready(t, "automation")
	for _, tt := range []struct {
		plan, home, allowed string
		want                []string
	}{
		{"free", "us-east-1", "", []string{"us-east-1"}},
		{"free", "us-east-1", "eu-west-1", []string{"us-east-1"}},
		{"business", "us-east-1", "eu-west-1 us-east-1 mars-1", []string{"us-east-1", "eu-west-1"}},
		{"business", "", "eu-west-1", nil},
	} {
		if got := c.Residency(tt.plan, tt.home, tt.allowed); !slices.Equal(got, tt.want) {
			t.Errorf("on %s from %q with %q: %v, want %v", tt.plan, tt.home, tt.allowed, got, tt.want)
		}
	}
}
