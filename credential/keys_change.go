package credential

import (
	"context"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// UpdateKeyInput says what to change. Everything but the name only ever takes away.
type UpdateKeyInput struct {
	KeyInput
	Name *string `json:"name,omitzero" doc:"What people call it" example:"Ada - nightly build" maxLength:"100" required:"false"`
	Scoping
}

// Validate refuses names, networks and times that are none, and a change of nothing.
func (in *UpdateKeyInput) Validate() []op.FieldError {
	wrong := in.check()
	if in.Name != nil {
		return append(wrong, checkName(*in.Name)...)
	}
	if !in.narrows() {
		wrong = append(wrong, op.FieldError{Code: "required", Detail: "say name, permissions, resources, networks or expires_at"})
	}
	return wrong
}

func (in *UpdateKeyInput) narrows() bool {
	return in.Permissions != nil || in.Resources != nil || in.Networks != nil || in.ExpiresAt != ""
}

func fenceKey(t op.Target) []op.Fence { return []op.Fence{{Kind: op.FenceKey, ID: t.ID}} }

// UpdateKey renames a key, which needs keys.rename, or narrows it, which needs keys.revoke. Those who may create keys do
// both with their own. What a key was narrowed by never comes back: make a new one.
var UpdateKey = &op.Op[UpdateKeyInput, Key]{
	Name:    "keys.update",
	Route:   "PATCH /v1/organizations/{organization}/keys/{key}",
	Summary: "Rename an API key, or narrow what it may",
	Kind:    op.Access,
	Allow:   op.AnyOf(op.On("keys.rename"), op.On("keys.revoke"), op.Own("keys.create", "keys.create_own")),
	Target: func(ctx context.Context, r *op.Reader, in UpdateKeyInput) (op.Target, error) {
		return keyTarget(ctx, r, in.Key)
	},
	Fences:  func(_ UpdateKeyInput, t op.Target) []op.Fence { return fenceKey(t) },
	Do:      updateKey,
	Example: UpdateKeyInput{KeyInput: exampleKey, Name: new("Ada - nightly build")},
}

func updateKey(ctx context.Context, tx *op.Tx, in UpdateKeyInput) (Key, error) {
	k, _ := tx.Target().Value.(keyRow)
	if err := in.mayChange(ctx, tx, k); err != nil {
		return Key{}, err
	}
	if k.state == revoked || k.state == expired {
		return Key{}, keyEnded(k)
	}
	was := k
	if in.Name != nil {
		k.name = strings.TrimSpace(*in.Name)
	}
	if err := in.narrow(tx, &k); err != nil {
		return Key{}, err
	}
	if k == was {
		tx.Unchanged()
		return viewOf(tx.Reader).showNamed(k), nil
	}
	k.noteChanges(tx, was)
	k.version++
	_, err := tx.Exec(ctx, `UPDATE api_keys SET name = $3, name_folded = $4, permissions = $5, resources = $6, networks = $7, expires_at = $8,
		version = $9 WHERE organization = $1 AND id = $2`+tx.Quiet(), tx.Organization(), k.id, k.name, strings.ToLower(k.name), k.permissions,
		k.resources, k.networks, k.expires, k.version)
	return viewOf(tx.Reader).showNamed(k), err
}

// mayChange demands the right for each thing that is to change of somebody else's key.
func (in UpdateKeyInput) mayChange(ctx context.Context, tx *op.Tx, k keyRow) error {
	if viewOf(tx.Reader).owns(k) {
		return nil
	}
	if in.Name != nil {
		if err := tx.Demand(ctx, "keys.rename"); err != nil {
			return err
		}
	}
	if in.narrows() {
		return tx.Demand(ctx, "keys.revoke")
	}
	return nil
}

// keyEnded refuses to change a key that does not live any more.
func keyEnded(k keyRow) error {
	return op.Errorf(op.Conflict, "key_ended", "this key is %s: make a new one", k.state)
}

// narrow takes away from a key, and refuses to add to it.
func (in UpdateKeyInput) narrow(tx *op.Tx, k *keyRow) error {
	scopes := setOf(tx.Charter, k.permissions)
	if in.Permissions != nil {
		set, err := permissionSet(tx.Charter, in.Permissions)
		if err != nil {
			return err
		}
		if beyond := set.Minus(scopes); !beyond.Empty() {
			return op.InvalidField("permissions", "wider", "%s is not among the permissions of the key: make a new key for more", words(tx.Charter.IDs(beyond), ", "))
		}
		k.permissions = text(tx.Charter, set)
	}
	limits, err := in.limits(tx.Charter, decide.Limits(k.resources))
	if err != nil {
		return err
	}
	ranges, err := in.ranges(k.networks)
	if err != nil {
		return err
	}
	k.resources, k.networks = string(limits), ranges
	k.expires, err = in.end(tx.Now, k.expires, k.expires)
	return err
}

// noteChanges notes for the audit row what is different. A name may be a person's.
func (k keyRow) noteChanges(tx *op.Tx, was keyRow) {
	if k.name != was.name {
		tx.ChangedPersonal(k.id, "name", was.name, k.name)
	}
	for _, f := range []struct{ field, before, after string }{
		{"permissions", was.permissions, k.permissions}, {"resources", was.resources, k.resources}, {"networks", was.networks, k.networks},
	} {
		if f.before != f.after {
			tx.Changed(f.field, strings.Fields(f.before), strings.Fields(f.after))
		}
	}
	noteEnd(tx, was.expires, k.expires)
}

// noteEnd notes for the audit row that something ends at another time.
func noteEnd(tx *op.Tx, was, is int64) {
	if was != is {
		tx.Changed("expires_at", endText(was), endText(is))
	}
}

func endText(micros int64) string {
	if micros == 0 {
		return never
	}
	return timeOf(micros).Format(time.RFC3339)
}

// RotateKeyInput names a key and says how long the old secret goes on.
type RotateKeyInput struct {
	KeyInput
	Overlap string `json:"overlap,omitzero" doc:"How long the old key still works, but never past its own end" enum:"0s,1h,24h,7d" default:"0s" required:"false"`
}

// RotateKey makes a key that takes the place of another: the same name, rights and length of life, and a new secret. The
// old one works until the overlap is over, and so do the tokens derived from it.
var RotateKey = &op.Op[RotateKeyInput, NewKey]{
	Name:    "keys.rotate",
	Route:   "POST /v1/organizations/{organization}/keys/{key}/rotate",
	Summary: "Replace an API key by one with a new secret, which is shown once",
	Kind:    op.Access,
	Allow:   op.AnyOf(op.On("keys.revoke"), op.Own("keys.create", "keys.create_own")),
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, in RotateKeyInput) (op.Target, error) {
		return keyTarget(ctx, r, in.Key)
	},
	Fences:  func(_ RotateKeyInput, t op.Target) []op.Fence { return fenceKey(t) },
	Do:      rotateKey,
	Example: RotateKeyInput{KeyInput: exampleKey, Overlap: "24h"},
}

