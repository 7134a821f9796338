package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// A guard is Guildhall's middleware: it lets a request through if its credential holds the permission on the resource.
// It is hall.Require, with the options that main.go gives it.
type guard func(p charter.Permission, on func(*http.Request) check.Resource) func(http.Handler) http.Handler

// route is one request of the product, and what it needs.
type route struct {
	pattern string
	needs   charter.Permission
	on      func(*http.Request) check.Resource
	do      jsonapi.Handler
}

// routes are all requests that the product answers. There is no other way to its data, and none without a permission.
func (p *product) routes() []route {
	workflow, artifact := one("workflow"), one("artifact")
	return []route{
		{"GET /api/workflows", "workflows.view", whole, p.listWorkflows},
		{"POST /api/workflows", "workflows.edit", whole, p.createWorkflow},
		{"GET /api/workflows/{id}", "workflows.view", workflow, p.getWorkflow},
		{"PATCH /api/workflows/{id}", "workflows.edit", workflow, p.updateWorkflow},
		{"DELETE /api/workflows/{id}", "workflows.edit", workflow, p.deleteWorkflow},
		{"POST /api/workflows/{id}/run", "workflows.run", workflow, p.runWorkflow},
		{"POST /api/workflows/{id}/deploy", "workflows.deploy", workflow, p.deployWorkflow},
		{"GET /api/executions", "workflows.view", whole, p.listExecutions},
		{"GET /api/executions/{execution}", "workflows.view", p.executed, p.getExecution},
		{"GET /api/artifacts", "artifacts.view", whole, p.listArtifacts},
		{"GET /api/artifacts/{id}", "artifacts.view", artifact, p.getArtifact},
		{"DELETE /api/artifacts/{id}", "artifacts.manage", artifact, p.deleteArtifact},
		{"GET /api/reports", "artifacts.view", whole, p.listReports},
		{"GET /api/mcp_servers", "workflows.view", whole, p.listServers},
		{"POST /api/mcp_servers", "mcp_servers.register", whole, p.registerServer},
		{"DELETE /api/mcp_servers/{id}", "mcp_servers.register", one("mcp_server"), p.deleteServer},
		{"GET /api/credentials", "credentials.manage", whole, p.listCredentials},
		{"POST /api/credentials", "credentials.manage", whole, p.createCredential},
		{"DELETE /api/credentials/{id}", "credentials.manage", one("credential"), p.deleteCredential},
		{"GET /api/assistants", "workflows.view", whole, p.listAssistants},
	}
}

// handler is the product behind the guard.
func (p *product) handler(protect guard) http.Handler {
	mux := http.NewServeMux()
	for _, r := range p.routes() {
		mux.Handle(r.pattern, protect(r.needs, r.on)(inOrganization(r.do)))
	}
	mux.Handle("/", jsonapi.Handler(func(*http.Request) (any, error) { return nil, jsonapi.ErrNotFound }))
	return mux
}

// inOrganization refuses a request without an organization. There is none that the guard lets through, and should a
// handler ever stand without its guard, it answers nothing.
func inOrganization(do jsonapi.Handler) jsonapi.Handler {
	return func(r *http.Request) (any, error) {
		if callerOf(r.Context()).organization == "" {
			return nil, errors.New("a request without a decision")
		}
		return do(r)
	}
}

// organization is which organization a request is about. A key or a token belongs to one, so nothing has to be said, and
// naming another one is refused. A person may be in several and says which by ?organization=, an id or a slug. It only
// chooses: what the person may do there is what Guildhall answers.
func organization(r *http.Request) string { return r.URL.Query().Get("organization") }

// wantedRegion is where a request wants its work to run: ?region=. Guildhall refuses one that is not the organization's,
// before a handler sees it. Without it, work runs in the organization's default region.
func wantedRegion(r *http.Request) string { return r.URL.Query().Get("region") }

// whole asks about the organization as a whole. A credential that is for single workflows is refused here, so a list
// never has to be cut down to what it may see.
func whole(r *http.Request) check.Resource { return check.Whole(organization(r)) }

// one asks about the single resource of a type that the path names. Whether there is one of that id is not Guildhall's
// to know: the handler looks, in the organization of the answer only.
func one(kind string) func(*http.Request) check.Resource {
	return func(r *http.Request) check.Resource { return check.On(kind, r.PathValue("id")).In(organization(r)) }
}

// executed asks about the workflow of an execution, so that a token for one workflow may follow its own. Only the
// product knows which one it is; one that it does not know is asked about as the organization as a whole.
func (p *product) executed(r *http.Request) check.Resource {
	workflow, err := p.workflowOf(r.Context(), r.PathValue("execution"))
	if err != nil {
		return whole(r)
	}
	return check.On("workflow", workflow).In(organization(r))
}

// caller is who sent the request that a handler answers, and in which organization. Every query of the product is on
// that organization's rows only.
type caller struct {
	organization string
	by           string // the member, or the key that stands for no member
	region       string // where the organization's work runs and its data stays
}

// callerOf reads what the guard put into the context.
func callerOf(ctx context.Context) caller {
	d, _ := check.From(ctx)
	return caller{organization: d.Who.Organization.String(), region: d.Who.Region,
		by: cmp.Or(d.Who.Member.String(), d.Who.Credential.String())}
}
