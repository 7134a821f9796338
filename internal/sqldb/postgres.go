package sqldb

import (
	"errors"
	"time"
)

// openPostgres opens one pool for reads and writes. Connections are renewed
// now and then, so that a failover or a rebalanced proxy is noticed.
func openPostgres(dsn string, o Options) (*DB, error) {
	pool, err := openPool("pgx", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(o.Connections)
	pool.SetMaxIdleConns(o.Connections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(30 * time.Minute)
	db := &DB{dialect: PostgreSQL, writer: pool, reader: pool, wait: o.Wait, dsn: dsn, connections: o.Connections}
	return db, db.health.watch("")
}

// Beside opens a further, small pool to the same PostgreSQL database, for work that must not wait for connections which
// are waiting for it. The caller closes it.
func (db *DB) Beside(connections int) (*DB, error) {
	if db.dialect != PostgreSQL {
		return nil, errors.New("only PostgreSQL has a pool beside")
	}
	return openPostgres(db.dsn, Options{Connections: connections, Wait: db.wait})
}

// Renew closes the connections that nobody uses now, so that the next ones are new: they may lead to another server.
func (db *DB) Renew() {
	db.writer.SetMaxIdleConns(0)
	db.writer.SetMaxIdleConns(db.connections)
}
