package access

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
)

// Step is one thing that decides an answer.
type Step struct {
	Name  string `json:"name" doc:"What decides" enum:"credential,organization,membership,networks,role,scopes,plan,resources,requests" example:"role"`
	Holds bool   `json:"holds" doc:"Whether it lets the answer be yes"`
	Text  string `json:"text" doc:"How it decides, in words" example:"editor lacks billing.manage: held by owner"`
}

// explained is what an explanation is about: a key or token as it is now, or a member in that form.
type explained struct {
	directory.Bearer
	place
	subject ExplainedSubject
	role    namedRole
}

// title is what the role is called.
func (x *explained) title() string { return cmp.Or(x.role.title, string(x.Principal.Role)) }

// full is what stands behind the credential, before its scopes.
func (x *explained) full() charter.Set { return x.Principal.Holds.Union(x.Principal.Beyond) }

// granted says where the permission comes from, or who has it.
func (x *explained) granted(c *charter.Charter, p charter.Permission) string {
	need, _ := c.Need(p)
	verb := "lacks"
	if _, known := c.Need(p); known && need.SubsetOf(x.full()) {
		verb = "holds"
	}
	switch {
	case x.role.custom:
		return fmt.Sprintf("%s, a role that the organization made, %s %s", x.title(), verb, p)
	case x.Principal.Role != "":
		// The only error is a name that is unknown, and both are known.
		text, _ := c.Explain(x.Principal.Role, p)
		return text
	case x.subject.Credential == "":
		return ""
	case x.User != "":
		return fmt.Sprintf("its creator, who has left, %s %s at that time", map[string]string{"holds": "held", "lacks": "lacked"}[verb], p)
	}
	return fmt.Sprintf("the organization, for which the key acts, %s %s here", verb, p)
}

// steps are everything that decides.
func (x *explained) steps(c *charter.Charter, in ExplainInput, now int64) []Step {
	need, known := c.Need(in.Permission)
	p := &x.Principal
	var steps []Step
	if x.subject.Credential != "" {
		steps = append(steps, Step{"credential", !x.Dead, x.aliveText()})
	}
	steps = append(steps, Step{"organization", !p.Closed, map[bool]string{true: "scheduled for deletion", false: "active"}[p.Closed]})
	_, stands := p.Access(now)
	steps = append(steps, Step{"membership", stands, x.membershipText(now)})
	if x.Networks != "" {
		steps = append(steps, Step{"networks", true, "for requests from " + strings.ReplaceAll(x.Networks, "|", " and ") + " only"})
	}
	steps = append(steps, Step{"role", known && need.SubsetOf(x.full()), cmp.Or(x.granted(c, in.Permission), "no role")})
	if x.subject.Credential != "" {
		steps = append(steps, x.scopesStep(need, in.Permission))
	}
	if info, _ := c.Info(in.Permission); info.Feature != "" || need.Minus(p.Locked) != need {
		steps = append(steps, x.planStep(c, need, in.Permission))
	}
	if p.Limits != "" {
		narrow := decide.Principal{Holds: c.All(), Standing: decide.Active, Limits: p.Limits}
		covered := decide.Decide(&narrow, decide.Ask(c, in.Permission, in.Resource), now).Allow
		steps = append(steps, Step{"resources", covered, "limited to " + string(p.Limits)})
	}
	if len(x.Budgets) > 0 {
		steps = append(steps, Step{"requests", true, "its requests are counted"})
	}
	return steps
}

func (x *explained) aliveText() string {
	switch {
	case x.Dead:
		return "revoked, expired, or ended with what it hangs on"
	case x.ExpiresAt != 0:
		return "expires at " + minute(x.ExpiresAt)
	}
	return "does not expire"
}

func (x *explained) membershipText(now int64) string {
	p := &x.Principal
	switch {
	case x.subject.Credential != "" && p.Member == "":
		return "acts for the organization"
	case x.subject.Credential != "" && p.Role == "":
		return "its creator has left, and it stays until it is revoked"
	case p.Standing == decide.Suspended:
		return "suspended"
	case p.Standing != decide.Active:
		return "not a member"
	case p.EndsAt != 0 && now >= p.EndsAt:
		return "ended at " + minute(p.EndsAt)
	case p.EndsAt != 0:
		return "active until " + minute(p.EndsAt)
	}
	return "active"
}

