// Package directory keeps organizations and the people in them: users, members, invitations, roles and ownership. It
// has the rules about who may change whom, and the one loader of principals.
package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Organization is a customer's tenant.
type Organization struct {
	ID            string `json:"id" doc:"The organization's id" example:"org_01k..."`
	ExternalID    string `json:"external_id,omitzero" cli:"-" doc:"The product's own id of this organization"`
	Slug          string `json:"slug" doc:"Its name in addresses" example:"acme"`
	Name          string `json:"name" doc:"Its name as people read it" example:"Acme"`
	TimeZone      string `json:"time_zone" doc:"IANA time zone" example:"Europe/Berlin"`
	Region        string `json:"region,omitzero" doc:"Where work runs unless told otherwise, and where data must stay"`
	RetentionDays int64  `json:"retention_days" cli:"-" doc:"Days after which artifacts are deleted; 0 keeps them for ever"`
	// AllowedRegions are where data may be, the default first.
	AllowedRegions []string  `json:"allowed_regions,omitempty" cli:"-" doc:"Where work may run and data may be, the default region first"`
	Plan           string    `json:"plan,omitzero" doc:"The plan; empty where the product has none"`
	Seats          int64     `json:"seats" cli:"-" doc:"How many members and pending invitations there may be; 0 means no limit"`
	State          string    `json:"state" cli:"-" enum:"active,deletion_scheduled,deleting,gone"`
	Version        int64     `json:"version" cli:"-" doc:"Counts the changes; the ETag"`
	CreatedAt      time.Time `json:"created_at"`

	DeletionAt *time.Time `json:"deletion_at,omitzero" cli:"-" doc:"When its deletion was scheduled; absent: it is not"`
	DeleteBy   *time.Time `json:"delete_by,omitzero" doc:"Until when it can be restored"`

	allowed string // the regions beside the default one, as they are kept, whatever the plan
}

// ETag is the organization's version.
func (o Organization) ETag() string { return op.VersionTag(o.Version) }

const organizationColumns = `o.id, COALESCE(o.external_id, ''), o.slug, o.name, o.time_zone, o.region, o.retention_days,
	o.plan, o.seats, o.state, o.version, o.created_at, o.deletion_at, o.delete_by, o.allowed_regions`

func scanOrganization(r *op.Reader, row interface{ Scan(...any) error }) (Organization, error) {
	var o Organization
	var created, deletion, by int64
	err := row.Scan(&o.ID, &o.ExternalID, &o.Slug, &o.Name, &o.TimeZone, &o.Region, &o.RetentionDays, &o.Plan, &o.Seats,
		&o.State, &o.Version, &created, &deletion, &by, &o.allowed)
	o.CreatedAt, o.DeletionAt, o.DeleteBy = time.UnixMicro(created).UTC(), when(deletion), when(by)
	o.AllowedRegions = r.Charter.Residency(o.Plan, o.Region, o.allowed)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	return o, err
}

func organizationByID(ctx context.Context, r *op.Reader, id string) (Organization, error) {
	return scanOrganization(r, r.QueryRow(ctx, "SELECT "+organizationColumns+" FROM organizations o WHERE o.id = $1", id))
}

// CreateOrganizationInput names a new organization.
type CreateOrganizationInput struct {
	Name     string `json:"name" doc:"Its name as people read it" minLength:"1" maxLength:"80" example:"Acme"`
	Slug     string `json:"slug,omitzero" doc:"Its name in addresses; left out, it is made of the name" maxLength:"40" example:"acme-gmbh"`
	TimeZone string `json:"time_zone,omitzero" doc:"IANA time zone; left out: UTC" maxLength:"64" example:"Europe/Berlin"`
}

// Validate checks name, slug and time zone.
func (in CreateOrganizationInput) Validate() []op.FieldError {
	wrong := checkDisplay("name", in.Name, 1)
	if in.Slug != "" {
		wrong = append(wrong, checkSlug(in.Slug)...)
	}
	if in.TimeZone != "" {
		wrong = append(wrong, checkTimeZone(in.TimeZone)...)
	}
	return wrong
}

