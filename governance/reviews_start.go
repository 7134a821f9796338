package governance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// The bounds of a review.
const (
	DefaultDue    = 14 * day // how long a review is given if nothing else is said
	MostReviewed  = 5000     // rows
	MostReviewers = 20
)

// StartReviewInput says what a new review asks about.
type StartReviewInput struct {
	op.InOrganization
	Title      string         `json:"title" doc:"What people call it" minLength:"1" maxLength:"120" example:"Access in the fourth quarter"`
	Subject    Scope          `json:"subject" enum:"members,role,service_accounts,keys" doc:"What it asks about"`
	Role       charter.RoleID `json:"role,omitzero" doc:"Of a review of one role: which" maxLength:"64" required:"false"`
	DueAt      string         `json:"due_at,omitzero" doc:"When it should be complete: a time (RFC 3339) or a number of days such as 14d; not said: 14 days" maxLength:"64" example:"14d" required:"false"`
	Reviewers  []string       `json:"reviewers,omitzero" doc:"Members among whom the rows are divided: each sees only their own; none: whoever manages reviews decides" maxItems:"20" required:"false"`
	RepeatDays int            `json:"repeat_days,omitzero" doc:"Begin the next one so many days after this one; 0: do not" minimum:"0" maximum:"366" example:"91" required:"false"`
}

// Validate checks the title and the date, and that a role is said where it is needed and nowhere else.
func (in StartReviewInput) Validate() (wrong []op.FieldError) {
	if strings.TrimSpace(in.Title) == "" {
		wrong = append(wrong, op.FieldError{Pointer: "/title", Code: "required", Detail: "say what the review is called"})
	}
	switch {
	case in.Subject == OfRole && in.Role == "":
		wrong = append(wrong, op.FieldError{Pointer: "/role", Code: "required", Detail: "say which role the review is of"})
	case in.Subject != OfRole && in.Role != "":
		wrong = append(wrong, op.FieldError{Pointer: "/role", Code: "invalid", Detail: "a role is said for a review of one role only"})
	}
	if in.DueAt != "" {
		wrong = append(wrong, checkUntil("due_at", in.DueAt)...)
	}
	return wrong
}

// StartReview writes down who or what has access now, and asks about each.
var StartReview = &op.Op[StartReviewInput, Review]{
	Name:    "reviews.start",
	Route:   "POST /v1/organizations/{organization}/reviews",
	Summary: "Start an access review of all members, one role, service accounts or keys",
	Kind:    op.Write,
	Allow:   op.On("reviews.manage"),
	Confirm: op.L1,
	Do:      startReview,
	Example: StartReviewInput{InOrganization: op.InOrganization{Organization: "acme"}, Title: "Access in the fourth quarter", Subject: OfMembers, DueAt: "14d", RepeatDays: 91},
}

func startReview(ctx context.Context, tx *op.Tx, in StartReviewInput) (Review, error) {
	due := tx.Now.Add(DefaultDue).UnixMicro()
	if in.DueAt != "" {
		var err error
		if due, err = until(in.DueAt, tx.Now); err != nil {
			return Review{}, op.InvalidField("due_at", "invalid", "%v", err)
		}
	}
	switch {
	case due <= tx.Micros():
		return Review{}, op.InvalidField("due_at", "past", "due_at is in the past")
	case due > tx.Now.Add(366*day).UnixMicro():
		return Review{}, op.InvalidField("due_at", "out_of_range", "due_at is more than 366 days away")
	}
	v := Review{Title: strings.TrimSpace(in.Title), Subject: in.Subject, Role: in.Role, DueAt: time.UnixMicro(due).UTC(),
		Starter: tx.Actor.Principal.Member, RepeatDays: in.RepeatDays}
	asked, err := reviewersOf(ctx, tx.Reader, in.Reviewers)
	if err != nil {
		return v, err
	}
	if unknown := asked.missing(in.Reviewers); unknown != "" {
		return v, op.InvalidField("reviewers", "unknown", "%q is no active member of this organization", unknown)
	}
	if v, err = begin(ctx, tx, v, asked); err == nil && v.Rows == 0 {
		err = v.nothing(ctx, tx.Reader)
	}
	return v, err
}

// reviewers are members who are asked, with the organization's slug and name.
type reviewers struct {
	slug, organization string
	ids, emails        []string
}

