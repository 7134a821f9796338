package charter

import (
	"fmt"
	"strings"
	"time"
)

// permissionIDs returns the ids of all permissions and bundles in charter order.
func (c *Charter) permissionIDs() []Permission {
	ids := make([]Permission, len(c.permissions))
	for i, info := range c.permissions {
		ids[i] = info.ID
	}
	return ids
}

// permissionFacts are what a permission is, beside who holds it.
func (c *Charter) permissionFacts() []fact {
	var facts []fact
	for _, info := range c.permissions {
		name := string(info.ID)
		if info.Bit < 0 {
			facts = append(facts, fact{name + ", parts", join(c.IDs(c.needs[info.ID]))})
			continue
		}
		access := WriteAccess
		if info.Reads {
			access = ReadAccess
		}
		facts = append(facts, fact{name + ", access", string(access)}, fact{name + ", feature of the plan", orNone(info.Feature)})
	}
	return facts
}

// ruleFacts are the rules in words, and what else decides for a whole organization.
func (c *Charter) ruleFacts() []fact {
	r := c.Rules
	return []fact{
		{"the owner role", string(c.OwnerRole().ID)},
		{"key_prefix", c.KeyPrefix},
		{"rules.organizations.create", wordings[string(r.Organizations.Create)]},
		{"rules.owners", wordings[string(r.Owners)]},
		{"rules.ownership.transfer_to", string(r.Ownership.TransferTo)},
		{"rules.ownership.previous_owner_becomes", string(r.Ownership.PreviousOwnerBecomes)},
		{"rules.ownership.acceptance", wordings[string(r.Ownership.Acceptance)]},
		{"rules.grant", r.Grant},
		{"rules.keys.kinds", join(r.Keys.Kinds)},
		{"rules.keys.after_creator_leaves", wordings[string(r.Keys.AfterCreatorLeaves)]},
		{"rules.keys.name_template", orNone(r.Keys.NameTemplate)},
		{"rules.keys.max_age", days(r.Keys.MaxAge)},
		{"rules.invitations.expire_after", days(r.Invitations.ExpireAfter)},
		{"rules.invitations.work_email_only", wordings[fmt.Sprint(r.Invitations.WorkEmailOnly)]},
		{"rules.invitations.free_mail", join(r.Invitations.FreeMail)},
		{"rules.deletion_grace", days(r.DeletionGrace)},
		{"the plan of a new organization", c.firstPlan()},
		{"the region of a new organization", c.firstRegion()},
		{"the meter of stored files", orNone(c.Artifacts.Meter)},
	}
}

// wordings say what the choices of the rules mean; every choice is another word.
var wordings = map[string]string{
	string(AnyoneCreates):      "anyone signed in creates organizations",
	string(ServiceCreates):     "only the product's back end creates organizations",
	string(OneOwner):           "exactly one owner, who changes by transfer only",
	string(ManyOwners):         "any number of owners, at least one",
	string(AcceptanceNone):     "ownership moves at once",
	string(AcceptanceRequired): "ownership moves when the recipient accepts it",
	string(RevokeKeys):         "personal keys end when their creator leaves",
	string(KeepKeys):           "personal keys stay when their creator leaves, until somebody revokes them",
	"true":                     "only work addresses are invited",
	"false":                    "any address is invited",
}

func (c *Charter) firstPlan() string {
	if len(c.Plans) == 0 {
		return orNone("")
	}
	return c.Plans[0].ID
}

func (c *Charter) firstRegion() string {
	if len(c.Regions) == 0 {
		return orNone("")
	}
	return c.Regions[0]
}

// resourceFacts are the permissions of types of resource; one that the charter lacks has none.
func (c *Charter) resourceFacts(kinds []string) []fact {
	facts := make([]fact, len(kinds))
	for i, kind := range kinds {
		facts[i] = fact{kind, orNone(join(c.Resources[kind]))}
	}
	return facts
}

func (c *Charter) routeFacts() []fact {
	facts := make([]fact, len(c.Routes))
	for i := range c.Routes {
		facts[i] = fact{c.Routes[i].String(), c.Routes[i].words()}
	}
	return facts
}

// planFacts are what a plan sells.
func (c *Charter) planFacts(plan Plan) []fact {
	facts := []fact{
		{"title", plan.Title},
		{"seats", amount(int64(plan.Seats), plan.Seats > 0)},
		{"features", orNone(strings.Join(plan.Features, ", "))},
		{"request log", days(plan.RequestLog)},
		{"price of a month", price(plan.Prices.Month, c.Currency)},
		{"price of a year", price(plan.Prices.Year, c.Currency)},
	}
	for _, m := range c.Meters {
		facts = append(facts, fact{"limit of " + m.ID, plan.LimitOf(m.ID).words()})
	}
	return facts
}

// words says how much there is: "1000", "any number", "any number, 100 included, warned at 500".
func (l Limit) words() string {
	text := amount(l.Hard, l.Hard != Unlimited)
	if l.Included != 0 && l.Included != l.Hard {
		text += fmt.Sprintf(", %d included", l.Included)
	}
	if l.Soft != Unlimited {
		text += fmt.Sprintf(", warned at %d", l.Soft)
	}
	return text
}

func amount(n int64, limited bool) string {
	if !limited {
		return "any number"
	}
	return fmt.Sprint(n)
}

func price(minor int64, currency string) string {
	if minor == 0 {
		return orNone("")
	}
	return fmt.Sprintf("%d minor units of %s", minor, currency)
}

// days says how long something lasts: "7 days", "1h30m0s"; zero is for ever.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "no limit"
	case d == day:
		return "1 day"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	default:
		return d.String()
	}
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
