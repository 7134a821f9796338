package main

import (
	"crypto/cipher"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver of OpenDB

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// product is the workflow platform. It is safe for concurrent use.
type product struct {
	db    *sql.DB
	seal  cipher.AEAD      // seals credentials
	pools map[string]*pool // by region
	jobs  sync.WaitGroup   // executions that wait or run
	now   func() time.Time
}

// schema is the product's own data. Every row belongs to an organization.
const schema = `
CREATE TABLE IF NOT EXISTS workflows (id TEXT PRIMARY KEY, organization TEXT NOT NULL, name TEXT NOT NULL, steps TEXT NOT NULL,
	version INTEGER NOT NULL, deployed_steps TEXT NOT NULL, deployed_version INTEGER NOT NULL, created_by TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS executions (id TEXT PRIMARY KEY, organization TEXT NOT NULL, workflow TEXT NOT NULL, version INTEGER NOT NULL,
	region TEXT NOT NULL, pool TEXT NOT NULL, status TEXT NOT NULL, error TEXT NOT NULL, started_by TEXT NOT NULL,
	started_at INTEGER NOT NULL, finished_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS artifacts (id TEXT PRIMARY KEY, organization TEXT NOT NULL, workflow TEXT NOT NULL, execution TEXT NOT NULL,
	name TEXT NOT NULL, content TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reports (id TEXT PRIMARY KEY, organization TEXT NOT NULL, workflow TEXT NOT NULL, execution TEXT NOT NULL,
	summary TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS mcp_servers (id TEXT PRIMARY KEY, organization TEXT NOT NULL, name TEXT NOT NULL, url TEXT NOT NULL,
	created_by TEXT NOT NULL, created_at INTEGER NOT NULL, UNIQUE (organization, name));
CREATE TABLE IF NOT EXISTS credentials (id TEXT PRIMARY KEY, organization TEXT NOT NULL, name TEXT NOT NULL, sealed BLOB NOT NULL,
	created_by TEXT NOT NULL, created_at INTEGER NOT NULL, UNIQUE (organization, name));
CREATE INDEX IF NOT EXISTS workflows_of ON workflows (organization, id);
CREATE INDEX IF NOT EXISTS executions_of ON executions (organization, id);
CREATE INDEX IF NOT EXISTS artifacts_of ON artifacts (organization, id);
CREATE INDEX IF NOT EXISTS reports_of ON reports (organization, id);
`

// open opens the product's folder, and makes it if there is none.
func open(dir string, regions []string) (*product, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	seal, err := openSeal(filepath.Join(dir, "seal.key"))
	if err != nil {
		return nil, err
	}
	db, err := jsonapi.OpenDB(filepath.Join(dir, "automation.db"), schema)
	if err != nil {
		return nil, err
	}
	p := &product{db: db, seal: seal, pools: poolsOf(regions), now: time.Now}
	if err := p.giveUpInterrupted(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return p, nil
}

// close waits for the executions that run, and closes the data.
func (p *product) close() error {
	p.jobs.Wait()
	return p.db.Close()
}
