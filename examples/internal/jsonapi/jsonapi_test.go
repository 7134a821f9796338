package jsonapi_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

func TestAnAnswerIsWhatTheHandlerSays(t *testing.T) {
	for _, c := range []struct {
		says   string
		body   any
		err    error
		status int
		wants  string
	}{
		{"a value", map[string]int{"n": 1}, nil, http.StatusOK, `{"n":1}`},
		{"nothing", nil, nil, http.StatusNoContent, ""},
		{"something made", jsonapi.Answer{Status: http.StatusCreated, Body: map[string]int{"n": 1}}, nil, http.StatusCreated, `{"n":1}`},
		{"something missing", nil, fmt.Errorf("wrapped: %w", jsonapi.ErrNotFound), http.StatusNotFound, `"code":"not_found"`},
		{"a mistake of the caller", nil, jsonapi.Invalid("n is %d", 7), http.StatusUnprocessableEntity, `"detail":"n is 7"`},
		{"a mistake of ours", nil, errors.New("disk /secret is full"), http.StatusInternalServerError, `"detail":"internal error"`},
	} {
		w := httptest.NewRecorder()
		jsonapi.Handler(func(*http.Request) (any, error) { return c.body, c.err }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.wants) || strings.Contains(w.Body.String(), "/secret") {
			t.Errorf("%s: %d %s, want %d %s", c.says, w.Code, w.Body, c.status, c.wants)
		}
	}
}

func TestABodyIsReadStrictly(t *testing.T) {
	for body, good := range map[string]bool{
		`{"n":1}`:         true,
		`{}`:              true,
		``:                false,
		`{"n":"1"}`:       false,
		`{"n":1,"n":2}`:   false,
		`{"n":1,"m":2}`:   false,
		`{"n":1} {"n":1}`: false,
		`{"x":"` + strings.Repeat("x", 2<<20) + `"}`: false,
	} {
		w := httptest.NewRecorder()
		jsonapi.Handler(func(r *http.Request) (any, error) {
			var in struct {
				N int `json:"n"`
			}
			return nil, jsonapi.Read(r, &in)
		}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
		if want := map[bool]int{true: http.StatusNoContent, false: http.StatusBadRequest}[good]; w.Code != want {
			t.Errorf("%.40s: %d, want %d", body, w.Code, want)
		}
	}
}

// TestPagesGoOnWhereTheLastOneEnded reads a list of seven in threes, beside somebody else's.
func TestPagesGoOnWhereTheLastOneEnded(t *testing.T) {
	db, err := jsonapi.OpenDB(filepath.Join(t.TempDir(), "a b%?.db"), "CREATE TABLE things (id TEXT PRIMARY KEY, organization TEXT NOT NULL)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var want []string
	for i := range 14 {
		id, organization := jsonapi.NewID("th", time.UnixMicro(int64(i))), []string{"acme", "globex"}[i%2]
		if _, err := db.Exec("INSERT INTO things (id, organization) VALUES ($1, $2)", id, organization); err != nil {
			t.Fatal(err)
		}
		if organization == "acme" {
			want = append(want, id)
		}
	}
	slices.Reverse(want)
	var got []string
	for before, more := "", true; more; before = got[len(got)-1] {
		page, err := list(db, "?limit=3&before="+before)
		if err != nil {
			t.Fatal(err)
		}
		got, more = append(got, page.Data...), page.HasMore
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, limit := range []string{"0", "101", "-1", "x"} {
		if _, err := list(db, "?limit="+limit); err == nil {
			t.Errorf("limit %s is taken", limit)
		}
	}
}

func list(db *sql.DB, query string) (jsonapi.List[string], error) {
	scan := func(row jsonapi.Row) (id string, err error) { return id, row.Scan(&id) }
	return jsonapi.Newest(httptest.NewRequest(http.MethodGet, "/"+query, nil), db, scan, "SELECT id FROM things WHERE organization = $1", "acme")
}
