package main

import (
	"net/http"
	"regexp"
	"time"

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// snippet is a text that prompts have in common: {{> name}} stands for it.
type snippet struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Text      string     `json:"text"`
	CreatedAt *time.Time `json:"created_at"`
}

const selectSnippets = "SELECT id, name, text, created_at FROM snippets WHERE organization = $1"

func scanSnippet(row jsonapi.Row) (s snippet, err error) {
	var created int64
	err = row.Scan(&s.ID, &s.Name, &s.Text, &created)
	s.CreatedAt = jsonapi.Time(created)
	return s, err
}

func (p *product) listSnippets(r *http.Request) (any, error) {
	return jsonapi.Newest(r, p.db, scanSnippet, selectSnippets, callerOf(r).organization)
}

type snippetInput struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

var snippetName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

func readSnippet(r *http.Request) (in snippetInput, err error) {
	if err := jsonapi.Read(r, &in); err != nil {
		return in, err
	}
	if !snippetName.MatchString(in.Name) {
		return in, jsonapi.Invalid("name is lower-case letters, digits and underscores, a letter first, at most 40")
	}
	return in, checkText(in.Text)
}

func (p *product) createSnippet(r *http.Request) (any, error) {
	in, err := readSnippet(r)
	if err != nil {
		return nil, err
	}
	now := p.now()
	s := snippet{ID: jsonapi.NewID("sn", now), Name: in.Name, Text: in.Text, CreatedAt: jsonapi.Time(now.UnixMicro())}
	err = jsonapi.Changed(p.db.ExecContext(r.Context(), "INSERT INTO snippets (id, organization, name, text, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
		s.ID, callerOf(r).organization, s.Name, s.Text, now.UnixMicro()))
	if err == jsonapi.ErrNotFound {
		return nil, nameTaken(in.Name)
	}
	if err != nil {
		return nil, err
	}
	return jsonapi.Created(s)
}

func nameTaken(name string) error {
	return jsonapi.Conflict("there is a snippet named %q already", name)
}

func (p *product) replaceSnippet(r *http.Request) (any, error) {
	in, err := readSnippet(r)
	if err != nil {
		return nil, err
	}
	organization, id := callerOf(r).organization, r.PathValue("id")
	s, err := jsonapi.One(scanSnippet, p.db.QueryRowContext(r.Context(), selectSnippets+" AND id = $2", organization, id))
	if err != nil {
		return nil, err
	}
	s.Name, s.Text = in.Name, in.Text
	err = jsonapi.Changed(p.db.ExecContext(r.Context(), "UPDATE OR IGNORE snippets SET name = $3, text = $4 WHERE organization = $1 AND id = $2",
		organization, id, s.Name, s.Text))
	if err == jsonapi.ErrNotFound {
		return nil, nameTaken(in.Name)
	}
	return s, err
}

func (p *product) deleteSnippet(r *http.Request) (any, error) {
	return nil, jsonapi.Changed(p.db.ExecContext(r.Context(), "DELETE FROM snippets WHERE organization = $1 AND id = $2",
		callerOf(r).organization, r.PathValue("id")))
}
