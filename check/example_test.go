package check_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
)

// viewers stands for a hall in this process, or for the client of one elsewhere: everybody may only look.
type viewers struct{}

func (viewers) Check(_ context.Context, r check.Request) (check.Decision, error) {
	if r.Permission == "workflows.view" {
		return check.Decision{Allow: true, Reason: decide.ByRole, Who: check.Who{Organization: check.MakeID("org_acme")}}, nil
	}
	return check.Decision{Reason: decide.NoPermission, Needs: r.Permission}, nil
}

// Require guards a handler: what it serves is for those who hold the permission on the workflow of the request.
func ExampleRequire() {
	workflow := func(r *http.Request) check.Resource {
		return check.On("workflow", r.PathValue("workflow")).In(r.PathValue("organization"))
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{organization}/workflows/{workflow}", check.Require(viewers{}, "workflows.view", workflow)(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			decision, _ := check.From(r.Context())
			fmt.Fprintln(w, "a workflow of", decision.Who.Organization)
		})))

	r := httptest.NewRequest("GET", "/acme/workflows/wf_1", nil)
	r.Header.Set("Authorization", "Bearer gld_live_...")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Print(w.Code, " ", w.Body)
	// Output: 200 a workflow of org_acme
}

// Demand asks within a function, where the answer no is an error like others.
func ExampleDemand() {
	err := check.Demand(context.Background(), viewers{}, check.Request{
		Subject: check.ByUser("usr_1"), Permission: "workflows.run", Resource: check.On("workflow", "wf_1").In("acme")})
	var denied *check.Denied
	if errors.As(err, &denied) {
		fmt.Println(err, "needs", denied.Decision.Needs)
	}
	// Output: denied: workflows.run (no_permission) needs workflows.run
}