func rotateKey(ctx context.Context, tx *op.Tx, in RotateKeyInput) (NewKey, error) {
	old, _ := tx.Target().Value.(keyRow)
	if err := mayRotate(ctx, tx.Reader, old); err != nil {
		return NewKey{}, err
	}
	most, err := maker(ctx, tx.Reader)
	if err != nil {
		return NewKey{}, err
	}
	if tx.Actor.Kind != op.UserActor && !most.covers(old, tx.Charter) {
		return NewKey{}, tx.Refuse(ctx, decide.Decision{Reason: decide.AboveYourLevel})
	}
	fresh := old
	fresh.id, fresh.rotatedFrom, fresh.created, fresh.version = tx.NewID("key"), old.id, tx.Micros(), 1
	fresh.lastUsed, fresh.lastAddress, fresh.lastAgent = 0, "", ""
	fresh.expires = sooner(successorEnd(old.created, old.expires, tx.Now), latestEnd(tx, most))
	ends := rotated(in.Overlap, old.expires, tx.Now)
	if _, err := tx.Exec(ctx, `UPDATE api_keys SET expires_at = $3, rotated_to = $4, version = version + 1 WHERE organization = $1 AND id = $2`+tx.Quiet(),
		tx.Organization(), old.id, ends, fresh.id); err != nil {
		return NewKey{}, err
	}
	tx.Changed("rotated_to", nil, fresh.id)
	noteEnd(tx, old.expires, ends)
	made, _, err := insertKey(ctx, tx, fresh)
	return made, err
}

