package credential

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// ServiceKey is the credential of the product's own back end, which asks checks and provisions people.
type ServiceKey struct {
	ID            string    `json:"id" doc:"The key's id" example:"svc_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Name          string    `json:"name" doc:"What it is for" example:"production back end"`
	Display       string    `json:"display" doc:"How it begins and ends: enough to know it by" example:"gld_svc_...a1B2"`
	CreatedAt     time.Time `json:"created_at" doc:"When it was made"`
	CreatedBy     string    `json:"created_by" doc:"Who made it" example:"operator"`
	Scopes        []string  `json:"scopes,omitempty" doc:"What it may: operations, nouns and checks; absent: all that service keys may" example:"[\"users.upsert\",\"checks\"]"`
	ExpiresAt     time.Time `json:"expires_at,omitzero" doc:"When it ends; absent: never"`
	LastUsedAt    time.Time `json:"last_used_at,omitzero" doc:"When it was last used, to about a minute; absent if never"`
	RevokedAt     time.Time `json:"revoked_at,omitzero" doc:"When it was revoked; absent while it works"`
	RevokedReason string    `json:"revoked_reason,omitempty" doc:"Why it was revoked"`
}

// ServiceKeyKind is the kind of a service key's token: "gld_svc_...".
const ServiceKeyKind = "svc"

const serviceKeyColumns = "id, name, prefix, last4, created_at, created_by, last_used_at, revoked_at, revoked_reason, scopes, expires_at"

// CreateServiceKeyInput says what a new service key is for.
type CreateServiceKeyInput struct {
	Name      string   `json:"name" doc:"What the key is for" example:"production back end" minLength:"1" maxLength:"100"`
	Scopes    []string `json:"scopes,omitzero" doc:"What it may: operations such as users.upsert, nouns such as users.*, and checks; not said: all that service keys may" example:"[\"users.upsert\",\"members.*\",\"checks\"]" minItems:"1" maxItems:"100" required:"false"`
	ExpiresAt string   `json:"expires_at,omitzero" doc:"When it ends: a time (RFC 3339), a duration from now such as 90d, or never" example:"90d" maxLength:"64" required:"false"`
}

// scopeForm is the form of what a service key can be limited to.
var scopeForm = regexp.MustCompile(`^([a-z][a-z0-9_]*\.([a-z][a-z0-9_]*|\*)|checks)$`)

// Validate refuses a name that nobody could read, scopes that are none, and a time that is none.
func (in *CreateServiceKeyInput) Validate() []op.FieldError {
	wrong := checkName(in.Name)
	for _, scope := range in.Scopes {
		if !scopeForm.MatchString(scope) {
			wrong = append(wrong, op.FieldError{Pointer: "/scopes", Code: "unknown",
				Detail: fmt.Sprintf("scope %q is not an operation such as users.upsert, a noun such as users.*, nor checks", scope)})
		}
	}
	return append(wrong, (&Scoping{ExpiresAt: in.ExpiresAt}).check()...)
}

// NewServiceKey is a service key with its secret, which is shown once.
type NewServiceKey struct {
	ServiceKey
	Secret      string `json:"secret,omitempty" doc:"The key itself. Only its hash is kept: it cannot be shown again"`
	SecretShown bool   `json:"secret_shown" doc:"Whether secret is here. A repeat of the same request does not show it again: revoke the key and make another"`
}

// WithoutSecret is what a repeat of the request is answered.
func (k NewServiceKey) WithoutSecret() any {
	k.Secret, k.SecretShown = "", false
	return k
}

// CreateServiceKey makes a service key.
var CreateServiceKey = &op.Op[CreateServiceKeyInput, NewServiceKey]{
	Name:    "service_keys.create",
	Route:   "POST /v1/service_keys",
	Summary: "Make a service key for the product's own back end; its secret is shown once",
	Kind:    op.Write,
	Scope:   op.Instance,
	Allow:   op.ByOperator,
	Do:      createServiceKey,
	Example: CreateServiceKeyInput{Name: "production back end"},
}

func createServiceKey(ctx context.Context, tx *op.Tx, in CreateServiceKeyInput) (NewServiceKey, error) {
	ends, err := (&Scoping{ExpiresAt: in.ExpiresAt}).end(tx.Now, 0, 0)
	if err != nil {
		return NewServiceKey{}, err
	}
	return insertServiceKey(ctx, tx, serviceKeyRow{name: strings.TrimSpace(in.Name), scopes: strings.Join(in.Scopes, " "), expires: ends})
}

// insertServiceKey stores a service key with a new secret, and shows that.
func insertServiceKey(ctx context.Context, tx *op.Tx, k serviceKeyRow) (NewServiceKey, error) {
	token := secret.New(nil, tx.Charter.KeyPrefix, ServiceKeyKind)
	hash := token.Hash()
	k.id, k.prefix, k.last4, k.created, k.createdBy = tx.NewID("svc"), token.Prefix()+"_"+token.Kind(), token.Last4(), tx.Micros(), tx.Actor.ID
	_, err := tx.Exec(ctx, `INSERT INTO service_keys (id, name, hash, prefix, last4, created_at, created_by, last_used_at,
			revoked_at, revoked_reason, scopes, expires_at, recovery_epoch)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, '', $8, $9, (SELECT recovery_epoch FROM instance WHERE id = 'instance'))`,
		k.id, k.name, hash[:], k.prefix, k.last4, k.created, k.createdBy, k.scopes, k.expires)
	if err != nil {
		return NewServiceKey{}, err
	}
	tx.Also("service_key", k.id, k.name)
	return NewServiceKey{ServiceKey: k.show(), Secret: token.Reveal(), SecretShown: true}, nil
}

// ListServiceKeysInput asks for the service keys.
type ListServiceKeysInput struct {
	op.Page
}

// ListServiceKeys lists the service keys, revoked ones too, the newest first.
var ListServiceKeys = &op.Op[ListServiceKeysInput, op.List[ServiceKey]]{
	Name:    "service_keys.list",
	Route:   "GET /v1/service_keys",
	Summary: "List the service keys, without their secrets",
	Kind:    op.Read,
	Scope:   op.Instance,
	Allow:   op.ByOperator,
	Do:      listServiceKeys,
	Example: ListServiceKeysInput{Page: op.Page{Limit: 25}},
}

func listServiceKeys(ctx context.Context, tx *op.Tx, in ListServiceKeysInput) (op.List[ServiceKey], error) {
	before, id := in.Page.AfterNewest()
	rows, err := tx.Query(ctx, "SELECT "+serviceKeyColumns+` FROM service_keys
		WHERE created_at < $1 OR created_at = $1 AND id < $2 ORDER BY created_at DESC, id DESC LIMIT $3`, before, id, in.Size()+1)
	if err != nil {
		return op.List[ServiceKey]{}, err
	}
	defer rows.Close()
	var keys []serviceKeyRow
	for rows.Next() {
		k, err := scanServiceKey(rows)
		if err != nil {
			return op.List[ServiceKey]{}, err
		}
		keys = append(keys, k)
	}
	page := op.Listed(tx.Reader, &in.Page, keys, func(k serviceKeyRow) []string { return op.Newest(k.created, k.id) })
	return shownAs(page, serviceKeyRow.show), rows.Err()
}

// RotateServiceKeyInput names a service key and says how long the old secret goes on.
type RotateServiceKeyInput struct {
	Key     string `json:"key" doc:"The key's id" example:"svc_01k9v5x0w3m8q6t2c4h7n0r5sz" maxLength:"64"`
	Overlap string `json:"overlap,omitzero" doc:"How long the old key still works, but never past its own end" enum:"0s,1h,24h,7d" default:"0s" required:"false"`
}

// RotateServiceKey makes a service key that takes the place of another: the same name, scopes and length of life, and a
// new secret. The old one works until the overlap is over.
var RotateServiceKey = &op.Op[RotateServiceKeyInput, NewServiceKey]{
	Name:    "service_keys.rotate",
	Route:   "POST /v1/service_keys/{key}/rotate",
	Summary: "Replace a service key by one with a new secret, which is shown once",
	Kind:    op.Access,
	Scope:   op.Instance,
	Allow:   op.ByOperator,
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, in RotateServiceKeyInput) (op.Target, error) {
		return serviceKeyTarget(ctx, r, in.Key)
	},
	Fences:  func(_ RotateServiceKeyInput, t op.Target) []op.Fence { return fenceServiceKey(t) },
	Do:      rotateServiceKey,
	Example: RotateServiceKeyInput{Key: "svc_01k9v5x0w3m8q6t2c4h7n0r5sz", Overlap: "24h"},
}

func rotateServiceKey(ctx context.Context, tx *op.Tx, in RotateServiceKeyInput) (NewServiceKey, error) {
	old, _ := tx.Target().Value.(serviceKeyRow)
	if old.revoked != 0 || old.expires != 0 && tx.Micros() >= old.expires {
		return NewServiceKey{}, op.Errorf(op.Conflict, "key_ended", "this key has ended: make a new one")
	}
	ends := rotated(in.Overlap, old.expires, tx.Now)
	if _, err := tx.Exec(ctx, "UPDATE service_keys SET expires_at = $2 WHERE id = $1"+tx.Quiet(), old.id, ends); err != nil {
		return NewServiceKey{}, err
	}
	noteEnd(tx, old.expires, ends)
	return insertServiceKey(ctx, tx, serviceKeyRow{name: old.name, scopes: old.scopes, expires: successorEnd(old.created, old.expires, tx.Now)})
}

func fenceServiceKey(t op.Target) []op.Fence { return []op.Fence{{Kind: op.FenceServiceKey, ID: t.ID}} }

// RevokeServiceKeyInput names a service key and says why it goes.
type RevokeServiceKeyInput struct {
	Key    string `json:"key" doc:"The key's id" example:"svc_01k9v5x0w3m8q6t2c4h7n0r5sz" maxLength:"64"`
	Reason string `json:"reason,omitzero" doc:"Why: kept with the key and in the audit log" example:"replaced" maxLength:"500" required:"false"`
}

// RevokeServiceKey ends a service key: every request sent after it returns is refused. Revoking it again changes
// nothing.
var RevokeServiceKey = &op.Op[RevokeServiceKeyInput, ServiceKey]{
	Name:    "service_keys.revoke",
	Route:   "POST /v1/service_keys/{key}/revoke",
	Summary: "Revoke a service key at once",
	Kind:    op.Access,
	Scope:   op.Instance,
	Allow:   op.ByOperator,
	Confirm: op.L2,
	Target: func(ctx context.Context, r *op.Reader, in RevokeServiceKeyInput) (op.Target, error) {
		return serviceKeyTarget(ctx, r, in.Key)
	},
	Fences:  func(_ RevokeServiceKeyInput, t op.Target) []op.Fence { return fenceServiceKey(t) },
	Do:      revokeServiceKey,
	Example: RevokeServiceKeyInput{Key: "svc_01k9v5x0w3m8q6t2c4h7n0r5sz", Reason: "replaced"},
}

// ServiceKeyInput names a service key.
type ServiceKeyInput struct {
	Key string `json:"key" doc:"The key's id" example:"svc_01k9v5x0w3m8q6t2c4h7n0r5sz" maxLength:"64"`
}

// DeleteServiceKey takes a service key that works no more off the list. What was done with it stays in the audit log.
var DeleteServiceKey = &op.Op[ServiceKeyInput, ServiceKey]{
	Name:    "service_keys.delete",
	Route:   "DELETE /v1/service_keys/{key}",
	Summary: "Take a service key that was revoked or has expired off the list",
	Kind:    op.Write,
	Scope:   op.Instance,
	Allow:   op.ByOperator,
	Target: func(ctx context.Context, r *op.Reader, in ServiceKeyInput) (op.Target, error) {
		return serviceKeyTarget(ctx, r, in.Key)
	},
	Do:      deleteServiceKey,
	Example: ServiceKeyInput{Key: "svc_01k9v5x0w3m8q6t2c4h7n0r5sz"},
}

func deleteServiceKey(ctx context.Context, tx *op.Tx, _ ServiceKeyInput) (ServiceKey, error) {
	k, _ := tx.Target().Value.(serviceKeyRow)
	if k.revoked == 0 && (k.expires == 0 || tx.Micros() < k.expires) {
		return ServiceKey{}, op.Errorf(op.Conflict, "key_works", "this key still works: revoke it first")
	}
	_, err := tx.Exec(ctx, "DELETE FROM service_keys WHERE id = $1 AND (revoked_at <> 0 OR expires_at <> 0 AND expires_at <= $2)", k.id, tx.Micros())
	return k.show(), err
}

func serviceKeyTarget(ctx context.Context, r *op.Reader, id string) (op.Target, error) {
	k, err := scanServiceKey(r.QueryRow(ctx, "SELECT "+serviceKeyColumns+" FROM service_keys WHERE id = $1", id))
	if err != nil {
		return op.Target{}, err
	}
	return op.Target{Type: "service_key", ID: k.id, Name: k.name, Value: k}, nil
}

func revokeServiceKey(ctx context.Context, tx *op.Tx, in RevokeServiceKeyInput) (ServiceKey, error) {
	k, _ := tx.Target().Value.(serviceKeyRow)
	tx.Because(in.Reason)
	if k.revoked != 0 {
		tx.Unchanged()
		return k.show(), nil
	}
	k.revoked, k.reason = tx.Micros(), in.Reason
	tx.Changed("revoked", false, true)
	_, err := tx.Exec(ctx, "UPDATE service_keys SET revoked_at = $2, revoked_reason = $3 WHERE id = $1 AND revoked_at = 0"+tx.Quiet(),
		k.id, k.revoked, k.reason)
	return k.show(), err
}

// serviceKeyRow is a service key as it is stored.
type serviceKeyRow struct {
	id, name, prefix, last4, createdBy, reason, scopes string
	created, lastUsed, revoked, expires                int64
}

// ServiceKeysOf gives the ids of the service keys of a name that are limited to one scope, at most 100.
func ServiceKeysOf(ctx context.Context, r *op.Reader, name, scope string) (ids []string, err error) {
	rows, err := r.Query(ctx, "SELECT id FROM service_keys WHERE name = $1 AND scopes = $2 ORDER BY created_at, id LIMIT 100", name, scope)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// scanServiceKey reads the columns of serviceKeyColumns. Without a row it is ErrNotFound.
func scanServiceKey(from row) (k serviceKeyRow, err error) {
	err = from.Scan(&k.id, &k.name, &k.prefix, &k.last4, &k.created, &k.createdBy, &k.lastUsed, &k.revoked, &k.reason, &k.scopes, &k.expires)
	return k, found(err)
}

func (k serviceKeyRow) show() ServiceKey {
	return ServiceKey{ID: k.id, Name: k.name, Display: k.prefix + "_..." + k.last4, CreatedAt: timeOf(k.created), CreatedBy: k.createdBy,
		Scopes: strings.Fields(k.scopes), ExpiresAt: timeOf(k.expires), LastUsedAt: timeOf(k.lastUsed), RevokedAt: timeOf(k.revoked),
		RevokedReason: k.reason}
}
