package main

import (
	"net/http"
	"time"

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// artifact is a file that an execution made. Lists leave its content out.
type artifact struct {
	ID        string     `json:"id"`
	Workflow  string     `json:"workflow"`
	Execution string     `json:"execution"`
	Name      string     `json:"name"`
	Size      int        `json:"size"`
	CreatedAt *time.Time `json:"created_at"`
	Content   string     `json:"content,omitzero"`
}

func scanArtifact(row jsonapi.Row) (a artifact, err error) {
	var created int64
	err = row.Scan(&a.ID, &a.Workflow, &a.Execution, &a.Name, &a.Size, &created, &a.Content)
	a.CreatedAt = jsonapi.Time(created)
	return a, err
}

const artifactColumns = "id, workflow, execution, name, length(CAST(content AS BLOB)), created_at"

func (p *product) listArtifacts(r *http.Request) (any, error) {
	return jsonapi.Newest(r, p.db, scanArtifact, "SELECT "+artifactColumns+", '' FROM artifacts WHERE organization = $1",
		callerOf(r.Context()).organization)
}

func (p *product) getArtifact(r *http.Request) (any, error) {
	return jsonapi.One(scanArtifact, p.db.QueryRowContext(r.Context(), "SELECT "+artifactColumns+", content FROM artifacts WHERE organization = $1 AND id = $2",
		callerOf(r.Context()).organization, r.PathValue("id")))
}

func (p *product) deleteArtifact(r *http.Request) (any, error) {
	return nil, jsonapi.Changed(p.db.ExecContext(r.Context(), "DELETE FROM artifacts WHERE organization = $1 AND id = $2",
		callerOf(r.Context()).organization, r.PathValue("id")))
}

// report says in a sentence what an execution did.
type report struct {
	ID        string     `json:"id"`
	Workflow  string     `json:"workflow"`
	Execution string     `json:"execution"`
	Summary   string     `json:"summary"`
	CreatedAt *time.Time `json:"created_at"`
}

func scanReport(row jsonapi.Row) (rep report, err error) {
	var created int64
	err = row.Scan(&rep.ID, &rep.Workflow, &rep.Execution, &rep.Summary, &created)
	rep.CreatedAt = jsonapi.Time(created)
	return rep, err
}

func (p *product) listReports(r *http.Request) (any, error) {
	return jsonapi.Newest(r, p.db, scanReport, "SELECT id, workflow, execution, summary, created_at FROM reports WHERE organization = $1",
		callerOf(r.Context()).organization)
}
