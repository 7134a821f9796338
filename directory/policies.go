package directory

import (
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/op"
)

// SecurityPolicies are the product's policies beside what the organization has set.
type SecurityPolicies struct {
	Texts    map[string]string `json:"texts" doc:"The charter's texts by heading: data_handling, retention, residency, compliance, sub_processors; a heading without a text is absent"`
	Settings []PolicySetting   `json:"settings" doc:"What the organization has set"`
}

// PolicySetting is a setting that is in force now.
type PolicySetting struct {
	Name      string     `json:"name" doc:"The setting" enum:"region,allowed_regions,retention_days,session_life,session_idle,second_factor,sso,networks"`
	Value     any        `json:"value" doc:"What it is now: text, or a number of days or seconds; 0 is for ever or no limit. Of second_factor: required, required_from with the day, not_set, or plan_required where the plan has no such thing; of sso: enforced, optional, not_set or plan_required"`
	ChangedAt *time.Time `json:"changed_at,omitempty" doc:"When the organization last changed it; absent if it never did, or where the operator sets it"`
}

// GetSecurityPoliciesInput names an organization.
type GetSecurityPoliciesInput struct {
	op.InOrganization
}

// GetSecurityPolicies tells every member how data is handled, and what the organization has set about it.
var GetSecurityPolicies = &op.Op[GetSecurityPoliciesInput, SecurityPolicies]{
	Name:    "security_policies.get",
	Route:   "GET /v1/organizations/{organization}/security_policies",
	Summary: "Read the product's security policies beside the organization's settings, with when each was last changed",
	Kind:    op.Read,
	Scope:   op.Organization,
	Allow:   op.AnyMember,
	Do:      getSecurityPolicies,
	Example: GetSecurityPoliciesInput{},
}

func getSecurityPolicies(ctx context.Context, tx *op.Tx, _ GetSecurityPoliciesInput) (SecurityPolicies, error) {
	o, err := organizationByID(ctx, tx.Reader, tx.Organization())
	if err != nil {
		return SecurityPolicies{}, err
	}
	changed, err := lastChanged(ctx, tx.Reader, o.ID)
	if err != nil {
		return SecurityPolicies{}, err
	}
	out := SecurityPolicies{Texts: map[string]string{}, Settings: []PolicySetting{
		{Name: "retention_days", Value: o.RetentionDays, ChangedAt: changed["retention_days"]},
	}}
	login, err := loginSettings(ctx, tx.Reader, changed)
	if err != nil {
		return SecurityPolicies{}, err
	}
	out.Settings = append(out.Settings, login...)
	if o.Region != "" {
		out.Settings = append([]PolicySetting{{Name: "region", Value: o.Region, ChangedAt: changed["region"]},
			{Name: "allowed_regions", Value: strings.Join(o.AllowedRegions, ", "), ChangedAt: changed["allowed_regions"]}}, out.Settings...)
	}
	for heading, text := range tx.Charter.Policies {
		out.Texts[heading] = text
	}
	return out, err
}

// loginSettings are what is in force of the sign-in policy.
func loginSettings(ctx context.Context, r *op.Reader, changed map[string]*time.Time) ([]PolicySetting, error) {
	var l loginState
	var plan string
	var on int64
	err := r.QueryRow(ctx, `SELECT o.sso_enforced, o.mfa_from, o.sign_in_ways, o.session_life, o.session_idle, o.networks, o.plan,
			(SELECT count(*) FROM connections c WHERE c.organization = o.id AND c.state = 'on') FROM organizations o WHERE o.id = $1`, r.Organization()).
		Scan(&l.enforced, &l.mfaFrom, &l.ways, &l.life, &l.idle, &l.networks, &plan, &on)
	if err != nil {
		return nil, err
	}
	p, networks := l.policy(r.Charter, plan, false)
	life, idle := r.Settings.SessionLife.Microseconds(), max(0, r.Settings.SessionIdle.Microseconds())
	if p.Life != 0 {
		life = min(life, p.Life)
	}
	if p.Idle != 0 && (idle == 0 || p.Idle < idle) {
		idle = p.Idle
	}
	factor, sso := settable(r, SecurityControls), settable(r, SSO)
	switch {
	case p.MFAFrom > r.Micros():
		factor = "required_from " + time.UnixMicro(p.MFAFrom).UTC().Format(time.DateOnly)
	case p.MFAFrom != 0:
		factor = "required"
	}
	switch {
	case p.Enforced:
		sso = "enforced"
	case on > 0 && r.Has(SSO):
		sso = "optional"
	}
	all := []PolicySetting{{"session_life", life / 1e6, changed["session_life"]}, {"session_idle", idle / 1e6, changed["session_idle"]},
		{"second_factor", factor, changed["mfa_from"]}, {"sso", sso, changed["sso"]}}
	if networks != "" {
		all = append(all, PolicySetting{"networks", strings.ReplaceAll(networks, " ", ", "), changed["networks"]})
	}
	return all, nil
}

// settable says of a policy that nobody has set whether the organization's plan has it at all.
func settable(r *op.Reader, feature string) string {
	if r.Has(feature) {
		return "not_set"
	}
	return "plan_required"
}

// lastChanges bounds how far back the log is read for the last change of a setting.
const lastChanges = 500

// lastChanged says when each setting of an organization was last changed, by its log: one query, the latest first.
func lastChanged(ctx context.Context, r *op.Reader, organization string) (map[string]*time.Time, error) {
	rows, err := r.Query(ctx, `SELECT at, detail FROM audit_rows WHERE stream = $1 AND action IN ($2, $3) AND outcome = 'ok' ORDER BY seq DESC LIMIT $4`,
		organization, "organizations.update", "login_policy.update", lastChanges)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	changed := map[string]*time.Time{}
	for rows.Next() {
		var at int64
		var detail string
		if err := rows.Scan(&at, &detail); err != nil {
			return nil, err
		}
		var changes []op.Change
		if err := json.Unmarshal([]byte(detail), &changes); err != nil {
			return nil, err
		}
		for _, c := range changes {
			if changed[c.Field] == nil {
				changed[c.Field] = new(time.UnixMicro(at).UTC())
			}
		}
	}
	return changed, rows.Err()
}