func (x *explained) scopesStep(need charter.Set, p charter.Permission) Step {
	if need.SubsetOf(x.Principal.Holds) || !need.SubsetOf(x.full()) {
		return Step{"scopes", need.SubsetOf(x.Principal.Holds), "what is not held is not in its scopes"}
	}
	return Step{"scopes", false, "its scopes leave out " + string(p)}
}

func (x *explained) planStep(c *charter.Charter, need charter.Set, p charter.Permission) Step {
	title := x.plan
	if plan, ok := c.Plan(x.plan); ok {
		title = plan.Title
	}
	if need.Minus(x.Principal.Locked) == need {
		return Step{"plan", true, fmt.Sprintf("plan %s has %s", title, p)}
	}
	return Step{"plan", false, fmt.Sprintf("plan %s lacks %s%s", title, p, planWith(c, need))}
}

// planWith names the first plan that unlocks what is needed.
func planWith(c *charter.Charter, need charter.Set) string {
	for _, plan := range c.Plans {
		if need.Minus(c.Locked(plan.ID)) == need {
			return ": " + plan.Title + " has it"
		}
	}
	return ""
}

// text is the answer in one line.
func (e *Explanation) text(about *explained) string {
	if e.Allow {
		return "yes: " + about.yes(e.Permission)
	}
	why := "no: " + e.because(about)
	names := make([]string, len(e.Holders))
	for i, h := range e.Holders {
		names[i] = h.Name
	}
	if len(names) == 0 {
		return why
	}
	return why + " · held by: " + strings.Join(names, ", ")
}

func (x *explained) yes(p charter.Permission) string {
	what := fmt.Sprintf("role %s holds %s", x.title(), p)
	if x.subject.Credential == "" {
		return what
	}
	if x.Principal.Role == "" {
		return fmt.Sprintf("%s %s holds %s", x.subject.Kind, x.Name, p)
	}
	return fmt.Sprintf("%s, and %s %s is for it", what, x.subject.Kind, x.Name)
}

func (e *Explanation) because(about *explained) string {
	switch e.Reason {
	case decide.NoPermission:
		if about.Principal.Role == "" {
			return fmt.Sprintf("%s %s lacks %s", e.Subject.Kind, e.Subject.Name, e.Needs)
		}
		return fmt.Sprintf("role %s lacks %s", about.title(), e.Needs)
	case decide.NotMember:
		return "not a member any more"
	case decide.IsSuspended:
		return "the membership is suspended"
	case decide.HasEnded:
		return "the membership ended at " + minute(about.Principal.EndsAt)
	case decide.OrganizationGone:
		return "the organization is scheduled for deletion"
	case decide.UnknownPermission:
		return fmt.Sprintf("this product has no permission %s", e.Permission)
	case decide.UnknownResource:
		kind, _, _ := strings.Cut(e.Resource, ":")
		return fmt.Sprintf("%s is not asked about a single %s", e.Permission, kind)
	}
	return e.becauseOfCredential(about)
}

// becauseOfCredential says what a key or token adds, and a plan.
func (e *Explanation) becauseOfCredential(about *explained) string {
	switch e.Reason {
	case decide.UnknownSubject:
		return fmt.Sprintf("%s %s is dead: %s", e.Subject.Kind, e.Subject.Name, about.aliveText())
	case decide.OutOfScope:
		return fmt.Sprintf("the scopes of %s %s leave out %s", e.Subject.Kind, e.Subject.Name, e.Needs)
	case decide.OtherResource:
		return fmt.Sprintf("%s %s is limited to %s", e.Subject.Kind, e.Subject.Name, about.Principal.Limits)
	case decide.PlanRequired:
		for _, step := range e.Steps {
			if step.Name == "plan" {
				return step.Text
			}
		}
	}
	return string(e.Reason)
}

// minute writes a time for people.
func minute(micros int64) string { return time.UnixMicro(micros).UTC().Format("2006-01-02 15:04 UTC") }
