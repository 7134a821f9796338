package requestlog

import (
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/query"
	"github.com/guildhall/guildhall/internal/sheet"
	"github.com/guildhall/guildhall/op"
)

// Request is a line of the log as it is read.
type Request struct {
	ID         string             `json:"id" doc:"The line's id" example:"log_01k..."`
	At         time.Time          `json:"at" doc:"When it was asked"`
	Face       string             `json:"face" doc:"How it was asked" enum:"forward-auth,ext-authz,authzen,api"`
	Method     string             `json:"method,omitzero" doc:"Of the product's request, where it is known" example:"POST"`
	Route      string             `json:"route,omitzero" doc:"The charter's pattern, or the operation that was called; never the address itself" example:"/api/workflows/{id}/run"`
	Permission charter.Permission `json:"permission,omitzero" doc:"What was asked for" example:"workflows.run"`
	Resource   string             `json:"resource,omitzero" doc:"On which single resource; absent: on the organization as a whole" example:"workflow:wf_1"`
	Outcome    string             `json:"outcome" doc:"Whether it was allowed" enum:"allowed,denied"`
	Code       string             `json:"code" doc:"Why, in one word" example:"no_permission"`
	Status     int64              `json:"status,omitzero" doc:"The HTTP status that the caller was answered with, where it is known"`
	TookMS     float64            `json:"took_ms" doc:"How long the answer took, in milliseconds"`
	Credential Credential         `json:"credential"`
	Member     string             `json:"member,omitzero" doc:"The member who asked, or on whose behalf"`
	Name       string             `json:"name,omitzero" doc:"Their name, for those who may see members"`
	Address    string             `json:"address,omitzero" doc:"Where the request came from"`
	Agent      string             `json:"agent,omitzero" cli:"-" doc:"Its user agent"`
	RequestID  string             `json:"request_id" doc:"The id of Guildhall's answer, which the audit log has too"`
}

// Credential is what a request carried.
type Credential struct {
	Kind   string `json:"kind" doc:"What it is" enum:"user,key,token"`
	ID     string `json:"id,omitzero" doc:"Its id; absent where a person was asked about by id"`
	Name   string `json:"name,omitzero" doc:"A key's or token's name, for those who may see keys"`
	Prefix string `json:"prefix,omitzero" cli:"-" doc:"How its secret begins, for those who may inspect keys"`
}

// Filter says which lines. What is left out does not matter; everything that is said has to hold.
type Filter struct {
	Query      string             `json:"q,omitzero" doc:"The other filters in one line, as in the console: key: member: permission: outcome: status: code: request: created:, with - in front for all others" maxLength:"500" example:"outcome:denied created:>2026-11-01"`
	Key        string             `json:"key,omitzero" doc:"The id of a key, token or session" maxLength:"64" example:"key_01k..."`
	Member     string             `json:"member,omitzero" doc:"A member's id" maxLength:"64" example:"mem_01k..."`
	Permission charter.Permission `json:"permission,omitzero" doc:"What was asked for" maxLength:"81" example:"workflows.run"`
	Outcome    string             `json:"outcome,omitzero" doc:"Whether it was allowed" enum:"allowed,denied"`
	Status     string             `json:"status,omitzero" doc:"The status that was answered: a number, or a class such as 5xx" maxLength:"3" example:"5xx"`
	From       string             `json:"after,omitzero" doc:"Not before this time: RFC 3339, or a day (UTC)" maxLength:"40" example:"2026-11-01"`
	Until      string             `json:"before,omitzero" doc:"Before this time: RFC 3339, or a day (UTC)" maxLength:"40"`
}

// fields are the qualifiers of Filter.Query.
var fields = []string{"key", "member", "permission", "outcome", "status", "code", "request"}

// terms takes the filter apart. The error says what of it cannot be understood.
func (f Filter) terms() ([]query.Term, error) {
	terms, err := query.Parse(f.Query, fields...)
	if err != nil {
		return nil, err
	}
	for _, t := range []query.Term{{Field: "key", Value: f.Key}, {Field: "member", Value: f.Member}, {Field: "permission", Value: string(f.Permission)},
		{Field: "outcome", Value: f.Outcome}, {Field: "status", Value: f.Status}, {Field: query.After, Value: f.From}, {Field: query.Before, Value: f.Until}} {
		if t.Value != "" {
			terms = append(terms, t)
		}
	}
	for i := range terms {
		if err := understood(&terms[i]); err != nil {
			return nil, err
		}
	}
	return terms, nil
}

