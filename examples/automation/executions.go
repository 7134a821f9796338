package main

import (
	"cmp"
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"time"

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// execution is one run of a workflow. It runs on the workers of a region of the organization's: the default one, unless the
// request names another that is allowed.
type execution struct {
	ID         string     `json:"id"`
	Workflow   string     `json:"workflow"`
	Version    int        `json:"version"`
	Region     string     `json:"region"`
	Pool       string     `json:"pool"`
	Status     string     `json:"status"` // queued, running, succeeded or failed
	Error      string     `json:"error,omitzero"`
	StartedBy  string     `json:"started_by"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at,omitzero"`
}

const selectExecutions = `SELECT id, workflow, version, region, pool, status, error, started_by, started_at, finished_at
	FROM executions WHERE organization = $1`

func scanExecution(row jsonapi.Row) (e execution, err error) {
	var started, finished int64
	err = row.Scan(&e.ID, &e.Workflow, &e.Version, &e.Region, &e.Pool, &e.Status, &e.Error, &e.StartedBy, &started, &finished)
	e.StartedAt, e.FinishedAt = jsonapi.Time(started), jsonapi.Time(finished)
	return e, err
}

func (p *product) listExecutions(r *http.Request) (any, error) {
	return jsonapi.Newest(r, p.db, scanExecution, selectExecutions, callerOf(r.Context()).organization)
}

func (p *product) getExecution(r *http.Request) (any, error) {
	return jsonapi.One(scanExecution, p.db.QueryRowContext(r.Context(), selectExecutions+" AND id = $2",
		callerOf(r.Context()).organization, r.PathValue("execution")))
}

// workflowOf is the workflow of an execution, in whichever organization: it is asked before it is known who asks, and
// says only what to ask Guildhall about.
func (p *product) workflowOf(ctx context.Context, execution string) (workflow string, err error) {
	err = p.db.QueryRowContext(ctx, "SELECT workflow FROM executions WHERE id = $1", execution).Scan(&workflow)
	return workflow, err
}

// pool is the workers of one region. Work of another region never gets there.
type pool struct {
	name  string
	slots chan struct{} // as many as work at once
}

// workersPerRegion is how many executions of a region run at once.
const workersPerRegion = 4

func poolsOf(regions []string) map[string]*pool {
	pools := map[string]*pool{}
	for _, region := range regions {
		pools[region] = &pool{name: "workers." + region, slots: make(chan struct{}, workersPerRegion)}
	}
	return pools
}

// runWorkflow queues an execution, and answers at once: whoever waits for its end asks for it again.
func (p *product) runWorkflow(r *http.Request) (any, error) {
	who, now := callerOf(r.Context()), p.now()
	w, err := p.workflow(r.Context(), who.organization, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	region := cmp.Or(wantedRegion(r), who.region)
	workers := p.pools[region]
	if workers == nil {
		return nil, jsonapi.Conflict("there are no workers in region %q, and work runs in no other", region)
	}
	steps := w.deployed
	if w.DeployedVersion == 0 {
		steps = w.Steps
	}
	e := execution{ID: jsonapi.NewID("ex", now), Workflow: w.ID, Version: cmp.Or(w.DeployedVersion, w.Version), Region: region,
		Pool: workers.name, Status: "queued", StartedBy: who.by, StartedAt: jsonapi.Time(now.UnixMicro())}
	_, err = p.db.ExecContext(r.Context(), `INSERT INTO executions (id, organization, workflow, version, region, pool, status, error, started_by, started_at, finished_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8, $9, 0)`, e.ID, who.organization, e.Workflow, e.Version, e.Region, e.Pool, e.Status, e.StartedBy, now.UnixMicro())
	if err != nil {
		return nil, err
	}
	p.jobs.Go(func() { p.execute(workers, who.organization, e, steps) })
	return jsonapi.Answer{Status: http.StatusAccepted, Body: e}, nil
}

// execute runs an execution when a worker is free, and keeps what it made.
func (p *product) execute(workers *pool, organization string, e execution, steps []step) {
	workers.slots <- struct{}{}
	defer func() { <-workers.slots }()
	ctx := context.Background() // it goes on when the request that began it has been answered
	err := p.setStatus(ctx, organization, e.ID, "running")
	if err == nil {
		made, summary, failed := perform(steps, func(name string) ([]byte, error) { return p.credentialValue(ctx, organization, name) })
		err = p.finish(ctx, organization, e, made, summary, failed)
	}
	if err != nil {
		slog.Error("execution", "execution", e.ID, "error", err)
	}
}

func (p *product) setStatus(ctx context.Context, organization, id, status string) error {
	return jsonapi.Changed(p.db.ExecContext(ctx, "UPDATE executions SET status = $3 WHERE organization = $1 AND id = $2", organization, id, status))
}

// finish keeps the outcome of an execution together with its artifact and its report. A failed one has no artifact.
func (p *product) finish(ctx context.Context, organization string, e execution, made, summary string, failed error) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	now, status, reason := p.now(), "succeeded", ""
	if failed != nil {
		status, reason = "failed", failed.Error()
	} else if err := insertArtifact(ctx, tx, organization, e, made, now); err != nil {
		return err
	}
	if err := insertReport(ctx, tx, organization, e, summary, now); err != nil {
		return err
	}
	if err := jsonapi.Changed(tx.ExecContext(ctx, "UPDATE executions SET status = $3, error = $4, finished_at = $5 WHERE organization = $1 AND id = $2",
		organization, e.ID, status, reason, now.UnixMicro())); err != nil {
		return err
	}
	return tx.Commit()
}

func insertArtifact(ctx context.Context, tx *sql.Tx, organization string, e execution, content string, now time.Time) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO artifacts (id, organization, workflow, execution, name, content, created_at) VALUES ($1, $2, $3, $4, 'output.txt', $5, $6)",
		jsonapi.NewID("art", now), organization, e.Workflow, e.ID, content, now.UnixMicro())
	return err
}

func insertReport(ctx context.Context, tx *sql.Tx, organization string, e execution, summary string, now time.Time) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO reports (id, organization, workflow, execution, summary, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
		jsonapi.NewID("rep", now), organization, e.Workflow, e.ID, summary, now.UnixMicro())
	return err
}

// giveUpInterrupted ends the executions that an earlier process did not: whoever waits for one learns it.
func (p *product) giveUpInterrupted() error {
	_, err := p.db.Exec("UPDATE executions SET status = 'failed', error = 'the platform was stopped', finished_at = $1 WHERE status IN ('queued', 'running')",
		p.now().UnixMicro())
	return err
}
