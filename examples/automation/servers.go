package main

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// mcpServer is a server of tools that the organization's assistants may use.
type mcpServer struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	URL       string     `json:"url"`
	CreatedBy string     `json:"created_by"`
	CreatedAt *time.Time `json:"created_at"`
}

func scanServer(row jsonapi.Row) (s mcpServer, err error) {
	var created int64
	err = row.Scan(&s.ID, &s.Name, &s.URL, &s.CreatedBy, &created)
	s.CreatedAt = jsonapi.Time(created)
	return s, err
}

func (p *product) listServers(r *http.Request) (any, error) {
	return jsonapi.Newest(r, p.db, scanServer, "SELECT id, name, url, created_by, created_at FROM mcp_servers WHERE organization = $1",
		callerOf(r.Context()).organization)
}

func (p *product) registerServer(r *http.Request) (any, error) {
	var in struct {
		Name string `json:"name"`
		URL  string `json:"url"`
	}
	if err := jsonapi.Read(r, &in); err != nil {
		return nil, err
	}
	name := strings.ToLower(strings.TrimSpace(in.Name))
	if err := checkName(name); err != nil {
		return nil, err
	}
	if u, err := url.Parse(in.URL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, jsonapi.Invalid("url is an https address without a password in it")
	}
	who, now := callerOf(r.Context()), p.now()
	s := mcpServer{ID: jsonapi.NewID("mcp", now), Name: name, URL: in.URL, CreatedBy: who.by, CreatedAt: jsonapi.Time(now.UnixMicro())}
	err := jsonapi.Changed(p.db.ExecContext(r.Context(), `INSERT INTO mcp_servers (id, organization, name, url, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, s.ID, who.organization, s.Name, s.URL, s.CreatedBy, now.UnixMicro()))
	if err == jsonapi.ErrNotFound {
		return nil, jsonapi.Conflict("there is an MCP server named %q already", name)
	}
	if err != nil {
		return nil, err
	}
	return jsonapi.Created(s)
}

func (p *product) deleteServer(r *http.Request) (any, error) {
	return nil, jsonapi.Changed(p.db.ExecContext(r.Context(), "DELETE FROM mcp_servers WHERE organization = $1 AND id = $2",
		callerOf(r.Context()).organization, r.PathValue("id")))
}
