package sqldb

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema up to date. Several servers may call it at once on
// one PostgreSQL: one works, the others wait for it. Each migration runs in a
// transaction of its own, so that a broken one leaves the database as the one
// before it did.
func (db *DB) Migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return db.migrate(ctx, files)
}

func (db *DB) migrate(ctx context.Context, files fs.FS) error {
	provider, err := db.provider(files)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	_, err = provider.Up(ctx)
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "out-of-order"): // goose has no value for it
		return fmt.Errorf("migrations: %w: a database that was served already is never changed below what it has; give the migration a number above", err)
	}
	return fmt.Errorf("migrations: %w", err)
}

func (db *DB) provider(files fs.FS) (*goose.Provider, error) {
	opts := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if db.dialect == SQLite {
		return goose.NewProvider(goose.DialectSQLite3, db.writer, files, opts...)
	}
	// The probe asks each second for five minutes: longer than any migration
	// that leaves the previous release working should take.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db.writer, files, append(opts, goose.WithSessionLocker(locker))...)
}

// MigrationsDigest returns twelve characters that differ when the migrations
// do, for those who keep a migrated database to copy.
func MigrationsDigest() string {
	sum := sha256.New()
	// The files are part of the program: reading them does not fail.
	fs.WalkDir(migrations, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := migrations.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:12]
}
