package requestlog_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/requestlog"
)

func TestTheLogIsSearched(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db)
		h.asks(h.bob, "workflows.run", true, "req_1")
		h.asks(h.cyd, "workflows.run", false, "req_2")
		h.asks(h.bob, "workflows.deploy", true, "req_3")
		h.After(24 * time.Hour)
		h.asks(h.bob, "workflows.edit", false, "req_4")
		for _, c := range []struct {
			what   string
			filter requestlog.Filter
			want   string
		}{
			{"everything, the newest first", requestlog.Filter{}, "req_4 req_3 req_2 req_1"},
			{"what was refused", requestlog.Filter{Outcome: "denied"}, "req_4 req_2"},
			{"of one member", requestlog.Filter{Member: h.bob.Member}, "req_4 req_3 req_1"},
			{"of everybody else", requestlog.Filter{Query: "-member:" + h.bob.Member}, "req_2"},
			{"by its credential", requestlog.Filter{Key: "ses_req_3"}, "req_3"},
			{"by what was asked for", requestlog.Filter{Permission: "workflows.run"}, "req_2 req_1"},
			{"by a line of qualifiers", requestlog.Filter{Query: "outcome:denied permission:workflows.edit"}, "req_4"},
			{"by why", requestlog.Filter{Query: "code:no_permission"}, "req_4 req_2"},
			{"all but what was allowed", requestlog.Filter{Query: "-outcome:allowed"}, "req_4 req_2"},
			{"one request", requestlog.Filter{Query: "request:req_2"}, "req_2"},
			{"since yesterday", requestlog.Filter{From: "2026-11-03"}, "req_4"},
			{"until yesterday", requestlog.Filter{Until: "2026-11-03", Outcome: "allowed"}, "req_3 req_1"},
			{"nobody's", requestlog.Filter{Member: "mem_none"}, ""},
		} {
			got, err := h.list(h.ada, c.filter)
			if err != nil || ids(got) != c.want {
				t.Errorf("%s: %s (%v), want %s", c.what, ids(got), err, c.want)
			}
		}
		if _, err := h.list(h.ada, requestlog.Filter{Query: "status:great"}); op.AsError(err).Kind != op.Invalid {
			t.Errorf("a status that is none: %v, want it refused", err)
		}
	})
}

func ids(lines []requestlog.Request) string {
	var all []string
	for _, l := range lines {
		all = append(all, l.RequestID)
	}
	return strings.Join(all, " ")
}

func TestALineSaysWhatTheReaderMaySee(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db)
		h.asks(h.cyd, "workflows.run", false, "req_1")
		got, err := h.list(h.bob, requestlog.Filter{})
		h.Must(err)
		if len(got) != 1 || got[0].Name == "" || got[0].Outcome != "denied" || got[0].Route != "/api/workflows/{id}/run" ||
			got[0].TookMS != 0.25 || got[0].Resource != "workflow:wf_1" || got[0].Permission != "workflows.run" {
			t.Errorf("an editor sees %+v", got)
		}
		if _, err := h.list(h.cyd, requestlog.Filter{}); op.AsError(err).Needs != "logs.view" {
			t.Errorf("a viewer: %v, want logs.view to be needed", err)
		}
		if _, err := h.list(h.gil, requestlog.Filter{}); op.AsError(err) != op.ErrNotFound {
			t.Errorf("the owner of another organization: %v, want not found", err)
		}
		line := requestlog.GetRequestInput{InOrganization: op.InOrganization{Organization: "acme"}, Request: got[0].ID}
		if one, err := requestlog.GetRequest.Call(h.As(h.ada.Token), h.Service, line); err != nil || one.RequestID != "req_1" {
			t.Errorf("one line: %+v (%v)", one, err)
		}
		line.Organization = "globex"
		if _, err := requestlog.GetRequest.Call(h.As(h.gil.Token), h.Service, line); op.AsError(err) != op.ErrNotFound {
			t.Errorf("a line of another organization: %v, want not found", err)
		}
	})
}

