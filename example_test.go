package guildhall_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// A product opens a hall in its own process, founds an organization for a customer, and asks who may what.
func ExampleHall_Check() {
	hall, forget := openHall()
	defer forget()
	ctx := context.Background()

	owner, err := found(ctx, hall)
	if err != nil {
		log.Fatal(err)
	}
	for _, permission := range []charter.Permission{"billing.manage", "workflows.run", "workflows.fly"} {
		d, err := hall.Check(ctx, check.Request{Subject: check.ByUser(owner), Permission: permission, Resource: check.Whole("acme")})
		fmt.Println(permission, d.Allow, d.Reason, err)
	}
	// Output:
	// billing.manage true role <nil>
	// workflows.run true role <nil>
	// workflows.fly false unknown_permission <nil>
}

// Require guards the product's own handlers. The credential of a request is a session, a key or a scoped token.
func ExampleHall_Require() {
	hall, forget := openHall()
	defer forget()
	guarded := hall.Require("workflows.run", func(r *http.Request) check.Resource {
		return check.On("workflow", r.PathValue("workflow")).In("acme")
	})
	mux := http.NewServeMux()
	mux.Handle("POST /workflows/{workflow}/run", guarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		decision, _ := check.From(r.Context())
		fmt.Fprintln(w, "runs for", decision.Who.User)
	})))

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest("POST", "/workflows/wf_1/run", nil))
	fmt.Print(answer.Code, " ", answer.Body)
	// Output: 401 {"type":"about:blank","title":"Unauthorized","status":401,"detail":"send one credential as Authorization: Bearer","code":"unauthenticated"}
}

// openHall opens a hall in a folder of its own; products keep theirs.
func openHall() (hall *guildhall.Hall, forget func()) {
	dir, err := os.MkdirTemp("", "guildhall-example-")
	if err != nil {
		log.Fatal(err)
	}
	model, err := charter.Ready("automation")
	if err != nil {
		log.Fatal(err)
	}
	hall, err = guildhall.Open(context.Background(), guildhall.Config{
		Database:   "sqlite:" + filepath.Join(dir, "guildhall.db"),
		SecretFile: filepath.Join(dir, "secret"),
		Charter:    model,
		Settings:   op.Settings{BaseURL: "https://accounts.example.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	return hall, func() { _, _ = hall.Close(), os.RemoveAll(dir) }
}

// found makes an organization as the operator of this process, and gives its owner's id.
func found(ctx context.Context, hall *guildhall.Hall) (owner string, err error) {
	ctx = op.As(ctx, op.Caller{Machine: true})
	in := directory.ProvisionOrganizationInput{Owner: "ada@acme.test", OwnerName: "Ada"}
	in.Name, in.Slug = "Acme", "acme"
	made, err := directory.ProvisionOrganization.Call(ctx, hall.Service(), in)
	if err != nil {
		return "", err
	}
	team, err := directory.ListMembers.Call(ctx, hall.Service(), directory.ListMembersInput{InOrganization: op.InOrganization{Organization: made.ID}})
	if err != nil {
		return "", err
	}
	return team.Data[0].User, nil
}
