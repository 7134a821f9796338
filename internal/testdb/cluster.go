package testdb

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Cluster is a throw-away PostgreSQL on a socket in a temporary folder. It
// listens on no network, and does not care for power losses.
type Cluster struct {
	DSN    string // of its database "postgres", as the superuser
	Socket string // where it listens

	keeper *exec.Cmd
	alive  io.WriteCloser // the keeper ends the server when this closes
	dir    string
}

// keep runs the server until its standard input closes, which the kernel does
// when the test process ends in whatever way; then it removes the folder. A
// line is the name of a signal: the server ends by it, and is started again.
const keep = `
dir=$1; shift
"$@" >>"$dir/log" 2>&1 &
while read -r how; do
	kill -"$how" $!
	wait $!
	"$@" >>"$dir/log" 2>&1 &
done
kill -QUIT $!
wait $!
cd / && rm -rf "$dir"
`

// ready bounds how long a new cluster may take to answer.
const ready = time.Minute

// StartCluster makes a cluster and starts its server, as an unprivileged user
// when this process is root. It runs until Stop or the end of this process.
// Settings such as "synchronous_commit=on" take the place of the usual ones.
func StartCluster(settings ...string) (*Cluster, error) {
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
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = dir, as
	if out, err := initdb.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	c := &Cluster{DSN: dsnOf(dir), Socket: filepath.Join(dir, ".s.PGSQL.5432"), dir: dir}
	if err := c.start(filepath.Join(bin, "postgres"), data, as, settings); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return c, c.awaitReady()
}

func dsnOf(dir string) string {
	return "postgres://postgres@/postgres?sslmode=disable&host=" + url.QueryEscape(dir)
}

func (c *Cluster) start(postgres, data string, as *syscall.SysProcAttr, settings []string) error {
	args := []string{"-c", keep, "keep", c.dir, postgres, "-D", data, "-k", c.dir, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
		"-c", "autovacuum=off", // it would hold the template while databases are made from it
		"-c", "deadlock_timeout=100ms", "-c", "max_connections=400", "-c", "shared_buffers=64MB", "-c", "max_wal_size=512MB"}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	c.keeper = exec.Command("/bin/sh", args...)
	attr := *as
	attr.Setpgid = true // an interrupt from the keyboard is for the tests alone
	c.keeper.Dir, c.keeper.SysProcAttr = "/", &attr
	alive, err := c.keeper.StdinPipe()
	if err != nil {
		return err
	}
	c.alive = alive
	return c.keeper.Start()
}

// awaitReady asks until the server answers.
func (c *Cluster) awaitReady() error {
	pool, err := sql.Open("pgx", c.DSN)
	if err != nil {
		return err
	}
	defer pool.Close()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := pool.Ping()
		if err == nil {
			return nil
		}
		if time.Since(began) > ready {
			log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
			return errors.Join(fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, bytes.TrimSpace(log)), c.Stop())
		}
	}
}

// Restart ends the server by a signal, such as INT or QUIT, and starts it again. It
// returns when the server answers.
func (c *Cluster) Restart(signal string) error {
	if _, err := io.WriteString(c.alive, signal+"\n"); err != nil {
		return err
	}
	return c.awaitReady()
}

// Stop ends the server and removes its folder.
func (c *Cluster) Stop() error {
	return errors.Join(c.alive.Close(), c.keeper.Wait())
}

// binaries finds the folder of initdb and postgres, the newest where there are
// several.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) > 0 {
		return filepath.Dir(found[0]), nil
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("PostgreSQL is not installed, and the tests need it: run apt-get install postgresql")
	}
	return filepath.Dir(initdb), nil
}

// version is the 15 of /usr/lib/postgresql/15/bin/initdb.
func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb)))) // 0 for others
	return n
}

// unprivileged returns whom the server runs as: this user, or, since
// PostgreSQL refuses to run as root, "postgres" or "nobody".
func unprivileged() (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody")
}

// folder makes the cluster's folder, owned by whom it runs as. The name of a
// socket is at most 107 bytes long, so that a long TMPDIR is not used.
func folder(as *syscall.SysProcAttr) (string, error) {
	parent := os.TempDir()
	if len(parent) > 60 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "hall-pg-")
	if err != nil {
		return "", err
	}
	if as.Credential != nil {
		err = os.Chown(dir, int(as.Credential.Uid), int(as.Credential.Gid))
	}
	return dir, err
}
