package directory

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// maxExternalID is how long the product's own id of a person may be.
const maxExternalID = 200

// checkExternalID says what is wrong with the product's own id of a person. One that looks like Guildhall's ids could be
// taken for somebody else's.
func checkExternalID(field, s string) []op.FieldError {
	detail := ""
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			detail = fmt.Sprintf("%s has a character in it that cannot be seen", field)
		}
	}
	switch {
	case s == "" || len(s) > maxExternalID:
		detail = fmt.Sprintf("%s has to have 1 to %d bytes", field, maxExternalID)
	case strings.TrimSpace(s) != s:
		detail = field + " begins or ends with a space"
	case strings.HasPrefix(s, "usr_"), strings.HasPrefix(s, "mem_"), strings.HasPrefix(s, "org_"):
		detail = fmt.Sprintf("%s begins like one of Guildhall's own ids: put something before it", field)
	}
	if detail == "" {
		return nil
	}
	return []op.FieldError{{Pointer: "/" + field, Code: "invalid", Detail: detail}}
}

// UpsertUserInput says what the product knows of a person; what is left out stays.
type UpsertUserInput struct {
	ExternalID string `json:"external_id" doc:"The product's own id of the person: it never changes, and does not begin with usr_, mem_ or org_" maxLength:"200" example:"42"`
	Email      string `json:"email,omitzero" doc:"The person's address, which the product vouches for; without one the person gets no mail and cannot sign in here" maxLength:"512" example:"zoe@acme.test"`
	Name       string `json:"name,omitzero" doc:"The person's name" maxLength:"200" example:"Zoe Zimmermann"`
}

// Validate checks id, address and name.
func (in UpsertUserInput) Validate() []op.FieldError {
	wrong := append(checkExternalID("external_id", in.ExternalID), checkDisplay("name", in.Name, 0)...)
	if in.Email != "" {
		if _, err := ParseAddress(in.Email); err != nil {
			wrong = append(wrong, op.FieldError{Pointer: "/email", Code: "invalid", Detail: err.Error()})
		}
	}
	return wrong
}

// UpsertUser makes the user with an external id, or brings what is known of them up to date. A user who has the address
// and no external id yet is that person: the product vouches for the address.
var UpsertUser = &op.Op[UpsertUserInput, User]{
	Name:    "users.upsert",
	Route:   "POST /v1/users",
	Summary: "Make or update the user with an id of the product's own",
	Kind:    op.Write,
	Scope:   op.Instance,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Target:  upsertTarget,
	Do:      upsertExternal,
	Example: UpsertUserInput{ExternalID: "42", Email: "zoe@acme.test", Name: "Zoe Zimmermann"},
}

// known is who has an external id or an address.
type known struct {
	user  User // without an id: nobody
	other User // who has the address, where that is somebody else
}

// upsertTarget finds the user. The row goes to the person's own log, which begins with a new one.
func upsertTarget(ctx context.Context, r *op.Reader, in UpsertUserInput) (op.Target, error) {
	k, err := readKnown(ctx, r, in)
	if err != nil {
		return op.Target{}, err
	}
	u := k.user
	return op.Target{Type: "user", ID: u.ID, Name: u.Label(), User: u.ID, Stream: cmp.Or(u.ID, op.NewStream), Value: k}, nil
}

func readKnown(ctx context.Context, r *op.Reader, in UpsertUserInput) (k known, err error) {
	address, _ := ParseAddress(in.Email) // validation says what is wrong with it
	rows, err := r.Query(ctx, "SELECT "+userColumns+` FROM users u WHERE u.deleted_at = 0 AND (u.external_id = $1 OR u.email_folded = $2)
		ORDER BY CASE WHEN u.external_id = $1 THEN 0 ELSE 1 END`, in.ExternalID, address.Folded)
	if err != nil {
		return k, err
	}
	defer rows.Close()
	for rows.Next() {
		u, err := scanUser(rows)
		if err != nil {
			return k, err
		}
		if k.user.ID == "" {
			k.user = u
		} else {
			k.other = u
		}
	}
	return k, rows.Err()
}