// understood fills in the time of a term about time, and says what of the others there is not.
func understood(t *query.Term) error {
	switch t.Field {
	case query.After, query.Before:
		at, _, err := query.Time(t.Value)
		t.At = at.UnixMicro()
		return err
	case "outcome":
		if t.Value != "allowed" && t.Value != "denied" {
			return fmt.Errorf("outcome is allowed or denied, not %q", t.Value)
		}
	case "status":
		if _, _, ok := statusRange(t.Value); !ok {
			return fmt.Errorf("status is a number such as 404, or a class such as 5xx, not %q", t.Value)
		}
	}
	return nil
}

// statusRange is the first and the last status of a number or a class.
func statusRange(text string) (first, last int, ok bool) {
	if class, whole := strings.CutSuffix(text, "xx"); whole {
		n, err := strconv.Atoi(class)
		return n * 100, n*100 + 99, err == nil && n >= 1 && n <= 5
	}
	n, err := strconv.Atoi(text)
	return n, n, err == nil && n >= 100 && n <= 599
}

// Validate checks the filters.
func (f *Filter) validate() []op.FieldError {
	if _, err := f.terms(); err != nil {
		return []op.FieldError{{Pointer: "/q", Code: "invalid", Detail: err.Error()}}
	}
	return nil
}

// ListRequestsInput pages through the lines that a filter lets through, the newest first.
type ListRequestsInput struct {
	op.InOrganization
	op.Page
	Filter
}

// Validate checks the filters.
func (in *ListRequestsInput) Validate() []op.FieldError { return in.Filter.validate() }

// ListRequests shows what was asked through a gate or with a key, the newest first. Lines appear within about a second,
// and are kept as long as the plan says.
var ListRequests = &op.Op[ListRequestsInput, op.List[Request]]{
	Name:    "requests.list",
	Route:   "GET /v1/organizations/{organization}/requests",
	Summary: "List the request log: checks through a gate, and calls by keys",
	Allow:   op.AnyOf(op.On("logs.view"), op.ByService),
	Do:      listRequests,
	Example: ListRequestsInput{InOrganization: op.InOrganization{Organization: "acme"}, Filter: Filter{Outcome: "denied"}},
}

func listRequests(ctx context.Context, tx *op.Tx, in ListRequestsInput) (op.List[Request], error) {
	var after []any
	if at := in.After(); len(at) == 2 {
		n, err := strconv.ParseInt(at[0], 10, 64)
		if err != nil {
			return op.List[Request]{}, op.InvalidField("cursor", "invalid", "the cursor is not one of this list")
		}
		after = []any{n, at[1]}
	}
	rows, err := read(ctx, tx.Reader, in.Filter, after, in.Size()+1)
	return op.Listed(tx.Reader, &in.Page, rows, func(r Request) []string {
		return []string{strconv.FormatInt(r.At.UnixMicro(), 10), r.ID}
	}), err
}

// GetRequestInput names a line.
type GetRequestInput struct {
	op.InOrganization
	Request string `json:"request" doc:"The line's id" maxLength:"64" example:"log_01k..."`
}

// GetRequest shows one line.
var GetRequest = &op.Op[GetRequestInput, Request]{
	Name:    "requests.get",
	Route:   "GET /v1/organizations/{organization}/requests/{request}",
	Summary: "Show a line of the request log",
	Allow:   op.AnyOf(op.On("logs.view"), op.ByService),
	Target: func(ctx context.Context, r *op.Reader, in GetRequestInput) (op.Target, error) {
		all, err := readWhere(ctx, r, []string{"r.organization = $1", "r.id = $2"}, []any{r.Organization(), in.Request}, 1)
		if err != nil {
			return op.Target{}, err
		}
		if len(all) == 0 {
			return op.Target{}, op.ErrNotFound
		}
		return op.Target{Organization: r.Organization(), Type: "request", ID: all[0].ID, Value: all[0]}, nil
	},
	Do: func(_ context.Context, tx *op.Tx, _ GetRequestInput) (Request, error) {
		return tx.Target().Value.(Request), nil
	},
	Example: GetRequestInput{op.InOrganization{Organization: "acme"}, "log_01k00000000000000000000000"},
}

