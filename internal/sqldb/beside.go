package sqldb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// OpenBeside opens a database to read it, beside the process that serves it: for reports. An SQLite file has to be there,
// and refuses every write. The caller closes the DB.
func OpenBeside(ctx context.Context, dsn string) (*DB, error) {
	o := Options{Readers: 1, Connections: 1, Wait: 5 * time.Second}
	scheme, path, found := strings.Cut(dsn, ":")
	if found && scheme != "sqlite" {
		return Open(ctx, dsn, o)
	}
	path, err := filepath.EvalSymlinks(strings.TrimPrefix(cmp.Or(path, scheme), "//"))
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	pool, err := openPool("sqlite", sqliteDSN(path, "query_only(1)"))
	if err != nil {
		return nil, err
	}
	keepOpen(pool, o.Readers)
	db := &DB{dialect: SQLite, wait: o.Wait, writer: pool, reader: pool}
	if err := errors.Join(db.health.watch(path), db.ping(ctx, patience)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}
