package sqldb

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// openPostgres opens one pool for reads and writes. Connections are renewed
// now and then, so that a failover or a rebalanced proxy is noticed.
func openPostgres(dsn string, o Options) (*DB, error) {
	pool, err := openPool("postgres", dsn) // only to find the driver
	if err != nil {
		return nil, err
	}
	named, _ := pool.Driver().(driver.DriverContext)
	_ = pool.Close() // it has no connection yet
	made, err := named.OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	left, _ := made.(leftCommits)
	return pooled(sql.OpenDB(made), left, dsn, o)
}

// leftCommits are the commits of a pool that nobody waits for any longer, and that the database has not answered.
type leftCommits interface {
	Left() int
	Forget()   // them, as those of a server that was replaced
	Replaced() // is Forget, and that nobody waits there any longer
}

// mostLeft is how many commits may be left. Each keeps a connection of the database's, and its locks, until the standby
// that it waits for is back.
const mostLeft = 4

// answered refuses a change where the database does not answer those before it.
func (db *DB) answered() error {
	if db.left == nil {
		return nil
	}
	if n := db.left.Left(); n >= mostLeft {
		return fmt.Errorf("%w: the database has not answered %d commits, as if it waited for a standby that is gone", ErrBusy, n)
	}
	return nil
}

func pooled(pool *sql.DB, left leftCommits, dsn string, o Options) (*DB, error) {
	pool.SetMaxOpenConns(o.Connections)
	pool.SetMaxIdleConns(o.Connections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(30 * time.Minute)
	db := &DB{dialect: PostgreSQL, writer: pool, reader: pool, wait: o.Wait, left: left, dsn: dsn, connections: o.Connections}
	return db, db.health.watch("")
}

// Beside opens a further, small pool to the same PostgreSQL database, for work that must not wait for connections which
// are waiting for it. A commit there that is not waited for is cancelled: it may have been made on the primary alone, and
// its caller must not count it. The caller closes the pool.
func (db *DB) Beside(connections int) (*DB, error) {
	if db.dialect != PostgreSQL {
		return nil, errors.New("only PostgreSQL has a pool beside")
	}
	pool, err := openPool("postgres beside", db.dsn)
	if err != nil {
		return nil, err
	}
	return pooled(pool, nil, db.dsn, Options{Connections: connections, Wait: db.wait})
}

// Near reports whether the database is on this machine, as far as its address says.
func (db *DB) Near() bool { return db.dialect == SQLite || near(db.dsn) }

func near(dsn string) bool {
	u, err := url.Parse(dsn)
	if err != nil {
		return false
	}
	host := cmp.Or(u.Query().Get("host"), u.Hostname(), "localhost")
	ip, err := netip.ParseAddr(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || err == nil && ip.IsLoopback()
}

// Renew closes the connections that nobody uses now, so that the next ones are new: some of them lead to a server that
// another one has replaced. Commits that were left there count no longer.
func (db *DB) Renew() {
	if db.left != nil {
		db.left.Forget()
	}
	db.closeIdle()
}

// Replaced is Renew where another server has taken the place of the one that all connections lead to: what is under way
// there ends without an answer.
func (db *DB) Replaced() {
	if db.left != nil {
		db.left.Replaced()
	}
	db.closeIdle()
}

// closeIdle closes the connections that nobody uses now. Each says good-bye, which may last.
func (db *DB) closeIdle() {
	db.writer.SetMaxIdleConns(0)
	db.writer.SetMaxIdleConns(db.connections)
}

// suspicious is how long a transaction lasts at least that was given up, for connections to be suspected, and how long they
// are not suspected again.
const suspicious = 500 * time.Millisecond

// suspect closes the connections that nobody uses, after a transaction that was given up without an answer: what is at
// their other end may be gone as well, and each of them would cost one more caller the same wait.
func (db *DB) suspect(ctx context.Context, began time.Time) {
	last, now := db.suspected.Load(), time.Now()
	if db.dialect != PostgreSQL || ctx.Err() == nil || now.Sub(began) < suspicious || now.UnixNano()-last < int64(suspicious) ||
		!db.suspected.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	go db.closeIdle()
}