// reviewersOf reads the active members among those who are named; nothing where nobody is.
func reviewersOf(ctx context.Context, r *op.Reader, named []string) (asked reviewers, err error) {
	if len(named) == 0 {
		return asked, nil
	}
	in, args := sqldb.Placeholders(3, named)
	rows, err := r.Query(ctx, `SELECT m.id, u.email, o.slug, o.name FROM members m JOIN users u ON u.id = m.user_id JOIN organizations o ON o.id = m.organization
		WHERE m.organization = $1 AND m.status = 'active' AND (m.ends_at = 0 OR m.ends_at > $2) AND m.id IN (`+in+`) ORDER BY m.id`,
		append([]any{r.Organization(), r.Micros()}, args...)...)
	_, err = rowsOf(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var id, email string
		err = rows.Scan(&id, &email, &asked.slug, &asked.organization)
		asked.ids, asked.emails = append(asked.ids, id), append(asked.emails, email)
		return none, err
	})
	return asked, err
}

// missing is the first who is named and is none; empty: nobody.
func (a reviewers) missing(named []string) string {
	for _, id := range named {
		if !slices.Contains(a.ids, id) {
			return id
		}
	}
	return ""
}

// begin stores a review and its rows, and tells the reviewers.
func begin(ctx context.Context, tx *op.Tx, v Review, asked reviewers) (Review, error) {
	v.ID, v.State, v.StartedAt, v.StartedBy, v.Version, v.Reviewers = tx.NewID("rev"), Open, *when(tx.Micros()), tx.Actor.ID, 1, asked.ids
	if v.Reviewers == nil {
		v.Reviewers = []string{}
	}
	repeats := int64(0)
	if v.RepeatDays > 0 {
		repeats = tx.Now.Add(time.Duration(v.RepeatDays) * day).UnixMicro()
	}
	v.dueDays = int64(v.DueAt.Sub(tx.Now)+day-1) / int64(day)
	_, err := tx.Exec(ctx, `INSERT INTO reviews (id, organization, title, subject, role, state, starter, started_by, started_at, due_at, due_days,
			repeat_days, repeats_at, next, reviewers, reminded_at, settled_at, settled_by, version)
		VALUES ($1, $2, $3, $4, $5, 'open', $6, $7, $8, $9, $10, $11, $12, '', $13, 0, 0, '', 1)`, v.ID, tx.Organization(), v.Title, string(v.Subject),
		string(v.Role), v.Starter, v.StartedBy, tx.Micros(), v.DueAt.UnixMicro(), v.dueDays, v.RepeatDays, repeats, spaced(v.Reviewers))
	if err != nil {
		return v, err
	}
	if v.Rows, err = v.writeRows(ctx, tx); err != nil {
		return v, err
	}
	tx.Also("review", v.ID, v.Title)
	tx.Changed("rows", nil, v.Rows)
	tx.Changed("due_at", nil, v.DueAt.Format(time.RFC3339))
	for _, email := range asked.emails {
		sendMail(tx, mail.Message{To: email, Subject: "You are asked to review access to " + asked.organization, Text: fmt.Sprintf(
			"The review %q has begun: for each row, say whether the access stays, is reduced or is removed, until %s.\n\n%s\n",
			v.Title, v.DueAt.Format("2 January 2006"), tx.Settings.URL("/o/"+asked.slug+"/settings/reviews/"+v.ID))})
	}
	return v, nil
}

// spaced writes ids as a text in which each stands between two spaces; empty without any.
func spaced(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return " " + strings.Join(ids, " ") + " "
}

// rowSources are what the rows of a review are made of. Each gives, at its place in the order of names: subject, kind,
// person, the person's member, role, status, beginning, end, last use and version.
var rowSources = map[Scope]string{
	OfMembers: memberRows,
	OfRole:    memberRows + " AND m.role = $3",
	OfServiceAccounts: `SELECT a.id AS subject, 'service_account' AS kind, '' AS person, '' AS member, a.role AS role, 'active' AS status,
			a.created_at AS began, 0 AS ends, COALESCE((SELECT MAX(k.last_used_at) FROM api_keys k
				WHERE k.organization = a.organization AND k.service_account = a.id), 0) AS used, a.version AS version,
			ROW_NUMBER() OVER (ORDER BY a.name_folded, a.id) AS place
		FROM service_accounts a WHERE a.organization = $1 AND a.deleted_at = 0`,
	OfKeys: `SELECT k.id AS subject, 'key' AS kind, CASE k.kind WHEN 'personal' THEN k.creator ELSE '' END AS person, k.member AS member,
			'' AS role, CASE k.left_at WHEN 0 THEN COALESCE(m.status, 'active') ELSE 'left_behind' END AS status, k.created_at AS began, k.expires_at AS ends,
			k.last_used_at AS used, k.version AS version, ROW_NUMBER() OVER (ORDER BY k.name_folded, k.id) AS place
		FROM api_keys k JOIN instance n ON n.recovery_epoch = k.recovery_epoch
		LEFT JOIN members m ON m.organization = k.organization AND m.id = k.member
		WHERE k.organization = $1 AND k.revoked_at = 0 AND (k.expires_at = 0 OR k.expires_at > $3) AND (k.left_at <> 0 OR m.id IS NULL OR m.status <> 'removed')`,
}