// CreateOrganization makes an organization whose owner is the caller. The charter says whether people may.
var CreateOrganization = &op.Op[CreateOrganizationInput, Organization]{
	Name:    "organizations.create",
	Route:   "POST /v1/organizations",
	Summary: "Create an organization; you become its owner",
	Kind:    op.Write,
	Scope:   op.Self,
	Account: true,
	Allow:   op.SignedIn,
	Target: func(context.Context, *op.Reader, CreateOrganizationInput) (op.Target, error) {
		return op.Target{Stream: op.NewStream}, nil
	},
	Do:      createOrganization,
	Example: CreateOrganizationInput{Name: "Initech", Slug: "initech"},
}

func createOrganization(ctx context.Context, tx *op.Tx, in CreateOrganizationInput) (Organization, error) {
	if tx.Charter.Rules.Organizations.Create != charter.AnyoneCreates {
		return Organization{}, op.Errorf(op.Denied, "created_by_product", "in this product organizations are created by the product itself")
	}
	return foundOrganization(ctx, tx, founding{in, "", User{ID: tx.Actor.User, Name: tx.Actor.Name, Email: tx.Actor.Email}, false})
}

// ProvisionOrganizationInput names a new organization and its owner.
type ProvisionOrganizationInput struct {
	CreateOrganizationInput
	Owner      string `json:"owner" doc:"The owner's e-mail address; a user is made if there is none" maxLength:"320" example:"ada@acme.test"`
	OwnerName  string `json:"owner_name,omitzero" doc:"The owner's name, for a new user" maxLength:"200"`
	ExternalID string `json:"external_id,omitzero" doc:"The product's own id of the organization" maxLength:"200"`
}

// Validate checks the names and the owner's address.
func (in ProvisionOrganizationInput) Validate() []op.FieldError {
	wrong := append(in.CreateOrganizationInput.Validate(), checkDisplay("owner_name", in.OwnerName, 0)...)
	if _, err := ParseAddress(in.Owner); err != nil {
		wrong = append(wrong, op.FieldError{Pointer: "/owner", Code: "invalid", Detail: err.Error()})
	}
	return wrong
}

// ProvisionOrganization makes an organization for somebody: by the product's back end, or by the operator.
var ProvisionOrganization = &op.Op[ProvisionOrganizationInput, Organization]{
	Name:    "organizations.provision",
	Route:   "POST /v1/organizations/provision",
	Summary: "Create an organization for an owner, from the product's back end",
	Kind:    op.Write,
	Scope:   op.Instance,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Target: func(context.Context, *op.Reader, ProvisionOrganizationInput) (op.Target, error) {
		return op.Target{Stream: op.NewStream}, nil
	},
	Do:      provisionOrganization,
	Example: ProvisionOrganizationInput{CreateOrganizationInput: CreateOrganizationInput{Name: "Hooli"}, Owner: "gavin@hooli.test"},
}

func provisionOrganization(ctx context.Context, tx *op.Tx, in ProvisionOrganizationInput) (Organization, error) {
	owner, created, err := upsertUser(ctx, tx, in.Owner, cleanDisplay(in.OwnerName))
	if err != nil {
		return Organization{}, err
	}
	return foundOrganization(ctx, tx, founding{in.CreateOrganizationInput, in.ExternalID, owner, created})
}

// founding is what an organization is made of.
type founding struct {
	CreateOrganizationInput
	externalID string
	owner      User
	newOwner   bool // the owner is made by this call and needs an audit stream
}

