// Package sqldb is the database underneath everything: connections,
// transactions with their retries, migrations, and what the errors of SQLite
// and PostgreSQL mean. All differences between the two databases are here.
//
// One SQL text serves both: placeholders are $1, $2, ..., bytes are bytea,
// truth is boolean, times are bigint (Unix microseconds).
//
// The drivers are linked by package drivers, which every program that opens a
// database imports.
package sqldb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// Dialect names the kind of database behind a DB.
type Dialect int

// The two databases.
const (
	SQLite Dialect = iota
	PostgreSQL
)

// String returns "sqlite" or "postgres", as in the scheme of a data source.
func (d Dialect) String() string {
	if d == PostgreSQL {
		return "postgres"
	}
	return "sqlite"
}

// Options tunes a DB. The zero value is right for a server.
type Options struct {
	// Readers is the number of connections that read an SQLite file beside the
	// one that writes it. 0 means 8.
	Readers int

	// Connections is the most connections opened to PostgreSQL, for reads and
	// writes together. 0 means 16.
	Connections int

	// Wait is how long a transaction waits for a free connection before it
	// fails with ErrBusy. 0 means 5 seconds.
	Wait time.Duration
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect Dialect
	writer  *sql.DB
	reader  *sql.DB
	wait    time.Duration
	lock    *fileLock // of an SQLite file, nil on PostgreSQL
	health  health

	reads, writes, statements, retries atomic.Int64

	standing    atomic.Pointer[Standing]
	suspected   atomic.Int64 // when connections were last suspected
	left        leftCommits  // nil where none is left: on SQLite, and beside
	dsn         string       // of a PostgreSQL, with its number of connections, for further pools
	connections int
}

// Open opens the database that dsn names: "sqlite:PATH" or a bare path for an
// SQLite file, which is created when missing, or "postgres://..." (also
// "postgresql://..."). It does not migrate. An SQLite file that another
// process has open is refused with an *InUseError. The caller closes the DB.
func Open(ctx context.Context, dsn string, o Options) (*DB, error) {
	o.Readers = cmp.Or(o.Readers, 8)
	o.Connections = cmp.Or(o.Connections, 16)
	o.Wait = cmp.Or(o.Wait, 5*time.Second)
	db, err := open(dsn, o)
	if err != nil {
		return nil, err
	}
	if err := db.ping(ctx, max(o.Wait, patience)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// patience is how long Open waits at least for the first answer.
const patience = 10 * time.Second

func open(dsn string, o Options) (*DB, error) {
	scheme, rest, found := strings.Cut(dsn, ":")
	switch {
	case dsn == "":
		return nil, errors.New("no database named: give sqlite:PATH or postgres://HOST/NAME")
	case found && scheme == "sqlite":
		return openSQLite(strings.TrimPrefix(rest, "//"), o)
	case found && (scheme == "postgres" || scheme == "postgresql"):
		return openPostgres(dsn, o)
	case found && strings.HasPrefix(rest, "//"):
		return nil, fmt.Errorf("database %s://...: only sqlite:PATH and postgres://... are known", scheme)
	}
	return openSQLite(dsn, o)
}

// openPool is sql.Open with an error that says which import is missing.
func openPool(driver, dsn string) (*sql.DB, error) {
	pool, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, fmt.Errorf("%w (is internal/sqldb/drivers imported?)", err)
	}
	return pool, nil
}

// Dialect returns which of the two databases this is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Clock is the time by PostgreSQL's own clock, as of some moment between the call and its return. SQLite has no other clock
// than its process: there it is an error.
func (db *DB) Clock(ctx context.Context) (now time.Time, err error) {
	if db.dialect != PostgreSQL {
		return now, errors.New("only PostgreSQL has a clock of its own")
	}
	err = db.ReadCommitted(ctx, func(tx *Tx) error { return tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now) })
	return now, err
}

// Ping reports whether the database answers, within Options.Wait, and takes changes.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.ping(ctx, db.wait); err != nil {
		return err
	}
	if err := db.takesChanges(ctx); err != nil {
		return fmt.Errorf("database takes no changes: %w", err)
	}
	return nil
}

func (db *DB) ping(ctx context.Context, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var one int
	for _, pool := range []*sql.DB{db.writer, db.reader} {
		if err := pool.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
			return fmt.Errorf("database: %w", err)
		}
	}
	return nil
}

// Close waits for running transactions to end, closes every connection and
// lets other processes open the file.
func (db *DB) Close() error {
	err := db.reader.Close()
	if db.writer != db.reader {
		err = errors.Join(err, db.writer.Close())
	}
	return errors.Join(err, db.lock.release())
}

// Stats counts what a DB has done since it was opened.
type Stats struct {
	Reads      int64 // read transactions begun
	Writes     int64 // write transactions begun, repeats included
	Statements int64 // statements run inside transactions
	Retries    int64 // write transactions repeated after a serialization failure or a deadlock
}

// Stats returns the counters, for metrics and for tests that assert how much
// an operation asks of the database.
func (db *DB) Stats() Stats {
	return Stats{
		Reads:      db.reads.Load(),
		Writes:     db.writes.Load(),
		Statements: db.statements.Load(),
		Retries:    db.retries.Load(),
	}
}
