package credential

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// Token is a scoped token, without its secret: narrower than the session, key or token that it was derived from, and
// never more than that is at any moment.
type Token struct {
	ID            string               `json:"id" doc:"The token's id" example:"tok_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Name          string               `json:"name,omitzero" doc:"What people call it" example:"preview of pull request 7"`
	Display       string               `json:"display" doc:"How it begins and ends: enough to know it by" example:"gld_tok_...a1B2"`
	State         string               `json:"state" enum:"active,expired,revoked" doc:"A token whose session or key has ended is revoked"`
	Creator       *KeyCreator          `json:"creator,omitzero" cli:"-" doc:"On whose behalf it was made; absent for what a key of the organization made"`
	Session       string               `json:"session,omitzero" cli:"-" doc:"The session that it dies with"`
	Key           string               `json:"key,omitzero" cli:"-" doc:"The key that it dies with"`
	Parent        string               `json:"parent,omitzero" cli:"-" doc:"The token that it was derived from, and dies with too"`
	Permissions   []charter.Permission `json:"permissions" cli:"-" doc:"Its scopes: the most that it may"`
	Resources     []string             `json:"resources,omitzero" cli:"-" doc:"The single resources that it is for; absent: any"`
	Networks      []string             `json:"networks,omitempty" cli:"-" doc:"The ranges of addresses that it may be used from, within those of its key; absent: any of those"`
	ReadOnly      bool                 `json:"read_only" cli:"-" doc:"Whether it only reads"`
	Budget        int64                `json:"budget,omitzero" cli:"-" doc:"How many requests it may make in all; absent: any number"`
	BudgetUsed    int64                `json:"budget_used,omitzero" cli:"-" doc:"How many of them are made, or lie ready with a server to be made"`
	CreatedAt     time.Time            `json:"created_at" doc:"When it was made"`
	ExpiresAt     time.Time            `json:"expires_at" doc:"When it ends at the latest"`
	LastUsedAt    time.Time            `json:"last_used_at,omitzero" doc:"When it was last used, to about a minute; absent: never"`
	RevokedAt     time.Time            `json:"revoked_at,omitzero" cli:"-" doc:"When it was revoked itself"`
	RevokedBy     string               `json:"revoked_by,omitzero" cli:"-" doc:"Who revoked it: the id of a user or key, or operator"`
	RevokedReason string               `json:"revoked_reason,omitzero" cli:"-" doc:"Why it was revoked"`
}

// The bounds of tokens.
const (
	maxDepth  = 8                   // tokens in a line, one derived from the other
	tokenLife = time.Hour           // unless another is asked for
	maxLife   = 30 * 24 * time.Hour // and never more than of what it is derived from
)

// tokenState is the state of a token, as SQL; $2 is the time.
const tokenState = `CASE WHEN t.revoked_at <> 0 OR t.recovery_epoch <> i.recovery_epoch OR s.ended_at <> 0 OR k.revoked_at <> 0
		OR k.left_at = 0 AND m.status = 'removed' OR t.session <> '' AND m.status = 'removed' THEN 'revoked'
	WHEN t.expires_at <= $2 OR k.expires_at <> 0 AND k.expires_at <= $2 THEN 'expired' ELSE 'active' END`

const tokenColumns = `t.id, t.name, t.prefix, t.last4, t.creator, COALESCE(u.name, ''), COALESCE(u.email, ''), t.session, t.api_key,
	t.parent, t.ancestors, t.permissions, t.resources, t.networks, t.read_only, t.budget, t.budget_used, t.created_at, t.expires_at,
	t.last_used_at, t.revoked_at, t.revoked_by, t.revoked_reason, ` + tokenState

const tokenTables = ` FROM scoped_tokens t JOIN instance i ON i.id = 'instance' LEFT JOIN users u ON u.id = t.creator
	LEFT JOIN sessions s ON s.id = t.session LEFT JOIN api_keys k ON k.organization = t.organization AND k.id = t.api_key
	LEFT JOIN members m ON m.organization = t.organization AND m.id = CASE WHEN t.session = '' THEN k.member ELSE t.member END`

// tokenRow is a token as it is stored.
type tokenRow struct {
	id, name, prefix, last4             string
	creator, creatorName, creatorEmail  string
	session, key, parent, ancestors     string
	permissions, resources, networks    string
	readOnly                            bool
	budget, used                        int64
	created, expires, lastUsed, revoked int64
	revokedBy, revokedReason, state     string
}

// scanToken reads the columns of tokenColumns.
func scanToken(from row) (t tokenRow, err error) {
	err = from.Scan(&t.id, &t.name, &t.prefix, &t.last4, &t.creator, &t.creatorName, &t.creatorEmail, &t.session, &t.key,
		&t.parent, &t.ancestors, &t.permissions, &t.resources, &t.networks, &t.readOnly, &t.budget, &t.used, &t.created, &t.expires,
		&t.lastUsed, &t.revoked, &t.revokedBy, &t.revokedReason, &t.state)
	return t, found(err)
}

func (t tokenRow) show() Token {
	shown := Token{ID: t.id, Name: t.name, Display: t.prefix + "_..." + t.last4, State: t.state, Session: t.session, Key: t.key, Parent: t.parent,
		Permissions: permissionsOf(t.permissions), Resources: decide.Limits(t.resources).Resources(),
		Networks: strings.Fields(lastGroup(t.networks)), ReadOnly: t.readOnly, Budget: t.budget, BudgetUsed: t.used,
		CreatedAt: timeOf(t.created), ExpiresAt: timeOf(t.expires), LastUsedAt: timeOf(t.lastUsed), RevokedAt: timeOf(t.revoked),
		RevokedBy: t.revokedBy, RevokedReason: t.revokedReason}
	if t.creator != "" {
		shown.Creator = keyRow{creator: t.creator, creatorName: t.creatorName, creatorEmail: t.creatorEmail}.shownCreator(0)
	}
	return shown
}

// CreateTokenInput says what a new token is to be.
type CreateTokenInput struct {
	op.InOrganization
	Name string `json:"name,omitzero" doc:"What people call it" example:"preview of pull request 7" maxLength:"100" required:"false"`
	Scoping
	ReadOnly bool   `json:"read_only,omitzero" doc:"Whether it only reads" required:"false"`
	Budget   int64  `json:"budget,omitzero" doc:"How many requests it may make in all; not said: any number" minimum:"1" maximum:"1000000000" required:"false"`
	Parent   string `json:"parent,omitzero" doc:"What it is derived from: one of your keys; not said: the session, key or token of this request" maxLength:"64" required:"false"`
}

// Validate refuses names, networks and times that are none.
func (in *CreateTokenInput) Validate() []op.FieldError {
	wrong := in.check()
	if in.ExpiresAt == never {
		wrong = append(wrong, op.FieldError{Pointer: "/expires_at", Code: "invalid", Detail: "a token ends: within 30 days"})
	}
	if in.Name != "" {
		wrong = append(wrong, checkName(in.Name)...)
	}
	return wrong
}

// NewToken is a token with its secret, which is shown once.
type NewToken struct {
	Token
	Secret      string `json:"secret,omitzero" doc:"The token itself. Only its hash is kept: it cannot be shown again"`
	SecretShown bool   `json:"secret_shown" doc:"Whether secret is here. A repeat of the same request does not show it again: revoke the token and make another"`
}

// WithoutSecret is what a repeat of the request is answered.
func (t NewToken) WithoutSecret() any {
	t.Secret, t.SecretShown = "", false
	return t
}

// CreateToken derives a token from a session, a key or a token. What it may is fixed now, within what its parent may,
// and cut down at every use by what the session or key at the root may then.
var CreateToken = &op.Op[CreateTokenInput, NewToken]{
	Name:    "tokens.create",
	Route:   "POST /v1/organizations/{organization}/tokens",
	Summary: "Derive a scoped token from your session, key or token; its secret is shown once",
	Kind:    op.Write,
	Allow:   op.On("tokens.create"),
	Do:      createToken,
	Example: CreateTokenInput{InOrganization: op.InOrganization{Organization: "acme"}, Name: "preview of pull request 7", ReadOnly: true,
		Budget: 1000, Scoping: Scoping{ExpiresAt: "1h"}},
}

func createToken(ctx context.Context, tx *op.Tx, in CreateTokenInput) (NewToken, error) {
	p, err := in.parent(ctx, tx.Reader)
	if err != nil {
		return NewToken{}, err
	}
	if len(strings.Fields(p.ancestors)) >= maxDepth {
		return NewToken{}, op.Errorf(op.Conflict, "too_deep", "this token is the last of %d in a line: derive from one above", maxDepth)
	}
	usual := p.scopes
	if p.key == "" && p.token == "" {
		usual = usual.Minus(tx.Charter.Explicit()) // those of a person that nobody named
	}
	s, err := in.settle(ctx, tx.Reader, usual, p.ceiling)
	if err != nil {
		return NewToken{}, err
	}
	latest := sooner(p.expires, tx.Now.Add(maxLife).UnixMicro())
	if s.expires, err = in.end(tx.Now, sooner(latest, tx.Now.Add(tokenLife).UnixMicro()), latest); err != nil {
		return NewToken{}, err
	}
	return insertToken(ctx, tx, in.row(tx, p, s), p)
}

// parent is what the new token is derived from.
func (in CreateTokenInput) parent(ctx context.Context, r *op.Reader) (parent, error) {
	if in.Parent == "" || in.Parent == r.Actor.Credential.ID {
		return calling(ctx, r)
	}
	if r.Actor.Kind != op.UserActor {
		return parent{}, op.Errorf(op.Denied, string(decide.PeopleOnly), "a key or token derives from itself only")
	}
	k, err := keyByID(ctx, r, in.Parent)
	switch {
	case errors.Is(err, op.ErrNotFound), err == nil && !viewOf(r).owns(k):
		return parent{}, op.InvalidField("parent", "unknown", "you have no key %q", in.Parent)
	case err != nil:
		return parent{}, err
	case k.state != active:
		return parent{}, keyEnded(k)
	}
	if k.kind == charter.OrganizationKey {
		err = mayGive(ctx, r, setOf(r.Charter, k.permissions), r.Charter.All())
	}
	return k.parent(r.Charter), err
}

// row is the token that is asked for.
func (in CreateTokenInput) row(tx *op.Tx, p parent, s scoped) tokenRow {
	t := tokenRow{id: tx.NewID("tok"), name: strings.TrimSpace(in.Name), creator: tx.Actor.User, session: p.session, key: p.key, parent: p.token,
		ancestors: p.ancestors, permissions: text(tx.Charter, s.scopes), resources: string(s.resources), networks: p.tokenNetworks,
		readOnly: in.ReadOnly || p.readOnly, budget: in.Budget, created: tx.Micros(), expires: s.expires, state: active}
	if in.Networks != nil && s.networks != lastGroup(t.networks) {
		t.networks = groups(t.networks, s.networks)
	}
	if tx.Actor.Kind == op.UserActor {
		t.creatorName, t.creatorEmail = tx.Actor.Name, tx.Actor.Email
	}
	return t
}

// insertToken stores a token with a new secret, and shows that.
func insertToken(ctx context.Context, tx *op.Tx, t tokenRow, p parent) (NewToken, error) {
	token := secret.New(nil, tx.Charter.KeyPrefix, TokenKind)
	hash := token.Hash()
	t.prefix, t.last4 = token.Prefix()+"_"+token.Kind(), token.Last4()
	budgets := p.budgets
	if t.budget != 0 {
		budgets = strings.TrimSpace(t.id + " " + budgets)
	}
	_, err := tx.Exec(ctx, `INSERT INTO scoped_tokens (id, organization, name, hash, prefix, last4, creator, member, session, api_key, parent,
			ancestors, permissions, resources, networks, read_only, budget, budgets, budget_used, created_at, expires_at, last_used_at,
			revoked_at, revoked_by, revoked_reason, recovery_epoch)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 0, $19, $20, 0, 0, '', '',
			(SELECT recovery_epoch FROM instance WHERE id = 'instance'))`,
		t.id, tx.Organization(), t.name, hash[:], t.prefix, t.last4, t.creator, p.member, t.session, t.key, t.parent, t.ancestors,
		t.permissions, t.resources, t.networks, t.readOnly, t.budget, budgets, t.created, t.expires)
	if err != nil {
		return NewToken{}, err
	}
	tx.Also("token", t.id, t.name)
	tx.Changed("permissions", nil, permissionsOf(t.permissions))
	return NewToken{Token: t.show(), Secret: token.Reveal(), SecretShown: true}, nil
}

// ListTokensInput says which tokens.
type ListTokensInput struct {
	op.InOrganization
	op.Page
	State string `json:"state,omitzero" doc:"Only those in this state" enum:"active,expired,revoked" required:"false"`
	Key   string `json:"key,omitzero" doc:"Only those that die with this key" maxLength:"64" required:"false"`
}

// ListTokens lists the caller's scoped tokens, the newest first; with keys.inspect everybody's.
var ListTokens = &op.Op[ListTokensInput, op.List[Token]]{
	Name:    "tokens.list",
	Route:   "GET /v1/organizations/{organization}/tokens",
	Summary: "List scoped tokens, without their secrets",
	Allow:   op.AnyOf(op.On("tokens.create"), op.On("keys.inspect")),
	Do:      listTokens,
	Example: ListTokensInput{InOrganization: op.InOrganization{Organization: "acme"}, State: "active"},
}

func listTokens(ctx context.Context, tx *op.Tx, in ListTokensInput) (op.List[Token], error) {
	c := conditions{args: []any{tx.Organization(), tx.Micros()}}
	before, id := in.Page.AfterNewest()
	c.add("(t.created_at < ? OR t.created_at = ? AND t.id < ?)", before, before, id)
	if !tx.May("keys.inspect").Allow {
		c.add("t.creator = ? AND t.creator <> ''", tx.Actor.User)
	}
	if in.State != "" {
		c.add(tokenState+" = ?", in.State)
	}
	if in.Key != "" {
		c.add("t.api_key = ?", in.Key)
	}
	rows, err := tx.Query(ctx, "SELECT "+tokenColumns+tokenTables+" WHERE t.organization = $1 AND "+c.where()+
		" ORDER BY t.created_at DESC, t.id DESC LIMIT "+c.param(in.Size()+1), c.args...)
	if err != nil {
		return op.List[Token]{}, err
	}
	defer rows.Close()
	var tokens []tokenRow
	for rows.Next() {
		t, err := scanToken(rows)
		if err != nil {
			return op.List[Token]{}, err
		}
		tokens = append(tokens, t)
	}
	page := op.Listed(tx.Reader, &in.Page, tokens, func(t tokenRow) []string { return op.Newest(t.created, t.id) })
	return shownAs(page, tokenRow.show), rows.Err()
}

// RevokeTokenInput names a token and says why it goes.
type RevokeTokenInput struct {
	op.InOrganization
	Token  string `json:"token" doc:"The token's id" example:"tok_00000000000000000000000000" maxLength:"64"`
	Reason string `json:"reason,omitzero" doc:"Why: kept with the token and in the audit log" example:"the preview is gone" maxLength:"500" required:"false"`
}

// RevokeToken ends a token and every token below it: each request sent after it returns is refused. Revoking it again
// changes nothing.
var RevokeToken = &op.Op[RevokeTokenInput, Token]{
	Name:    "tokens.revoke",
	Route:   "POST /v1/organizations/{organization}/tokens/{token}/revoke",
	Summary: "Revoke a scoped token at once, and the tokens derived from it",
	Kind:    op.Access,
	Allow:   op.AnyOf(op.On("keys.revoke"), op.Own(), op.Own("tokens.create")),
	Target:  tokenTarget,
	Fences:  func(_ RevokeTokenInput, t op.Target) []op.Fence { return []op.Fence{{Kind: op.FenceToken, ID: t.ID}} },
	Do:      revokeToken,
	Example: RevokeTokenInput{InOrganization: op.InOrganization{Organization: "acme"}, Token: "tok_00000000000000000000000000"},
}

func tokenTarget(ctx context.Context, r *op.Reader, in RevokeTokenInput) (op.Target, error) {
	t, err := scanToken(r.QueryRow(ctx, "SELECT "+tokenColumns+tokenTables+" WHERE t.organization = $1 AND t.id = $3",
		r.Organization(), r.Micros(), in.Token))
	if err != nil {
		return op.Target{}, err
	}
	return op.Target{Organization: r.Organization(), Type: "token", ID: t.id, Name: t.name, User: t.creator, Value: t}, nil
}

func revokeToken(ctx context.Context, tx *op.Tx, in RevokeTokenInput) (Token, error) {
	t, _ := tx.Target().Value.(tokenRow)
	tx.Because(in.Reason)
	if t.revoked != 0 {
		tx.Unchanged()
		return t.show(), nil
	}
	tx.Changed("state", t.state, revoked)
	t.revoked, t.revokedBy, t.revokedReason, t.state = tx.Micros(), tx.Actor.ID, in.Reason, revoked
	return t.show(), fenceEach(ctx, tx, op.FenceToken, `UPDATE scoped_tokens SET revoked_at = $3, revoked_by = $4, revoked_reason = $5
		WHERE organization = $1 AND session = $6 AND api_key = $7 AND (id = $2 OR ancestors LIKE $8 ESCAPE '!') AND revoked_at = 0`+tx.Quiet()+` RETURNING id`,
		tx.Organization(), t.id, t.revoked, t.revokedBy, t.revokedReason, t.session, t.key, containing(" "+t.id+" "))
}
