package credential

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/notice"
	"github.com/guildhall/guildhall/op"
)

// CreateKeyInput says what a new key is to be.
type CreateKeyInput struct {
	op.InOrganization
	Name string          `json:"name,omitzero" cli:"arg" doc:"What people call it; a charter with a template for names makes one where it is empty" example:"Ada - nightly build" maxLength:"100" required:"false"`
	Kind charter.KeyKind `json:"kind,omitzero" doc:"Whether it acts as its creator or as the organization; not said: the first kind of the charter" enum:"personal,organization" required:"false"`
	Scoping
	ServiceAccount string `json:"service_account,omitzero" doc:"Of an organization key: the id of the service account that it acts for" maxLength:"64" required:"false"`
}

// Validate refuses names, networks and times that are none.
func (in *CreateKeyInput) Validate() []op.FieldError {
	wrong := in.check()
	if in.Name != "" {
		wrong = append(wrong, checkName(in.Name)...)
	}
	return wrong
}

// NewKey is a key with its secret, which is shown once.
type NewKey struct {
	Key
	Secret      string `json:"secret,omitzero" doc:"The key itself. Only its hash is kept: it cannot be shown again"`
	SecretShown bool   `json:"secret_shown" doc:"Whether secret is here. A repeat of the same request does not show it again: rotate the key for another"`
}

// WithoutSecret is what a repeat of the request is answered.
func (k NewKey) WithoutSecret() any {
	k.Secret, k.SecretShown = "", false
	return k
}

// CreateKey makes a key. Without permissions it gets everything that it could have but the administrative ones, which
// have to be named.
var CreateKey = &op.Op[CreateKeyInput, NewKey]{
	Name:    "keys.create",
	Route:   "POST /v1/organizations/{organization}/keys",
	Summary: "Make an API key; its secret is shown once",
	Kind:    op.Write,
	Allow:   op.AnyOf(op.On("keys.create"), op.On("keys.create_own")),
	Do:      createKey,
	Example: CreateKeyInput{InOrganization: op.InOrganization{Organization: "acme"}, Name: "Ada - nightly build",
		Scoping: Scoping{ExpiresAt: "90d"}},
}

func createKey(ctx context.Context, tx *op.Tx, in CreateKeyInput) (NewKey, error) {
	kind, err := in.kindOf(tx.Charter)
	if err != nil {
		return NewKey{}, err
	}
	if err := mayMake(ctx, tx.Reader, kind); err != nil {
		return NewKey{}, err
	}
	most, err := maker(ctx, tx.Reader)
	if err != nil {
		return NewKey{}, err
	}
	usual := tx.Actor.Principal.Holds.Intersect(most.scopes)
	if kind == charter.OrganizationKey {
		all, err := in.organizational(ctx, tx.Reader)
		if err != nil {
			return NewKey{}, err
		}
		usual = usual.Intersect(all)
	}
	s, err := in.settle(ctx, tx.Reader, usual.Minus(tx.Charter.Explicit()), most)
	if err != nil {
		return NewKey{}, err
	}
	if out := outside(s.networks, most.networks); out != "" {
		return NewKey{}, op.InvalidField("networks", "required", "%s is outside of what this credential may be used from: say networks", out)
	}
	if s.expires, err = in.keyEnd(tx, most); err != nil {
		return NewKey{}, err
	}
	k, err := in.row(tx, kind, s)
	if err != nil {
		return NewKey{}, err
	}
	made, strange, err := insertKey(ctx, tx, k)
	if err != nil || !strange {
		return made, err
	}
	return made, notice.TellOwners(ctx, tx, notice.Notice{Subject: "A key was made from a new address", Path: "/settings/api-keys",
		Text: "A key “" + mail.Line(k.name) + "” was made by somebody who never signed in or used a key from this address before."})
}

// kindOf is the kind of the new key, if the charter has it.
func (in CreateKeyInput) kindOf(c *charter.Charter) (charter.KeyKind, error) {
	kind := cmp.Or(in.Kind, c.Rules.Keys.Kinds[0])
	if in.Kind == "" && in.ServiceAccount != "" {
		kind = charter.OrganizationKey
	}
	switch {
	case !c.Rules.Keys.Allows(kind):
		return kind, op.InvalidField("kind", "unknown", "this product has no %s keys", kind)
	case in.ServiceAccount != "" && kind != charter.OrganizationKey:
		return kind, op.InvalidField("service_account", "invalid", "only an organization key acts for a service account")
	}
	return kind, nil
}

// mayMake refuses those who may not make a key of the kind. A personal one is made by a member, or by what acts for one.
func mayMake(ctx context.Context, r *op.Reader, kind charter.KeyKind) error {
	if kind == charter.OrganizationKey {
		return r.Demand(ctx, "keys.create")
	}
	if r.Actor.User == "" || r.Actor.Principal.Member == "" {
		return r.Refuse(ctx, decide.Decision{Reason: decide.PeopleOnly})
	}
	return nil
}

// organizational is the most that the new organization key may: what the charter lists, within the role of its service
// account. It refuses permissions that are named and outside of that.
func (in CreateKeyInput) organizational(ctx context.Context, r *op.Reader) (charter.Set, error) {
	most := r.Charter.Rules.Keys.OrganizationKeys
	named, err := permissionSet(r.Charter, in.Permissions)
	if err != nil {
		return most, err
	}
	if beyond := named.Minus(most); !beyond.Empty() {
		return most, op.InvalidField("permissions", "not_for_organization_keys", "%s is not for organization keys, which may have %s",
			words(r.Charter.IDs(beyond), ", "), words(r.Charter.Rules.Keys.OrganizationKeyIDs, ", "))
	}
	if in.ServiceAccount == "" {
		return most, nil
	}
	holds, err := in.accountHolds(ctx, r)
	if err != nil {
		return most, err
	}
	if beyond := named.Minus(holds); !beyond.Empty() {
		return most, op.InvalidField("permissions", "not_for_organization_keys", "the service account's role lacks %s", words(r.Charter.IDs(beyond), ", "))
	}
	return most.Intersect(holds), nil
}

