package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/client"
)

// accounts stands for a Guildhall server; it answers every check yes.
func accounts() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"decision":true,"context":{"reason":"role","organization":"org_acme","role":"editor"}}`)
	}))
}

// A client is a check.Checker: a product asks it as it would ask a hall in its own process.
func ExampleClient_Check() {
	server := accounts()
	defer server.Close()
	hall := client.New(server.URL, "gld_svc_...") // the product's service key, from its environment

	d, err := hall.Check(context.Background(), check.Request{
		Subject:    check.ByUser("customer-7"), // the product's own id of the person
		Permission: "workflows.run",
		Resource:   check.On("workflow", "wf_1").In("acme"),
	})
	fmt.Println(d.Allow, d.Reason, d.Who.Role, err)
	// Output: true role editor <nil>
}

// One client serves all handlers of a product, and keeps its connections.
func Example_middleware() {
	server := accounts()
	defer server.Close()
	hall := client.New(server.URL, "gld_svc_...")
	workflow := func(r *http.Request) check.Resource { return check.On("workflow", r.PathValue("workflow")) }

	mux := http.NewServeMux()
	mux.Handle("POST /workflows/{workflow}/run", check.Require(hall, "workflows.run", workflow, check.WithServer(server.URL))(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			decision, _ := check.From(r.Context())
			fmt.Fprintln(w, "runs in", decision.Who.Organization)
		})))

	request := httptest.NewRequest("POST", "/workflows/wf_1/run", nil)
	request.Header.Set("Authorization", "Bearer gld_live_...") // the customer's key
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, request)
	fmt.Print(answer.Code, " ", answer.Body)
	// Output: 200 runs in org_acme
}
