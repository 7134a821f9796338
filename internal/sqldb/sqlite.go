package sqldb

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// openSQLite opens the file with one connection that writes and several that
// read: SQLite has one writer anyway, and waiting for it in Go is fair and
// obeys the context.
func openSQLite(path string, o Options) (*DB, error) {
	path, err := createFile(path)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	lock, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	db := &DB{dialect: SQLite, wait: o.Wait, lock: lock}
	if err := db.health.watch(path); err != nil {
		lock.release()
		return nil, fmt.Errorf("database: %w", err)
	}
	if db.writer, err = openPool("sqlite that keeps statements", sqliteDSN(path, "journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)")); err != nil {
		lock.release()
		return nil, err
	}
	if db.reader, err = openPool("sqlite that keeps statements", sqliteDSN(path, "query_only(1)")); err != nil {
		lock.release()
		return nil, err
	}
	keepOpen(db.writer, 1)
	keepOpen(db.reader, o.Readers)
	return db, nil
}

// sqliteDSN names the file for the driver, with the pragmas that every
// connection to it starts with.
func sqliteDSN(path string, pragmas ...string) string {
	pragmas = append(pragmas, "busy_timeout(5000)", "foreign_keys(1)")
	u := url.URL{
		Scheme:   "file",
		Path:     path,
		RawQuery: url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}.Encode(),
	}
	return u.String()
}

// keepOpen lets a pool grow to n connections and keeps them: opening one
// again costs more than an idle one.
func keepOpen(pool *sql.DB, n int) {
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
}

// createFile makes the database file, readable by its owner alone, when there
// is none, and returns its real path: two names of one file need one lock.
func createFile(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// InUseError says that another process has the SQLite file open.
type InUseError struct {
	Path string // of the database file
	PID  int    // of the process that has it open, 0 where unknown
}

// Error names the file and the process, and says what to do.
func (e *InUseError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("database %s is in use by %s: stop it first, or ask it instead of opening its file (--server URL in place of --data DIR)", e.Path, holder)
}

// fileLock is the exclusive right of this process to an SQLite file. The
// kernel drops it when the process ends, however it ends.
type fileLock struct{ file *os.File }

// lockFile takes the lock beside the database, in PATH.lock. That file stays:
// removing it would let two processes lock two files of one name.
func lockFile(path string) (*fileLock, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("database lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if err == syscall.EWOULDBLOCK {
			return nil, &InUseError{Path: path, PID: readPID(f)}
		}
		return nil, fmt.Errorf("database lock %s: %w", f.Name(), err)
	}
	l := &fileLock{file: f}
	if err := l.writePID(); err != nil {
		l.release()
		return nil, fmt.Errorf("database lock: %w", err)
	}
	return l, nil
}

func (l *fileLock) writePID() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func readPID(f *os.File) int {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// release lets other processes have the file. To release it again, or what was
// never locked, is no error.
func (l *fileLock) release() error {
	if l == nil {
		return nil
	}
	if err := l.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
