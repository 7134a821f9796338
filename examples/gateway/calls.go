package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// call is one call of an endpoint, as the log keeps it: not what was sent, nor what was answered.
type call struct {
	ID        string     `json:"id"`
	Endpoint  string     `json:"endpoint"`
	Prompt    string     `json:"prompt"`
	Version   int        `json:"version"`
	Caller    string     `json:"caller"` // a member, or a key of the organization
	Region    string     `json:"region"`
	Error     string     `json:"error,omitzero"`
	Words     int        `json:"words"`
	CreatedAt *time.Time `json:"created_at"`
}

func scanCall(row jsonapi.Row) (c call, err error) {
	var created int64
	err = row.Scan(&c.ID, &c.Endpoint, &c.Prompt, &c.Version, &c.Caller, &c.Region, &c.Error, &c.Words, &created)
	c.CreatedAt = jsonapi.Time(created)
	return c, err
}

func (p *product) listCalls(r *http.Request) (any, error) {
	return jsonapi.Newest(r, p.db, scanCall, "SELECT id, endpoint, prompt, version, caller, region, error, words, created_at FROM calls WHERE organization = $1",
		callerOf(r).organization)
}

// callEndpoint answers with the Live version of the endpoint's prompt, the caller's variables in it. A model would go on
// from there; the example's answer is the text itself. Every call is logged, one that fails too.
func (p *product) callEndpoint(r *http.Request) (any, error) {
	var in struct {
		Variables map[string]string `json:"variables"`
	}
	if err := jsonapi.Read(r, &in); err != nil {
		return nil, err
	}
	who := callerOf(r)
	e, err := p.endpoint(r.Context(), who.organization, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	c := call{ID: jsonapi.NewID("call", p.now()), Endpoint: e.ID, Prompt: e.Prompt, Caller: who.by(), Region: who.region}
	output, err := p.render(r.Context(), who.organization, &c, in.Variables)
	if err := p.log(r.Context(), who.organization, c, err); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	return struct {
		Call    string `json:"call"`
		Version int    `json:"version"`
		Output  string `json:"output"`
	}{c.ID, c.Version, output}, nil
}

// log keeps a call and how it fared.
func (p *product) log(ctx context.Context, organization string, c call, failed error) error {
	if failed != nil {
		c.Error = failed.Error()
	}
	_, err := p.db.ExecContext(ctx, `INSERT INTO calls (id, organization, endpoint, prompt, version, caller, region, error, words, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, c.ID, organization, c.Endpoint, c.Prompt, c.Version, c.Caller, c.Region, c.Error, c.Words, p.now().UnixMicro())
	return err
}

// place is what a prompt leaves open: {{variable}}, or {{> snippet}}.
var place = regexp.MustCompile(`\{\{(>?)\s*([a-z][a-z0-9_]*)\s*\}\}`)

// render fills in the Live version, and notes its version and its words.
func (p *product) render(ctx context.Context, organization string, c *call, variables map[string]string) (string, error) {
	var text string
	err := p.db.QueryRowContext(ctx, `SELECT v.version, v.text FROM prompts JOIN prompt_versions v
		ON v.organization = $1 AND v.prompt = prompts.id AND v.version = prompts.live WHERE prompts.organization = $1 AND prompts.id = $2`,
		organization, c.Prompt).Scan(&c.Version, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return "", jsonapi.Conflict("no version of the prompt is Live: promote one")
	}
	if err != nil {
		return "", err
	}
	snippets, err := p.snippetTexts(ctx, organization)
	if err != nil {
		return "", err
	}
	text, missing := fill(text, variables, snippets)
	if missing != "" {
		return "", jsonapi.Invalid("the prompt needs %s", missing)
	}
	c.Words = len(strings.Fields(text))
	return text, nil
}

// fill puts variables and snippets where they belong. Missing is the first that is not there.
func fill(text string, variables, snippets map[string]string) (filled, missing string) {
	filled = place.ReplaceAllStringFunc(text, func(open string) string {
		found := place.FindStringSubmatch(open)
		values, kind := variables, "variable"
		if found[1] == ">" {
			values, kind = snippets, "snippet"
		}
		value, ok := values[found[2]]
		if !ok {
			missing = cmp.Or(missing, fmt.Sprintf("the %s %s", kind, found[2]))
		}
		return value
	})
	return filled, missing
}

func (p *product) snippetTexts(ctx context.Context, organization string) (map[string]string, error) {
	rows, err := p.db.QueryContext(ctx, "SELECT name, text FROM snippets WHERE organization = $1", organization)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	texts := map[string]string{}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return nil, err
		}
		texts[name] = text
	}
	return texts, rows.Err()
}

// dashboard counts what the organization has, and what it used in the last thirty days.
func (p *product) dashboard(r *http.Request) (any, error) {
	who, since := callerOf(r), p.now().AddDate(0, 0, -30).UnixMicro()
	var d struct {
		Region    string `json:"region"`
		Endpoints int    `json:"endpoints"`
		Prompts   int    `json:"prompts"`
		Live      int    `json:"live_prompts"`
		Requests  int    `json:"requests"`
		Errors    int    `json:"errors"`
		Callers   int    `json:"callers"`
		Words     int    `json:"words"`
	}
	d.Region = who.region
	err := p.db.QueryRowContext(r.Context(), `SELECT (SELECT count(*) FROM endpoints WHERE organization = $1), (SELECT count(*) FROM prompts WHERE organization = $1),
		(SELECT count(*) FROM prompts WHERE organization = $1 AND live > 0), count(*), coalesce(sum(error <> ''), 0), count(DISTINCT caller), coalesce(sum(words), 0)
		FROM calls WHERE organization = $1 AND created_at >= $2`, who.organization, since).
		Scan(&d.Endpoints, &d.Prompts, &d.Live, &d.Requests, &d.Errors, &d.Callers, &d.Words)
	return d, err
}
