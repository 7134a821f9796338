package jsonapi

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// List is a page of a list, the newest first. The next page is asked for with ?before= the last one's id.
type List[T any] struct {
	Data    []T  `json:"data"`
	HasMore bool `json:"has_more"`
}

// Row is a row of a query's answer.
type Row interface{ Scan(into ...any) error }

// The sizes of a page.
const (
	usualPage = 50
	maxPage   = 100
)

// Newest answers with a page of an organization's things. The query ends with its condition, "organization = $1", and
// its table has ids of NewID.
func Newest[T any](r *http.Request, db *sql.DB, scan func(Row) (T, error), query, organization string) (List[T], error) {
	page := List[T]{Data: []T{}}
	limit, err := limitOf(r)
	if err != nil {
		return page, err
	}
	rows, err := db.QueryContext(r.Context(), query+" AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3",
		organization, r.URL.Query().Get("before"), limit+1)
	if err != nil {
		return page, err
	}
	defer rows.Close()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return page, err
		}
		page.Data = append(page.Data, one)
	}
	if page.HasMore = len(page.Data) > limit; page.HasMore {
		page.Data = page.Data[:limit]
	}
	return page, rows.Err()
}

func limitOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return usualPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, Invalid("limit is a number from 1 to %d", maxPage)
	}
	return n, nil
}

// One answers with the one row of a query, or ErrNotFound.
func One[T any](scan func(Row) (T, error), row *sql.Row) (T, error) {
	one, err := scan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return one, ErrNotFound
	}
	return one, err
}

// Changed answers ErrNotFound for a change that touched nothing.
func Changed(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// NewID makes an id: a prefix, the time, and enough chance that nobody guesses it. Later ones sort behind earlier ones.
func NewID(prefix string, at time.Time) string {
	return fmt.Sprintf("%s_%013x%s", prefix, at.UnixMicro(), strings.ToLower(rand.Text()[:16]))
}

// Time is a time that a table kept as Unix microseconds; nil for 0.
func Time(micros int64) *time.Time {
	if micros == 0 {
		return nil
	}
	at := time.UnixMicro(micros).UTC()
	return &at
}

// OpenDB opens an SQLite file, whose driver the caller has imported, and makes the tables that are missing.
func OpenDB(path, schema string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	// One connection: the examples' data is small, and SQLite has one writer anyway.
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(schema); err != nil {
		return nil, errors.Join(fmt.Errorf("tables: %w", err), db.Close())
	}
	return db, nil
}
