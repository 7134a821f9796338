package governance

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Scope says whom or what a review asks about.
type Scope string

// The scopes of reviews.
const (
	OfMembers         Scope = "members"          // every member
	OfRole            Scope = "role"             // the members with one role
	OfServiceAccounts Scope = "service_accounts" // every service account
	OfKeys            Scope = "keys"             // every key that works
)

// State is what has become of a review.
type State string

// The states of a review; the last two are final.
const (
	Open      State = "open"
	Completed State = "completed"
	Cancelled State = "cancelled"
)

// Review asks about every member, service account or key whether it should keep its access.
type Review struct {
	ID         string         `json:"id" doc:"The review's id" example:"rev_01k..."`
	Title      string         `json:"title" example:"Access in the fourth quarter"`
	Subject    Scope          `json:"subject" enum:"members,role,service_accounts,keys" doc:"What it asks about"`
	Role       charter.RoleID `json:"role,omitzero" doc:"Of a review of one role: which"`
	State      State          `json:"state" enum:"open,completed,cancelled"`
	Rows       int            `json:"rows" doc:"How many rows it has"`
	Decided    int            `json:"decided" doc:"How many of them are decided"`
	DueAt      time.Time      `json:"due_at" doc:"When it should be complete"`
	Overdue    bool           `json:"overdue" cli:"-" doc:"Whether it is open and should be complete"`
	StartedAt  time.Time      `json:"started_at" doc:"When its rows were written down"`
	StartedBy  string         `json:"started_by" cli:"-" doc:"Who started it: the id of a user or key, operator, or the name of scheduled work"`
	Starter    string         `json:"starter,omitzero" cli:"-" doc:"The member who is reminded"`
	Reviewers  []string       `json:"reviewers" cli:"-" doc:"The members among whom the rows are divided; none: whoever manages reviews decides"`
	RepeatDays int            `json:"repeat_days,omitzero" cli:"-" doc:"How many days after its start the next one begins; absent: it is not repeated"`
	Next       string         `json:"next,omitzero" cli:"-" doc:"The review that repeats it"`
	SettledAt  *time.Time     `json:"settled_at,omitzero" cli:"-" doc:"When it was completed or cancelled"`
	SettledBy  string         `json:"settled_by,omitzero" cli:"-" doc:"By whom"`
	Version    int64          `json:"version" cli:"-" doc:"Counts the changes; the ETag"`

	dueDays, reminded int64
}

// ETag is the review's version.
func (v Review) ETag() string { return op.VersionTag(v.Version) }

// asks reports whether a member is one of the reviewers.
func (v Review) asks(member string) bool {
	for _, reviewer := range v.Reviewers {
		if reviewer == member && member != "" {
			return true
		}
	}
	return false
}

const reviewColumns = `r.id, r.title, r.subject, r.role, r.state, r.starter, r.started_by, r.started_at, r.due_at, r.due_days, r.repeat_days,
	r.next, r.reviewers, r.reminded_at, r.settled_at, r.settled_by, r.version,
	(SELECT count(*) FROM review_items i WHERE i.organization = r.organization AND i.review = r.id),
	(SELECT count(*) FROM review_items i WHERE i.organization = r.organization AND i.review = r.id AND i.decision <> '')`

func scanReview(r *op.Reader, from interface{ Scan(...any) error }) (v Review, err error) {
	var started, due, settled int64
	var reviewers string
	err = from.Scan(&v.ID, &v.Title, &v.Subject, &v.Role, &v.State, &v.Starter, &v.StartedBy, &started, &due, &v.dueDays, &v.RepeatDays,
		&v.Next, &reviewers, &v.reminded, &settled, &v.SettledBy, &v.Version, &v.Rows, &v.Decided)
	v.StartedAt, v.DueAt, v.SettledAt = time.UnixMicro(started).UTC(), time.UnixMicro(due).UTC(), when(settled)
	v.Reviewers = strings.Fields(reviewers)
	v.Overdue = v.State == Open && r.Micros() > due
	return v, found(err)
}

