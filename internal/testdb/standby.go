package testdb

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// StartStandby makes a synchronous standby of a cluster that was started with
// synchronous_commit=on: from now on the cluster commits only what its standby has
// too. It runs until Stop or the end of this process.
func (c *Cluster) StartStandby() (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := folder(as)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	backup := exec.Command(filepath.Join(bin, "pg_basebackup"), "-D", data, "-U", "postgres", "-h", filepath.Dir(c.Socket), "-R", "-X", "stream", "-c", "fast", "--no-sync")
	backup.Dir, backup.SysProcAttr = dir, as
	if out, err := backup.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	s := &Cluster{DSN: dsnOf(dir), Socket: filepath.Join(dir, ".s.PGSQL.5432"), dir: dir}
	settings := []string{"synchronous_commit=on", "wal_receiver_status_interval=1s", "hot_standby=on"}
	if err := s.start(filepath.Join(bin, "postgres"), data, as, settings); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := s.awaitReady(); err != nil {
		return nil, err
	}
	if err := c.run("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, c.awaitStandby()
}

func (c *Cluster) run(statements ...string) error {
	pool, err := sql.Open("pgx", c.DSN)
	if err != nil {
		return err
	}
	defer pool.Close()
	for _, statement := range statements {
		if _, err := pool.Exec(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// awaitStandby waits until commits wait for the standby.
func (c *Cluster) awaitStandby() error {
	pool, err := sql.Open("pgx", c.DSN)
	if err != nil {
		return err
	}
	defer pool.Close()
	for began := time.Now(); time.Since(began) < ready; time.Sleep(20 * time.Millisecond) {
		var n int
		if err := pool.QueryRow("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").Scan(&n); err == nil && n > 0 {
			return nil
		}
	}
	return errors.New("the standby is not synchronous")
}

// Promote makes a standby the primary, and leaves the old one alive. It returns when
// changes are taken.
func (c *Cluster) Promote() error { return c.run("SELECT pg_promote(true, 60)") }

// Alone has a cluster commit without a standby, those commits too that wait for one.
func (c *Cluster) Alone() error {
	return c.run("ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
}
