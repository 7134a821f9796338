package gate_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/guildhalltest"
)

// A gateway says where it stands: what may not be there is refused, and nothing else changes.
func TestAGatewayKeepsDataInItsRegions(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	editor := bearing(f.acme.People["editor"].Token)
	for region, code := range map[string]int{"us-east-1": 200, "eu-west-1": 403, "mars": 403, "": 200} {
		w := f.asks("GET /api/workflows", editor, header("X-Forwarded-Region", region))
		if w.Code != code {
			t.Errorf("in %q: %d %s, want %d", region, w.Code, w.Body, code)
		}
		if code == 403 && (w.Header().Get("X-Guildhall-Reason") != "region_not_allowed" || !strings.HasSuffix(w.Header().Get("X-Guildhall-Fix-Url"), "/docs/artifacts#regions")) {
			t.Errorf("in %q it says %v", region, w.Header())
		}
	}
	twice := func(r *http.Request) { r.Header["X-Forwarded-Region"] = []string{"us-east-1", "us-east-1"} }
	if w := f.asks("GET /api/workflows", editor, twice); w.Code != 400 {
		t.Errorf("said twice: %d %s", w.Code, w.Body)
	}
	if w := f.asks("POST /api/workflows", bearing(f.acme.People["viewer"].Token), header("X-Forwarded-Region", "us-east-1")); w.Code != 403 || w.Header().Get("X-Guildhall-Reason") != "denied" {
		t.Errorf("a region makes a yes of a no: %d %v", w.Code, w.Header())
	}
}

// The context of a question may name a region.
func TestAQuestionMayNameARegion(t *testing.T) {
	d := open(t, "automation")
	owner := d.acme.Owner()
	asked := question("user", owner.User, "workflows.run", "acme")
	for context, want := range map[string]string{
		`{"region":"us-east-1"}`:                                "role",
		`{"region":"eu-west-1"}`:                                "region_not_allowed",
		`{"region":"eu-west-1","note":{}}`:                      "region_not_allowed", // not the plain form
		`{"region":"eu-west-1","usage":{"meter":"executions"}}`: "region_not_allowed",
	} {
		allow, reason := d.asks(strings.TrimSuffix(asked, "}") + `,"context":` + context + "}")
		if reason != want || allow != (want == "role") {
			t.Errorf("%s: %v %s, want %s", context, allow, reason, want)
		}
	}
}
