package credential

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// Key is an API key, without its secret. To whoever may only view keys it is its name and its times, and nothing else.
type Key struct {
	ID             string               `json:"id,omitzero" doc:"The key's id" example:"key_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Name           string               `json:"name" doc:"What people call it" example:"Ada - nightly build"`
	Kind           charter.KeyKind      `json:"kind,omitzero" enum:"personal,organization" doc:"Whether it acts as its creator or as the organization"`
	Display        string               `json:"display,omitzero" doc:"How it begins and ends: enough to know it by" example:"gld_live_...a1B2"`
	State          string               `json:"state,omitzero" enum:"active,expired,revoked,left_behind" doc:"left_behind: its creator has left, and it stays until somebody revokes it"`
	Permissions    []charter.Permission `json:"permissions,omitzero" cli:"-" doc:"Its scopes: the most that it may"`
	Resources      []string             `json:"resources,omitzero" cli:"-" doc:"The single resources that it is for; absent: any"`
	Networks       []string             `json:"networks,omitempty" cli:"-" doc:"The ranges of addresses that it may be used from; absent: any"`
	Creator        *KeyCreator          `json:"creator,omitzero" cli:"-" doc:"Who made it; absent for the operator and for what a key of the organization made"`
	Member         string               `json:"member,omitzero" cli:"-" doc:"Of a personal key, the membership that it acts for"`
	ServiceAccount string               `json:"service_account,omitzero" cli:"-" doc:"Of an organization key, the service account that it acts for"`
	LeftAt         time.Time            `json:"left_at,omitzero" cli:"-" doc:"When its creator left and it stayed"`
	CreatedAt      time.Time            `json:"created_at" doc:"When it was made"`
	ExpiresAt      time.Time            `json:"expires_at,omitzero" doc:"When it ends; absent: never"`
	LastUsedAt     time.Time            `json:"last_used_at,omitzero" doc:"When it was last used, to about a minute; absent: never"`
	LastAddress    string               `json:"last_address,omitzero" cli:"-" doc:"From where it was last used" example:"203.0.113.7"`
	LastAgent      string               `json:"last_agent,omitzero" cli:"-" doc:"What it was last used with, as that says of itself" example:"curl/8.5.0"`
	RotatedFrom    string               `json:"rotated_from,omitzero" cli:"-" doc:"The key that it took the place of"`
	RotatedTo      string               `json:"rotated_to,omitzero" cli:"-" doc:"The key that took its place"`
	RevokedAt      time.Time            `json:"revoked_at,omitzero" cli:"-" doc:"When it was revoked"`
	RevokedBy      string               `json:"revoked_by,omitzero" cli:"-" doc:"Who revoked it: the id of a user or key, or operator"`
	RevokedReason  string               `json:"revoked_reason,omitzero" cli:"-" doc:"Why it is revoked"`
	Version        int64                `json:"version,omitzero" cli:"-" doc:"Counts the changes; the ETag"`
}

// KeyCreator is who made a key or token.
type KeyCreator struct {
	User   string `json:"user" doc:"The user's id"`
	Name   string `json:"name,omitzero" doc:"The person's name, or address where there is none"`
	Status string `json:"status,omitzero" enum:"active,suspended,ended,removed" doc:"Of a personal key: the membership's status. The key works only while it is active, or left behind"`
}

// ETag is the key's version.
func (k Key) ETag() string {
	if k.Version == 0 {
		return ""
	}
	return op.VersionTag(k.Version)
}

// The states of keys and tokens.
const (
	active     = "active"
	expired    = "expired"
	revoked    = "revoked"
	leftBehind = "left_behind"
)

// keyState is the state of a key, as SQL; $2 is the time. The key of a creator who left is dead without a word of its
// row, unless the removal left it behind, and so are all that are older than a restored backup.
const keyState = `CASE WHEN k.revoked_at <> 0 OR k.recovery_epoch <> i.recovery_epoch OR k.left_at = 0 AND m.status = 'removed' THEN 'revoked'
	WHEN k.expires_at <> 0 AND k.expires_at <= $2 THEN 'expired'
	WHEN k.left_at <> 0 THEN 'left_behind' ELSE 'active' END`

const keyColumns = `k.id, k.kind, k.name, k.prefix, k.last4, k.creator, COALESCE(u.name, ''), COALESCE(u.email, ''), k.member,
	COALESCE(m.status, ''), COALESCE(m.ends_at, 0), k.service_account, k.permissions, k.resources, k.networks, k.left_at, k.rotated_from,
	k.rotated_to, k.created_at, k.expires_at, k.last_used_at, k.last_address, k.last_agent, k.revoked_at, k.revoked_by, k.revoked_reason,
	k.version, ` + keyState

const keyTables = ` FROM api_keys k JOIN instance i ON i.id = 'instance' LEFT JOIN users u ON u.id = k.creator
	LEFT JOIN members m ON m.organization = k.organization AND m.id = k.member`

// keyRow is a key as it is stored, with its creator and its state now.
type keyRow struct {
	id, name, prefix, last4            string
	kind                               charter.KeyKind
	creator, creatorName, creatorEmail string
	member, memberStatus               string
	memberEnds                         int64
	account                            string
	permissions, resources, networks   string
	left                               int64
	rotatedFrom, rotatedTo             string
	created, expires, lastUsed         int64
	lastAddress, lastAgent             string
	revoked                            int64
	revokedBy, revokedReason           string
	version                            int64
	state                              string
}

// scanKey reads the columns of keyColumns.
func scanKey(from row) (k keyRow, err error) {
	err = from.Scan(&k.id, &k.kind, &k.name, &k.prefix, &k.last4, &k.creator, &k.creatorName, &k.creatorEmail, &k.member,
		&k.memberStatus, &k.memberEnds, &k.account, &k.permissions, &k.resources, &k.networks, &k.left, &k.rotatedFrom,
		&k.rotatedTo, &k.created, &k.expires, &k.lastUsed, &k.lastAddress, &k.lastAgent, &k.revoked, &k.revokedBy, &k.revokedReason,
		&k.version, &k.state)
	return k, found(err)
}

// keyByID reads a key of the call's organization.
func keyByID(ctx context.Context, r *op.Reader, id string) (keyRow, error) {
	return scanKey(r.QueryRow(ctx, "SELECT "+keyColumns+keyTables+" WHERE k.organization = $1 AND k.id = $3", r.Organization(), r.Micros(), id))
}

// show is the key in full.
func (k keyRow) show(now int64) Key {
	shown := Key{ID: k.id, Name: k.name, Kind: k.kind, Display: k.prefix + "_..." + k.last4, State: k.state,
		Permissions: permissionsOf(k.permissions), Resources: decide.Limits(k.resources).Resources(), Networks: strings.Fields(k.networks),
		Creator: k.shownCreator(now), Member: k.member, ServiceAccount: k.account, LeftAt: timeOf(k.left),
		CreatedAt: timeOf(k.created), ExpiresAt: timeOf(k.expires), LastUsedAt: timeOf(k.lastUsed),
		LastAddress: k.lastAddress, LastAgent: printable(k.lastAgent, 200), RotatedFrom: k.rotatedFrom, RotatedTo: k.rotatedTo,
		RevokedAt: timeOf(k.revoked), RevokedBy: k.revokedBy, RevokedReason: k.revokedReason, Version: k.version}
	switch {
	case k.state != revoked || k.revoked != 0:
	case k.memberStatus == "removed":
		shown.RevokedReason = "creator left"
	default:
		shown.RevokedReason = "older than the backup that was restored"
	}
	return shown
}

func (k keyRow) shownCreator(now int64) *KeyCreator {
	if k.creator == "" {
		return nil
	}
	c := &KeyCreator{User: k.creator, Name: k.creatorName, Status: k.memberStatus}
	if c.Name == "" {
		c.Name = k.creatorEmail
	}
	if c.Status == "active" && k.memberEnds != 0 && now >= k.memberEnds {
		c.Status = "ended"
	}
	return c
}

// view is how much of the keys a caller sees, and which are the caller's own: those that the caller made, of the kinds
// that the caller may make.
type view struct {
	all, names bool
	user       string
	kinds      []charter.KeyKind
	now        int64
}

func viewOf(r *op.Reader) view {
	v := view{all: r.May("keys.inspect").Allow, names: r.May("keys.view").Allow, user: r.Actor.User, now: r.Micros()}
	create := r.May("keys.create").Allow
	if create || r.May("keys.create_own").Allow {
		v.kinds = append(v.kinds, charter.PersonalKey)
	}
	if create {
		v.kinds = append(v.kinds, charter.OrganizationKey)
	}
	return v
}

func (v view) owns(k keyRow) bool {
	return v.user != "" && k.creator == v.user && slices.Contains(v.kinds, k.kind)
}

// owner is whose the key is, as op.Target wants it.
func (v view) owner(k keyRow) string {
	if v.owns(k) {
		return k.creator
	}
	return ""
}

// show is as much of a key as the caller sees.
func (v view) show(k keyRow) Key {
	if v.all || v.owns(k) {
		return k.show(v.now)
	}
	return Key{Name: k.name, CreatedAt: timeOf(k.created), ExpiresAt: timeOf(k.expires)}
}

// showNamed is as much of a key as the caller sees who named it by its id.
func (v view) showNamed(k keyRow) Key {
	shown := v.show(k)
	shown.ID = k.id
	return shown
}

// restrict leaves in a list only what the caller sees. Whoever sees no more than names finds nothing out by asking for
// keys with something that is not shown, and sees only those that live.
func (v view) restrict(c *conditions, hiddenAsked bool) {
	if v.all {
		return
	}
	own := "1 = 0"
	if v.user != "" && len(v.kinds) > 0 {
		own = "k.creator = " + c.param(v.user)
		if len(v.kinds) == 1 {
			own += " AND k.kind = " + c.param(string(v.kinds[0]))
		}
	}
	if v.names && !hiddenAsked {
		own += " OR " + keyState + " IN ('active', 'left_behind')"
	}
	c.parts = append(c.parts, "("+own+")")
}

// KeyInput names a key.
type KeyInput struct {
	op.InOrganization
	Key string `json:"key" doc:"The key's id" example:"key_00000000000000000000000000" maxLength:"64"`
}

var exampleKey = KeyInput{op.InOrganization{Organization: "acme"}, "key_00000000000000000000000000"}

// keyTarget loads a key that an operation names.
func keyTarget(ctx context.Context, r *op.Reader, id string) (op.Target, error) {
	k, err := keyByID(ctx, r, id)
	if err != nil {
		return op.Target{}, err
	}
	v := viewOf(r)
	return op.Target{Organization: r.Organization(), Type: "key", ID: k.id, Name: k.name, User: v.owner(k), Version: k.version,
		Current: v.showNamed(k), Value: k}, nil
}

// GetKey shows one key in full.
var GetKey = &op.Op[KeyInput, Key]{
	Name:    "keys.get",
	Route:   "GET /v1/organizations/{organization}/keys/{key}",
	Summary: "Show an API key, without its secret",
	Allow:   op.AnyOf(op.On("keys.inspect"), op.Own("keys.create", "keys.create_own")),
	Target: func(ctx context.Context, r *op.Reader, in KeyInput) (op.Target, error) {
		return keyTarget(ctx, r, in.Key)
	},
	Do: func(_ context.Context, tx *op.Tx, _ KeyInput) (Key, error) {
		k, _ := tx.Target().Value.(keyRow)
		return k.show(tx.Micros()), nil
	},
	Example: exampleKey,
}

// ListKeysInput says which keys.
type ListKeysInput struct {
	op.InOrganization
	op.Page
	Kind   charter.KeyKind `json:"kind,omitzero" doc:"Only those of this kind" enum:"personal,organization" required:"false"`
	State  string          `json:"state,omitzero" doc:"Only those in this state" enum:"active,expired,revoked,left_behind" required:"false"`
	Owner  string          `json:"owner,omitzero" doc:"Only those that this member or user made" maxLength:"64" required:"false"`
	Unused string          `json:"unused,omitzero" doc:"Only living ones that nobody has used for so long, and that are older than that" example:"90d" maxLength:"16" required:"false"`
	Query  string          `json:"q,omitzero" doc:"Part of a name" maxLength:"100" required:"false"`
}

// Validate refuses a duration that is none.
func (in *ListKeysInput) Validate() []op.FieldError {
	if _, ok := duration(in.Unused); in.Unused != "" && !ok {
		return []op.FieldError{{Pointer: "/unused", Code: "invalid", Detail: strconv.Quote(in.Unused) + " is not a duration such as 90d"}}
	}
	return nil
}

// ListKeys lists keys, the newest first. How much is shown depends on the caller: everybody's in full with keys.inspect,
// everybody's name and times with keys.view, and their own in full to those who may create keys.
var ListKeys = &op.Op[ListKeysInput, op.List[Key]]{
	Name:    "keys.list",
	Route:   "GET /v1/organizations/{organization}/keys",
	Summary: "List API keys, without their secrets",
	Allow:   op.AnyOf(op.On("keys.view"), op.On("keys.inspect"), op.On("keys.create"), op.On("keys.create_own")),
	Do:      listKeys,
	Example: ListKeysInput{InOrganization: op.InOrganization{Organization: "acme"}, Unused: "90d"},
}

func listKeys(ctx context.Context, tx *op.Tx, in ListKeysInput) (op.List[Key], error) {
	v := viewOf(tx.Reader)
	c := conditions{args: []any{tx.Organization(), tx.Micros()}}
	before, id := in.Page.AfterNewest()
	c.add("(k.created_at < ? OR k.created_at = ? AND k.id < ?)", before, before, id)
	in.filter(&c, tx.Now)
	v.restrict(&c, in.Kind != "" || in.State != "" || in.Owner != "" || in.Unused != "")
	rows, err := tx.Query(ctx, "SELECT "+keyColumns+keyTables+" WHERE k.organization = $1 AND "+c.where()+
		" ORDER BY k.created_at DESC, k.id DESC LIMIT "+c.param(in.Size()+1), c.args...)
	if err != nil {
		return op.List[Key]{}, err
	}
	defer rows.Close()
	var keys []keyRow
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return op.List[Key]{}, err
		}
		keys = append(keys, k)
	}
	page := op.Listed(tx.Reader, &in.Page, keys, func(k keyRow) []string { return op.Newest(k.created, k.id) })
	return shownAs(page, v.show), rows.Err()
}

// filter adds the conditions that the caller asked for.
func (in *ListKeysInput) filter(c *conditions, now time.Time) {
	if in.Kind != "" {
		c.add("k.kind = ?", string(in.Kind))
	}
	if in.State != "" {
		c.add(keyState+" = ?", in.State)
	}
	if in.Owner != "" {
		c.add("(k.creator = ? OR k.member = ?)", in.Owner, in.Owner)
	}
	if d, ok := duration(in.Unused); ok {
		since := now.Add(-d).UnixMicro()
		c.add("k.last_used_at < ? AND k.created_at < ? AND "+keyState+" IN ('active', 'left_behind')", since, since)
	}
	if q := strings.TrimSpace(in.Query); q != "" {
		c.add("k.name_folded LIKE ? ESCAPE '!'", containing(strings.ToLower(q)))
	}
}

// shownAs shows every row of a page.
func shownAs[Row, Shown any](page op.List[Row], show func(Row) Shown) op.List[Shown] {
	list := op.List[Shown]{Data: make([]Shown, len(page.Data)), HasMore: page.HasMore, NextCursor: page.NextCursor}
	for i, one := range page.Data {
		list.Data[i] = show(one)
	}
	return list
}
