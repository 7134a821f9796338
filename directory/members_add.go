package directory

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// AddMemberInput says who joins, and as what.
type AddMemberInput struct {
	op.InOrganization
	User   string     `json:"user,omitzero" doc:"The user's id, or the product's own id of the person" maxLength:"200" cli:"arg" example:"42"`
	Email  string     `json:"email,omitzero" doc:"Instead of user: the person's address; a user is made if there is none" maxLength:"512" example:"zoe@acme.test"`
	Name   string     `json:"name,omitzero" doc:"The person's name, for a new user" maxLength:"200" example:"Zoe Zimmermann"`
	Role   string     `json:"role,omitzero" doc:"The role; left out: that of the pending invitation of the person's address" maxLength:"64" example:"editor"`
	EndsAt *time.Time `json:"ends_at,omitzero" doc:"When the membership ends; left out: never, or when a pending invitation says whose role is taken"`
}

// Validate checks that one person is named.
func (in AddMemberInput) Validate() []op.FieldError {
	wrong := checkDisplay("name", in.Name, 0)
	switch {
	case (in.User == "") == (in.Email == ""):
		wrong = append(wrong, op.FieldError{Pointer: "/user", Code: "required", Detail: "say user or email, and not both"})
	case in.Email != "":
		if _, err := ParseAddress(in.Email); err != nil {
			wrong = append(wrong, op.FieldError{Pointer: "/email", Code: "invalid", Detail: err.Error()})
		}
	}
	return wrong
}

// AddMember makes somebody a member without an invitation: the product's back end vouches for them. A pending invitation
// of the person's address is consumed, and gives the role where none is said.
var AddMember = &op.Op[AddMemberInput, Member]{
	Name:    "members.add",
	Route:   "POST /v1/organizations/{organization}/members",
	Summary: "Make a user a member, from the product's back end",
	Kind:    op.Access,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Target:  addTarget,
	Fences: func(_ AddMemberInput, t op.Target) []op.Fence {
		if t.User == "" {
			return nil // somebody new, of whom nothing is cached
		}
		return fenceMember(t)
	},
	Do:      addMember,
	Example: AddMemberInput{InOrganization: op.InOrganization{Organization: "acme"}, User: "42", Role: "editor"},
}

// arrival is somebody who joins, with what the organization knows of them.
type arrival struct {
	user                    User        // without an id: a new one
	address                 Address     // of a new user
	folded                  string      // the address by which invitations are found
	current                 memberState // what the user is in the organization already
	seats, members, pending int64
	invited                 int64
}

// addTarget finds the user, if there is one, and what they are in the organization already.
func addTarget(ctx context.Context, r *op.Reader, in AddMemberInput) (op.Target, error) {
	a, err := readArrival(ctx, r, in)
	return op.Target{Organization: r.Organization(), Type: "user", ID: a.user.ID, Name: a.user.Label(), User: a.user.ID, Value: a}, err
}

func readArrival(ctx context.Context, r *op.Reader, in AddMemberInput) (a arrival, err error) {
	if in.Email != "" {
		a.address, _ = ParseAddress(in.Email) // validation says what is wrong with it
		a.folded = a.address.Folded
	}
	m := &a.current
	err = r.QueryRow(ctx, `SELECT COALESCE(u.id, ''), COALESCE(u.name, ''), COALESCE(u.email, ''), COALESCE(u.email_folded, $3),
			COALESCE(m.id, ''), COALESCE(m.role, ''), COALESCE(m.status, ''), COALESCE(m.ends_at, 0), COALESCE(cr.permissions, ''), o.seats,
			(SELECT COUNT(*) FROM members m WHERE m.organization = o.id AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $4)),
			(SELECT COUNT(*) FROM invitations i WHERE i.organization = o.id AND i.state = 'pending' AND i.expires_at > $4),
			(SELECT COUNT(*) FROM invitations i WHERE i.organization = o.id AND i.state = 'pending' AND i.expires_at > $4
				AND i.email_folded = COALESCE(u.email_folded, $3))
		FROM organizations o
		LEFT JOIN users u ON u.deleted_at = 0 AND (u.id = $2 OR u.external_id = $2 OR u.email_folded = $3)
		LEFT JOIN members m ON m.organization = o.id AND m.user_id = u.id AND m.status <> 'removed'
		LEFT JOIN organization_roles cr ON cr.organization = m.organization AND cr.id = m.role
		WHERE o.id = $1`, r.Organization(), in.User, a.folded, r.Micros()).Scan(&a.user.ID, &a.user.Name, &a.user.Email, &a.folded,
		&m.id, &m.role, &m.status, &m.endsAt, &m.permissions, &a.seats, &a.members, &a.pending, &a.invited)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	return a, err
}

