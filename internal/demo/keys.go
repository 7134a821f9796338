package demo

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/op"
)

// demoKey names the keys that the demo makes at each start.
const demoKey = "demo"

// keysOf makes the keys of an organization that are printed at this start: a personal one for everybody who may have
// one, and one of the organization, made by the first who may. Those of the start before are revoked: nobody knows their
// secrets any more.
func (d *Demo) keysOf(ctx context.Context, organization string, members []Member) ([]Key, error) {
	keys := []Key{}
	for _, kind := range d.config.Charter.Rules.Keys.Kinds {
		for _, m := range members {
			if !d.mayMake(m, kind) {
				continue
			}
			key, err := d.keyOf(ctx, organization, m, kind)
			if err != nil {
				return nil, fmt.Errorf("key of %s: %w", m.Email, err)
			}
			if keys = append(keys, key); kind == charter.OrganizationKey {
				break
			}
		}
	}
	return keys, nil
}

// mayMake reports whether a member's role may make keys of a kind: a try would be in the log as a refusal.
func (d *Demo) mayMake(m Member, kind charter.KeyKind) bool {
	c := d.config.Charter
	role, ok := c.Role(charter.RoleID(m.Role))
	return ok && (c.Can(role, "keys.create") || kind == charter.PersonalKey && c.Can(role, "keys.create_own"))
}

// keyOf makes a key as a member.
func (d *Demo) keyOf(ctx context.Context, organization string, m Member, kind charter.KeyKind) (Key, error) {
	ctx = op.As(ctx, as(m.Token))
	in := op.InOrganization{Organization: organization}
	made, err := credential.CreateKey.Call(ctx, d.hall.Service(), credential.CreateKeyInput{InOrganization: in, Kind: kind,
		Name: m.name() + " - " + demoKey, Scoping: credential.Scoping{ExpiresAt: "30d"}})
	if err != nil {
		return Key{}, err
	}
	return Key{ID: made.ID, Secret: made.Secret, CreatedBy: m.Member}, d.revokeOlder(ctx, in, made.Key)
}

// revokeOlder ends the key that a new one of the same name and kind takes the place of.
func (d *Demo) revokeOlder(ctx context.Context, in op.InOrganization, made credential.Key) error {
	keys, err := credential.ListKeys.Call(ctx, d.hall.Service(), credential.ListKeysInput{InOrganization: in, Page: op.Page{Limit: 100},
		Query: made.Name, Kind: made.Kind, State: "active"})
	if err != nil {
		return err
	}
	for _, old := range keys.Data {
		if old.ID == made.ID || old.Name != made.Name || old.Creator == nil || old.Creator.User != made.Creator.User {
			continue
		}
		revoke := credential.RevokeKeyInput{KeyInput: credential.KeyInput{InOrganization: in, Key: old.ID}, Reason: "the demo was started again"}
		if _, err := credential.RevokeKey.Call(ctx, d.hall.Service(), revoke); err != nil {
			return err
		}
	}
	return nil
}
