package access_test

import (
	"testing"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// A question that names a region is answered yes only where the organization's data may be: for people, sessions, keys
// and tokens, and from the change on.
func TestResidencyIsPartOfTheAnswer(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		key, err := credential.CreateKey.Call(h.As(ada.Token), h.Service, credential.CreateKeyInput{InOrganization: in(acme), Name: "ci", Scoping: credential.Scoping{ExpiresAt: "30d"}})
		must(t, err)
		token, err := credential.CreateToken.Call(h.As(key.Secret), h.Service, credential.CreateTokenInput{InOrganization: in(acme), Name: "one run"})
		must(t, err)
		subjects := []check.Subject{user(ada.User), sent(ada.Token), sent(key.Secret), sent(token.Secret)}
		allowed := func(regions ...string) {
			t.Helper()
			for _, region := range []string{"", "us-east-1", "eu-west-1", "mars"} {
				want := region == ""
				for _, r := range regions {
					want = want || r == region
				}
				for n, s := range subjects {
					d, err := h.Access.Check(t.Context(), check.Request{Subject: s, Permission: "workflows.run", Resource: check.Whole(acme), Region: region})
					must(t, err)
					if d.Allow != want || !want && d.Reason != decide.RegionNotAllowed {
						t.Errorf("subject %d in %q: %v (%s), want %v", n, region, d.Allow, d.Reason, want)
					}
					if want && d.Who.Region != regions[0] {
						t.Errorf("subject %d in %q: the region is %q", n, region, d.Who.Region)
					}
				}
			}
		}
		allowed("us-east-1")
		change := func(in directory.UpdateOrganizationInput) {
			t.Helper()
			in.Organization = acme
			_, err := directory.UpdateOrganization.Call(h.As(ada.Token), h.Service, in)
			must(t, err)
		}
		plan := func(id string) {
			h.Fenced(op.Fence{Kind: op.FenceOrganization, ID: acme}, func() { h.Exec("UPDATE organizations SET plan = $2 WHERE id = $1", acme, id) })
		}
		plan("business")
		change(directory.UpdateOrganizationInput{AllowedRegions: &[]string{"us-east-1", "eu-west-1"}})
		allowed("us-east-1", "eu-west-1")
		change(directory.UpdateOrganizationInput{Region: new("eu-west-1")})
		allowed("eu-west-1", "us-east-1")
		plan("free")
		allowed("eu-west-1")
	})
}