func addMember(ctx context.Context, tx *op.Tx, in AddMemberInput) (Member, error) {
	a := tx.Target().Value.(arrival)
	if a.user.ID == "" && in.User != "" {
		return Member{}, op.InvalidField("user", "unknown", "there is no user %q: make one first", in.User)
	}
	if a.current.id != "" && (a.current.endsAt == 0 || tx.Micros() < a.current.endsAt) {
		return Member{}, &op.Error{Kind: op.Conflict, Code: codeAlreadyMember, Text: "this person is a member already",
			Refers: map[string]string{"member": a.current.id}}
	}
	invitation, err := a.invitation(ctx, tx.Reader)
	if err != nil {
		return Member{}, err
	}
	role, endsAt, err := in.terms(ctx, tx, invitation)
	if err != nil {
		return Member{}, err
	}
	if taken := a.members + a.pending - min(a.invited, 1); a.seats > 0 && taken >= a.seats {
		return Member{}, noSeat(a.seats)
	}
	return a.join(ctx, tx, in, newMember{User: a.user, Role: role, EndsAt: endsAt}, invitation)
}

// invitation is the pending invitation of the person's address; without an id there is none.
func (a arrival) invitation(ctx context.Context, r *op.Reader) (offer, error) {
	if a.invited == 0 {
		return offer{}, nil
	}
	return offerTo(ctx, r, a.folded)
}

// terms are role and end date: those of the input, else those of an invitation that still stands.
func (in AddMemberInput) terms(ctx context.Context, tx *op.Tx, invitation offer) (role *charter.Role, endsAt int64, err error) {
	if in.EndsAt != nil {
		endsAt = in.EndsAt.UnixMicro()
	}
	switch {
	case in.Role != "":
		role, err = knownRole(ctx, tx.Reader, in.Role)
	case invitation.id == "":
		err = op.InvalidField("role", "required", "say a role: nobody has invited this person")
	default:
		if role, err = invitation.vouched(ctx, tx); in.EndsAt == nil {
			endsAt = invitation.endsAt
		}
	}
	if err != nil {
		return nil, 0, err
	}
	// The back end holds no role that could be compared: it may give what the operator may.
	if d := decide.Grant(tx.Charter, &decide.Principal{Power: decide.Operator}, role); !d.Allow {
		return nil, 0, tx.Refuse(ctx, d)
	}
	return role, endsAt, fitsEnd(role, endsAt, tx.Micros())
}

// join makes the member, and the user where there is none, and consumes the invitation.
func (a arrival) join(ctx context.Context, tx *op.Tx, in AddMemberInput, n newMember, invitation offer) (m Member, err error) {
	if n.User.ID == "" {
		n.User, err = InsertUser(ctx, tx, tx.NewID("usr"), in.Email, cleanDisplay(in.Name))
		if _, taken := sqldb.Conflict(err); taken {
			err = errSameMoment
		}
		if err != nil {
			return m, err
		}
		tx.Also("user", n.User.ID, n.User.Label())
	}
	if err := endFormer(ctx, tx, tx.Organization(), n.User, a.current); err != nil {
		return m, err
	}
	if m, err = insertMember(ctx, tx, n); err != nil {
		return m, err
	}
	tx.Also("member", m.ID, n.User.Label())
	tx.Changed("role", nil, m.Role)
	if n.Role.Owner {
		if err := tellOfOwner(ctx, tx, n.User.Label(), "by being added as a member"); err != nil {
			return m, err
		}
	}
	if invitation.id == "" {
		return m, nil
	}
	tx.Also("invitation", invitation.id, invitation.email)
	return m, invitation.settle(ctx, tx, Accepted, m.ID)
}

// errSameMoment answers a call that made a user whom another one made at the same moment.
var errSameMoment = &op.Error{Kind: op.Unavailable, RetryAfter: time.Second,
	Text: "an account for this person was made at the same moment: nothing was changed; try again"}
