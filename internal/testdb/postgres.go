package testdb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// ClusterVariable names the environment variable with the data source of a
// running throw-away cluster. Without it each test process starts its own.
const ClusterVariable = "GUILDHALL_TEST_POSTGRES"

// server is the cluster that this process makes its databases in.
type server struct {
	admin *sql.DB
	dsn   string
	own   *Cluster // nil when it is somebody else's; collected as garbage, it would end
}

// theServer finds the cluster or starts one, once per process. One that was
// started ends with the process.
var theServer = sync.OnceValues(func() (*server, error) {
	s := &server{dsn: os.Getenv(ClusterVariable)}
	if s.dsn == "" {
		cluster, err := StartCluster()
		if err != nil {
			return nil, err
		}
		s.dsn, s.own = cluster.DSN, cluster
	}
	admin, err := sql.Open("pgx", s.dsn)
	if err != nil {
		return nil, err
	}
	// Tests that begin together wait here, not at the server's limit.
	admin.SetMaxOpenConns(2)
	s.admin = admin
	return s, nil
})

// theTemplate makes the migrated template in this process's cluster, or finds
// the one that another process made there.
var theTemplate = sync.OnceValues(func() (string, error) {
	s, err := theServer()
	if err != nil {
		return "", err
	}
	return s.template(context.Background())
})

func migratedTemplate(t testing.TB) string {
	t.Helper()
	name, err := theTemplate()
	if err != nil {
		t.Fatalf("migrated PostgreSQL database: %v", err)
	}
	return name
}

// postgresDSN makes a database from a template, and drops it when the test
// ends, whoever is still connected.
func postgresDSN(t testing.TB, template string) string {
	t.Helper()
	s, err := theServer()
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	name := "test_" + strings.ToLower(rand.Text())
	if err := s.exec("CREATE DATABASE " + name + " TEMPLATE " + template); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return s.database(name)
}

func (s *server) exec(statement string) error {
	if _, err := s.admin.Exec(statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// database returns the data source of another database of the cluster.
func (s *server) database(name string) string {
	u, err := url.Parse(s.dsn)
	if err != nil {
		return s.dsn // sql.Open has read it before
	}
	u.Path = "/" + name
	return u.String()
}

// template makes a database with these migrations unless another process has.
// It gets its name when it is finished; an advisory lock lets one work.
func (s *server) template(ctx context.Context) (string, error) {
	conn, err := s.admin.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	const lock = 4_097_083_627
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", lock); err != nil {
		return "", err
	}
	defer conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", lock)

	name := "template_" + sqldb.MigrationsDigest()
	var exists bool
	if err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil || exists {
		return name, err
	}
	return name, s.makeTemplate(name)
}

func (s *server) makeTemplate(name string) error {
	unfinished := name + "_unfinished"
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + unfinished, "CREATE DATABASE " + unfinished + " TEMPLATE template0"} {
		if err := s.exec(statement); err != nil {
			return err
		}
	}
	if err := migrate(s.database(unfinished)); err != nil {
		return err
	}
	return s.exec("ALTER DATABASE " + unfinished + " RENAME TO " + name)
}

func migrate(dsn string) error {
	ctx := context.Background()
	db, err := sqldb.Open(ctx, dsn, sqldb.Options{})
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}
