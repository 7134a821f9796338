package sqldb

import (
	"context"
	"io/fs"
)

// Released are the migrations of this program.
var Released = func() fs.FS {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err)
	}
	return files
}()

// MigrateWith migrates with other files than the released ones.
func (db *DB) MigrateWith(ctx context.Context, files fs.FS) error { return db.migrate(ctx, files) }

// Set changes a setting of the one connection that writes an SQLite file.
func (db *DB) Set(ctx context.Context, pragma string) error {
	_, err := db.writer.ExecContext(ctx, "PRAGMA "+pragma)
	return err
}

// Near says of an address of a PostgreSQL whether it is on this machine.
func Near(dsn string) bool { return near(dsn) }
