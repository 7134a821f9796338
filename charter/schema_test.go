package charter_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
)

// object is what the tests read of the schema: the keys that a mapping may have.
type object struct {
	Properties map[string]any    `json:"properties"`
	Others     any               `json:"additionalProperties"`
	Defs       map[string]object `json:"$defs"`
}

// TestTheSchemaHasTheKeysThatParseKnows puts a key that nobody knows into every mapping
// and compares the keys that the mistake lists with those of the schema.
func TestTheSchemaHasTheKeysThatParseKnows(t *testing.T) {
	var root object
	if err := json.Unmarshal(charter.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	places := map[string]string{
		"permission":        "permissions: {files.view: {unheard_of_key: 1}}",
		"role":              "roles: {guest: {unheard_of_key: 1}}",
		"rules":             "rules: {unheard_of_key: 1}",
		"organizationRules": "rules: {organizations: {unheard_of_key: 1}}",
		"ownershipRules":    "rules: {ownership: {unheard_of_key: 1}}",
		"keyRules":          "rules: {keys: {unheard_of_key: 1}}",
		"invitationRules":   "rules: {invitations: {unheard_of_key: 1}}",
		"route":             "routes: [{unheard_of_key: 1}]",
		"meter":             "meters: {jobs: {unheard_of_key: 1}}",
		"price":             "meters: {jobs: {price: {unheard_of_key: 1}}}",
		"tier":              "meters: {jobs: {price: {model: tiered, tiers: [{unheard_of_key: 1}]}}}",
		"limit":             "meters: {jobs: {title: J, unit: j, kind: sum}}\nplans: {free: {limits: {jobs: {unheard_of_key: 1}}}}",
		"feature":           "features: {sso: {unheard_of_key: 1}}",
		"plan":              "plans: {free: {unheard_of_key: 1}}",
		"prices":            "plans: {free: {prices: {unheard_of_key: 1}}}",
		"links":             "links: {unheard_of_key: 1}",
		"policies":          "policies: {unheard_of_key: 1}",
		"test":              "tests: [{unheard_of_key: 1}]",
	}
	wantKeys(t, "the charter", "unheard_of_key: 1", root)
	for name, def := range root.Defs {
		src, listed := places[name]
		if len(def.Properties) == 0 {
			continue
		}
		if !listed {
			t.Errorf("the schema has %s, which this test does not know", name)
			continue
		}
		wantKeys(t, name, src, def)
		delete(places, name)
	}
	for name := range places {
		t.Errorf("the schema has no %s", name)
	}
}

func wantKeys(t *testing.T, name, src string, def object) {
	t.Helper()
	_, err := charter.Parse("x.yaml", []byte(src))
	if err == nil {
		t.Errorf("%s accepts a key that nobody knows", name)
		return
	}
	_, rest, found := strings.Cut(err.Error(), "; it is one of ")
	if !found {
		t.Errorf("%s: %v lists no keys", name, err)
		return
	}
	line, _, _ := strings.Cut(rest, "\n")
	if diff := cmp.Diff(strings.Split(line, ", "), slices.Sorted(maps.Keys(def.Properties))); diff != "" {
		t.Errorf("keys of %s (-Parse +schema):\n%s", name, diff)
	}
	if def.Others != false {
		t.Errorf("the schema lets any key into %s", name)
	}
}
