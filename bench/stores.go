package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync/atomic"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that the stores have too
)

// store is a database to measure on.
type store struct {
	name, dsn string
	drop      func() error
}

var stores atomic.Int64

// newStores makes an empty SQLite file in a folder and, where there is a PostgreSQL, an empty database in it.
func newStores(ctx context.Context, o options, dir string) ([]store, error) {
	n := stores.Add(1)
	all := []store{{name: "sqlite", dsn: "sqlite:" + filepath.Join(dir, fmt.Sprintf("bench-%d.db", n)), drop: func() error { return nil }}}
	if o.postgres == "" {
		return all, nil
	}
	pg, err := newPostgres(ctx, o, fmt.Sprintf("guildhall_bench_%d", n))
	return append(all, pg), err
}

// newPostgres makes a database of a name in the PostgreSQL of the options.
func newPostgres(ctx context.Context, o options, name string) (store, error) {
	admin, err := sql.Open("pgx", o.postgres)
	if err != nil {
		return store{}, err
	}
	var fsync string
	_, err = admin.ExecContext(ctx, "CREATE DATABASE "+name)
	if err == nil {
		err = admin.QueryRowContext(ctx, "SHOW fsync").Scan(&fsync)
	}
	if err != nil {
		return store{}, errors.Join(err, admin.Close())
	}
	at, err := url.Parse(o.postgres)
	if err != nil {
		return store{}, errors.Join(err, admin.Close())
	}
	at.Path = "/" + name
	drop := func() error {
		_, err := admin.Exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)")
		return errors.Join(err, admin.Close())
	}
	return store{name: "postgres, fsync " + fsync, dsn: at.String(), drop: drop}, nil
}

// dropAll takes the databases away.
func dropAll(all []store, err error) error {
	for _, s := range all {
		err = errors.Join(err, s.drop())
	}
	return err
}
