package op

import (
	"context"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
)

type inOrganization struct{ InOrganization }

func doNothing[In any](context.Context, *Tx, In) (nothing, error) { return nothing{}, nil }

func noFences[In any](In, Target) []Fence { return nil }

// T-005: a table with a hole in it does not start.
func TestNewRefusesHoles(t *testing.T) {
	c, err := charter.Ready("automation")
	if err != nil {
		t.Fatal(err)
	}
	good := Op[inOrganization, nothing]{Name: "things.get", Route: "GET /v1/organizations/{organization}/things", Allow: On("members.view"), Do: doNothing[inOrganization]}
	change := func(f func(*Op[inOrganization, nothing])) []Any {
		o := good
		f(&o)
		return []Any{&o}
	}
	tests := []struct {
		name, want string
		table      []Any
	}{
		{"a good one", "", []Any{&good}},
		{"one that says nobody", "allows nobody", change(func(o *Op[inOrganization, nothing]) { o.Allow = Rule{} })},
		{"one that stands there twice", "declared twice", []Any{&good, &good}},
		{"one without a verb", "noun.verb", change(func(o *Op[inOrganization, nothing]) { o.Name = "things" })},
		{"a change of access that fences nobody", "fences nobody", change(func(o *Op[inOrganization, nothing]) {
			o.Kind, o.Route = Access, "POST /v1/organizations/{organization}"
		})},
		{"a read that fences", "does not change access", change(func(o *Op[inOrganization, nothing]) { o.Fences = noFences[inOrganization] })},
		{"a write by GET", "by GET", change(func(o *Op[inOrganization, nothing]) { o.Kind = Write })},
		{"a read by DELETE", "reads by DELETE", change(func(o *Op[inOrganization, nothing]) { o.Route = "DELETE /v1/organizations/{organization}" })},
		{"a route without the organization", "names none", change(func(o *Op[inOrganization, nothing]) { o.Route = "GET /v1/things" })},
		{"a route with a field that the input lacks", "is no field", change(func(o *Op[inOrganization, nothing]) {
			o.Route = "GET /v1/organizations/{organization}/{thing}"
		})},
		{"a permission that is not Guildhall's", "is not one of", change(func(o *Op[inOrganization, nothing]) { o.Allow = On("things.fly") })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(Config{Charter: c, Operations: test.table})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// The permission of an operation may be one that a charter has declared absent: nobody but the operator may then.
func TestNewAllowsAbsentPermissions(t *testing.T) {
	c, err := charter.Ready("documents")
	if err != nil {
		t.Fatal(err)
	}
	o := Op[inOrganization, nothing]{Name: "things.get", Route: "GET /v1/organizations/{organization}", Allow: On(c.Absent()[0]), Do: doNothing[inOrganization]}
	if _, err := New(Config{Charter: c, Operations: []Any{&o}}); err != nil {
		t.Error(err)
	}
}
