// Package check holds what every way of asking "may they?" has in common: the question, the answer, and the refusal.
//
// Two things implement Checker: the server in this process, which answers from memory, and the client of one elsewhere.
// Code that asks works with either.
package check

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
)

// The types of subjects.
const (
	User       = "user"       // by Guildhall's id or by the product's external id
	Credential = "credential" // by the secret that a request carried
)

// Organization is the type of resource that stands for the organization as a whole.
const Organization = "organization"

// Subject is who asks.
type Subject struct {
	Type string // User or Credential
	ID   string
}

// Resource is what is asked about. The organization is its ID where Type is Organization, and the field otherwise; both
// take an id or a slug.
type Resource struct {
	Type         string // Organization, or a type of resource of the charter
	ID           string
	Organization string
}

// Request is one question: may this subject do that, there?
type Request struct {
	Subject    Subject
	Permission charter.Permission
	Resource   Resource
	// Address is where the subject's own request came from, for credentials that are for some networks only; such a
	// credential is refused where it is empty.
	Address string
	// Region is where the work would run and the data be. Where the organization's residency does not allow it, the answer
	// is no, with the reason region_not_allowed. Empty: nothing is asked about regions.
	Region string
	// Count is what a yes uses up. Nil: nothing is counted.
	Count *Count
}

// Count is what an answer yes uses up, counted in the same call: exactly, and durably before the answer. Where less is left
// of the limit of the plan, of a budget that stops, of the member or of the key, the answer is no, with the reason
// quota_exceeded, and nothing is counted. What is counted is put down to the member, key, resource and region of the
// answer, as far as the meter has such dimensions.
type Count struct {
	Meter  string // of the charter, one that adds up
	Amount int64  // 0: 1
	// ID is the use's own id: asked again with it, the answer is yes again and it counts once. Empty: every yes counts.
	ID string
}

// MaxAmount is the most that one check counts.
const MaxAmount = 1_000_000_000_000_000

// Wrong says what is wrong with it; empty: nothing.
func (n *Count) Wrong(c *charter.Charter) string {
	m, known := c.Meter(n.Meter)
	switch {
	case !known:
		return fmt.Sprintf("usage.meter: the charter has no meter %q", n.Meter)
	case !m.Adds():
		return fmt.Sprintf("usage.meter: %s does not add up: a check counts a counter or a sum", n.Meter)
	case n.Amount < 0 || n.Amount > MaxAmount:
		return fmt.Sprintf("usage.amount is from 1 to %d", MaxAmount)
	case len(n.ID) > 200:
		return "usage.id has at most 200 bytes"
	}
	return ""
}

// ByUser is a person, by Guildhall's id or the product's external id.
func ByUser(id string) Subject { return Subject{Type: User, ID: id} }

// ByCredential is whoever sent a session, a key or a scoped token.
func ByCredential(secret string) Subject { return Subject{Type: Credential, ID: secret} }

// On is one resource: On("workflow", "wf_1").In("acme").
func On(kind, id string) Resource { return Resource{Type: kind, ID: id} }

// Whole is an organization as a whole, by id or slug. Empty, it is the one that the credential is for: that of a key or a
// token.
func Whole(organization string) Resource { return Resource{Type: Organization, ID: organization} }

// In is the resource, in an organization. Without it, it is the one that the credential is for.
func (r Resource) In(organization string) Resource { r.Organization = organization; return r }

// Decision is the answer. The zero value is no.
type Decision struct {
	Allow   bool
	Reason  decide.Reason
	Needs   charter.Permission // on a denial about a permission: what is missing
	Holders []Holder           // on a denial: who has it; only where the asker may see members
	FixURL  string             // on a denial: where to read on, or to mend it; a path is one of Guildhall's server
	Who     Who                // on an answer yes: for whom it is, and where
	// Remaining is on an answer yes that counted: how much is left of the organization's limit. Nil: there is none.
	Remaining *int64
}

// Who is the subject of an answer, as far as it is known. It holds no pointers but to texts of the charter.
type Who struct {
	Kind         string // "user", "key" or "token"
	User         ID     // the person, or on whose behalf a key or token acts
	Member       ID
	Organization ID
	Role         ID
	Credential   ID     // of the session, key or token; empty where the subject is a user
	Region       string // the organization's: where work runs unless told otherwise
	Plan         string // the organization's
	// Features are what the plan unlocks, in the order of the charter. They are shared: nobody writes to them.
	Features []string
}

// Holder is somebody who holds what the subject lacks.
type Holder struct {
	Member string `json:"member"`
	Name   string `json:"name"`
	Role   string `json:"role"`
}

// Checker answers questions. It is safe for concurrent use. An error means that there is no answer: treat it as no.
type Checker interface {
	Check(ctx context.Context, r Request) (Decision, error)
}

// Denied is the error of a question that was answered no.
type Denied struct {
	Request  Request
	Decision Decision
}

// Error says what was refused and why, and never the subject, which may be a secret.
func (d *Denied) Error() string {
	text := "denied: " + string(d.Request.Permission)
	if d.Decision.Reason != "" {
		text += " (" + string(d.Decision.Reason) + ")"
	}
	return text
}

// Demand asks, and turns the answer no into a *Denied.
func Demand(ctx context.Context, c Checker, r Request) error {
	d, err := c.Check(ctx, r)
	if err != nil {
		return err
	}
	if !d.Allow {
		return &Denied{Request: r, Decision: d}
	}
	return nil
}
