package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/examples/internal/jsonapi"
	"github.com/guildhall/guildhall/op"
)

// markLeft marks the endpoints whose owner has left the organization. Guildhall knows who is there, so it is asked, with
// the product's own service key: a copy of the members in the product's data would be wrong a moment later.
func (p *product) markLeft(ctx context.Context, organization string, endpoints []endpoint) error {
	asked := map[string]bool{}
	for i := range endpoints {
		owner := endpoints[i].Owner
		if _, known := asked[owner]; !known {
			present, err := p.present(ctx, organization, owner)
			if err != nil {
				return err
			}
			asked[owner] = !present
		}
		endpoints[i].OwnerLeft = asked[owner]
	}
	return nil
}

// present reports whether somebody is a member. Whoever is suspended is one, and comes back.
func (p *product) present(ctx context.Context, organization, member string) (bool, error) {
	m, err := directory.GetMember.Call(ctx, p.guildhall, directory.MemberInput{
		InOrganization: op.InOrganization{Organization: organization}, Member: member})
	if isKind(err, op.NotFound) {
		return false, nil
	}
	return err == nil && m.Status != "ended", err
}

// isKind reports whether Guildhall refused a call in this way.
func isKind(err error, kind op.ErrorKind) bool {
	var e *op.Error
	return errors.As(err, &e) && e.Kind == kind
}

// reassignEndpoint gives an endpoint to another member. Who may manage members may.
func (p *product) reassignEndpoint(r *http.Request) (any, error) {
	var in struct {
		Member string `json:"member"`
	}
	if err := jsonapi.Read(r, &in); err != nil {
		return nil, err
	}
	organization := callerOf(r).organization
	e, err := p.endpoint(r.Context(), organization, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	present, err := p.present(r.Context(), organization, in.Member)
	if err != nil {
		return nil, err
	}
	if !present {
		return nil, jsonapi.Invalid("member: %q is no member of the organization", in.Member)
	}
	e.Owner = in.Member
	return e, jsonapi.Changed(p.db.ExecContext(r.Context(), "UPDATE endpoints SET owner = $3 WHERE organization = $1 AND id = $2",
		organization, e.ID, e.Owner))
}
