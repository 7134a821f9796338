package charter

import (
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// Rules are the charter's rules. Parse fills in the defaults, so that every field of a parsed charter's rules is set.
type Rules struct {
	Organizations OrganizationRules
	// Owners says how many owners an organization may have; unsaid: many.
	Owners    Owners
	Ownership OwnershipRules
	// Grant says what a member may grant to others. AtOrBelowOwn is the only rule there is, and the default.
	Grant       string
	Keys        KeyRules
	Invitations InvitationRules
	// DeletionGrace is how long a deleted organization can be restored; unsaid: 720 hours.
	DeletionGrace time.Duration
}

// AtOrBelowOwn is the grant rule: nobody grants a permission that they do not hold, and only owners make or lower owners.
const AtOrBelowOwn = "at_or_below_own"

// OrganizationRules are the rules of making organizations.
type OrganizationRules struct {
	// Create says who makes an organization; unsaid: anyone.
	Create Creators
}

// Creators says who may create organizations.
type Creators string

// Who may create organizations.
const (
	// AnyoneCreates lets everybody who is signed in create an organization, and makes them its owner.
	AnyoneCreates Creators = "anyone"
	// ServiceCreates leaves it to the product's back end, with its service key.
	ServiceCreates Creators = "service"
)

// Owners says how many owners an organization has.
type Owners string

// How many owners an organization has.
const (
	// ManyOwners means at least one at all times.
	ManyOwners Owners = "many"
	// OneOwner means exactly one at all times: ownership moves by transfer only.
	OneOwner Owners = "one"
)

// OwnershipRules are the rules of handing ownership over.
type OwnershipRules struct {
	// TransferTo is the role that the receiving member has to have; unsaid: the role below the owner role.
	TransferTo RoleID
	// PreviousOwnerBecomes is the role of whoever hands over; unsaid: the role below the owner role.
	PreviousOwnerBecomes RoleID
	// Acceptance says whether the recipient has to agree; unsaid: none.
	Acceptance Acceptance
}

// Acceptance says whether the recipient of ownership has to agree first.
type Acceptance string

// Whether the recipient of ownership has to agree first.
const (
	// AcceptanceNone transfers at once.
	AcceptanceNone Acceptance = "none"
	// AcceptanceRequired waits for the recipient.
	AcceptanceRequired Acceptance = "required"
)

// KeyRules are the rules of API keys.
type KeyRules struct {
	// Kinds are the kinds of key that can be made; unsaid: personal only. Never empty.
	Kinds []KeyKind
	// AfterCreatorLeaves says what becomes of a personal key; unsaid: revoke. Organization keys always stay.
	AfterCreatorLeaves AfterLeaving
	// OrganizationKeys is the most that an organization key can do; unsaid: nothing.
	OrganizationKeys Set
	// OrganizationKeyIDs are the ids of OrganizationKeys in charter order, bundles given as their parts.
	OrganizationKeyIDs []Permission
	// NameTemplate suggests a key's name, with {person} and {purpose} in it; "": none.
	NameTemplate string
	// MaxAge is the longest life of a key; 0: no limit.
	MaxAge time.Duration
}

// KeyKind says for whom a key acts.
type KeyKind string

// For whom a key acts.
const (
	// PersonalKey acts as its creator.
	PersonalKey KeyKind = "personal"
	// OrganizationKey acts as the organization, whoever made it.
	OrganizationKey KeyKind = "organization"
)

// Allows reports whether keys of the kind can be made.
func (r KeyRules) Allows(kind KeyKind) bool {
	return slices.Contains(r.Kinds, kind)
}

// AfterLeaving says what becomes of a personal key when its creator is removed.
type AfterLeaving string

// What becomes of a personal key when its creator is removed.
const (
	// RevokeKeys ends the key with the membership.
	RevokeKeys AfterLeaving = "revoke"
	// KeepKeys leaves the key active until somebody revokes it, with the permissions that its creator had at removal.
	KeepKeys AfterLeaving = "keep"
)

// InvitationRules are the rules of invitations.
type InvitationRules struct {
	// ExpireAfter is how long an invitation can be accepted; unsaid: 168 hours.
	ExpireAfter time.Duration
	// WorkEmailOnly refuses addresses at FreeMail; unsaid: any address will do.
	WorkEmailOnly bool
	// FreeMail are the mail domains that are nobody's work address; unsaid: the widespread ones.
	FreeMail []string
}

// defaultRules returns the rules of a charter that says nothing; the owner rules depend on its roles.
func defaultRules(roles []*Role) Rules {
	rules := Rules{
		Organizations: OrganizationRules{Create: AnyoneCreates},
		Owners:        ManyOwners,
		Ownership:     OwnershipRules{Acceptance: AcceptanceNone},
		Grant:         AtOrBelowOwn,
		Keys:          KeyRules{Kinds: []KeyKind{PersonalKey}, AfterCreatorLeaves: RevokeKeys},
		Invitations: InvitationRules{ExpireAfter: 168 * time.Hour, FreeMail: []string{
			"aol.com", "gmail.com", "gmx.com", "gmx.de", "googlemail.com", "hotmail.com", "icloud.com", "live.com", "mail.com",
			"me.com", "msn.com", "outlook.com", "pm.me", "proton.me", "protonmail.com", "qq.com", "web.de", "yahoo.com", "yandex.com",
		}},
		DeletionGrace: 720 * time.Hour,
	}
	if len(roles) > 1 {
		below := roles[len(roles)-2].ID
		rules.Ownership.TransferTo, rules.Ownership.PreviousOwnerBecomes = below, below
	}
	return rules
}

// rules reads the rules; the node may be nil.
func (p *parser) rules(n *yaml.Node) {
	r := defaultRules(p.c.roles)
	if n == nil {
		p.c.Rules = r
		return
	}
	p.fields(n, "rules", fields{
		"organizations": func(n *yaml.Node) {
			p.fields(n, "rules.organizations", fields{
				"create": func(n *yaml.Node) { choose(p, n, &r.Organizations.Create, AnyoneCreates, ServiceCreates) },
			})
		},
		"owners":         func(n *yaml.Node) { choose(p, n, &r.Owners, OneOwner, ManyOwners) },
		"ownership":      func(n *yaml.Node) { p.ownershipRules(n, &r.Ownership) },
		"grant":          func(n *yaml.Node) { choose(p, n, &r.Grant, AtOrBelowOwn) },
		"keys":           func(n *yaml.Node) { p.keyRules(n, &r.Keys) },
		"invitations":    func(n *yaml.Node) { p.invitationRules(n, &r.Invitations) },
		"deletion_grace": func(n *yaml.Node) { p.duration(n, &r.DeletionGrace) },
	})
	p.c.Rules = r
}

func (p *parser) ownershipRules(n *yaml.Node, r *OwnershipRules) {
	p.fields(n, "rules.ownership", fields{
		"transfer_to":            func(n *yaml.Node) { p.lesserRole(n, &r.TransferTo) },
		"previous_owner_becomes": func(n *yaml.Node) { p.lesserRole(n, &r.PreviousOwnerBecomes) },
		"acceptance":             func(n *yaml.Node) { choose(p, n, &r.Acceptance, AcceptanceNone, AcceptanceRequired) },
	})
}

// lesserRole reads the id of a role other than the owner role.
func (p *parser) lesserRole(n *yaml.Node, to *RoleID) {
	role, ok := p.role(n)
	if !ok {
		return
	}
	if role == p.c.OwnerRole() {
		p.fail(n, "role %q is the owner role; name another", role.ID)
		return
	}
	*to = role.ID
}

func (p *parser) keyRules(n *yaml.Node, r *KeyRules) {
	var listed *yaml.Node
	p.fields(n, "rules.keys", fields{
		"kinds":                func(n *yaml.Node) { p.keyKinds(n, &r.Kinds) },
		"after_creator_leaves": func(n *yaml.Node) { choose(p, n, &r.AfterCreatorLeaves, RevokeKeys, KeepKeys) },
		"organization_keys": func(n *yaml.Node) {
			listed = n
			for _, id := range p.permissionList(n) {
				r.OrganizationKeys = r.OrganizationKeys.Union(p.c.needs[id])
			}
		},
		"name_template": func(n *yaml.Node) { p.nameTemplate(n, &r.NameTemplate) },
		"max_age":       func(n *yaml.Node) { p.duration(n, &r.MaxAge) },
	})
	if !r.OrganizationKeys.Empty() {
		r.OrganizationKeyIDs = p.c.IDs(r.OrganizationKeys)
	}
	if listed != nil && !r.Allows(OrganizationKey) {
		p.fail(listed, "organization_keys needs %q among rules.keys.kinds", OrganizationKey)
	}
}

func (p *parser) keyKinds(n *yaml.Node, to *[]KeyKind) {
	var kinds []KeyKind
	for _, item := range p.list(n) {
		var kind KeyKind
		choose(p, item, &kind, PersonalKey, OrganizationKey)
		if kind != "" && slices.Contains(kinds, kind) {
			p.fail(item, "%q is listed twice", kind)
		}
		kinds = append(kinds, kind)
	}
	if n.Kind == yaml.SequenceNode && len(kinds) == 0 {
		p.fail(n, "at least one kind of key is needed")
	}
	*to = kinds
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

func (p *parser) nameTemplate(n *yaml.Node, to *string) {
	text, ok := p.text(n)
	if !ok {
		return
	}
	known := []string{"{person}", "{purpose}"}
	for _, found := range placeholder.FindAllString(text, -1) {
		if !slices.Contains(known, found) {
			p.fail(n, "unknown placeholder %q%s", found, p.orOneOf(found, known))
		}
	}
	*to = text
}

func (p *parser) invitationRules(n *yaml.Node, r *InvitationRules) {
	p.fields(n, "rules.invitations", fields{
		"expire_after":    func(n *yaml.Node) { p.duration(n, &r.ExpireAfter) },
		"work_email_only": func(n *yaml.Node) { p.flag(n, &r.WorkEmailOnly) },
		"free_mail":       func(n *yaml.Node) { r.FreeMail = p.domains(n) },
	})
}

var domainForm = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)

func (p *parser) domains(n *yaml.Node) []string {
	var domains []string
	for _, item := range p.list(n) {
		text, ok := p.text(item)
		if ok && !domainForm.MatchString(text) {
			p.fail(item, "%q is not a mail domain in lower case, such as %q", text, "example.com")
		}
		domains = append(domains, text)
	}
	return domains
}
