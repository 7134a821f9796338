package sqldb

import (
	"context"
	"io/fs"
)

// MigrateWith migrates with other files than the released ones.
func (db *DB) MigrateWith(ctx context.Context, files fs.FS) error { return db.migrate(ctx, files) }