// read reads the lines that a filter lets through, after a position.
func read(ctx context.Context, r *op.Reader, f Filter, after []any, limit int) ([]Request, error) {
	terms, err := f.terms()
	if err != nil {
		return nil, op.InvalidField("q", "invalid", "%s", err)
	}
	where, args := []string{"r.organization = $1"}, []any{r.Organization()}
	bind := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		where = append(where, condition)
	}
	if len(after) == 2 {
		bind("(r.at, r.id) < (?, ?)", after...)
	}
	for _, t := range terms {
		condition, values := conditionOf(t)
		bind(condition, values...)
	}
	return readWhere(ctx, r, where, args, limit)
}

// conditions are the columns of the qualifiers that compare a text.
var conditions = map[string]string{"key": "r.credential", "member": "r.member", "permission": "r.permission", "code": "r.code", "request": "r.request_id"}

func conditionOf(t query.Term) (string, []any) {
	switch t.Field {
	case query.After:
		return "r.at >= ?", []any{t.At}
	case query.Before:
		return "r.at < ?", []any{t.At}
	case "outcome":
		return "r.allowed = ?", []any{(t.Value == "allowed") != t.Not}
	case "status":
		first, last, _ := statusRange(t.Value)
		if t.Not {
			return "NOT (r.status BETWEEN ? AND ?)", []any{first, last}
		}
		return "r.status BETWEEN ? AND ?", []any{first, last}
	}
	if t.Not {
		return conditions[t.Field] + " <> ?", []any{t.Value}
	}
	return conditions[t.Field] + " = ?", []any{t.Value}
}

// readWhere reads lines with the names of what they carried, the newest first.
func readWhere(ctx context.Context, r *op.Reader, where []string, args []any, limit int) ([]Request, error) {
	rows, err := r.Query(ctx, `SELECT r.id, r.at, r.face, r.kind, r.credential, r.member, r.permission, r.resource, r.method, r.route,
			r.allowed, r.code, r.status, r.took, r.address, r.agent, r.request_id,
			COALESCE(k.name, t.name, ''), COALESCE(k.prefix, t.prefix, ''), COALESCE(u.name, '')
		FROM requests r
		LEFT JOIN api_keys k ON k.organization = r.organization AND k.id = r.credential
		LEFT JOIN scoped_tokens t ON t.organization = r.organization AND t.id = r.credential
		LEFT JOIN users u ON u.id = r.user_id
		WHERE `+strings.Join(where, " AND ")+" ORDER BY r.at DESC, r.id DESC LIMIT "+strconv.Itoa(limit), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	shown := shownTo(r)
	var all []Request
	for rows.Next() {
		line, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, shown.of(line))
	}
	return all, rows.Err()
}

func scan(rows *sql.Rows) (Request, error) {
	var line Request
	var at, took int64
	var allowed bool
	c := &line.Credential
	err := rows.Scan(&line.ID, &at, &line.Face, &c.Kind, &c.ID, &line.Member, &line.Permission, &line.Resource, &line.Method, &line.Route,
		&allowed, &line.Code, &line.Status, &took, &line.Address, &line.Agent, &line.RequestID, &c.Name, &c.Prefix, &line.Name)
	line.At, line.TookMS, line.Outcome = time.UnixMicro(at).UTC(), float64(took)/1000, "denied"
	if allowed {
		line.Outcome = "allowed"
	}
	return line, err
}

// shown is what of a line the reader may see beside the line itself.
type shown struct {
	keys, inspect, members bool
	own                    string // the reader's own membership: their own name and keys they always see
}

func shownTo(r *op.Reader) shown {
	service := r.Actor.Kind == op.ServiceActor
	return shown{keys: service || r.May("keys.view").Allow, inspect: service || r.May("keys.inspect").Allow,
		members: service || r.May("members.view").Allow, own: r.Actor.Principal.Member}
}

func (s shown) of(line Request) Request {
	own := line.Member != "" && line.Member == s.own
	if !s.keys && !own {
		line.Credential.Name = ""
	}
	if !s.inspect && !own {
		line.Credential.Prefix = ""
	}
	if !s.members && !own {
		line.Name = ""
	}
	return line
}

// ExportRequestsInput says which lines.
type ExportRequestsInput struct {
	op.InOrganization
	Filter
}

// Validate checks the filters.
func (in *ExportRequestsInput) Validate() []op.FieldError { return in.Filter.validate() }

