package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/op"
)

// findOrganization fills in the organization that nobody named: the only one that the caller has.
func (a *app) findOrganization(ctx context.Context, b op.Backend, caller op.Caller, c *command, in values) error {
	if _, said := in[organization]; said || !c.inOrg {
		return nil
	}
	slugs, err := a.organizations(ctx, b, caller)
	if err != nil {
		return err
	}
	switch len(slugs) {
	case 0:
		return &op.Error{Kind: op.Malformed, Text: "you belong to no organization: guildhall organizations create NAME makes one"}
	case 1:
		in[organization] = slugs[0]
		return nil
	}
	return &op.Error{Kind: op.Malformed, Text: "say which organization: --org NAME, or GUILDHALL_ORG; you have " + strings.Join(slugs, ", ")}
}

// organizations are the slugs of the caller's organizations, ten at most.
func (a *app) organizations(ctx context.Context, b op.Backend, caller op.Caller) ([]string, error) {
	i := slices.IndexFunc(a.Operations, func(o op.Any) bool { return o.Info().Name == "organizations.list" })
	if i < 0 {
		return nil, &op.Error{Kind: op.Malformed, Text: "say which organization: --org NAME, or GUILDHALL_ORG"}
	}
	answer, err := b.Invoke(ctx, a.Operations[i], op.Request{Caller: caller, Input: values{"limit": 10}})
	if err != nil {
		return nil, err
	}
	var list struct {
		Data []struct {
			Slug string `json:"slug"`
		} `json:"data"`
	}
	raw, err := json.Marshal(answer.Output)
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	var slugs []string
	for _, o := range list.Data {
		slugs = append(slugs, o.Slug)
	}
	return slugs, err
}