func TestAProductSaysWhatItAnswered(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db)
		h.asks(h.bob, "workflows.run", true, "req_1")
		h.asks(h.bob, "workflows.run", true, "req_2")
		h.Must(h.log.Flush(t.Context()))
		in := requestlog.ReportRequestsInput{InOrganization: op.InOrganization{Organization: "acme"},
			Requests: []requestlog.Report{{RequestID: "req_1", Status: 503}, {RequestID: "req_2", Status: 200}, {RequestID: "req_9", Status: 200}}}
		got, err := requestlog.ReportRequests.Call(h.As(h.serviceKey()), h.Service, in)
		if err != nil || got.Known != 2 || strings.Join(got.Unknown, " ") != "req_9" {
			t.Fatalf("reported: %+v (%v), want two known and req_9 not", got, err)
		}
		for filter, want := range map[string]string{"status:5xx": "req_1", "status:200": "req_2", "-status:5xx": "req_2"} {
			if lines, err := h.list(h.ada, requestlog.Filter{Query: filter}); err != nil || ids(lines) != want {
				t.Errorf("%s: %s (%v), want %s", filter, ids(lines), err, want)
			}
		}
		if _, err := requestlog.ReportRequests.Call(h.As(h.ada.Token), h.Service, in); op.AsError(err).Kind != op.Denied {
			t.Errorf("an owner reports: %v, want it refused", err)
		}
	})
}

func TestPagesHaveEveryLineOnce(t *testing.T) {
	h := newHall(t, testdb.SQLite(t))
	want := 57
	for range want {
		h.asks(h.bob, "workflows.run", true, "req_1")
	}
	h.Must(h.log.Flush(t.Context()))
	seen, cursor := map[string]bool{}, ""
	for {
		page, err := requestlog.ListRequests.Call(h.As(h.ada.Token), h.Service, requestlog.ListRequestsInput{
			InOrganization: op.InOrganization{Organization: "acme"}, Page: op.Page{Limit: 10, Cursor: cursor}})
		h.Must(err)
		for _, l := range page.Data {
			seen[l.ID] = true
		}
		if cursor = page.NextCursor; !page.HasMore {
			break
		}
	}
	if len(seen) != want {
		t.Errorf("%d lines on the pages, want %d", len(seen), want)
	}
}

func TestLinesAreKeptAsLongAsThePlanSays(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db)
		h.asks(h.bob, "workflows.run", true, "req_1")
		h.Must(h.log.Flush(t.Context()))
		kept := h.Charter.RequestLog("free")
		h.After(kept - time.Second)
		h.asks(h.bob, "workflows.run", true, "req_2")
		h.Must(h.log.Flush(t.Context()))
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{0, "req_2 req_1"}, {time.Microsecond, "req_2"}} {
			h.After(step.after)
			h.Must(requestlog.Purge(t.Context(), db, h.Charter, h.Now()))
			if got, err := h.list(h.ada, requestlog.Filter{}); err != nil || ids(got) != step.want {
				t.Errorf("after %v: %s (%v), want %s", step.after, ids(got), err, step.want)
			}
		}
		h.After(kept)
		h.Must(requestlog.Purge(t.Context(), db, h.Charter, h.Now()))
		if n := h.Number("SELECT count(*) FROM requests"); n != 0 {
			t.Errorf("%d lines are kept for ever", n)
		}
	})
}

// T-052: a store that is down neither blocks nor fails what is logged; what is lost is counted.
func TestALogWhoseDatabaseIsGoneDropsAndCounts(t *testing.T) {
	h := newHall(t, testdb.SQLite(t))
	h.asks(h.bob, "workflows.run", true, "req_1")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.log.Flush(gone); err == nil {
		t.Fatal("a flush without a database went well")
	}
	if got := h.log.Dropped(); got != 1 {
		t.Errorf("dropped %d, want 1", got)
	}
	for range 50_010 {
		h.log.Add(&requestlog.Entry{Organization: check.MakeID(h.acme), At: h.Now()})
	}
	if got := h.log.Dropped(); got != 11 {
		t.Errorf("dropped %d of 50,010 lines between two flushes, want the 10 that do not fit and the one before", got)
	}
}

// T-094: what a client sent is no formula in the export.
func TestTheExportIsHarmless(t *testing.T) {
	h := newHall(t, testdb.SQLite(t))
	h.log.Add(&requestlog.Entry{Organization: check.MakeID(h.acme), At: h.Now(), Face: "api", Kind: "key", Agent: `=HYPERLINK("http://x")`, RequestID: "req_1"})
	h.Must(h.log.Flush(t.Context()))
	rows := h.export(h.ada)
	if len(rows) != 2 || rows[1][17] != `'=HYPERLINK("http://x")` {
		t.Errorf("exported %q", rows)
	}
}

func (h *hall) export(who testroom.Person) [][]string {
	h.T.Helper()
	var out bytes.Buffer
	caller := op.CallerOf(h.As(who.Token))
	h.Must(h.Service.Stream(h.T.Context(), requestlog.ExportRequests, op.Request{Caller: caller,
		Input: requestlog.ExportRequestsInput{InOrganization: op.InOrganization{Organization: "acme"}}}, func(op.Info) io.Writer { return &out }))
	rows, err := csv.NewReader(&out).ReadAll()
	h.Must(err)
	return rows
}
