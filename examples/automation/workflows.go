package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// workflow is a list of steps with a name. Running it runs the steps that were deployed last, or, before the first
// deployment, those of the draft.
type workflow struct {
	ID              string     `json:"id"`
	Name            string     `json:"name"`
	Steps           []step     `json:"steps"`
	Version         int        `json:"version"`
	DeployedVersion int        `json:"deployed_version"` // 0: never deployed
	CreatedBy       string     `json:"created_by"`
	CreatedAt       *time.Time `json:"created_at"`

	deployed []step
}

const selectWorkflows = `SELECT id, name, steps, version, deployed_steps, deployed_version, created_by, created_at
	FROM workflows WHERE organization = $1`

func scanWorkflow(row jsonapi.Row) (w workflow, err error) {
	var steps, deployed string
	var created int64
	if err := row.Scan(&w.ID, &w.Name, &steps, &w.Version, &deployed, &w.DeployedVersion, &w.CreatedBy, &created); err != nil {
		return w, err
	}
	w.CreatedAt = jsonapi.Time(created)
	if err := json.Unmarshal([]byte(steps), &w.Steps); err != nil {
		return w, err
	}
	return w, json.Unmarshal([]byte(deployed), &w.deployed)
}

// workflow finds a workflow of an organization.
func (p *product) workflow(ctx context.Context, organization, id string) (workflow, error) {
	return jsonapi.One(scanWorkflow, p.db.QueryRowContext(ctx, selectWorkflows+" AND id = $2", organization, id))
}

func (p *product) listWorkflows(r *http.Request) (any, error) {
	return jsonapi.Newest(r, p.db, scanWorkflow, selectWorkflows, callerOf(r.Context()).organization)
}

func (p *product) getWorkflow(r *http.Request) (any, error) {
	return p.workflow(r.Context(), callerOf(r.Context()).organization, r.PathValue("id"))
}

// workflowInput is what a workflow is made of, and changed to. What is not said stays.
type workflowInput struct {
	Name  *string `json:"name"`
	Steps []step  `json:"steps"`
}

// apply puts an input onto a workflow, if the result is one.
func (in workflowInput) apply(w *workflow) error {
	if in.Name != nil {
		w.Name = strings.TrimSpace(*in.Name)
	}
	if in.Steps != nil {
		w.Steps = in.Steps
	}
	if err := checkName(w.Name); err != nil {
		return err
	}
	return checkSteps(w.Steps)
}

func checkName(name string) error {
	if name == "" || len(name) > 100 {
		return jsonapi.Invalid("name has 1 to 100 characters")
	}
	return nil
}

func (p *product) createWorkflow(r *http.Request) (any, error) {
	var in workflowInput
	if err := jsonapi.Read(r, &in); err != nil {
		return nil, err
	}
	who, now := callerOf(r.Context()), p.now()
	w := workflow{ID: jsonapi.NewID("wf", now), Version: 1, CreatedBy: who.by, CreatedAt: jsonapi.Time(now.UnixMicro())}
	if err := in.apply(&w); err != nil {
		return nil, err
	}
	_, err := p.db.ExecContext(r.Context(), `INSERT INTO workflows (id, organization, name, steps, version, deployed_steps, deployed_version, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, 'null', 0, $6, $7)`, w.ID, who.organization, w.Name, text(w.Steps), w.Version, w.CreatedBy, now.UnixMicro())
	if err != nil {
		return nil, err
	}
	return jsonapi.Created(w)
}

func (p *product) updateWorkflow(r *http.Request) (any, error) {
	var in workflowInput
	if err := jsonapi.Read(r, &in); err != nil {
		return nil, err
	}
	organization := callerOf(r.Context()).organization
	w, err := p.workflow(r.Context(), organization, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	before := w.Version
	if err := in.apply(&w); err != nil {
		return nil, err
	}
	w.Version++
	err = jsonapi.Changed(p.db.ExecContext(r.Context(), "UPDATE workflows SET name = $3, steps = $4, version = $5 WHERE organization = $1 AND id = $2 AND version = $6",
		organization, w.ID, w.Name, text(w.Steps), w.Version, before))
	if err == jsonapi.ErrNotFound {
		return nil, jsonapi.Conflict("somebody else changed the workflow at the same moment: read it again")
	}
	return w, err
}

// deployWorkflow makes the draft what runs from now on.
func (p *product) deployWorkflow(r *http.Request) (any, error) {
	organization, id := callerOf(r.Context()).organization, r.PathValue("id")
	err := jsonapi.Changed(p.db.ExecContext(r.Context(), "UPDATE workflows SET deployed_steps = steps, deployed_version = version WHERE organization = $1 AND id = $2",
		organization, id))
	if err != nil {
		return nil, err
	}
	return p.workflow(r.Context(), organization, id)
}

func (p *product) deleteWorkflow(r *http.Request) (any, error) {
	return nil, jsonapi.Changed(p.db.ExecContext(r.Context(), "DELETE FROM workflows WHERE organization = $1 AND id = $2",
		callerOf(r.Context()).organization, r.PathValue("id")))
}

// text is steps as a table keeps them.
func text(steps []step) string {
	raw, err := json.Marshal(steps)
	if err != nil {
		panic("automation: " + err.Error()) // steps are texts only
	}
	return string(raw)
}
