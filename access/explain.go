package access

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// Operations are the operations about access.
func Operations() []op.Any { return []op.Any{Explain, Holders} }

// Explanation says why somebody may do something, or why not and what would help.
type Explanation struct {
	Allow      bool               `json:"allow" doc:"Whether they may"`
	Reason     decide.Reason      `json:"reason" doc:"Why, in one word" example:"no_permission"`
	Text       string             `json:"text" doc:"The answer in one line" example:"no: role Editor lacks billing.manage · held by: Ada"`
	Subject    ExplainedSubject   `json:"subject" doc:"Whom the answer is about"`
	Permission charter.Permission `json:"permission" doc:"What was asked about" example:"billing.manage"`
	Resource   string             `json:"resource,omitempty" doc:"On what, if on something single" example:"workflow:wf_1"`
	Needs      charter.Permission `json:"needs,omitempty" doc:"What is missing" example:"billing.manage"`
	Role       string             `json:"role,omitempty" doc:"Their role" example:"editor"`
	GrantedBy  string             `json:"granted_by,omitempty" doc:"Where the role has the permission from, or who has it" example:"editor lacks billing.manage: held by owner"`
	Holders    []op.Holder        `json:"holders,omitempty" doc:"Up to five active members who may; only for those who may see members"`
	FixURL     string             `json:"fix_url,omitempty" doc:"Where to read on, or to mend it" example:"/docs/permissions#billing-manage"`
}

// ExplainedSubject is the person that an explanation is about.
type ExplainedSubject struct {
	Member string `json:"member" doc:"The member's id" example:"mem_01k..."`
	User   string `json:"user" doc:"The user's id" example:"usr_01k..."`
	Name   string `json:"name,omitempty" doc:"The person's name" example:"Zoe"`
	Email  string `json:"email" doc:"The person's e-mail address" example:"zoe@acme.test"`
}

func (s ExplainedSubject) label() string { return cmp.Or(s.Name, s.Email) }

// ExplainInput asks whether somebody may do something, and why.
type ExplainInput struct {
	op.InOrganization
	Subject    string             `json:"subject,omitzero" doc:"Who: a member's id, a user's id, the product's external id or an e-mail address; left out: yourself" maxLength:"320" cli:"arg" example:"zoe@acme.test"`
	Permission charter.Permission `json:"permission" doc:"What" maxLength:"81" cli:"arg" example:"billing.manage"`
	Resource   string             `json:"resource,omitzero" doc:"On what: type and id; left out: the organization as a whole" maxLength:"200" example:"workflow:wf_1"`
}

// Validate checks the form of the resource.
func (in ExplainInput) Validate() []op.FieldError {
	if kind, id, ok := strings.Cut(in.Resource, ":"); in.Resource != "" && (!ok || kind == "" || id == "") {
		return []op.FieldError{{Pointer: "/resource", Code: "invalid", Detail: fmt.Sprintf("%q is not a type and an id, such as workflow:wf_1", in.Resource)}}
	}
	return nil
}

// Explain says why somebody may do something, or why not. Everybody may ask about themselves.
var Explain = &op.Op[ExplainInput, Explanation]{
	Name:    "access.explain",
	Route:   "GET /v1/organizations/{organization}/access/explain",
	Summary: "Say why somebody may do something, or why not and who may",
	Allow:   op.AnyOf(op.On("members.view"), op.Own(), op.ByService),
	Target:  explainTarget,
	Do:      explain,
	Example: ExplainInput{InOrganization: op.InOrganization{Organization: "acme"}, Subject: "zoe@acme.test", Permission: "billing.manage"},
}

// explainTarget finds the person who is asked about among those who are, or were, members.
func explainTarget(ctx context.Context, r *op.Reader, in ExplainInput) (op.Target, error) {
	column, value := "m.user_id", cmp.Or(in.Subject, r.Actor.User)
	switch {
	case strings.HasPrefix(value, "mem_"):
		column = "m.id"
	case strings.HasPrefix(value, "usr_"):
	case strings.Contains(value, "@"):
		column = "u.email_folded"
		if folded, err := directory.Fold(value); err == nil {
			value = folded
		}
	default:
		column = "u.external_id"
	}
	var s ExplainedSubject
	err := r.QueryRow(ctx, `SELECT m.id, m.user_id, u.name, u.email FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.organization = $1 AND `+column+` = $2
		ORDER BY CASE m.status WHEN 'removed' THEN 1 ELSE 0 END, m.joined_at DESC LIMIT 1`, r.Organization(), value).
		Scan(&s.Member, &s.User, &s.Name, &s.Email)
	if errors.Is(err, sql.ErrNoRows) {
		return op.Target{}, op.ErrNotFound
	}
	return op.Target{Organization: r.Organization(), Type: "member", ID: s.Member, Name: s.label(), User: s.User, Value: s}, err
}