// accountHolds is what the role of the named service account holds, which has to be nothing that the actor does not.
func (in CreateKeyInput) accountHolds(ctx context.Context, r *op.Reader) (charter.Set, error) {
	if err := r.Demand(ctx, "service_accounts.manage"); err != nil {
		return charter.Set{}, err
	}
	a, err := accountByID(ctx, r, in.ServiceAccount)
	if errors.Is(err, op.ErrNotFound) || err == nil && a.deleted != 0 {
		return charter.Set{}, op.InvalidField("service_account", "unknown", "there is no service account %q", in.ServiceAccount)
	}
	if err == nil && !a.holds.SubsetOf(r.Actor.Principal.Holds) {
		err = r.Refuse(ctx, decide.Decision{Reason: decide.AboveYourLevel})
	}
	return a.holds, err
}

// keyEnd is when the new key ends: as asked for, within the charter's longest life and that of the credential that makes
// it; unsaid, at the end of those.
func (in CreateKeyInput) keyEnd(tx *op.Tx, most ceiling) (int64, error) {
	latest := latestEnd(tx, most)
	return in.end(tx.Now, latest, latest)
}

// latestEnd is when a key that is made now ends at the latest; 0: never.
func latestEnd(tx *op.Tx, most ceiling) int64 {
	if age := tx.Charter.Rules.Keys.MaxAge; age > 0 {
		return sooner(most.expires, tx.Now.Add(age).UnixMicro())
	}
	return most.expires
}

// row is the key that is asked for.
func (in CreateKeyInput) row(tx *op.Tx, kind charter.KeyKind, s scoped) (keyRow, error) {
	k := keyRow{id: tx.NewID("key"), kind: kind, account: in.ServiceAccount, permissions: text(tx.Charter, s.scopes),
		resources: string(s.resources), networks: s.networks, created: tx.Micros(), expires: s.expires, version: 1, state: active,
		creator: tx.Actor.User}
	if tx.Actor.Kind == op.UserActor {
		k.creatorName, k.creatorEmail = tx.Actor.Name, tx.Actor.Email
	}
	if kind == charter.PersonalKey {
		k.member, k.memberStatus = tx.Actor.Principal.Member, "active"
	}
	if k.name = strings.TrimSpace(in.Name); k.name == "" {
		k.name = suggestedName(tx)
	}
	if k.name == "" {
		return k, op.InvalidField("name", "required", "name is required")
	}
	return k, nil
}

// suggestedName is the charter's template filled in; empty without one.
func suggestedName(tx *op.Tx) string {
	person := cmp.Or(tx.Actor.Name, tx.Actor.Email, string(tx.Actor.Kind))
	name := strings.NewReplacer("{person}", person, "{purpose}", "key").Replace(tx.Charter.Rules.Keys.NameTemplate)
	return printable(name, 100)
}

// strangeAddress says, as SQL, whether its maker makes the key from an address ($18) where the maker ($9) never signed in
// or used a key, if there is another address to compare with.
const strangeAddress = `CASE WHEN $18 = '' OR $9 = '' THEN 0
	WHEN EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = $9 AND s.address = $18) THEN 0
	WHEN EXISTS (SELECT 1 FROM api_keys a WHERE a.organization = $2 AND a.creator = $9 AND a.last_address = $18) THEN 0
	WHEN EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = $9 AND s.address <> '') THEN 1
	WHEN EXISTS (SELECT 1 FROM api_keys a WHERE a.organization = $2 AND a.creator = $9 AND a.last_address <> '') THEN 1 ELSE 0 END`

// insertKey stores a key with a new secret, and shows that; and says whether its maker is at an address that is new.
func insertKey(ctx context.Context, tx *op.Tx, k keyRow) (NewKey, bool, error) {
	token := secret.New(nil, tx.Charter.KeyPrefix, KeyKind)
	hash := token.Hash()
	k.prefix, k.last4 = token.Prefix()+"_"+token.Kind(), token.Last4()
	var strange int
	err := tx.QueryRow(ctx, `INSERT INTO api_keys (id, organization, kind, name, name_folded, hash, prefix, last4, creator, member,
			service_account, permissions, resources, networks, frozen, left_at, rotated_from, rotated_to, created_at, expires_at,
			last_used_at, last_address, last_agent, revoked_at, revoked_by, revoked_reason, version, recovery_epoch)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, '', 0, $15, '', $16, $17, 0, '', '', 0, '', '', 1,
			(SELECT recovery_epoch FROM instance WHERE id = 'instance')) RETURNING `+strangeAddress,
		k.id, tx.Organization(), string(k.kind), k.name, strings.ToLower(k.name), hash[:], k.prefix, k.last4, k.creator, k.member,
		k.account, k.permissions, k.resources, k.networks, k.rotatedFrom, k.created, k.expires, tx.Caller.Address).Scan(&strange)
	if err != nil {
		return NewKey{}, false, err
	}
	tx.Also("key", k.id, k.name)
	tx.Changed("permissions", nil, slices.Clone(permissionsOf(k.permissions)))
	return NewKey{Key: k.show(tx.Micros()), Secret: token.Reveal(), SecretShown: true}, strange == 1, nil
}