// ExportRequests writes the lines that a filter lets through as CSV, the newest first.
var ExportRequests = &op.Stream[ExportRequestsInput]{
	Name:      "requests.export",
	Route:     "GET /v1/organizations/{organization}/requests/export",
	Summary:   "Export the request log as CSV",
	Allow:     op.On("logs.view"),
	MediaType: "text/csv; charset=utf-8",
	FileName:  "requests.csv",
	Write:     exportRequests,
	Example:   ExportRequestsInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

var exportHeader = []string{"at", "id", "face", "method", "route", "permission", "resource", "outcome", "code", "status", "took_ms",
	"credential_kind", "credential", "credential_name", "member", "name", "address", "agent", "request_id"}

// exportPage is how many lines are held in memory at once.
const exportPage = 500

func exportRequests(ctx context.Context, r *op.Reader, in ExportRequestsInput, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(exportHeader); err != nil {
		return err
	}
	var after []any
	for {
		lines, err := read(ctx, r, in.Filter, after, exportPage)
		if err != nil {
			return err
		}
		for _, line := range lines {
			if err := out.Write(sheet.Harmless(line.cells())); err != nil {
				return err
			}
		}
		if out.Flush(); out.Error() != nil || len(lines) < exportPage {
			return out.Error()
		}
		last := lines[len(lines)-1]
		after = []any{last.At.UnixMicro(), last.ID}
	}
}

func (r Request) cells() []string {
	c := r.Credential
	return []string{r.At.Format(time.RFC3339Nano), r.ID, r.Face, r.Method, r.Route, string(r.Permission), r.Resource, r.Outcome, r.Code,
		strconv.FormatInt(r.Status, 10), strconv.FormatFloat(r.TookMS, 'f', 3, 64), c.Kind, c.ID, c.Name, r.Member, r.Name, r.Address, r.Agent, r.RequestID}
}

// Report says what a product answered to a request that it had asked about.
type Report struct {
	RequestID string `json:"request_id" doc:"The Request-Id of Guildhall's answer to the check" maxLength:"64" example:"req_01k..."`
	Status    int64  `json:"status" doc:"The HTTP status that the product answered with" minimum:"100" maximum:"599" example:"200"`
}

// ReportRequestsInput says what was answered to several requests.
type ReportRequestsInput struct {
	op.InOrganization
	Requests []Report `json:"requests" doc:"What was answered" minItems:"1" maxItems:"500"`
}

// Reported says which of the reports found their line.
type Reported struct {
	Known   int      `json:"known" doc:"How many lines have their status now"`
	Unknown []string `json:"unknown" doc:"Request ids without a line: none was written yet, or it is not kept any more"`
}

// ReportRequests adds the statuses of the product's own answers to lines of checks. A line is there about a second after
// its check.
var ReportRequests = &op.Op[ReportRequestsInput, Reported]{
	Name:    "requests.report",
	Route:   "POST /v1/organizations/{organization}/requests/report",
	Summary: "Say what the product answered to requests that it asked about",
	Kind:    op.Count,
	Allow:   op.ByService,
	Do:      reportRequests,
	Example: ReportRequestsInput{op.InOrganization{Organization: "acme"}, []Report{{"req_01k00000000000000000000000", 200}}},
}

func reportRequests(ctx context.Context, tx *op.Tx, in ReportRequestsInput) (Reported, error) {
	known, err := knownIDs(ctx, tx.Reader, in.Requests)
	if err != nil {
		return Reported{}, err
	}
	out := Reported{Unknown: []string{}}
	var rows []string
	args := []any{tx.Organization()}
	for _, report := range in.Requests {
		if !known[report.RequestID] {
			out.Unknown = append(out.Unknown, report.RequestID)
			continue
		}
		n := len(args)
		rows = append(rows, fmt.Sprintf("(CAST($%d AS text), CAST($%d AS bigint))", n+1, n+2))
		args = append(args, report.RequestID, report.Status)
	}
	if out.Known = len(rows); out.Known == 0 {
		return out, nil
	}
	_, err = tx.Exec(ctx, "UPDATE requests SET status = v.column2 FROM (VALUES "+strings.Join(rows, ", ")+`) AS v
		WHERE requests.organization = $1 AND requests.request_id = v.column1`, args...)
	return out, err
}

// knownIDs are those of the reported ids that have a line.
func knownIDs(ctx context.Context, r *op.Reader, reports []Report) (map[string]bool, error) {
	args, places := []any{r.Organization()}, make([]string, len(reports))
	for i, report := range reports {
		args = append(args, report.RequestID)
		places[i] = "$" + strconv.Itoa(len(args))
	}
	rows, err := r.Query(ctx, "SELECT DISTINCT request_id FROM requests WHERE organization = $1 AND request_id IN ("+strings.Join(places, ", ")+")", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	known := map[string]bool{}
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		known[one] = true
	}
	return known, errors.Join(rows.Err())
}
