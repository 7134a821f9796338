package charter_test

import (
	"math"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
)

// TestWhatUnitsCost was worked out by hand: cents, with half a cent and more a whole one.
func TestWhatUnitsCost(t *testing.T) {
	tiers := charter.Price{Model: charter.Tiered, Tiers: []charter.Tier{
		{UpTo: 100, Amount: 10, Per: 1}, {UpTo: 1000, Amount: 5, Per: 1}, {UpTo: charter.Unlimited, Amount: 1, Per: 2},
	}}
	entry := charter.Price{Model: charter.Tiered, Tiers: []charter.Tier{
		{UpTo: 10, Per: 1, Flat: 500}, {UpTo: charter.Unlimited, Amount: 3, Per: 1, Flat: 200},
	}}
	fine := charter.Price{Model: charter.Tiered, Tiers: []charter.Tier{{UpTo: 3, Amount: 1, Per: 4}, {UpTo: charter.Unlimited, Amount: 1, Per: 4}}}
	perUnit := func(amount, per int64) charter.Price {
		return charter.Price{Model: charter.PerUnit, Amount: amount, Per: per}
	}
	for _, c := range []struct {
		what  string
		price charter.Price
		units int64
		want  int64
	}{
		{"nothing costs nothing", charter.Price{}, 1_000_000, 0},
		{"no units cost nothing", perUnit(5, 1), 0, 0},
		{"a correction below zero costs nothing", perUnit(5, 1), -3, 0},
		{"a unit", perUnit(5, 1), 1, 5},
		{"units", perUnit(5, 1), 7, 35},
		{"half a cent is a whole one", perUnit(1, 2), 1, 1},
		{"less than half a cent is none", perUnit(1, 1000), 499, 0},
		{"499.5 thousandths are one", perUnit(1, 1000), 500, 1},
		{"a dollar for a thousand, for 1,234", perUnit(100, 1000), 1234, 123},
		{"and for 1,235", perUnit(100, 1000), 1235, 124},
		{"ten cents a gigabyte", perUnit(10, 1_000_000_000), 41_000_000_000, 410},
		{"as much as there can be", perUnit(math.MaxInt64, 1), math.MaxInt64, math.MaxInt64},
		{"a great product that fits in the end", perUnit(math.MaxInt64, math.MaxInt64), 12, 12},
		{"flat for one", charter.Price{Model: charter.Flat, Amount: 900}, 1, 900},
		{"flat for many", charter.Price{Model: charter.Flat, Amount: 900}, 1_000_000, 900},
		{"flat for none", charter.Price{Model: charter.Flat, Amount: 900}, 0, 0},
		{"a package that is begun", charter.Price{Model: charter.Package, Amount: 150, Per: 1000}, 1, 150},
		{"a full package", charter.Price{Model: charter.Package, Amount: 150, Per: 1000}, 1000, 150},
		{"one more than a package", charter.Price{Model: charter.Package, Amount: 150, Per: 1000}, 1001, 300},
		{"packages of one", charter.Price{Model: charter.Package, Amount: 2, Per: 1}, 3, 6},
		{"the greatest number of packages", charter.Price{Model: charter.Package, Amount: 1, Per: 1}, math.MaxInt64, math.MaxInt64},
		{"within the first tier", tiers, 99, 990},
		{"the last unit of the first tier", tiers, 100, 1000},
		{"the first unit of the second", tiers, 101, 1005},
		{"the whole second tier", tiers, 1000, 5500},
		{"half a cent into the third", tiers, 1001, 5501},
		{"a cent into the third", tiers, 1002, 5501},
		{"far into the third", tiers, 3000, 6500},
		{"a fee for the first tier", entry, 1, 500},
		{"all of the first tier for its fee", entry, 10, 500},
		{"both fees", entry, 11, 703},
		{"both fees, further on", entry, 20, 730},
		{"quarters are rounded once, not for each tier", fine, 6, 2},
		{"three quarters of a cent", fine, 3, 1},
		{"a quarter of a cent", fine, 1, 0},
	} {
		if got := c.price.Of(c.units); got != c.want {
			t.Errorf("%s: %d units cost %d, want %d", c.what, c.units, got, c.want)
		}
	}
}

func TestPricesFeaturesAndLimitsThatAreRefused(t *testing.T) {
	for what, c := range map[string]struct{ src, want string }{
		"a price without its model":       {"meters: {jobs: {title: J, unit: j, kind: sum, price: {amount: 5}}}", "model"},
		"tiers that are missing":          {"meters: {jobs: {title: J, unit: j, kind: sum, price: {model: tiered}}}", "tiers"},
		"a last tier that ends":           {"meters: {jobs: {title: J, unit: j, kind: sum, price: {model: tiered, tiers: [{up_to: 5, amount: 1}]}}}", "last tier has an end"},
		"an earlier tier without end":     {"meters: {jobs: {title: J, unit: j, kind: sum, price: {model: tiered, tiers: [{amount: 1}, {amount: 1}]}}}", "no up_to"},
		"tiers that fall":                 {"meters: {jobs: {title: J, unit: j, kind: sum, price: {model: tiered, tiers: [{up_to: 5}, {up_to: 5}, {amount: 1}]}}}", "ends at 5"},
		"a dimension that there is not":   {"meters: {jobs: {title: J, unit: j, kind: sum, dimensions: [modell]}}", "model"},
		"a dimension twice":               {"meters: {jobs: {title: J, unit: j, kind: sum, dimensions: [key, key]}}", "listed twice"},
		"more included than there is":     {"meters: {jobs: {title: J, unit: j, kind: sum}}\nplans: {free: {title: F, limits: {jobs: {included: 9, hard: 5}}}}", "more than its hard end"},
		"a warning after the end":         {"meters: {jobs: {title: J, unit: j, kind: sum}}\nplans: {free: {title: F, limits: {jobs: {soft: 9, hard: 5}}}}", "after its hard end"},
		"a feature that is not described": {"features: {sso: {title: SSO}}\nplans: {free: {title: F, features: [sso, ssso]}}", "features do not list \"ssso\""},
		"a feature without a title":       {"features: {sso: {brings: x}}", "title"},
	} {
		_, err := charter.Parse("x.yaml", []byte(small+c.src+"\n"))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error about %q", what, err, c.want)
		}
	}
}

func TestWhatPlansUnlock(t *testing.T) {
	c := ready(t, "automation")
	for _, row := range []struct {
		plan, feature string
		want          bool
	}{
		{"free", "mcp", true}, {"free", "sso", false}, {"free", "priority_support", false}, {"pro", "priority_support", true},
		{"pro", "mcp_full", true}, {"pro", "sso", false}, {"business", "sso", true}, {"business", "security_controls", true},
		{"business", "regions", true}, {"gone", "mcp", false}, {"free", "not_sold_by_any_plan", true},
	} {
		if got := c.Unlocked(row.plan, row.feature); got != row.want {
			t.Errorf("plan %s has %s: %t, want %t", row.plan, row.feature, got, row.want)
		}
	}
	if !parse(t, small).Unlocked("", "sso") {
		t.Error("a charter without plans locks a feature")
	}
	if got := c.Feature("sso"); got.Title != "Single sign-on" || got.Brings == "" {
		t.Errorf("feature sso = %+v", got)
	}
	if got := c.Feature("night_shifts").Title; got != "Night shifts" {
		t.Errorf("a feature without a word about it is called %q", got)
	}
}
