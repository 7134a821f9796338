package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Tx is a running transaction. It belongs to the function it was given to and
// to one goroutine, and is dead once that function has returned.
type Tx struct {
	tx         *sql.Tx
	conn       *sql.Conn
	dialect    Dialect
	statements int
	total      *atomic.Int64
	stand      Standing // by which the rest of a reading has to stand
	left       bool     // the connection leads to a server that another one has replaced
}

// maxRetries bounds how often Write repeats a transaction that lost against
// another; with the pauses between them that is about a second.
const maxRetries = 10

// Write runs fn in a transaction that may change the database, and commits it
// when fn returns nil. On PostgreSQL it is READ COMMITTED, and repeated when it
// lost to another transaction (serialization failure, deadlock): fn may run
// several times and must have no effect but through its Tx. On SQLite writers
// take turns. An error of fn is returned as it is, but that it stands as a Read
// does: it was decided by what was read. A database that is Broken, or whose file
// was removed, is not written.
//
// When ctx ends while the commit waits, its connection is let go, and whether it
// was made is not known: ErrUnknown. It is not cancelled, since PostgreSQL shows
// a cancelled commit to everybody before its standby has it. While a few of them
// have no answer, no further change begins: ErrBusy.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	opts := sql.TxOptions{}
	if db.dialect == PostgreSQL {
		opts.Isolation = sql.LevelReadCommitted
	}
	for attempt := 0; ; attempt++ {
		if err := errors.Join(db.health.usable(), db.answered()); err != nil {
			return err
		}
		db.writes.Add(1)
		err := db.transact(ctx, db.writer, &opts, func(tx *Tx) error {
			tx.stand = db.stand()
			if err := fn(tx); err != nil {
				return tx.answers(ctx, err)
			}
			return nil // a commit that its standby has stands by itself
		})
		db.health.note(err)
		if !retryable(err) || attempt == maxRetries {
			return err
		}
		if pause(ctx, attempt) != nil {
			return err
		}
		db.retries.Add(1)
	}
}

// snapshot is Read, standing by nothing.
func (db *DB) snapshot(ctx context.Context, fn func(*Tx) error) error {
	opts := sql.TxOptions{ReadOnly: true}
	if db.dialect == PostgreSQL {
		opts.Isolation = sql.LevelRepeatableRead
	}
	return db.read(ctx, &opts, fn)
}

// ReadCommitted runs fn in a transaction that only reads, and of which each statement sees what was committed when it
// began. On SQLite it is Read. Whether what it reads counts is the caller's to find out: see Standing.
func (db *DB) ReadCommitted(ctx context.Context, fn func(*Tx) error) error {
	opts := sql.TxOptions{ReadOnly: true}
	if db.dialect == PostgreSQL {
		opts.Isolation = sql.LevelReadCommitted
	}
	return db.read(ctx, &opts, fn)
}

func (db *DB) read(ctx context.Context, opts *sql.TxOptions, fn func(*Tx) error) error {
	if err := db.Broken(); err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		db.reads.Add(1)
		err := db.transact(ctx, db.reader, opts, fn)
		if !errors.Is(err, errNotBegun) || attempt == maxRetries {
			return err
		}
	}
}

// errNotBegun marks a connection found dead before anything was asked of it;
// the transaction may be begun again on another one.
var errNotBegun = errors.New("connection lost before the transaction began")

// transact runs fn once, on a connection of pool.
func (db *DB) transact(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, fn func(*Tx) error) error {
	conn, err := db.acquire(ctx, pool)
	if err != nil {
		return err
	}
	defer conn.Close()
	began := time.Now()
	tx, err := conn.BeginTx(ctx, opts)
	if errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("%w: %w", errNotBegun, err)
	}
	if err != nil {
		db.suspect(ctx, began)
		return fmt.Errorf("begin: %w", err)
	}
	t := &Tx{tx: tx, conn: conn, dialect: db.dialect, total: &db.statements}
	defer t.leave()
	// After a commit this does nothing; after an error or a panic of fn it
	// frees the locks. The connection is discarded if it fails.
	defer tx.Rollback()
	if err := fn(t); err != nil {
		db.suspect(ctx, began)
		return err
	}
	if err := tx.Commit(); err != nil {
		db.suspect(ctx, began)
		return committing(err)
	}
	return nil
}

