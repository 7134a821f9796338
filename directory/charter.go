package directory

import (
	"context"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Charter is the product's model, as far as it says who may do what.
type Charter struct {
	Name             string                          `json:"name" doc:"The charter's short name" example:"automation"`
	Product          string                          `json:"product" doc:"What people call the product" example:"Workflow automation"`
	Hash             string                          `json:"hash" doc:"Differs as soon as a byte of the charter's file does"`
	Permissions      []CharterPermission             `json:"permissions" doc:"The product's permissions, Guildhall's own, and the bundles, in the charter's order"`
	Roles            []CharterRole                   `json:"roles" doc:"The charter's roles, lowest first; the last is the owner role. Organizations may have further ones: see roles.list"`
	Resources        map[string][]charter.Permission `json:"resources" doc:"For each type of resource, what is asked about a single one"`
	KeyKinds         []charter.KeyKind               `json:"key_kinds" doc:"Which keys can be made"`
	OrganizationKeys []charter.Permission            `json:"organization_keys" doc:"What an organization key may have"`
	Plans            []CharterPlan                   `json:"plans" doc:"What is sold, the first of a new organization before the others"`
	Regions          []string                        `json:"regions" doc:"Where work can run and data can stay, the default first"`
}

// ETag changes with the charter.
func (c Charter) ETag() string { return `"` + c.Hash + `"` }

// CharterPermission is a permission or bundle, and its row of the matrix.
type CharterPermission struct {
	ID       charter.Permission   `json:"id" doc:"The permission" example:"workflows.run"`
	Title    string               `json:"title" doc:"What it is" example:"Run workflows"`
	Group    string               `json:"group" doc:"The heading that it stands under" example:"Workflows"`
	Access   charter.Access       `json:"access" doc:"Whether it changes something" enum:"read,write"`
	Own      bool                 `json:"own" doc:"Whether it is one of Guildhall's own, and not the product's"`
	Feature  string               `json:"feature,omitzero" doc:"What a plan has to have for it; absent: any will do" example:"sso"`
	Includes []charter.Permission `json:"includes,omitempty" doc:"The parts of a bundle, which is held when all of them are"`
	Roles    []charter.RoleID     `json:"roles" doc:"The charter's roles that hold it, lowest first"`
}

// CharterRole is a role of the charter, and its column of the matrix.
type CharterRole struct {
	ID          charter.RoleID       `json:"id" doc:"The role's id" example:"editor"`
	Title       string               `json:"title" doc:"What people call it" example:"Editor"`
	Description string               `json:"description,omitzero" doc:"What it is for"`
	Owner       bool                 `json:"owner" doc:"Whether it is the owner role"`
	Permissions []charter.Permission `json:"permissions" doc:"What it holds, without bundles"`
}

// CharterPlan is a plan, as far as it decides what can be done.
type CharterPlan struct {
	ID       string   `json:"id" doc:"The plan's id" example:"pro"`
	Title    string   `json:"title" doc:"What people call it" example:"Pro"`
	Features []string `json:"features" doc:"What it has"`
}

// GetCharterInput has no fields.
type GetCharterInput struct{}

// GetCharter shows the product's model: every screen, page and answer follows from it.
var GetCharter = &op.Op[GetCharterInput, Charter]{
	Name:    "charter.get",
	Route:   "GET /v1/charter",
	Summary: "Show the permissions, the roles, and which role holds what",
	Scope:   op.Instance,
	Allow:   op.AnyOf(op.SignedIn, op.ByCredential, op.ByService, op.ByOperator),
	Do:      getCharter,
}

func getCharter(_ context.Context, tx *op.Tx, _ GetCharterInput) (Charter, error) {
	c := tx.Charter
	out := Charter{Name: c.Name, Product: c.Product, Hash: c.Hash(), Resources: c.Resources, KeyKinds: c.Rules.Keys.Kinds,
		OrganizationKeys: c.Rules.Keys.OrganizationKeyIDs, Regions: c.Regions}
	for _, info := range c.Permissions() {
		out.Permissions = append(out.Permissions, charterPermission(c, info))
	}
	for _, r := range c.Roles() {
		out.Roles = append(out.Roles, CharterRole{ID: r.ID, Title: r.Title, Description: r.Description, Owner: r.Owner, Permissions: c.IDs(r.Holds)})
	}
	for _, plan := range c.Plans {
		out.Plans = append(out.Plans, CharterPlan{ID: plan.ID, Title: plan.Title, Features: plan.Features})
	}
	return out, nil
}

func charterPermission(c *charter.Charter, info charter.Info) CharterPermission {
	p := CharterPermission{ID: info.ID, Title: info.Title, Group: info.Group, Access: charter.WriteAccess, Own: info.Own,
		Feature: info.Feature, Includes: info.Includes, Roles: []charter.RoleID{}}
	if info.Reads {
		p.Access = charter.ReadAccess
	}
	for _, r := range c.Roles() {
		if c.Can(r, info.ID) {
			p.Roles = append(p.Roles, r.ID)
		}
	}
	return p
}
