package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
)

// TestTheRoutesAreTheCharters compares what the product asks with what the charter tells proxies to ask.
func TestTheRoutesAreTheCharters(t *testing.T) {
	c, err := charter.Ready("automation")
	if err != nil {
		t.Fatal(err)
	}
	p, err := open(t.TempDir(), c.Regions)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	got := map[string]string{}
	for _, r := range p.routes() {
		got[r.pattern] = string(r.needs) + " on " + resourceOf(r)
	}
	for _, r := range c.Routes {
		want := string(r.Needs) + " on " + strings.Replace(r.On, "{id}", "1", 1)
		if got[r.String()] != want {
			t.Errorf("%s: the product asks for %q, and the charter for %q", r.String(), got[r.String()], want)
		}
		delete(got, r.String())
	}
	for pattern := range got {
		t.Errorf("%s is not in the charter", pattern)
	}
}

// resourceOf is what a route asks about for the id 1, as the charter spells it.
func resourceOf(r route) string {
	request, _ := http.NewRequest(http.MethodGet, "http://automation.test/", nil)
	request.SetPathValue("id", "1")
	if on := r.on(request); on.Type != check.Organization {
		return on.Type + ":" + on.ID
	}
	return ""
}

func TestWithoutADecisionThereIsNoAnswer(t *testing.T) {
	p, err := open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for _, r := range p.routes() {
		request, _ := http.NewRequest(http.MethodGet, "http://automation.test/", nil)
		if _, err := inOrganization(r.do)(request); err == nil {
			t.Errorf("%s answers without a decision", r.pattern)
		}
	}
}
