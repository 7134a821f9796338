package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// prompt is a text in versions, of which one is Live: what endpoints answer with.
type prompt struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Live      int        `json:"live_version"` // 0: none
	Latest    int        `json:"latest_version"`
	CreatedAt *time.Time `json:"created_at"`
	Versions  []version  `json:"versions,omitzero"` // of a single one, the newest first
}

// version is one text of a prompt. It never changes.
type version struct {
	Version   int        `json:"version"`
	Text      string     `json:"text"`
	CreatedBy string     `json:"created_by"`
	CreatedAt *time.Time `json:"created_at"`
}

const selectPrompts = `SELECT id, name, live, (SELECT max(version) FROM prompt_versions v WHERE v.organization = $1 AND v.prompt = prompts.id), created_at
	FROM prompts WHERE organization = $1`

func scanPrompt(row jsonapi.Row) (pr prompt, err error) {
	var created int64
	err = row.Scan(&pr.ID, &pr.Name, &pr.Live, &pr.Latest, &created)
	pr.CreatedAt = jsonapi.Time(created)
	return pr, err
}

func (p *product) prompt(ctx context.Context, organization, id string) (prompt, error) {
	return jsonapi.One(scanPrompt, p.db.QueryRowContext(ctx, selectPrompts+" AND id = $2", organization, id))
}

func (p *product) listPrompts(r *http.Request) (any, error) {
	return jsonapi.Newest(r, p.db, scanPrompt, selectPrompts, callerOf(r).organization)
}

func (p *product) getPrompt(r *http.Request) (any, error) {
	organization := callerOf(r).organization
	pr, err := p.prompt(r.Context(), organization, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	rows, err := p.db.QueryContext(r.Context(), `SELECT version, text, created_by, created_at FROM prompt_versions
		WHERE organization = $1 AND prompt = $2 ORDER BY version DESC`, organization, pr.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v version
		var created int64
		if err := rows.Scan(&v.Version, &v.Text, &v.CreatedBy, &created); err != nil {
			return nil, err
		}
		v.CreatedAt = jsonapi.Time(created)
		pr.Versions = append(pr.Versions, v)
	}
	return pr, rows.Err()
}

// createPrompt makes a prompt with its first version, which is not Live yet.
func (p *product) createPrompt(r *http.Request) (any, error) {
	var in struct {
		Name string `json:"name"`
		Text string `json:"text"`
	}
	if err := jsonapi.Read(r, &in); err != nil {
		return nil, err
	}
	who, now := callerOf(r), p.now()
	pr := prompt{ID: jsonapi.NewID("pr", now), Name: strings.TrimSpace(in.Name), Latest: 1, CreatedAt: jsonapi.Time(now.UnixMicro())}
	if err := checkName(pr.Name); err != nil {
		return nil, err
	}
	if err := checkText(in.Text); err != nil {
		return nil, err
	}
	tx, err := p.db.BeginTx(r.Context(), nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(r.Context(), "INSERT INTO prompts (id, organization, name, live, created_at) VALUES ($1, $2, $3, 0, $4)",
		pr.ID, who.organization, pr.Name, now.UnixMicro()); err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(r.Context(), insertVersion, who.organization, pr.ID, in.Text, who.by(), now.UnixMicro()); err != nil {
		return nil, err
	}
	if err := tx.Commit(); err != nil {
		return nil, err
	}
	return jsonapi.Created(pr)
}

// by names who did something: the person, or the key of the organization.
func (c caller) by() string {
	if c.member != "" {
		return c.member
	}
	return c.credential
}

// insertVersion adds the next version of a prompt that the organization has.
const insertVersion = `INSERT INTO prompt_versions (organization, prompt, version, text, created_by, created_at)
	SELECT $1, $2, 1 + coalesce((SELECT max(version) FROM prompt_versions WHERE organization = $1 AND prompt = $2), 0), $3, $4, $5
	WHERE EXISTS (SELECT 1 FROM prompts WHERE organization = $1 AND id = $2)`

func checkText(text string) error {
	if strings.TrimSpace(text) == "" {
		return jsonapi.Invalid("text is empty")
	}
	return nil
}

func (p *product) addVersion(r *http.Request) (any, error) {
	var in struct {
		Text string `json:"text"`
	}
	if err := jsonapi.Read(r, &in); err != nil {
		return nil, err
	}
	if err := checkText(in.Text); err != nil {
		return nil, err
	}
	who, id := callerOf(r), r.PathValue("id")
	if err := jsonapi.Changed(p.db.ExecContext(r.Context(), insertVersion, who.organization, id, in.Text, who.by(), p.now().UnixMicro())); err != nil {
		return nil, err
	}
	pr, err := p.prompt(r.Context(), who.organization, id)
	if err != nil {
		return nil, err
	}
	return jsonapi.Created(pr)
}

// promoteVersion makes a version Live: from now on it is what endpoints answer with.
func (p *product) promoteVersion(r *http.Request) (any, error) {
	var in struct {
		Version int `json:"version"`
	}
	if err := jsonapi.Read(r, &in); err != nil {
		return nil, err
	}
	organization := callerOf(r).organization
	pr, err := p.prompt(r.Context(), organization, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if in.Version < 1 || in.Version > pr.Latest {
		return nil, jsonapi.Invalid("version is one from 1 to %d", pr.Latest)
	}
	pr.Live = in.Version
	return pr, jsonapi.Changed(p.db.ExecContext(r.Context(), "UPDATE prompts SET live = $3 WHERE organization = $1 AND id = $2",
		organization, pr.ID, pr.Live))
}