// leave discards a connection that leads nowhere any more.
func (t *Tx) leave() {
	if t.left {
		_ = t.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// committing says what an error of a commit means.
func committing(err error) error {
	if (Unavailable(err) || errors.Is(err, context.Canceled)) && !retryable(err) {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return fmt.Errorf("commit: %w", err)
}

// acquire waits for a free connection, but not for long: a caller is better
// served by "busy" than by silence.
func (db *DB) acquire(ctx context.Context, pool *sql.DB) (*sql.Conn, error) {
	waiting, cancel := context.WithTimeout(ctx, db.wait)
	defer cancel()
	conn, err := pool.Conn(waiting)
	if err == nil {
		return conn, nil
	}
	if waiting.Err() != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%w within %s", ErrBusy, db.wait)
	}
	return nil, fmt.Errorf("connection: %w", err)
}

// pause waits before a repeat: a random time, so that two transactions that
// met once do not meet again, and up to twice as long each time.
func pause(ctx context.Context, attempt int) error {
	limit := min(2*time.Millisecond<<attempt, 250*time.Millisecond)
	timer := time.NewTimer(rand.N(limit))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Exec runs a statement and returns how many rows it changed.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	t.count()
	if _, err := converted(args); err != nil {
		return 0, err
	}
	result, err := t.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// ExecLater has a statement run before the transaction is committed. PostgreSQL has it in one message with the commit, which
// spares waiting for an answer while rows are locked: nothing in the transaction sees what it does, and its error is that
// of the commit.
func (t *Tx) ExecLater(ctx context.Context, query string, args ...any) error {
	if t.dialect == SQLite {
		_, err := t.Exec(ctx, query, args...)
		return err
	}
	t.count()
	values, err := converted(args)
	if err != nil {
		return err
	}
	return t.conn.Raw(func(c any) error {
		later, ok := c.(interface {
			ExecLater(query string, args []any)
		})
		if !ok {
			return fmt.Errorf("a connection that runs nothing later: %T", c)
		}
		later.ExecLater(query, values)
		return nil
	})
}

// Query runs a query. The caller closes the rows before the next statement.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	t.count()
	if _, err := converted(args); err != nil {
		return nil, err
	}
	return t.tx.QueryContext(ctx, query, args...)
}

// QueryRow runs a query for one row; without one, its Scan returns
// sql.ErrNoRows.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	t.count()
	if _, err := converted(args); err != nil { // a row has no error of its own: its Scan says that the query was given up
		gone, cancel := context.WithCancel(ctx)
		cancel()
		return t.tx.QueryRowContext(gone, query)
	}
	return t.tx.QueryRowContext(ctx, query, args...)
}

func (t *Tx) count() {
	t.statements++
	t.total.Add(1)
}

// Statements returns how many statements this transaction has run so far,
// beside BEGIN and COMMIT.
func (t *Tx) Statements() int { return t.statements }

// Dialect returns which of the two databases the transaction runs on.
func (t *Tx) Dialect() Dialect { return t.dialect }

// converted gives the values that drivers take for arguments, and refuses what none takes. It is asked before database/sql
// is: a driver that panics over an argument leaves the transaction's lock held, and the rollback would wait for it for ever.
func converted(args []any) (values []any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("an argument of a query panics: %v", p)
		}
	}()
	values = make([]any, len(args))
	for i, arg := range args {
		if values[i], err = driver.DefaultParameterConverter.ConvertValue(arg); err != nil {
			return nil, fmt.Errorf("argument %d of a query: %w", i+1, err)
		}
	}
	return values, nil
}
