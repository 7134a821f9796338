package main

import (
	"database/sql"
	"embed"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver of OpenDB

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// product is the gateway. It is safe for concurrent use.
type product struct {
	options   options
	guildhall *client.Client // with the product's own service key
	db        *sql.DB
	now       func() time.Time
}

// schema is the product's own data. Every row belongs to an organization.
const schema = `
CREATE TABLE IF NOT EXISTS endpoints (id TEXT PRIMARY KEY, organization TEXT NOT NULL, name TEXT NOT NULL, prompt TEXT NOT NULL,
	owner TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS prompts (id TEXT PRIMARY KEY, organization TEXT NOT NULL, name TEXT NOT NULL, live INTEGER NOT NULL, created_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS prompt_versions (organization TEXT NOT NULL, prompt TEXT NOT NULL, version INTEGER NOT NULL, text TEXT NOT NULL,
	created_by TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (organization, prompt, version));
CREATE TABLE IF NOT EXISTS snippets (id TEXT PRIMARY KEY, organization TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL,
	created_at INTEGER NOT NULL, UNIQUE (organization, name));
CREATE TABLE IF NOT EXISTS calls (id TEXT PRIMARY KEY, organization TEXT NOT NULL, endpoint TEXT NOT NULL, prompt TEXT NOT NULL, version INTEGER NOT NULL,
	caller TEXT NOT NULL, region TEXT NOT NULL, error TEXT NOT NULL, words INTEGER NOT NULL, created_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS endpoints_of ON endpoints (organization, id);
CREATE INDEX IF NOT EXISTS prompts_of ON prompts (organization, id);
CREATE INDEX IF NOT EXISTS calls_of ON calls (organization, id);
`

// open opens the product's folder, and makes it if there is none.
func open(o options, guildhall *client.Client) (*product, error) {
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return nil, err
	}
	db, err := jsonapi.OpenDB(filepath.Join(o.data, "gateway.db"), schema)
	if err != nil {
		return nil, err
	}
	return &product{options: o, guildhall: guildhall, db: db, now: time.Now}, nil
}

func (p *product) close() error { return p.db.Close() }

// route is one request of the product's API, and what has to be granted for it: a permission, and the type of the single
// resource that the path's {id} is, if it is about one.
type route struct {
	pattern string
	needs   charter.Permission
	on      string
	do      jsonapi.Handler
}

// routes are all requests of the API. The charter has the same list, by which Guildhall decides.
func (p *product) routes() []route {
	return []route{
		{"GET /api/endpoints", "endpoints.view", "", p.listEndpoints},
		{"POST /api/endpoints", "endpoints.edit", "", p.createEndpoint},
		{"GET /api/endpoints/{id}", "endpoints.view", "endpoint", p.getEndpoint},
		{"PATCH /api/endpoints/{id}", "endpoints.edit", "endpoint", p.updateEndpoint},
		{"DELETE /api/endpoints/{id}", "endpoints.edit", "endpoint", p.deleteEndpoint},
		{"POST /api/endpoints/{id}/call", "endpoints.call", "endpoint", p.callEndpoint},
		{"POST /api/endpoints/{id}/owner", "members.manage", "", p.reassignEndpoint},
		{"GET /api/prompts", "prompts.view", "", p.listPrompts},
		{"POST /api/prompts", "prompts.edit", "", p.createPrompt},
		{"GET /api/prompts/{id}", "prompts.view", "prompt", p.getPrompt},
		{"POST /api/prompts/{id}/versions", "prompts.edit", "prompt", p.addVersion},
		{"POST /api/prompts/{id}/promote", "prompts.promote", "prompt", p.promoteVersion},
		{"GET /api/snippets", "prompts.view", "", p.listSnippets},
		{"POST /api/snippets", "snippets.edit", "", p.createSnippet},
		{"PUT /api/snippets/{id}", "snippets.edit", "snippet", p.replaceSnippet},
		{"DELETE /api/snippets/{id}", "snippets.edit", "snippet", p.deleteSnippet},
		{"GET /api/logs", "logs.view", "", p.listCalls},
		{"GET /api/dashboard", "usage.view", "", p.dashboard},
	}
}

//go:embed pages
var pages embed.FS

// handler is the whole product: its API, its pages, and the way in and out. All of it stands behind the proxy, and
// refuses what another site makes a browser send: the proxy takes the session from a cookie.
func (p *product) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range p.routes() {
		mux.Handle(r.pattern, granted(r.needs, r.on, r.do))
	}
	mux.HandleFunc("GET /signin", p.signIn)
	mux.HandleFunc("GET /callback", p.callback)
	mux.HandleFunc("POST /signout", p.signOut)
	files, err := fs.Sub(pages, "pages")
	if err != nil {
		panic("gateway: " + err.Error()) // the folder is in the binary
	}
	mux.Handle("GET /", contained(http.FileServerFS(files)))
	return p.fromProxy(http.NewCrossOriginProtection().Handler(mux))
}

// contained keeps a page to its own files.
func contained(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}