func explain(ctx context.Context, tx *op.Tx, in ExplainInput) (Explanation, error) {
	if err := known(tx.Charter, in.Permission); err != nil {
		return Explanation{}, err
	}
	subject, _ := tx.Target().Value.(ExplainedSubject)
	p, err := directory.PrincipalOf(ctx, tx.Reader, tx.Organization(), subject.User)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{Subject: subject, Permission: in.Permission, Resource: in.Resource, Role: string(p.Role)}
	e.decide(tx.Charter, &p, tx.Micros())
	if e.Role != "" {
		// The only error is a name that is unknown, and both are known.
		e.GrantedBy, _ = tx.Charter.Explain(p.Role, in.Permission)
	}
	if !e.Allow && (tx.Actor.Kind == op.ServiceActor || tx.May("members.view").Allow) {
		if e.Holders, err = directory.Holders(ctx, tx.Reader, in.Permission); err != nil {
			return Explanation{}, err
		}
	}
	e.Text = e.text(tx.Charter, &p)
	return e, nil
}

// known refuses a permission that nobody has heard of. One of Guildhall's own that this charter leaves out is known, and
// held by nobody.
func known(c *charter.Charter, p charter.Permission) error {
	if _, ok := c.Info(p); ok || slices.Contains(c.Absent(), p) {
		return nil
	}
	var names []string
	for _, info := range c.Permissions() {
		names = append(names, string(info.ID))
	}
	if near := charter.Nearest(string(p), names); near != "" {
		return op.InvalidField("permission", "unknown", "there is no permission %q; did you mean %q?", p, near)
	}
	return op.InvalidField("permission", "unknown", "there is no permission %q", p)
}

// decide answers as a check does.
func (e *Explanation) decide(c *charter.Charter, p *decide.Principal, now int64) {
	kind := check.Organization
	if e.Resource != "" {
		kind, _, _ = strings.Cut(e.Resource, ":")
	}
	d := check.Decision{Reason: misasked(c, e.Permission, kind), Needs: e.Permission}
	if d.Reason == "" {
		d = decideOn(p, decide.Ask(c, e.Permission, e.Resource), now)
	}
	e.Allow, e.Reason, e.Needs = d.Allow, d.Reason, d.Needs
	if !d.Allow {
		e.FixURL = "/docs/permissions#" + strings.ReplaceAll(string(e.Permission), ".", "-")
	}
}

// text is the answer in one line.
func (e *Explanation) text(c *charter.Charter, p *decide.Principal) string {
	title := string(p.Role)
	if role, ok := c.Role(p.Role); ok {
		title = role.Title
	}
	if e.Allow {
		return fmt.Sprintf("yes: role %s holds %s", title, e.Permission)
	}
	why := "no: " + e.because(title, p.EndsAt)
	names := make([]string, len(e.Holders))
	for i, h := range e.Holders {
		names[i] = h.Name
	}
	if len(names) == 0 {
		return why
	}
	return why + " · held by: " + strings.Join(names, ", ")
}

func (e *Explanation) because(title string, endsAt int64) string {
	switch e.Reason {
	case decide.NoPermission:
		return fmt.Sprintf("role %s lacks %s", title, e.Needs)
	case decide.NotMember:
		return "not a member any more"
	case decide.IsSuspended:
		return "the membership is suspended"
	case decide.HasEnded:
		return "the membership ended at " + time.UnixMicro(endsAt).UTC().Format("2006-01-02 15:04 UTC")
	case decide.OrganizationGone:
		return "the organization is scheduled for deletion"
	case decide.UnknownPermission:
		return fmt.Sprintf("this product has no permission %s", e.Permission)
	case decide.UnknownResource:
		kind, _, _ := strings.Cut(e.Resource, ":")
		return fmt.Sprintf("%s is not asked about a single %s", e.Permission, kind)
	}
	return string(e.Reason)
}
