// Package drivers links the two database drivers. Whoever opens a database
// imports it; a program that only speaks HTTP to a server does not, and stays
// small.
package drivers

import (
	"database/sql"

	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx"
	_ "modernc.org/sqlite"             // registers "sqlite"
)

func init() {
	sql.Register("sqlite that keeps statements", sqlite{registered("sqlite")})
	sql.Register("postgres", postgres{})
	sql.Register("postgres beside", postgres{cancels: true})
}
