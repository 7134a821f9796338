package charter_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
)

// rule is what the tables of rules compare: the choices in which products differ.
type rule struct {
	Create       charter.Creators
	Owners       charter.Owners
	TransferTo   charter.RoleID
	PreviousIs   charter.RoleID
	Acceptance   charter.Acceptance
	Grant        string
	Kinds        []charter.KeyKind
	AfterLeaving charter.AfterLeaving
	OfOrgKeys    []charter.Permission
	NameTemplate string
	MaxAge       time.Duration
	ExpireAfter  time.Duration
	WorkOnly     bool
	Grace        time.Duration
}

func ruleOf(c *charter.Charter) rule {
	r := c.Rules
	return rule{r.Organizations.Create, r.Owners, r.Ownership.TransferTo, r.Ownership.PreviousOwnerBecomes, r.Ownership.Acceptance, r.Grant,
		r.Keys.Kinds, r.Keys.AfterCreatorLeaves, r.Keys.OrganizationKeyIDs, r.Keys.NameTemplate, r.Keys.MaxAge,
		r.Invitations.ExpireAfter, r.Invitations.WorkEmailOnly, r.DeletionGrace}
}

const (
	week  = 168 * time.Hour
	month = 720 * time.Hour
)

func TestRulesOfTheShippedCharters(t *testing.T) {
	personal, organization := charter.PersonalKey, charter.OrganizationKey
	for name, want := range map[string]rule{
		"automation": {"anyone", "many", "editor", "editor", "none", "at_or_below_own",
			[]charter.KeyKind{personal}, "revoke", nil, "", 0, week, false, month},
		"gateway": {"anyone", "one", "admin", "admin", "none", "at_or_below_own",
			[]charter.KeyKind{personal, organization}, "keep",
			[]charter.Permission{"endpoints.view", "endpoints.call", "prompts.view"}, "{person} - {purpose}", 0, week, false, month},
		"documents": {"anyone", "many", "admin", "admin", "none", "at_or_below_own",
			[]charter.KeyKind{organization}, "revoke",
			[]charter.Permission{"usage.view", "pipelines.use", "processors.use", "files.use", "api.call"}, "", 0, week, false, month},
	} {
		if diff := cmp.Diff(want, ruleOf(ready(t, name))); diff != "" {
			t.Errorf("rules of %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestEveryRuleHasADefault(t *testing.T) {
	want := rule{"anyone", "many", "guest", "guest", "none", "at_or_below_own",
		[]charter.KeyKind{charter.PersonalKey}, "revoke", nil, "", 0, week, false, month}
	for _, src := range []string{small, small + "rules: {}\n", small + "rules: {keys: {}, ownership: {}, invitations: {}, organizations: {}}\n"} {
		if diff := cmp.Diff(want, ruleOf(parse(t, src))); diff != "" {
			t.Errorf("rules (-want +got):\n%s", diff)
		}
	}
}

func TestEveryRuleCanBeSaid(t *testing.T) {
	c := parse(t, small+`rules:
  organizations: {create: service}
  owners: one
  ownership: {transfer_to: guest, previous_owner_becomes: guest, acceptance: required}
  grant: at_or_below_own
  keys:
    kinds: [organization, personal]
    after_creator_leaves: keep
    organization_keys: [files.view]
    name_template: "{purpose} of {person}"
    max_age: 8760h
  invitations: {expire_after: 24h, work_email_only: true, free_mail: [example.com]}
  deletion_grace: 1h30m
`)
	want := rule{"service", "one", "guest", "guest", "required", "at_or_below_own",
		[]charter.KeyKind{charter.OrganizationKey, charter.PersonalKey}, "keep", []charter.Permission{"files.view"},
		"{purpose} of {person}", 8760 * time.Hour, 24 * time.Hour, true, 90 * time.Minute}
	if diff := cmp.Diff(want, ruleOf(c)); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"example.com"}, c.Rules.Invitations.FreeMail); diff != "" {
		t.Errorf("free mail (-want +got):\n%s", diff)
	}
	if need, _ := c.Need("files.view"); c.Rules.Keys.OrganizationKeys != need {
		t.Errorf("organization keys may %v, want files.view", c.IDs(c.Rules.Keys.OrganizationKeys))
	}
	if !c.Rules.Keys.Allows(charter.OrganizationKey) || parse(t, small).Rules.Keys.Allows(charter.OrganizationKey) {
		t.Error("organization keys are allowed where they are listed and nowhere else")
	}
}

func TestPlansAndMetersOfAutomation(t *testing.T) {
	c := ready(t, "automation")
	free, _ := c.Plan("free")
	pro, _ := c.Plan("pro")
	business, _ := c.Plan("business")
	if free.Limits["executions"].Hard <= 0 || !free.Has("mcp") || free.Has("sso") || free.Has("priority_support") {
		t.Errorf("free = %+v, want limited executions and mcp", free)
	}
	tokens := "ai_output_tokens"
	if pro.LimitOf("executions").Hard != charter.Unlimited || !pro.Has("priority_support") || pro.Limits[tokens].Hard <= free.Limits[tokens].Hard {
		t.Errorf("pro = %+v, want unlimited executions, priority support, more tokens", pro)
	}
	if !business.Has("sso") || !business.Has("regions") || !business.Has("security_controls") || !business.Has("priority_support") {
		t.Errorf("business = %+v, want sso, regions, security controls, priority support", business)
	}
	for _, id := range []string{"executions", "ai_input_tokens", "ai_output_tokens", "storage_artifacts", "storage_memory", "compute_units", "active_workers"} {
		if m, ok := c.Meter(id); !ok || m.Title == "" || m.Unit == "" || m.Group == "" || len(m.Dimensions) == 0 {
			t.Errorf("meter %s = %+v, want a title, a unit, a group, and what it is broken down by", id, m)
		}
	}
	if c.Plans[0].ID != "free" || c.Regions[0] != "us-east-1" || c.Regions[2] != "eu-west-1" {
		t.Errorf("first plan %s, regions %v", c.Plans[0].ID, c.Regions)
	}
	if _, ok := c.Plan("fre"); ok {
		t.Error("there is a plan fre")
	}
	if _, ok := c.Meter("execution"); ok {
		t.Error("there is a meter execution")
	}
}

func TestPlansAndMetersAreReadWhole(t *testing.T) {
	c := parse(t, small+`currency: EUR
meters:
  jobs: {title: Jobs, unit: jobs, kind: counter, price: 5, per: 1_000}
  disk: {title: Disk, group: Space, unit: bytes, kind: maximum, dimensions: [region, model]}
  pages: {title: Pages, unit: pages, kind: sum, price: {model: tiered, tiers: [{up_to: 10, amount: 3, flat: 100}, {amount: 2, per: 5}]}}
features:
  sso: {title: Single sign-on, brings: One sign-in for all.}
plans:
  team:
    title: Team
    description: For teams.
    seats: 5
    features: [sso]
    limits: {jobs: 10, disk: 0, pages: {included: 5, soft: 8, hard: 9}}
    prices: {month: 900, year: 9000}
links: {documentation: "https://docs.example.com", support: "mailto:help@example.com"}
policies: {retention: "Thirty days."}
resources: {file: [files.view, files.edit]}
regions: [eu-west-1]
`)
	meters := []charter.Meter{
		{ID: "jobs", Title: "Jobs", Unit: "jobs", Kind: charter.Counter, Group: "Jobs",
			Price: charter.Price{Model: charter.PerUnit, Amount: 5, Per: 1000}},
		{ID: "disk", Title: "Disk", Group: "Space", Unit: "bytes", Kind: charter.Maximum, Dimensions: []charter.Dimension{charter.ByRegion, charter.ByModel}},
		{ID: "pages", Title: "Pages", Group: "Pages", Unit: "pages", Kind: charter.Sum, Price: charter.Price{Model: charter.Tiered, Per: 1,
			Tiers: []charter.Tier{{UpTo: 10, Amount: 3, Per: 1, Flat: 100}, {UpTo: charter.Unlimited, Amount: 2, Per: 5}}}},
	}
	plans := []charter.Plan{{ID: "team", Title: "Team", Description: "For teams.", Seats: 5, Features: []string{"sso"}, RequestLog: charter.DefaultRequestLog,
		Limits: map[string]charter.Limit{"jobs": {Included: 10, Soft: -1, Hard: 10}, "disk": {Soft: -1}, "pages": {Included: 5, Soft: 8, Hard: 9}}, Prices: charter.Prices{Month: 900, Year: 9000}}}
	for what, diff := range map[string]string{
		"meters":    cmp.Diff(meters, c.Meters),
		"plans":     cmp.Diff(plans, c.Plans),
		"features":  cmp.Diff([]charter.Feature{{ID: "sso", Title: "Single sign-on", Brings: "One sign-in for all."}}, c.Features),
		"links":     cmp.Diff(map[string]string{"documentation": "https://docs.example.com", "support": "mailto:help@example.com"}, c.Links),
		"policies":  cmp.Diff(map[string]string{"retention": "Thirty days."}, c.Policies),
		"resources": cmp.Diff(map[string][]charter.Permission{"file": {"files.view", "files.edit"}}, c.Resources),
		"regions":   cmp.Diff([]string{"eu-west-1"}, c.Regions),
		"currency":  cmp.Diff("EUR", c.Currency),
	} {
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}