// foundOrganization writes the organization, its slug, its audit stream and its first member, the owner.
func foundOrganization(ctx context.Context, tx *op.Tx, f founding) (Organization, error) {
	o := f.organization(tx)
	var also []string
	if f.newOwner {
		also = append(also, f.owner.ID)
	}
	if err := tx.Found(ctx, o.ID, also...); err != nil {
		return o, err
	}
	if err := f.insert(ctx, tx, &o); err != nil {
		return o, err
	}
	tx.Actor.Principal.Organization = o.ID
	m, err := insertMember(ctx, tx, newMember{User: f.owner, Role: tx.Charter.OwnerRole()})
	tx.Also("organization", o.ID, o.Name)
	tx.Also("member", m.ID, f.owner.Label())
	return o, err
}

// organization is the new organization with what the charter says of new ones.
func (f founding) organization(tx *op.Tx) Organization {
	o := Organization{ID: tx.NewID("org"), ExternalID: f.externalID, Name: cleanDisplay(f.Name), Slug: f.Slug, TimeZone: f.TimeZone,
		RetentionDays: DefaultRetentionDays, State: "active", Version: 1, CreatedAt: tx.Now}
	if o.TimeZone == "" {
		o.TimeZone = "UTC"
	}
	if o.Slug == "" {
		o.Slug = suggestSlug(o.Name)
	}
	if o.Slug == "" {
		o.Slug = withSuffix("", tx.Now)
	}
	if len(tx.Charter.Regions) > 0 {
		o.Region = tx.Charter.Regions[0]
	}
	if len(tx.Charter.Plans) > 0 {
		o.Plan, o.Seats = tx.Charter.Plans[0].ID, int64(tx.Charter.Plans[0].Seats)
	}
	o.AllowedRegions = tx.Charter.Residency(o.Plan, o.Region, "")
	return o
}

// insert writes the organization. A slug that was asked for and is taken is a Conflict; one that was made of the name
// gets four characters more.
func (f founding) insert(ctx context.Context, tx *op.Tx, o *Organization) error {
	err := insertOrganization(ctx, tx, *o)
	if !errors.Is(err, errSlugTaken) {
		return err
	}
	if f.Slug != "" {
		return slugTaken(o.Slug)
	}
	o.Slug = withSuffix(o.Slug, tx.Now)
	return insertOrganization(ctx, tx, *o)
}

var errSlugTaken = errors.New("slug taken")

// DefaultRetentionDays is how long a new organization keeps artifacts.
const DefaultRetentionDays = 30

