package access

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// Operations are the operations about access.
func Operations() []op.Any { return []op.Any{Explain, Holders, Simulate, Introspect, ListReplicas} }

// Explanation says why somebody may do something, or why not and what would help.
type Explanation struct {
	Allow      bool               `json:"allow" doc:"Whether they may"`
	Reason     decide.Reason      `json:"reason" doc:"Why, in one word" example:"no_permission"`
	Text       string             `json:"text" doc:"The answer in one line" example:"no: role Editor lacks billing.manage · held by: Ada"`
	Subject    ExplainedSubject   `json:"subject" doc:"Whom the answer is about"`
	Permission charter.Permission `json:"permission" doc:"What was asked about" example:"billing.manage"`
	Resource   string             `json:"resource,omitempty" doc:"On what, if on something single" example:"workflow:wf_1"`
	Needs      charter.Permission `json:"needs,omitempty" doc:"What is missing" example:"billing.manage"`
	Role       string             `json:"role,omitempty" doc:"Their role, or that of whoever is behind the key or token" example:"editor"`
	GrantedBy  string             `json:"granted_by,omitempty" doc:"Where the role has the permission from, or who has it" example:"editor lacks billing.manage: held by owner"`
	Steps      []Step             `json:"steps" doc:"Everything that decides, in this order: the answer is yes where each of them holds"`
	Holders    []op.Holder        `json:"holders,omitempty" doc:"Up to five active members who may; only for those who may see members"`
	FixURL     string             `json:"fix_url,omitempty" doc:"Where to read on, or to mend it" example:"/docs/permissions#billing-manage"`
}

// ExplainedSubject is the person, key or token that an explanation is about.
type ExplainedSubject struct {
	Kind       string `json:"kind" doc:"What it is" enum:"user,key,token"`
	Credential string `json:"credential,omitempty" doc:"The id of the key or token" example:"key_01k..."`
	Member     string `json:"member,omitempty" doc:"The member's id: of the person, or of whoever the key or token acts for" example:"mem_01k..."`
	User       string `json:"user,omitempty" doc:"The user's id" example:"usr_01k..."`
	Name       string `json:"name,omitempty" doc:"The name of the person, key or token" example:"Zoe"`
	Email      string `json:"email,omitempty" doc:"The person's e-mail address" example:"zoe@acme.test"`

	hash secret.Hash // of a key or token
}

func (s ExplainedSubject) label() string { return cmp.Or(s.Name, s.Email) }

