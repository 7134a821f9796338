package federation

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/notice"
	"github.com/guildhall/guildhall/op"
)

// Applicant is somebody with an address of a verified domain who asks to join.
type Applicant struct {
	ID        string         `json:"id" doc:"The request's id" example:"jrq_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	User      string         `json:"user" cli:"-" doc:"The person's id"`
	Name      string         `json:"name,omitzero" doc:"The person's name"`
	Email     string         `json:"email" doc:"The person's address" example:"zoe@acme.test"`
	Domain    string         `json:"domain" cli:"-" doc:"The domain by which they ask" example:"acme.test"`
	Role      charter.RoleID `json:"role" doc:"The role that they would have"`
	RoleTitle string         `json:"role_title" cli:"-" doc:"The role's title"`
	State     string         `json:"state" enum:"pending,approved,declined"`
	Reason    string         `json:"reason,omitzero" cli:"-" doc:"What was said when it was decided"`
	CreatedAt time.Time      `json:"created_at" doc:"When they asked"`
	DecidedAt *time.Time     `json:"decided_at,omitzero" cli:"-" doc:"When it was decided"`
}

const requestColumns = `j.id, j.user_id, u.name, u.email, j.domain, j.role, COALESCE(cr.title, ''), j.state, j.reason, j.created_at, j.decided_at`

const requestTables = ` FROM join_requests j JOIN users u ON u.id = j.user_id AND u.deleted_at = 0
	LEFT JOIN organization_roles cr ON cr.organization = j.organization AND cr.id = j.role`

func scanRequest(c *charter.Charter, from interface{ Scan(...any) error }) (j Applicant, err error) {
	var created, decided int64
	err = from.Scan(&j.ID, &j.User, &j.Name, &j.Email, &j.Domain, &j.Role, &j.RoleTitle, &j.State, &j.Reason, &created, &decided)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	j.RoleTitle, j.CreatedAt, j.DecidedAt = titleOf(c, string(j.Role), j.RoleTitle), time.UnixMicro(created).UTC(), when(decided)
	return j, err
}

// ListJoinRequestsInput asks for the requests of an organization.
type ListJoinRequestsInput struct {
	op.InOrganization
	op.Page
	State string `json:"state,omitzero" doc:"Only those in this state" enum:"pending,approved,declined" default:"pending" required:"false"`
}

// ListJoinRequests lists the people who ask to join, the newest first.
var ListJoinRequests = &op.Op[ListJoinRequestsInput, op.List[Applicant]]{
	Name:    "join_requests.list",
	Route:   "GET /v1/organizations/{organization}/join_requests",
	Summary: "List the people who ask to join by a verified domain",
	Allow:   op.On("members.invite"),
	Do:      listJoinRequests,
	Example: ListJoinRequestsInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func listJoinRequests(ctx context.Context, tx *op.Tx, in ListJoinRequestsInput) (op.List[Applicant], error) {
	if in.State == "" {
		in.State = "pending"
	}
	before, id := in.Page.AfterNewest()
	rows, err := tx.Query(ctx, "SELECT "+requestColumns+requestTables+` WHERE j.organization = $1 AND j.state = $2
		AND (j.created_at < $3 OR j.created_at = $3 AND j.id < $4) ORDER BY j.created_at DESC, j.id DESC LIMIT $5`,
		tx.Organization(), in.State, before, id, in.Size()+1)
	if err != nil {
		return op.List[Applicant]{}, err
	}
	defer rows.Close()
	var found []Applicant
	for rows.Next() {
		j, err := scanRequest(tx.Charter, rows)
		if err != nil {
			return op.List[Applicant]{}, err
		}
		found = append(found, j)
	}
	return op.Listed(tx.Reader, &in.Page, found, func(j Applicant) []string { return op.Newest(j.CreatedAt.UnixMicro(), j.ID) }), rows.Err()
}

// DecideJoinRequestInput says what becomes of a request.
type DecideJoinRequestInput struct {
	op.InOrganization
	Request  string         `json:"join_request" doc:"The request's id" maxLength:"64" example:"jrq_00000000000000000000000000"`
	Decision string         `json:"decision" doc:"What becomes of it" enum:"approve,decline"`
	Role     charter.RoleID `json:"role,omitzero" doc:"Of an approval: another role than the one that the domain gives" maxLength:"64" required:"false"`
	Reason   string         `json:"reason,omitzero" doc:"Of a decline: why; the person reads it" maxLength:"500" required:"false"`
}

// DecideJoinRequest makes the person a member, or declines. A decision is final; whoever was declined may ask again.
var DecideJoinRequest = &op.Op[DecideJoinRequestInput, Applicant]{
	Name:    "join_requests.decide",
	Route:   "POST /v1/organizations/{organization}/join_requests/{join_request}/decide",
	Summary: "Let somebody in who asked to join, or decline",
	Kind:    op.Access,
	Allow:   op.On("members.invite"),
	Target:  requestTarget,
	Fences: func(_ DecideJoinRequestInput, t op.Target) []op.Fence {
		return []op.Fence{{Kind: op.FenceUser, ID: t.User}}
	},
	Do: decideJoinRequest,
	Example: DecideJoinRequestInput{InOrganization: op.InOrganization{Organization: "acme"}, Request: "jrq_00000000000000000000000000",
		Decision: "decline", Reason: "ask your manager first"},
}

func requestTarget(ctx context.Context, r *op.Reader, in DecideJoinRequestInput) (op.Target, error) {
	j, err := scanRequest(r.Charter, r.QueryRow(ctx, "SELECT "+requestColumns+requestTables+" WHERE j.organization = $1 AND j.id = $2", r.Organization(), in.Request))
	return op.Target{Organization: r.Organization(), Type: "join_request", ID: j.ID, Name: directory.User{Name: j.Name, Email: j.Email}.Label(), User: j.User, Value: j}, err
}

func decideJoinRequest(ctx context.Context, tx *op.Tx, in DecideJoinRequestInput) (Applicant, error) {
	j := tx.Target().Value.(Applicant)
	if j.State != "pending" {
		return j, op.Errorf(op.Conflict, "decided", "this request is %s already", j.State)
	}
	if in.Role != "" {
		j.Role = in.Role
	}
	j.State, j.Reason, j.DecidedAt = "declined", in.Reason, new(tx.Now)
	tx.Because(in.Reason)
	if in.Decision == "approve" {
		if err := j.admit(ctx, tx); err != nil {
			return j, err
		}
	} else {
		j.tell(tx, "Your request to join was declined", mail.Paragraphs("Your request to join an organization on "+mail.Line(tx.Charter.Product)+" was declined.", mail.Line(in.Reason),
			"Your organizations: "+tx.Settings.URL("/orgs")))
	}
	tx.Changed("state", "pending", j.State)
	_, err := tx.Exec(ctx, `UPDATE join_requests SET state = $3, reason = $4, decided_by = $5, decided_at = $6, role = $7 WHERE organization = $1 AND id = $2`,
		tx.Organization(), j.ID, j.State, j.Reason, tx.Actor.ID, tx.Micros(), string(j.Role))
	return j, err
}

// admit makes the person a member with a role that the actor may give.
func (j *Applicant) admit(ctx context.Context, tx *op.Tx) error {
	if _, err := givable(ctx, tx, string(j.Role)); err != nil {
		return err
	}
	m, err := directory.Admit(ctx, tx, directory.Admission{User: directory.User{ID: j.User}, Role: j.Role})
	if err != nil {
		return err
	}
	j.State, j.Role, j.RoleTitle = "approved", charter.RoleID(m.Role), m.RoleTitle
	j.tell(tx, "You can come in", mail.Paragraphs("Your request to join was approved.", tx.Settings.URL("/orgs")))
	return nil
}

// tell mails the person.
func (j Applicant) tell(tx *op.Tx, subject, text string) {
	folded, err := directory.Fold(j.Email)
	if err == nil {
		notice.Mail(tx, mail.Message{To: mail.Deliverable(j.Email, folded), Subject: subject, Text: text})
	}
}
