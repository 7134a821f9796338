package federation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// The states of a domain.
const (
	Pending  = "pending"
	Verified = "verified"
	Lapsed   = "lapsed" // it was verified, and its record is gone
)

// What a verified domain does for people with an address there.
const (
	JoinOff       = "off"
	JoinRequest   = "request"
	JoinAutomatic = "automatic"
)

// challengeLabel stands before a domain in the name of its record.
const challengeLabel = "_guildhall-challenge."

// Domain is a mail domain that an organization says is its own.
type Domain struct {
	ID        string         `json:"id" doc:"The domain's id" example:"dom_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Domain    string         `json:"domain" doc:"The domain, as DNS has it" example:"acme.test"`
	State     string         `json:"state" doc:"lapsed: it was verified, and its record is gone" enum:"pending,verified,lapsed"`
	Record    Record         `json:"record" cli:"-" doc:"The DNS record that proves it"`
	Joining   string         `json:"joining" doc:"What people with an address there may do while it is verified: nothing, ask to join, or join at once" enum:"off,request,automatic"`
	Role      charter.RoleID `json:"role,omitzero" doc:"The role of those who join by it" example:"viewer"`
	RoleTitle string         `json:"role_title,omitzero" cli:"-" doc:"The role's title"`
	Problem   string         `json:"problem,omitzero" doc:"What was wrong when DNS was last asked"`
	Found     []string       `json:"found,omitempty" cli:"-" doc:"Of domains.verify: the TXT records that stand in the record's place"`
	CheckedAt *time.Time     `json:"checked_at,omitzero" doc:"When DNS was last asked"`

	VerifiedAt *time.Time `json:"verified_at,omitzero" cli:"-" doc:"Since when it is verified"`
	CreatedAt  time.Time  `json:"created_at" cli:"-" doc:"When it was added"`
	CreatedBy  string     `json:"created_by" cli:"-" doc:"Who added it: the id of a user or key, or operator"`
	Version    int64      `json:"version" cli:"-" doc:"Counts the changes; the ETag"`
}

// ETag is the domain's version.
func (d Domain) ETag() string { return op.VersionTag(d.Version) }

// Record is a DNS record.
type Record struct {
	Type  string `json:"type" doc:"The record's type" example:"TXT"`
	Name  string `json:"name" doc:"The record's name" example:"_guildhall-challenge.acme.test"`
	Value string `json:"value" doc:"The record's whole text" example:"guildhall-domain=0000000000000000000000000AA"`
}

const domainColumns = `d.id, d.domain, d.value, d.state, d.joining, d.role, COALESCE(cr.title, ''), d.problem, d.failures, d.checked_at,
	d.verified_at, d.created_at, d.created_by, d.version`

const domainTables = " FROM domains d LEFT JOIN organization_roles cr ON cr.organization = d.organization AND cr.id = d.role"

// domainRow is a domain as it is stored.
type domainRow struct {
	id, domain, value, state, joining, role, roleTitle, problem, createdBy string
	failures, checked, verified, created, version                          int64
}

// scanDomain reads the columns of domainColumns. Without a row it is ErrNotFound.
func scanDomain(c *charter.Charter, from interface{ Scan(...any) error }) (d domainRow, err error) {
	err = from.Scan(&d.id, &d.domain, &d.value, &d.state, &d.joining, &d.role, &d.roleTitle, &d.problem, &d.failures, &d.checked,
		&d.verified, &d.created, &d.createdBy, &d.version)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	d.roleTitle = titleOf(c, d.role, d.roleTitle)
	return d, err
}

// titleOf is a role's title: the charter's, or that of a role which the organization made.
func titleOf(c *charter.Charter, role, own string) string {
	if known, ok := c.Role(charter.RoleID(role)); ok {
		return known.Title
	}
	return own
}

// name is the name of the domain's record.
func (d domainRow) name() string { return challengeLabel + d.domain }

func (d domainRow) show() Domain {
	return Domain{ID: d.id, Domain: d.domain, State: d.state, Record: Record{"TXT", d.name(), d.value}, Joining: d.joining,
		Role: charter.RoleID(d.role), RoleTitle: d.roleTitle, Problem: d.problem, CheckedAt: when(d.checked), VerifiedAt: when(d.verified),
		CreatedAt: time.UnixMicro(d.created).UTC(), CreatedBy: d.createdBy, Version: d.version}
}

// DomainInput names a domain of an organization.
type DomainInput struct {
	op.InOrganization
	Domain string `json:"domain" doc:"The domain's id" example:"dom_00000000000000000000000000" maxLength:"64"`
}

var exampleDomain = DomainInput{op.InOrganization{Organization: "acme"}, "dom_00000000000000000000000000"}

func domainTarget(ctx context.Context, r *op.Reader, in DomainInput) (op.Target, error) {
	d, err := domainByID(ctx, r, r.Organization(), in.Domain)
	return op.Target{Organization: r.Organization(), Type: "domain", ID: d.id, Name: d.domain, Version: d.version, Current: d.show(), Value: d}, err
}

func domainByID(ctx context.Context, r *op.Reader, organization, id string) (domainRow, error) {
	return scanDomain(r.Charter, r.QueryRow(ctx, "SELECT "+domainColumns+domainTables+" WHERE d.organization = $1 AND d.id = $2", organization, id))
}

// ListDomainsInput asks for the domains of an organization.
type ListDomainsInput struct {
	op.InOrganization
	op.Page
}

// ListDomains lists the domains, the newest first. It needs no plan: what was set up can be seen, and removed, on any.
var ListDomains = &op.Op[ListDomainsInput, op.List[Domain]]{
	Name:    "domains.list",
	Route:   "GET /v1/organizations/{organization}/domains",
	Summary: "List the organization's mail domains, with the DNS record of each",
	Allow:   op.On("sso.configure"),
	Do:      listDomains,
	Example: ListDomainsInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func listDomains(ctx context.Context, tx *op.Tx, in ListDomainsInput) (op.List[Domain], error) {
	before, id := in.Page.AfterNewest()
	rows, err := tx.Query(ctx, "SELECT "+domainColumns+domainTables+` WHERE d.organization = $1
		AND (d.created_at < $2 OR d.created_at = $2 AND d.id < $3) ORDER BY d.created_at DESC, d.id DESC LIMIT $4`,
		tx.Organization(), before, id, in.Size()+1)
	if err != nil {
		return op.List[Domain]{}, err
	}
	defer rows.Close()
	var found []Domain
	for rows.Next() {
		d, err := scanDomain(tx.Charter, rows)
		if err != nil {
			return op.List[Domain]{}, err
		}
		found = append(found, d.show())
	}
	return op.Listed(tx.Reader, &in.Page, found, func(d Domain) []string { return op.Newest(d.CreatedAt.UnixMicro(), d.ID) }), rows.Err()
}

// AddDomainInput names a mail domain.
type AddDomainInput struct {
	op.InOrganization
	Domain string `json:"domain" doc:"The domain of the organization's addresses: what stands after the @" minLength:"1" maxLength:"260" example:"acme.test"`
}

// Validate refuses what is no domain, or one under which everybody registers.
func (in AddDomainInput) Validate() []op.FieldError {
	domain, err := foldedDomain(in.Domain)
	if err != nil {
		return []op.FieldError{{Pointer: "/domain", Code: "invalid", Detail: err.Error()}}
	}
	if suffix, _ := publicsuffix.PublicSuffix(domain); suffix == domain {
		return []op.FieldError{{Pointer: "/domain", Code: "public_suffix", Detail: fmt.Sprintf("%q is no domain of one organization: others register their names under it", domain)}}
	}
	return nil
}

// foldedDomain is a domain as it is compared. A leading @ and a dot at the end, as people copy them, do no harm.
func foldedDomain(s string) (string, error) {
	return directory.FoldDomain(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "@"), "."))
}

// AddDomain names a domain, and answers the DNS record that proves it. Several organizations may name the same domain: the
// one that proves it has it.
var AddDomain = &op.Op[AddDomainInput, Domain]{
	Name:    "domains.add",
	Route:   "POST /v1/organizations/{organization}/domains",
	Summary: "Name a mail domain of the organization; the answer has the DNS record that proves it",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: feature,
	Do:      addDomain,
	Example: AddDomainInput{InOrganization: op.InOrganization{Organization: "acme"}, Domain: "acme.test"},
}

func addDomain(ctx context.Context, tx *op.Tx, in AddDomainInput) (Domain, error) {
	domain, err := foldedDomain(in.Domain)
	if err != nil {
		return Domain{}, op.InvalidField("domain", "invalid", "%v", err)
	}
	if slices.Contains(tx.Charter.Rules.Invitations.FreeMail, domain) {
		return Domain{}, op.InvalidField("domain", "free_mail", "%q gives addresses to everybody: it is no organization's own", domain)
	}
	d := domainRow{id: tx.NewID("dom"), domain: domain, value: "guildhall-domain=" + secret.NewLink().Reveal(), state: Pending,
		joining: JoinOff, created: tx.Micros(), createdBy: tx.Actor.ID, version: 1}
	_, err = tx.Exec(ctx, `INSERT INTO domains (id, organization, domain, value, state, joining, role, problem, failures, checked_at,
			verified_at, created_by, created_at, version) VALUES ($1, $2, $3, $4, $5, $6, '', '', 0, 0, 0, $7, $8, 1)`,
		d.id, tx.Organization(), d.domain, d.value, d.state, d.joining, d.createdBy, d.created)
	if _, twice := sqldb.Conflict(err); twice {
		return Domain{}, op.Errorf(op.Conflict, "domain_added", "%s is among the organization's domains already", domain)
	}
	tx.Also("domain", d.id, d.domain)
	return d.show(), err
}

// UpdateDomainInput says what people with an address of the domain may do; what is left out stays.
type UpdateDomainInput struct {
	DomainInput
	Joining *string         `json:"joining,omitzero" doc:"Nothing, ask to join, or join at once" enum:"off,request,automatic" required:"false"`
	Role    *charter.RoleID `json:"role,omitzero" doc:"The role of those who join: one that holds nothing that you do not, and never the owner role" maxLength:"64" required:"false" example:"viewer"`
}

// UpdateDomain says whether people with an address of a verified domain may join by themselves, and with which role.
var UpdateDomain = &op.Op[UpdateDomainInput, Domain]{
	Name:    "domains.update",
	Route:   "PATCH /v1/organizations/{organization}/domains/{domain}",
	Summary: "Say whether people with an address of the domain may join, and with which role",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: feature,
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, in UpdateDomainInput) (op.Target, error) {
		return domainTarget(ctx, r, in.DomainInput)
	},
	Do:      updateDomain,
	Example: UpdateDomainInput{DomainInput: exampleDomain, Joining: new(JoinRequest), Role: new(charter.RoleID("viewer"))},
}

func updateDomain(ctx context.Context, tx *op.Tx, in UpdateDomainInput) (Domain, error) {
	d := tx.Target().Value.(domainRow)
	was := d
	if in.Joining != nil {
		d.joining = *in.Joining
	}
	if in.Role != nil {
		d.role = string(*in.Role)
	}
	if err := d.giveRole(ctx, tx, was); err != nil {
		return Domain{}, err
	}
	if d == was {
		tx.Unchanged()
		return d.show(), nil
	}
	if d.joining != was.joining {
		tx.Changed("joining", was.joining, d.joining)
	}
	if d.role != was.role {
		tx.Changed("role", was.role, d.role)
	}
	d.version++
	_, err := tx.Exec(ctx, "UPDATE domains SET joining = $3, role = $4, version = $5 WHERE organization = $1 AND id = $2",
		tx.Organization(), d.id, d.joining, d.role, d.version)
	return d.show(), err
}

// giveRole refuses a role that the actor may not give. Who lets people in answers for the role, so one that was chosen by
// somebody else is asked about again.
func (d *domainRow) giveRole(ctx context.Context, tx *op.Tx, was domainRow) error {
	if d.role == "" && d.joining == JoinOff {
		return nil
	}
	if d.role == "" {
		return op.InvalidField("role", "required", "say the role of those who join")
	}
	if d.joining == was.joining && d.role == was.role || d.joining == JoinOff && d.role == was.role {
		return nil
	}
	role, err := givable(ctx, tx, d.role)
	if err == nil {
		d.roleTitle = role.Title
	}
	return err
}

// givable is a role that the actor may give to people whom nobody knows yet: it exists, it is not the owner role, and it
// holds nothing that the actor does not.
func givable(ctx context.Context, tx *op.Tx, id string) (*charter.Role, error) {
	role, err := directory.RoleOf(ctx, tx.Reader, id)
	if errors.Is(err, op.ErrNotFound) {
		return nil, op.InvalidField("role", "unknown", "there is no role %q", id)
	}
	if err != nil {
		return nil, err
	}
	if role.Owner {
		return nil, op.InvalidField("role", "owner", "nobody becomes an owner by an address alone: choose another role")
	}
	if d := decide.Grant(tx.Charter, &tx.Actor.Principal, role); !d.Allow {
		return nil, tx.Refuse(ctx, d)
	}
	return role, nil
}

// RemoveDomain takes a domain away: nobody joins by it any more. Members stay.
var RemoveDomain = &op.Op[DomainInput, Domain]{
	Name:    "domains.remove",
	Route:   "DELETE /v1/organizations/{organization}/domains/{domain}",
	Summary: "Take a mail domain away: nobody joins by it any more, members stay",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Confirm: op.L2,
	Fresh:   true,
	Target:  domainTarget,
	Do:      removeDomain,
	Example: exampleDomain,
}

func removeDomain(ctx context.Context, tx *op.Tx, _ DomainInput) (Domain, error) {
	d := tx.Target().Value.(domainRow)
	var named string
	switch err := tx.QueryRow(ctx, `SELECT c.name FROM connection_domains n JOIN connections c ON c.organization = n.organization AND c.id = n.connection
		WHERE n.organization = $1 AND n.domain = $2`, tx.Organization(), d.id).Scan(&named); {
	case err == nil: // without it the connection could be for all others
		return Domain{}, op.Errorf(op.Conflict, "domain_named", "the connection %s is for this domain: take it away there first", named)
	case !errors.Is(err, sql.ErrNoRows):
		return Domain{}, err
	}
	tx.Changed("state", d.state, nil)
	_, err := tx.Exec(ctx, "DELETE FROM domains WHERE organization = $1 AND id = $2", tx.Organization(), d.id)
	return d.show(), err
}
