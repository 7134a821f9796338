package directory_test

import (
	"context"
	"slices"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

func TestTheCharterIsShownAsItDecides(t *testing.T) {
	for _, name := range charter.Names() {
		t.Run(name, func(t *testing.T) {
			model := testroom.Ready(t, name)
			r := testroom.New(t, testdb.SQLite(t), model)
			r.Serve(op.Config{Operations: []op.Any{directory.GetCharter}})
			got, err := directory.GetCharter.Call(r.Operator(), r.Service, directory.GetCharterInput{})
			r.Must(err)
			if len(got.Roles) != len(model.Roles()) || len(got.Permissions) != len(model.Permissions()) || !got.Roles[len(got.Roles)-1].Owner {
				t.Errorf("got %d roles and %d permissions", len(got.Roles), len(got.Permissions))
			}
			for _, p := range got.Permissions {
				for _, role := range got.Roles {
					compiled, _ := model.Role(role.ID)
					if want := model.Can(compiled, p.ID); slices.Contains(p.Roles, role.ID) != want || len(p.Includes) == 0 && slices.Contains(role.Permissions, p.ID) != want {
						t.Errorf("%s and %s are not shown as they decide", role.ID, p.ID)
					}
				}
			}
		})
	}
}

func TestWhoeverHasACredentialSeesTheCharter(t *testing.T) {
	r := testroom.New(t, testdb.SQLite(t), testroom.Ready(t, "automation"))
	r.Serve(op.Config{Operations: []op.Any{directory.GetCharter, directory.ProvisionOrganization, credential.CreateServiceKey, credential.CreateKey}, Fence: r.Fence})
	acme, ann := r.Found("acme", "ann@acme.test")
	service, err := credential.CreateServiceKey.Call(r.Operator(), r.Service, credential.CreateServiceKeyInput{Name: "back end"})
	r.Must(err)
	key, err := credential.CreateKey.Call(r.As(ann.Token), r.Service, credential.CreateKeyInput{InOrganization: op.InOrganization{Organization: acme}, Name: "a key"})
	r.Must(err)
	for who, ctx := range map[string]context.Context{"ann": r.As(ann.Token), "the back end": r.As(service.Secret), "ann's key": r.As(key.Secret), "the operator": r.Operator()} {
		if _, err := directory.GetCharter.Call(ctx, r.Service, directory.GetCharterInput{}); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
	_, err = directory.GetCharter.Call(r.Nobody(), r.Service, directory.GetCharterInput{})
	r.Refused("nobody", err, "unauthenticated")
}