// reviewByID reads a review of the call's organization.
func reviewByID(ctx context.Context, r *op.Reader, id string) (Review, error) {
	return scanReview(r, r.QueryRow(ctx, "SELECT "+reviewColumns+" FROM reviews r WHERE r.organization = $1 AND r.id = $2", r.Organization(), id))
}

// ReviewInput names a review.
type ReviewInput struct {
	op.InOrganization
	Review string `json:"review" doc:"The review's id" maxLength:"64" example:"rev_00000000000000000000000000"`
}

var exampleReview = ReviewInput{op.InOrganization{Organization: "acme"}, "rev_00000000000000000000000000"}

// reviewTarget loads a review. It belongs to whoever is asked.
func reviewTarget(ctx context.Context, r *op.Reader, in ReviewInput) (op.Target, error) {
	v, err := reviewByID(ctx, r, in.Review)
	return v.target(r), err
}

func (v Review) target(r *op.Reader) op.Target {
	t := op.Target{Organization: r.Organization(), Type: "review", ID: v.ID, Name: v.Title, Version: v.Version, Current: v, Value: v}
	if v.asks(r.Actor.Principal.Member) {
		t.User = r.Actor.User
	}
	return t
}

// reviewing is who sees a review: whoever manages reviews, and its reviewers.
var reviewing = op.AnyOf(op.On("reviews.manage"), op.Own())

// manages reports whether the caller sees whole reviews, and not only the rows that they are asked about.
func manages(r *op.Reader) bool { return r.May("reviews.manage").Allow }

// over refuses to change a review that is not open any more.
func (v Review) over() error {
	if v.State == Open {
		return nil
	}
	return op.Errorf(op.Conflict, "review_over", "this review is %s: start another one", v.State)
}

// GetReview shows a review.
var GetReview = &op.Op[ReviewInput, Review]{
	Name:    "reviews.get",
	Route:   "GET /v1/organizations/{organization}/reviews/{review}",
	Summary: "Show an access review",
	Allow:   reviewing,
	Target:  reviewTarget,
	Do: func(_ context.Context, tx *op.Tx, _ ReviewInput) (Review, error) {
		v, _ := tx.Target().Value.(Review)
		return v, nil
	},
	Example: exampleReview,
}

// ListReviewsInput says which reviews.
type ListReviewsInput struct {
	op.InOrganization
	op.Page
	State State `json:"state,omitzero" doc:"Only those in this state" enum:"open,completed,cancelled" required:"false"`
}

// ListReviews lists the reviews, the newest first: all of them to whoever manages reviews, and to others those in which
// they are asked.
var ListReviews = &op.Op[ListReviewsInput, op.List[Review]]{
	Name:    "reviews.list",
	Route:   "GET /v1/organizations/{organization}/reviews",
	Summary: "List the access reviews",
	Allow:   op.AnyOf(op.On("reviews.manage"), op.AnyMember),
	Do:      listReviews,
	Example: ListReviewsInput{InOrganization: op.InOrganization{Organization: "acme"}, State: Open},
}

func listReviews(ctx context.Context, tx *op.Tx, in ListReviewsInput) (op.List[Review], error) {
	before, id := int64(1)<<62, ""
	if at := in.After(); len(at) == 2 {
		before, _ = strconv.ParseInt(at[0], 10, 64)
		id = at[1]
	}
	asked := "%" // of everybody
	if !manages(tx.Reader) {
		asked = "% " + tx.Actor.Principal.Member + " %"
	}
	rows, err := tx.Query(ctx, "SELECT "+reviewColumns+` FROM reviews r WHERE r.organization = $1
		AND (r.started_at < $2 OR r.started_at = $2 AND r.id < $3) AND r.reviewers LIKE $4 AND ($5 = '' OR r.state = $5)
		ORDER BY r.started_at DESC, r.id DESC LIMIT $6`, tx.Organization(), before, id, asked, string(in.State), in.Size()+1)
	all, err := rowsOf(rows, err, func(rows *sql.Rows) (Review, error) { return scanReview(tx.Reader, rows) })
	if err != nil {
		return op.List[Review]{}, err
	}
	return op.Listed(tx.Reader, &in.Page, all, func(v Review) []string {
		return []string{strconv.FormatInt(v.StartedAt.UnixMicro(), 10), v.ID}
	}), nil
}
