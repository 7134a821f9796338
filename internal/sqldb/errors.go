package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
)

// ErrBusy says that no connection became free in time: the pool is exhausted,
// or the database does not accept connections.
var ErrBusy = errors.New("no database connection free")

// ErrUnknown says that the database did not answer a commit: the change was made, or it was not.
var ErrUnknown = errors.New("the commit has no answer")

// Result codes of SQLite (https://sqlite.org/rescode.html). The primary code
// is the low byte, the rest says more.
const (
	sqlitePerm      = 3
	sqliteBusy      = 5
	sqliteLocked    = 6
	sqliteReadOnly  = 8
	sqliteInterrupt = 9
	sqliteIOErr     = 10
	sqliteFull      = 13
	sqliteCantOpen  = 14
	sqliteProtocol  = 15

	sqliteFsync      = 1034
	sqliteDirFsync   = 1290
	sqliteForeignKey = 787
	sqlitePrimaryKey = 1555
	sqliteUnique     = 2067
	sqliteRowID      = 2579
)

// Codes of PostgreSQL (its manual, appendix A).
const (
	pgForeignKey       = "23503"
	pgUnique           = "23505"
	pgSerialization    = "40001"
	pgDeadlock         = "40P01"
	pgLockNotAvailable = "55P03"
)

// Conflict reports whether err is a violation of a unique constraint, and
// which: PostgreSQL names the constraint or index ("members_pkey"), SQLite the
// columns ("members.organization, members.email") or, for an index on an
// expression, the index. The name may be empty. Both begin with the table
// where indexes are named after it.
func Conflict(err error) (constraint string, ok bool) {
	if sqlState(err) == pgUnique {
		return pgConstraint(err), true
	}
	switch sqliteCode(err) {
	case sqliteUnique, sqlitePrimaryKey, sqliteRowID:
		return sqliteConstraint(err.Error()), true
	}
	return "", false
}

// ForeignKey reports whether err says that a row names another that does not
// exist, or that a row cannot go because another names it.
func ForeignKey(err error) bool {
	return sqlState(err) == pgForeignKey || sqliteCode(err) == sqliteForeignKey
}

// Unavailable reports whether err says that the database cannot serve now:
// gone, starting, out of connections, locked, full, read-only, or too slow for
// the caller's deadline. The caller answers 503; nothing is known to be wrong
// with what was asked. After such an error of a commit, and only then, the
// change may have been made.
func Unavailable(err error) bool {
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return false
	case errors.Is(err, ErrBusy), errors.Is(err, ErrStale), errors.Is(err, ErrBroken), errors.Is(err, ErrRemoved), errors.Is(err, context.DeadlineExceeded):
		return true
	case sqlState(err) != "":
		return pgUnavailable(sqlState(err))
	case sqliteCode(err) != 0:
		return sqliteUnavailable(sqliteCode(err))
	}
	return connectionLost(err)
}

// pgUnavailable knows the classes of errors that lie with the server.
func pgUnavailable(state string) bool {
	switch state[:2] {
	case "08", "53", "58": // connection, resources, system
		return true
	}
	switch state {
	case "25006", // read-only: a standby after a failover
		"25P03", "25P04", // ended by the database between two statements, or for lasting too long
		pgLockNotAvailable,
		"57014",                            // statement timeout
		"57P01", "57P02", "57P03", "57P05", // shutting down, crashed, starting, idle too long
		pgSerialization, pgDeadlock: // lost again and again
		return true
	}
	return false
}

func sqliteUnavailable(code int) bool {
	switch code & 0xff {
	case sqlitePerm, sqliteBusy, sqliteLocked, sqliteReadOnly, sqliteInterrupt, sqliteIOErr, sqliteFull, sqliteCantOpen, sqliteProtocol:
		return true
	}
	return false
}

// connectionLost reports whether err comes from the network or from a pool.
func connectionLost(err error) bool {
	var network net.Error
	if errors.As(err, &network) {
		return true
	}
	// pgconn's errors about a connection that is closed or in use.
	var closed interface{ SafeToRetry() bool }
	if errors.As(err, &closed) {
		return true
	}
	for _, gone := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

// Retryable reports whether Write runs a transaction again that ended with err.
func Retryable(err error) bool { return retryable(err) }

// retryable reports whether the transaction lost to another, or never began,
// so that it may be run again.
func retryable(err error) bool {
	state := sqlState(err)
	return state == pgSerialization || state == pgDeadlock || errors.Is(err, errNotBegun)
}

// Held reports whether err says that others held a row for longer than this transaction's lock_timeout. Never on SQLite,
// where one writer runs at a time.
func Held(err error) bool { return sqlState(err) == pgLockNotAvailable }

// sqlState returns the PostgreSQL code of err, "" for others. The drivers'
// error types are met by their methods, so that programs which never open a
// database do not link a driver.
func sqlState(err error) string {
	var pg interface{ SQLState() string }
	if errors.As(err, &pg) && len(pg.SQLState()) == 5 {
		return pg.SQLState()
	}
	return ""
}

// sqliteCode returns the extended result code of err, 0 for others.
func sqliteCode(err error) int {
	var lite interface {
		error
		Code() int
	}
	if errors.As(err, &lite) {
		return lite.Code()
	}
	return 0
}

// pgConstraint reads the field that pgconn.PgError has for it; the message
// would name it too, but in the language of the server.
func pgConstraint(err error) string {
	var pg interface{ SQLState() string }
	errors.As(err, &pg)
	v := reflect.Indirect(reflect.ValueOf(pg))
	if v.Kind() != reflect.Struct {
		return ""
	}
	name := v.FieldByName("ConstraintName")
	if !name.IsValid() || name.Kind() != reflect.String {
		return ""
	}
	return name.String()
}

// sqliteConstraint takes the name from a message such as
// "constraint failed: UNIQUE constraint failed: members.id (1555)".
func sqliteConstraint(message string) string {
	_, name, found := strings.Cut(message, "UNIQUE constraint failed: ")
	if !found {
		return ""
	}
	name, _, _ = strings.Cut(name, " (")
	name = strings.TrimPrefix(name, "index ")
	return strings.Trim(name, "'")
}