// ExplainInput asks whether somebody may do something, and why.
type ExplainInput struct {
	op.InOrganization
	Subject    string             `json:"subject,omitzero" doc:"Who: a member's id, a user's id, the product's external id, an e-mail address, or the id of a key or scoped token; left out: yourself" maxLength:"320" cli:"arg" example:"zoe@acme.test"`
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

// Explain says why somebody may do something, or why not. Everybody may ask about themselves; about somebody else's key
// or token, only who may inspect keys.
var Explain = &op.Op[ExplainInput, Explanation]{
	Name:    "access.explain",
	Route:   "GET /v1/organizations/{organization}/access/explain",
	Summary: "Say why somebody may do something, or why not and who may",
	Allow:   op.AnyOf(op.On("members.view"), op.Own(), op.ByService),
	Target:  explainTarget,
	Do:      explain,
	Example: ExplainInput{InOrganization: op.InOrganization{Organization: "acme"}, Subject: "zoe@acme.test", Permission: "billing.manage"},
}

// explainTarget finds whom is asked about. Whoever asks about nobody asks about what they ask with.
func explainTarget(ctx context.Context, r *op.Reader, in ExplainInput) (op.Target, error) {
	value := in.Subject
	if value == "" {
		value = r.Actor.ID
	}
	switch {
	case strings.HasPrefix(value, "key_"):
		return credentialTarget(ctx, r, op.KeyActor, value, `SELECT name, hash, CASE WHEN kind = 'personal' THEN creator ELSE '' END
			FROM api_keys WHERE organization = $1 AND id = $2`)
	case strings.HasPrefix(value, "tok_"):
		return credentialTarget(ctx, r, op.TokenActor, value, "SELECT name, hash, creator FROM scoped_tokens WHERE organization = $1 AND id = $2")
	}
	return memberTarget(ctx, r, value)
}

func credentialTarget(ctx context.Context, r *op.Reader, kind op.ActorKind, id, query string) (op.Target, error) {
	s := ExplainedSubject{Kind: string(kind), Credential: id}
	var hash []byte
	err := r.QueryRow(ctx, query, r.Organization(), id).Scan(&s.Name, &hash, &s.User)
	if errors.Is(err, sql.ErrNoRows) || err == nil && len(hash) != len(s.hash) {
		return op.Target{}, op.ErrNotFound
	}
	copy(s.hash[:], hash)
	return op.Target{Organization: r.Organization(), Type: s.Kind, ID: id, Name: s.Name, User: s.User, Value: s}, err
}

// memberTarget finds somebody among those who are, or were, members.
func memberTarget(ctx context.Context, r *op.Reader, value string) (op.Target, error) {
	column := "m.user_id"
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
	s := ExplainedSubject{Kind: string(op.UserActor)}
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
	if err := mayExplain(ctx, tx, subject); err != nil {
		return Explanation{}, err
	}
	e := Explanation{Subject: subject, Permission: in.Permission, Resource: in.Resource}
	about, err := e.load(ctx, tx.Reader)
	if err != nil {
		return e, err
	}
	e.decide(tx.Charter, about, tx.Micros())
	e.Role, e.GrantedBy = string(about.Principal.Role), about.granted(tx.Charter, in.Permission)
	e.Steps = about.steps(tx.Charter, in, tx.Micros())
	if e.othersMay() && (tx.Actor.Kind == op.ServiceActor || tx.May("members.view").Allow) {
		if e.Holders, err = directory.Holders(ctx, tx.Reader, in.Permission); err != nil {
			return e, err
		}
	}
	e.Text = e.text(about)
	return e, nil
}

// othersMay reports whether it is of use to know who holds the permission: not where it is the plan that lacks it, or a
// key or token that is not for it, whoever is behind it.
func (e *Explanation) othersMay() bool {
	switch e.Reason {
	case decide.PlanRequired, decide.OutOfScope, decide.OtherResource, decide.UnknownSubject:
		return false
	}
	return !e.Allow
}

// mayExplain refuses questions about other people's keys and tokens by those who may not look at them.
func mayExplain(ctx context.Context, tx *op.Tx, s ExplainedSubject) error {
	own := s.User != "" && s.User == tx.Actor.User || s.Credential == tx.Actor.ID
	if s.Credential == "" || own || tx.Actor.Kind == op.ServiceActor {
		return nil
	}
	return tx.Demand(ctx, "keys.inspect")
}

// load reads what the subject is now. Of a person it is the membership, in the form that a key has.
func (e *Explanation) load(ctx context.Context, r *op.Reader) (*explained, error) {
	s := &e.Subject
	var about explained
	var err error
	if s.Credential == "" {
		var seat directory.Seat
		seat, err = directory.SeatOf(ctx, r, r.Organization(), s.User)
		about.Principal, about.place = seat.Principal, placeOf(&seat)
	} else {
		kind := credential.KeyKind
		if s.Kind == string(op.TokenActor) {
			kind = credential.TokenKind
		}
		if about.Bearer, err = directory.LoadBearer(ctx, r, s.hash, kind, false); errors.Is(err, op.ErrUnauthenticated) {
			about.Dead, err = true, nil // of an earlier life of the data
		}
		about.place = place{about.Plan, about.Residency}
		s.User, s.Email, s.Member = about.User, about.Email, about.Principal.Member
	}
	if err == nil {
		about.role, err = roleOf(ctx, r, about.Principal.Role)
	}
	about.subject = *s
	return &about, err
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

// decide answers as a check does, of a request from where the credential is for.
func (e *Explanation) decide(c *charter.Charter, about *explained, now int64) {
	kind := check.Organization
	if e.Resource != "" {
		kind, _, _ = strings.Cut(e.Resource, ":")
	}
	_, has := c.Need(e.Permission)
	d := decide.Decision{Needs: e.Permission}
	switch {
	case !has:
		d.Reason = decide.UnknownPermission
	case kind != check.Organization && !slices.Contains(c.ResourceTypes(e.Permission), kind):
		d.Reason = decide.UnknownResource
	case about.Dead:
		d.Reason = decide.UnknownSubject
	default:
		d = decide.Decide(&about.Principal, decide.Ask(c, e.Permission, e.Resource), now)
	}
	e.Allow, e.Reason, e.Needs = d.Allow, d.Reason, d.Needs
	if !d.Allow {
		var no check.Decision
		refuse(&no, d.Reason, d.Needs, &question{fix: fixOf(e.Permission)})
		e.FixURL = no.FixURL
	}
}