const memberRows = `SELECT m.id AS subject, 'member' AS kind, m.user_id AS person, m.id AS member, m.role AS role, m.status AS status,
		m.joined_at AS began, m.ends_at AS ends, m.last_active_at AS used, m.version AS version,
		ROW_NUMBER() OVER (ORDER BY m.sort_name, m.id) AS place
	FROM members m WHERE m.organization = $1 AND m.status <> 'removed'`

// writeRows writes the rows of a review in one statement, divided among its reviewers, and says how many they are.
func (v Review) writeRows(ctx context.Context, tx *op.Tx) (int, error) {
	args := []any{tx.Organization(), v.ID}
	switch v.Subject {
	case OfRole:
		args = append(args, string(v.Role))
	case OfKeys:
		args = append(args, tx.Micros())
	}
	reviewer, named := divided(len(args)+1, v.Reviewers)
	n, err := tx.Exec(ctx, `INSERT INTO review_items (organization, review, subject, kind, person, reviewer, role, status, began_at, ends_at, used_at,
			subject_version, decision, to_role, reason, decided_by, decided_at, outcome, version)
		SELECT $1, $2, s.subject, s.kind, s.person, `+reviewer+`, s.role, s.status, s.began, s.ends, s.used, s.version, '', '', '', '', 0, '', 1
		FROM (`+rowSources[v.Subject]+`) s WHERE s.place <= `+strconv.Itoa(MostReviewed+1), append(args, named...)...)
	switch {
	case err != nil:
		return 0, err
	case n > MostReviewed:
		return 0, op.Errorf(op.Conflict, "review_too_large", "a review has at most %d rows: review one role at a time", MostReviewed)
	}
	return int(n), nil
}

// nothing says why a review has no rows. One that is repeated may have none.
func (v Review) nothing(ctx context.Context, r *op.Reader) error {
	if v.Subject == OfRole {
		if _, err := directory.RoleOf(ctx, r, string(v.Role)); errors.Is(err, op.ErrNotFound) {
			return op.InvalidField("role", "unknown", "there is no role %q", v.Role)
		}
	}
	return op.Errorf(op.Conflict, "nothing_to_review", "there is nothing that this review would ask about")
}

// divided is the reviewer of a row as SQL: in turns, by the row's place, and nobody for themselves.
func divided(first int, reviewers []string) (string, []any) {
	if len(reviewers) == 0 {
		return "''", nil
	}
	names := make([]any, len(reviewers))
	turn := func(place string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "CASE (%s) %% %d", place, len(reviewers))
		for i := range reviewers {
			fmt.Fprintf(&b, " WHEN %d THEN CAST($%d AS text)", i, first+i)
		}
		return b.String() + " END"
	}
	for i, id := range reviewers {
		names[i] = id
	}
	other := turn("s.place + 1")
	if len(reviewers) == 1 {
		other = "''" // whoever manages reviews decides
	}
	return "CASE WHEN s.member = " + turn("s.place") + " THEN " + other + " ELSE " + turn("s.place") + " END", names
}

// RepeatReview starts the next one of a review that is complete: the same title and subject, reviewers who are still there,
// as much time.
var RepeatReview = &op.Op[ReviewInput, Review]{
	Name:    "reviews.repeat",
	Route:   "POST /v1/organizations/{organization}/reviews/{review}/repeat",
	Summary: "Start the next one of an access review",
	Kind:    op.Write,
	Allow:   op.On("reviews.manage"),
	Confirm: op.L1,
	Target:  reviewTarget,
	Do:      repeatReview,
	Example: exampleReview,
}

func repeatReview(ctx context.Context, tx *op.Tx, _ ReviewInput) (Review, error) {
	was, _ := tx.Target().Value.(Review)
	switch {
	case was.State == Open:
		return was, op.Errorf(op.Conflict, "review_open", "this review is open: complete or cancel it first")
	case was.Next != "":
		return was, &op.Error{Kind: op.Conflict, Code: "repeated", Text: "this review has been repeated", Refers: map[string]string{"review": was.Next}}
	}
	asked, err := reviewersOf(ctx, tx.Reader, was.Reviewers)
	if err != nil {
		return was, err
	}
	v := Review{Title: was.Title, Subject: was.Subject, Role: was.Role, Starter: was.Starter, RepeatDays: was.RepeatDays,
		DueAt: tx.Now.Add(time.Duration(max(was.dueDays, 1)) * day)}
	if v, err = begin(ctx, tx, v, asked); err != nil {
		return v, err
	}
	_, err = tx.Exec(ctx, "UPDATE reviews SET next = $3, repeats_at = 0, version = version + 1 WHERE organization = $1 AND id = $2", tx.Organization(), was.ID, v.ID)
	return v, err
}