// mayRotate refuses to show the secret of a key to anybody but whom it acts for.
func mayRotate(ctx context.Context, r *op.Reader, k keyRow) error {
	switch {
	case k.state == leftBehind:
		return op.Errorf(op.Conflict, leftBehind, "the creator of this key has left: make a new key, and revoke this one")
	case k.kind == charter.PersonalKey && (k.creator != r.Actor.User || r.Actor.User == ""):
		return &op.Error{Kind: op.Denied, Code: string(decide.AboveYourLevel), Reason: decide.AboveYourLevel,
			Text: "only its creator can rotate a personal key: revoke it instead"}
	case k.state != active:
		return keyEnded(k)
	case k.rotatedTo != "":
		return &op.Error{Kind: op.Conflict, Code: "rotated", Text: "this key has been rotated: rotate the one that took its place",
			Refers: map[string]string{"key": k.rotatedTo}}
	case k.kind == charter.PersonalKey:
		return nil
	}
	if err := r.Demand(ctx, "keys.create"); err != nil {
		return err
	}
	if !setOf(r.Charter, k.permissions).SubsetOf(r.Actor.Principal.Holds) {
		return r.Refuse(ctx, decide.Decision{Reason: decide.AboveYourLevel})
	}
	return nil
}

// RevokeKeyInput names a key and says why it goes.
type RevokeKeyInput struct {
	KeyInput
	Reason string `json:"reason,omitzero" doc:"Why: kept with the key and in the audit log" example:"it was in a log" maxLength:"500" required:"false"`
}

// RevokeKey ends a key and the tokens derived from it: every request sent after it returns is refused. Revoking it again
// changes nothing.
var RevokeKey = &op.Op[RevokeKeyInput, Key]{
	Name:    "keys.revoke",
	Route:   "POST /v1/organizations/{organization}/keys/{key}/revoke",
	Summary: "Revoke an API key at once, and the tokens derived from it",
	Kind:    op.Access,
	Allow:   op.AnyOf(op.On("keys.revoke"), op.Own("keys.create", "keys.create_own")),
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, in RevokeKeyInput) (op.Target, error) {
		return keyTarget(ctx, r, in.Key)
	},
	Fences:  func(_ RevokeKeyInput, t op.Target) []op.Fence { return fenceKey(t) },
	Do:      revokeKey,
	Example: RevokeKeyInput{KeyInput: exampleKey, Reason: "it was in a log"},
}

func revokeKey(ctx context.Context, tx *op.Tx, in RevokeKeyInput) (Key, error) {
	k, _ := tx.Target().Value.(keyRow)
	tx.Because(in.Reason)
	if k.revoked != 0 {
		tx.Unchanged()
		return viewOf(tx.Reader).showNamed(k), nil
	}
	tx.Changed("state", k.state, revoked)
	err := k.revoke(ctx, tx, in.Reason)
	return viewOf(tx.Reader).showNamed(k), err
}

// revoke ends a key that nobody has revoked.
func (k *keyRow) revoke(ctx context.Context, tx *op.Tx, reason string) error {
	k.revoked, k.revokedBy, k.revokedReason, k.state = tx.Micros(), tx.Actor.ID, reason, revoked
	k.version++
	_, err := tx.Exec(ctx, `UPDATE api_keys SET revoked_at = $3, revoked_by = $4, revoked_reason = $5, version = $6
		WHERE organization = $1 AND id = $2 AND revoked_at = 0`+tx.Quiet(), tx.Organization(), k.id, k.revoked, k.revokedBy, k.revokedReason, k.version)
	return err
}

// EndKey revokes a key of the call's organization in the call's transaction. Whoever calls it has asked whether the actor may,
// and names the change in the audit row. One that is revoked already stays as it is.
func EndKey(ctx context.Context, tx *op.Tx, id, reason string) error {
	k, err := keyByID(ctx, tx.Reader, id)
	if err != nil || k.revoked != 0 {
		return err
	}
	tx.Fence(op.Fence{Kind: op.FenceKey, ID: k.id})
	return k.revoke(ctx, tx, reason)
}