// insertOrganization writes an organization with its slug, or nothing and errSlugTaken.
func insertOrganization(ctx context.Context, tx *op.Tx, o Organization) error {
	n, err := tx.Exec(ctx, `INSERT INTO organizations (id, external_id, slug, name, time_zone, region, retention_days, plan, seats, state,
		version, created_at, updated_at) SELECT $1, NULLIF($2, ''), $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $11
		WHERE NOT EXISTS (SELECT 1 FROM slugs WHERE slug = $3)`,
		o.ID, o.ExternalID, o.Slug, o.Name, o.TimeZone, o.Region, o.RetentionDays, o.Plan, o.Seats, o.State, tx.Micros())
	if _, taken := sqldb.Conflict(err); taken {
		return op.Errorf(op.Conflict, "taken", "another organization has this slug or external id")
	}
	if err == nil && n == 0 {
		err = errSlugTaken
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO slugs (slug, organization, created_at) VALUES ($1, $2, $3)", o.Slug, o.ID, tx.Micros())
	return err
}

// reserveSlug gives a slug to an organization, for ever. One that it had before is its own.
func reserveSlug(ctx context.Context, tx *op.Tx, organization, slug string) error {
	if _, err := tx.Exec(ctx, "INSERT INTO slugs (slug, organization, created_at) VALUES ($1, $2, $3) ON CONFLICT (slug) DO NOTHING",
		slug, organization, tx.Micros()); err != nil {
		return err
	}
	var owner string
	if err := tx.QueryRow(ctx, "SELECT organization FROM slugs WHERE slug = $1", slug).Scan(&owner); err != nil {
		return err
	}
	if owner != organization {
		return slugTaken(slug)
	}
	return nil
}

func slugTaken(slug string) error {
	return &op.Error{Kind: op.Conflict, Code: "slug_taken", Text: fmt.Sprintf("the slug %q is taken", slug),
		Fields: []op.FieldError{{Pointer: "/slug", Code: "taken", Detail: fmt.Sprintf("the slug %q is taken", slug)}}}
}

// freeSlug makes a slug of a name that nobody has: the name itself, else with four characters behind it.
func freeSlug(ctx context.Context, r *op.Reader, name string) (string, error) {
	slug := suggestSlug(name)
	if slug != "" {
		free, err := slugFree(ctx, r, slug)
		if err != nil || free {
			return slug, err
		}
	}
	return withSuffix(slug, r.Now), nil
}

// withSuffix makes a slug another one by four characters.
func withSuffix(slug string, now time.Time) string {
	random := id.New("x", now)
	return strings.TrimPrefix(slug+"-"+random[len(random)-4:], "-")
}

func slugFree(ctx context.Context, r *op.Reader, slug string) (bool, error) {
	var one int
	err := r.QueryRow(ctx, "SELECT 1 FROM slugs WHERE slug = $1", slug).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	return false, err
}

// ListOrganizationsInput pages through the caller's organizations.
type ListOrganizationsInput struct{ op.Page }

// ListOrganizations lists the organizations that the caller belongs to; for a service key, all.
var ListOrganizations = &op.Op[ListOrganizationsInput, op.List[Organization]]{
	Name:    "organizations.list",
	Route:   "GET /v1/organizations",
	Summary: "List your organizations",
	Scope:   op.Self,
	Allow:   op.AnyOf(op.SignedIn, op.ByService, op.ByOperator),
	Do:      listOrganizations,
}

func listOrganizations(ctx context.Context, tx *op.Tx, in ListOrganizationsInput) (op.List[Organization], error) {
	var c conditions
	c.add("o.id > ?", strings.Join(in.After(), ""))
	if tx.Actor.Principal.Power < decide.Operator { // what is gone is there for the operator alone
		c.parts = append(c.parts, "o.state IN ('active', 'deletion_scheduled')")
	}
	if tx.Actor.User != "" {
		c.add(`EXISTS (SELECT 1 FROM members m WHERE m.organization = o.id AND m.user_id = ? AND m.status <> 'removed'
			AND (m.ends_at = 0 OR m.ends_at > `+c.param(tx.Micros())+`))`, tx.Actor.User)
	}
	if only := tx.Actor.Credential.Organization; only != "" {
		c.add("o.id = ?", only)
	}
	rows, err := tx.Query(ctx, "SELECT "+organizationColumns+" FROM organizations o WHERE "+c.where()+
		" ORDER BY o.id LIMIT "+c.param(in.Size()+1), c.args...)
	if err != nil {
		return op.List[Organization]{}, err
	}
	defer rows.Close()
	var all []Organization
	for rows.Next() {
		o, err := scanOrganization(tx.Reader, rows)
		if err != nil {
			return op.List[Organization]{}, err
		}
		all = append(all, o)
	}
	return op.Listed(tx.Reader, &in.Page, all, func(o Organization) []string { return []string{o.ID} }), rows.Err()
}

// GetOrganizationInput names an organization.
type GetOrganizationInput struct{ op.InOrganization }

// GetOrganization shows an organization and its settings.
var GetOrganization = &op.Op[GetOrganizationInput, Organization]{
	Name:    "organizations.get",
	Route:   "GET /v1/organizations/{organization}",
	Summary: "Show an organization and its settings",
	Allow:   op.AnyOf(op.On("organization.view"), op.ByService),
	Do: func(ctx context.Context, tx *op.Tx, _ GetOrganizationInput) (Organization, error) {
		return organizationByID(ctx, tx.Reader, tx.Organization())
	},
	Example: GetOrganizationInput{op.InOrganization{Organization: "acme"}},
}

// UpdateOrganizationInput says what to change; what is left out stays.
type UpdateOrganizationInput struct {
	op.InOrganization
	Name           *string   `json:"name,omitzero" doc:"Its name as people read it" maxLength:"80" example:"Acme Inc."`
	Slug           *string   `json:"slug,omitzero" doc:"Its name in addresses; the old one goes on leading here" maxLength:"40"`
	TimeZone       *string   `json:"time_zone,omitzero" doc:"IANA time zone" maxLength:"64"`
	Region         *string   `json:"region,omitzero" doc:"One of the product's regions" maxLength:"64"`
	RetentionDays  *int64    `json:"retention_days,omitzero" doc:"Days after which artifacts are deleted; 0 keeps them for ever" minimum:"0" maximum:"3650"`
	AllowedRegions *[]string `json:"allowed_regions,omitzero" doc:"Where work may run and data may be, the default region among them. Several regions need the feature regions" maxItems:"50"`
}

// Validate checks every field that is present.
func (in UpdateOrganizationInput) Validate() []op.FieldError {
	var wrong []op.FieldError
	if in.Name != nil {
		wrong = append(wrong, checkDisplay("name", *in.Name, 1)...)
	}
	if in.Slug != nil {
		wrong = append(wrong, checkSlug(*in.Slug)...)
	}
	if in.TimeZone != nil {
		wrong = append(wrong, checkTimeZone(*in.TimeZone)...)
	}
	return wrong
}

// UpdateOrganization changes an organization's settings.
var UpdateOrganization = &op.Op[UpdateOrganizationInput, Organization]{
	Name:    "organizations.update",
	Route:   "PATCH /v1/organizations/{organization}",
	Summary: "Change an organization's settings",
	Kind:    op.Write,
	Allow:   op.On("settings.update"),
	Target: func(ctx context.Context, r *op.Reader, _ UpdateOrganizationInput) (op.Target, error) {
		o, err := organizationByID(ctx, r, r.Organization())
		return op.Target{Organization: o.ID, Type: "organization", ID: o.ID, Name: o.Name, Version: o.Version, Current: o, Value: o}, err
	},
	Preview: previewSettings,
	Do:      updateOrganization,
	Example: UpdateOrganizationInput{InOrganization: op.InOrganization{Organization: "acme"}, Name: new("Acme Inc.")},
}

func updateOrganization(ctx context.Context, tx *op.Tx, in UpdateOrganizationInput) (Organization, error) {
	o := tx.Target().Value.(Organization)
	was := o
	if err := checkData(tx.Reader, was, in); err != nil {
		return o, err
	}
	if days := in.RetentionDays; days != nil && *days != 0 && (*days < was.RetentionDays || was.RetentionDays == 0) {
		if err := tx.DemandFresh(); err != nil { // it loses data
			return o, err
		}
	}
	if in.Name != nil {
		o.Name = cleanDisplay(*in.Name)
	}
	note(tx, "slug", &o.Slug, in.Slug)
	note(tx, "time_zone", &o.TimeZone, in.TimeZone)
	note(tx, "region", &o.Region, in.Region)
	note(tx, "retention_days", &o.RetentionDays, in.RetentionDays)
	noteData(tx, &o, in)
	if o.Name != was.Name {
		tx.Changed("name", was.Name, o.Name)
	}
	if o.same(was) {
		tx.Unchanged()
		return o, nil
	}
	if o.Slug != was.Slug || o.Region != was.Region || o.allowed != was.allowed { // what checks tell of the organization
		tx.Fence(op.Fence{Kind: op.FenceOrganization, ID: o.ID})
	}
	if o.Slug != was.Slug {
		if err := reserveSlug(ctx, tx, o.ID, o.Slug); err != nil {
			return o, err
		}
	}
	o.Version++
	_, err := tx.Exec(ctx, `UPDATE organizations SET name = $2, slug = $3, time_zone = $4, region = $5, retention_days = $6,
		version = $7, updated_at = $8, allowed_regions = $9 WHERE id = $1`,
		o.ID, o.Name, o.Slug, o.TimeZone, o.Region, o.RetentionDays, o.Version, tx.Micros(), o.allowed)
	return o, err
}

// Ending reports whether an organization is being deleted for good, or is gone.
func Ending(ctx context.Context, r *op.Reader, organization string) (bool, error) {
	var living int
	err := r.QueryRow(ctx, "SELECT count(*) FROM organizations WHERE id = $1 AND state IN ('active', 'deletion_scheduled')", organization).Scan(&living)
	return err == nil && living == 0, err
}

// SetPlan tells the directory which plan an organization has, with how many seats, and from when its months are counted
// from now on; how they were counted before is kept. Who calls it has locked the organization. What checks answered of the organization before is forgotten. It takes one
// statement.
func SetPlan(ctx context.Context, tx *op.Tx, organization, plan string, seats, anchor int64) error {
	changed, err := tx.Exec(ctx, `UPDATE organizations SET plan = $2, seats = $3, period_anchor = $4, version = version + 1, updated_at = $5,
			period_history = CASE WHEN period_anchor = $4 OR period_anchor = 0 AND created_at = $4 THEN period_history ELSE period_history ||
				CAST(CASE WHEN period_anchor = 0 THEN created_at ELSE period_anchor END AS text) || ':' || CAST(CAST($5 AS bigint) AS text) || ' ' END
		WHERE id = $1 AND NOT (plan = $2 AND seats = $3 AND period_anchor = $4)`, organization, plan, seats, anchor, tx.Micros())
	if changed > 0 {
		tx.Fence(op.Fence{Kind: op.FenceOrganization, ID: organization})
	}
	return err
}

// note takes a new value of a field, if there is one, and notes the change for the audit row.
func note[T comparable](tx *op.Tx, field string, value *T, wanted *T) {
	if wanted == nil || *wanted == *value {
		return
	}
	tx.Changed(field, *value, *wanted)
	*value = *wanted
}

// CheckSlugInput names a slug.
type CheckSlugInput struct {
	Slug string `json:"slug" doc:"The slug that is wanted" maxLength:"200" example:"acme-gmbh"`
}

// SlugVerdict says whether a slug can be had.
type SlugVerdict struct {
	Slug       string `json:"slug"`
	Available  bool   `json:"available"`
	Reason     string `json:"reason,omitzero" doc:"Why not"`
	Suggestion string `json:"suggestion,omitzero" doc:"One that can be had"`
}

// CheckSlug says whether a slug can be had. Slugs are no secret: they stand in addresses.
var CheckSlug = &op.Op[CheckSlugInput, SlugVerdict]{
	Name:    "slugs.check",
	Route:   "GET /v1/slugs/{slug}",
	Summary: "Say whether a slug can be had",
	Scope:   op.Self,
	Allow:   op.AnyOf(op.SignedIn, op.ByService, op.ByOperator),
	Do:      checkSlugOperation,
	Example: CheckSlugInput{Slug: "acme-gmbh"},
}

func checkSlugOperation(ctx context.Context, tx *op.Tx, in CheckSlugInput) (SlugVerdict, error) {
	v := SlugVerdict{Slug: in.Slug}
	if wrong := checkSlug(in.Slug); len(wrong) > 0 {
		v.Reason = wrong[0].Detail
	} else {
		free, err := slugFree(ctx, tx.Reader, in.Slug)
		if err != nil || free {
			v.Available = free
			return v, err
		}
		v.Reason = fmt.Sprintf("the slug %q is taken", in.Slug)
	}
	var err error
	v.Suggestion, err = freeSlug(ctx, tx.Reader, in.Slug)
	return v, err
}
