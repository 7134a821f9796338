package sqldb

import "time"

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
	db := &DB{dialect: PostgreSQL, writer: pool, reader: pool, wait: o.Wait}
	return db, db.health.watch("")
}