func upsertExternal(ctx context.Context, tx *op.Tx, in UpsertUserInput) (User, error) {
	k := tx.Target().Value.(known)
	switch {
	case k.other.ID != "":
		return User{}, &op.Error{Kind: op.Conflict, Code: "email_taken", Refers: map[string]string{"user": k.other.ID},
			Text: fmt.Sprintf("another user has the address %s", quoted(in.Email))}
	case k.user.ID == "":
		return newExternal(ctx, tx, in)
	case k.user.ExternalID != "" && k.user.ExternalID != in.ExternalID:
		return User{}, &op.Error{Kind: op.Conflict, Code: "email_taken", Refers: map[string]string{"user": k.user.ID},
			Text: fmt.Sprintf("the user with the address %s has another external id", quoted(in.Email))}
	}
	return updateExternal(ctx, tx, k.user, in)
}

// newExternal makes a user. One without an address has a folded one that nobody can write.
func newExternal(ctx context.Context, tx *op.Tx, in UpsertUserInput) (User, error) {
	u := User{ID: tx.NewID("usr"), ExternalID: in.ExternalID, Name: cleanDisplay(in.Name), Version: 1, CreatedAt: tx.Now}
	folded := nobodys(u.ID)
	if in.Email != "" {
		address, _ := ParseAddress(in.Email)
		u.Email, folded, u.Name = address.Email, address.Folded, cmp.Or(u.Name, address.Name)
	}
	if err := tx.Found(ctx, u.ID); err != nil {
		return u, err
	}
	_, err := tx.Exec(ctx, `INSERT INTO users (id, external_id, email, email_folded, name, time_zone, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, '', 1, $6, $6)`, u.ID, u.ExternalID, u.Email, folded, u.Name, tx.Micros())
	if _, taken := sqldb.Conflict(err); taken {
		return u, errSameMoment
	}
	tx.Also("user", u.ID, u.Label())
	tx.Changed("created", false, true)
	return u, err
}

// updateExternal brings a user up to date.
func updateExternal(ctx context.Context, tx *op.Tx, was User, in UpsertUserInput) (User, error) {
	u := was
	u.ExternalID, u.Name = in.ExternalID, cmp.Or(cleanDisplay(in.Name), was.Name)
	folded := ""
	if in.Email != "" {
		address, _ := ParseAddress(in.Email)
		u.Email, folded = address.Email, address.Folded
	}
	if u == was {
		tx.Unchanged()
		return u, nil
	}
	note(tx, "external_id", &was.ExternalID, &in.ExternalID)
	if u.Name != was.Name {
		tx.ChangedPersonal(u.ID, "name", was.Name, u.Name)
	}
	if u.Email != was.Email {
		tx.ChangedPersonal(u.ID, "email", was.Email, u.Email)
	}
	if sortName(u) != sortName(was) {
		if _, err := tx.Exec(ctx, "UPDATE members SET sort_name = $2 WHERE user_id = $1", u.ID, sortName(u)); err != nil {
			return u, err
		}
	}
	u.Version++
	_, err := tx.Exec(ctx, `UPDATE users SET external_id = $2, email = $3, email_folded = CASE WHEN $4 = '' THEN email_folded ELSE $4 END, name = $5,
		version = $6, updated_at = $7 WHERE id = $1`, u.ID, u.ExternalID, u.Email, folded, u.Name, u.Version, tx.Micros())
	if _, taken := sqldb.Conflict(err); taken {
		err = errSameMoment
	}
	return u, err
}

// UserInput names a user.
type UserInput struct {
	User string `json:"user" doc:"The user's id, or the product's own id of the person" maxLength:"200" example:"42"`
}

// UserDetails are a user with the organizations that they belong to.
type UserDetails struct {
	User
	Organizations []Belonging `json:"organizations" doc:"The organizations that the person belongs to"`
}

// GetUser shows a user to the product's back end.
var GetUser = &op.Op[UserInput, UserDetails]{
	Name:    "users.get",
	Route:   "GET /v1/users/{user}",
	Summary: "Show a user, by id or the product's own id",
	Scope:   op.Instance,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Target:  userTarget,
	Do: func(ctx context.Context, tx *op.Tx, _ UserInput) (out UserDetails, err error) {
		out.User = tx.Target().Value.(User)
		out.Organizations, err = BelongingsOf(ctx, tx.Reader, out.ID, "")
		return out, err
	},
	Example: UserInput{User: "42"},
}

func userTarget(ctx context.Context, r *op.Reader, in UserInput) (op.Target, error) {
	u, err := scanUser(r.QueryRow(ctx, "SELECT "+userColumns+" FROM users u WHERE (u.id = $1 OR u.external_id = $1) AND u.deleted_at = 0", in.User))
	return op.Target{Type: "user", ID: u.ID, Name: u.Label(), User: u.ID, Version: u.Version, Current: u, Value: u}, err
}
