package governance

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Choice is what is decided about a row.
type Choice string

// The choices. The zero value is none yet.
const (
	Keep   Choice = "keep"   // the access stays as it is
	Reduce Choice = "reduce" // a lower role
	Remove Choice = "remove" // the member, service account or key goes
)

// Flag says what about a row asks for a look.
type Flag string

// The flags.
const (
	Unused     Flag = "unused"      // nobody saw it for UnusedAfter when the review began
	NoEnd      Flag = "no_end"      // a key that never ends
	Ended      Flag = "ended"       // its end date had come when the review began
	Suspended  Flag = "suspended"   // a suspended member, or the key of one
	LeftBehind Flag = "left_behind" // a key whose creator is gone
	OwnerRole  Flag = "owner"       // the owner role
)

// Item is a row of a review: what was written down when the review began, what it is now, and what was decided.
type Item struct {
	Subject    Subject        `json:"subject"`
	Email      string         `json:"email,omitzero" doc:"Of a member"`
	Role       charter.RoleID `json:"role,omitzero" doc:"Its role when the review began"`
	RoleTitle  string         `json:"role_title,omitzero"`
	Granted    *Grant         `json:"granted,omitzero" cli:"-" doc:"Of a member: who gave the role, as far as the audit log says"`
	BeganAt    time.Time      `json:"began_at" cli:"-" doc:"When it joined or was made"`
	EndsAt     *time.Time     `json:"ends_at,omitzero" cli:"-" doc:"When it was to end, when the review began"`
	LastUsedAt *time.Time     `json:"last_used_at,omitzero" doc:"When it was last active or used, before the review began; absent: never"`
	Flags      []Flag         `json:"flags" doc:"What asks for a look"`
	Reviewer   string         `json:"reviewer,omitzero" cli:"-" doc:"The member who is asked; absent: whoever manages reviews"`
	Decision   Choice         `json:"decision,omitzero" enum:"keep,reduce,remove" doc:"Absent: none yet"`
	ToRole     charter.RoleID `json:"to_role,omitzero" cli:"-" doc:"Of reduce: the lower role"`
	Reason     string         `json:"reason,omitzero" cli:"-"`
	DecidedBy  string         `json:"decided_by,omitzero" cli:"-" doc:"The id of a user or key, or operator"`
	Decider    string         `json:"decider,omitzero" cli:"-" doc:"Their name now"`
	DecidedAt  *time.Time     `json:"decided_at,omitzero" cli:"-"`
	Changed    bool           `json:"changed" cli:"-" doc:"Whether it was changed since it was written down or decided: it is asked about again"`
	Gone       bool           `json:"gone" cli:"-" doc:"Whether it has no access any more: nothing is to decide"`
	Yourself   bool           `json:"yourself" cli:"-" doc:"Whether it is the caller's own: somebody else decides"`
	Outcome    string         `json:"outcome,omitzero" enum:"kept,reduced,removed,gone,undecided" doc:"What the completion did"`
	Version    int64          `json:"version" cli:"-" doc:"Counts the decisions; the ETag"`

	person string // the user whose access it is
	now    standing
}

// standing is what a row's subject is now.
type standing struct {
	version int64
	role    charter.RoleID
}

// Grant is how a member got a role.
type Grant struct {
	How string    `json:"how" enum:"founder,added,invitation,role,ownership,review" doc:"In which way"`
	By  string    `json:"by,omitzero" doc:"Who gave it: a name"`
	At  time.Time `json:"at"`
}

// ETag is the row's version.
func (i Item) ETag() string { return op.VersionTag(i.Version) }

// decided is what is decided about the row as it is now; empty: nothing, or something else than it is now.
func (i Item) decided() Choice {
	if i.Changed || i.Gone {
		return ""
	}
	return i.Decision
}

// itemTables are the rows with what their subjects are now: $1 the organization, $2 the time.
const itemTables = ` FROM review_items i
	LEFT JOIN members m ON i.kind = 'member' AND m.organization = i.organization AND m.id = i.subject
	LEFT JOIN users u ON u.id = m.user_id
	LEFT JOIN service_accounts a ON i.kind = 'service_account' AND a.organization = i.organization AND a.id = i.subject
	LEFT JOIN api_keys k ON i.kind = 'key' AND k.organization = i.organization AND k.id = i.subject
	LEFT JOIN members o ON o.organization = k.organization AND o.id = k.member
	LEFT JOIN users d ON d.id = i.decided_by
	JOIN reviews r ON r.organization = i.organization AND r.id = i.review
	WHERE i.organization = $1`

// isGone says, as SQL, that a row's subject has no access any more.
const isGone = `(m.status IS NOT NULL AND m.status = 'removed' OR a.deleted_at IS NOT NULL AND a.deleted_at <> 0
	OR k.revoked_at IS NOT NULL AND (k.revoked_at <> 0 OR k.expires_at <> 0 AND k.expires_at <= $2 OR k.left_at = 0 AND o.status IS NOT NULL AND o.status = 'removed'))`

// isNow is the subject's version now, and sortName where it stands in a list.
const (
	isNow    = "COALESCE(m.version, a.version, k.version, 0)"
	sortName = "COALESCE(m.sort_name, a.name_folded, k.name_folded, '')"
)

const itemColumns = `i.subject, i.kind, i.person, i.reviewer, i.role, i.status, i.began_at, i.ends_at, i.used_at, i.subject_version, i.decision,
	i.to_role, i.reason, i.decided_by, i.decided_at, i.outcome, i.version, COALESCE(u.name, a.name, k.name, ''), COALESCE(u.email, ''),
	COALESCE(d.name, ''), COALESCE(d.email, ''), ` + isNow + `, COALESCE(m.role, a.role, ''), CASE WHEN ` + isGone + ` THEN 1 ELSE 0 END, r.started_at, r.state, ` + sortName

// scanItem reads the columns of itemColumns, and where the row stands.
func scanItem(r *op.Reader, from interface{ Scan(...any) error }) (i Item, place string, err error) {
	var status, deciderName, deciderEmail string
	var state State
	var began, ends, used, asked, at, started int64
	var gone int
	err = from.Scan(&i.Subject.ID, &i.Subject.Type, &i.person, &i.Reviewer, &i.Role, &status, &began, &ends, &used, &asked, &i.Decision, &i.ToRole, &i.Reason,
		&i.DecidedBy, &at, &i.Outcome, &i.Version, &i.Subject.Name, &i.Email, &deciderName, &deciderEmail, &i.now.version, &i.now.role, &gone, &started, &state, &place)
	if err != nil {
		return i, place, found(err)
	}
	i.Subject.Name = nameOf(i.Subject.Name, i.Email)
	i.BeganAt, i.EndsAt, i.LastUsedAt, i.DecidedAt = time.UnixMicro(began).UTC(), when(ends), when(used), when(at)
	if i.DecidedBy != "" {
		i.Decider = cmp.Or(deciderName, deciderEmail, i.DecidedBy)
	}
	i.Gone, i.Changed = state == Open && gone == 1, state == Open && gone == 0 && i.now.version != asked
	i.Yourself = i.person != "" && i.person == r.Actor.User
	i.Flags = flagsOf(r.Charter, i, status, started)
	return i, place, nil
}

// flagsOf says what asked for a look when the review began.
func flagsOf(c *charter.Charter, i Item, status string, started int64) []Flag {
	ends := int64(0)
	if i.EndsAt != nil {
		ends = i.EndsAt.UnixMicro()
	}
	last := i.BeganAt.UnixMicro()
	if i.LastUsedAt != nil {
		last = i.LastUsedAt.UnixMicro()
	}
	role, known := c.Role(i.Role)
	flags := []Flag{}
	for _, f := range []struct {
		flag Flag
		is   bool
	}{
		{OwnerRole, known && role.Owner}, {Unused, last <= started-UnusedAfter.Microseconds()}, {NoEnd, i.Subject.Type == "key" && ends == 0},
		{Ended, ends != 0 && ends <= started}, {Suspended, status == "suspended"}, {LeftBehind, status == "left_behind"},
	} {
		if f.is {
			flags = append(flags, f.flag)
		}
	}
	return flags
}

// ItemFilter says which rows of a review.
type ItemFilter struct {
	Role     charter.RoleID `json:"role,omitzero" doc:"Only those that had this role" maxLength:"64" required:"false"`
	Flag     Flag           `json:"flag,omitzero" doc:"Only those that ask for this look" enum:"unused,no_end,suspended,left_behind" required:"false"`
	Decision string         `json:"decided,omitzero" doc:"Only those of which this is decided; none: that wait for a decision" enum:"none,keep,reduce,remove" required:"false"`
}

// where adds the conditions of the filter, and of what the caller may see of a review.
func (f ItemFilter) where(r *op.Reader, v Review) (string, []any) {
	args := []any{r.Organization(), r.Micros(), v.ID}
	param := func(value any) string { args = append(args, value); return "$" + strconv.Itoa(len(args)) }
	parts := []string{"i.review = $3"}
	if !manages(r) {
		parts = append(parts, "i.reviewer = "+param(r.Actor.Principal.Member))
	}
	if f.Role != "" {
		parts = append(parts, "i.role = "+param(string(f.Role)))
	}
	switch f.Flag {
	case Unused:
		parts = append(parts, "CASE i.used_at WHEN 0 THEN i.began_at ELSE i.used_at END <= r.started_at - "+strconv.FormatInt(UnusedAfter.Microseconds(), 10))
	case NoEnd:
		parts = append(parts, "i.kind = 'key' AND i.ends_at = 0")
	case Suspended, LeftBehind:
		parts = append(parts, "i.status = "+param(string(f.Flag)))
	}
	switch f.Decision {
	case "":
	case "none":
		parts = append(parts, "NOT "+isGone+" AND (i.decision = '' OR i.subject_version <> "+isNow+")")
	default:
		parts = append(parts, "i.decision = "+param(f.Decision))
	}
	return " AND " + strings.Join(parts, " AND "), args
}

// ListItemsInput says which rows of a review.
type ListItemsInput struct {
	ReviewInput
	op.Page
	ItemFilter
}

// ListItems lists the rows of a review by name: all to whoever manages reviews, their own to a reviewer.
var ListItems = &op.Op[ListItemsInput, op.List[Item]]{
	Name:    "reviews.items",
	Route:   "GET /v1/organizations/{organization}/reviews/{review}/items",
	Summary: "List the rows of an access review",
	Allow:   reviewing,
	Target: func(ctx context.Context, r *op.Reader, in ListItemsInput) (op.Target, error) {
		return reviewTarget(ctx, r, in.ReviewInput)
	},
	Do:      listItems,
	Example: ListItemsInput{ReviewInput: exampleReview},
}

func listItems(ctx context.Context, tx *op.Tx, in ListItemsInput) (op.List[Item], error) {
	v, _ := tx.Target().Value.(Review)
	items, places, err := v.items(ctx, tx.Reader, in.ItemFilter, in.After(), in.Size()+1)
	if err != nil {
		return op.List[Item]{}, err
	}
	list := op.Listed(tx.Reader, &in.Page, items, func(i Item) []string { return []string{places[i.Subject.ID], i.Subject.ID} })
	return list, v.granted(ctx, tx.Reader, list.Data)
}

// items reads rows of a review as far as the caller sees them, after a position, and where each stands.
func (v Review) items(ctx context.Context, r *op.Reader, f ItemFilter, after []string, limit int) ([]Item, map[string]string, error) {
	where, args := f.where(r, v)
	if len(after) == 2 {
		n := len(args)
		where += " AND (" + sortName + " > $" + strconv.Itoa(n+1) + " OR " + sortName + " = $" + strconv.Itoa(n+1) + " AND i.subject > $" + strconv.Itoa(n+2) + ")"
		args = append(args, after[0], after[1])
	}
	roles, err := directory.RolesIn(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	places := map[string]string{}
	rows, err := r.Query(ctx, "SELECT "+itemColumns+itemTables+where+" ORDER BY "+sortName+", i.subject LIMIT "+strconv.Itoa(limit), args...)
	items, err := rowsOf(rows, err, func(rows *sql.Rows) (Item, error) {
		i, place, err := scanItem(r, rows)
		places[i.Subject.ID] = place
		i.RoleTitle = titleIn(roles, i.Role)
		return i, err
	})
	return items, places, err
}

// titleIn is a role's title; one that does not exist any more keeps its id.
func titleIn(roles []*charter.Role, id charter.RoleID) string {
	if i := slices.IndexFunc(roles, func(role *charter.Role) bool { return role.ID == id }); i >= 0 {
		return roles[i].Title
	}
	return string(id)
}

// itemOf reads one row of a review.
func (v Review) itemOf(ctx context.Context, r *op.Reader, subject string) (Item, error) {
	i, _, err := scanItem(r, r.QueryRow(ctx, "SELECT "+itemColumns+itemTables+" AND i.review = $3 AND i.subject = $4",
		r.Organization(), r.Micros(), v.ID, subject))
	return i, err
}

// ways are how the audit log calls the giving of a role.
var ways = map[string]string{"organizations.create": "founder", "organizations.provision": "founder", "members.add": "added", "invitations.accept": "invitation",
	"members.update": "role", "ownership.transfer": "ownership", "ownership.accept": "ownership", "reviews.complete": "review"}

// granted says of members how they got their roles before the review began, in one query for all. Of an invitation it names
// who sent it, for that is who gave the role.
func (v Review) granted(ctx context.Context, r *op.Reader, items []Item) error {
	place := map[string]int{}
	var members []string
	for n, i := range items {
		if i.Subject.Type == "member" {
			members, place[i.Subject.ID] = append(members, i.Subject.ID), n
		}
	}
	if len(members) == 0 {
		return nil
	}
	in, args := sqldb.Placeholders(3, members)
	rows, err := r.Query(ctx, `SELECT s.id, e.action, e.at, COALESCE(iu.name, u.name, ''), COALESCE(iu.email, u.email, '')
		FROM audit_subjects s JOIN audit_rows e ON e.stream = s.stream AND e.seq = s.seq
		LEFT JOIN users u ON u.id = e.actor
		LEFT JOIN invitations v ON e.action = 'invitations.accept' AND v.organization = s.stream AND v.accepted_member = s.id
		LEFT JOIN members im ON im.organization = v.organization AND im.id = v.invited_by LEFT JOIN users iu ON iu.id = im.user_id
		WHERE s.stream = $1 AND s.type = 'member' AND s.id IN (`+in+`) AND e.at <= $2 AND e.outcome = 'ok'
			AND (e.action IN ('organizations.create', 'organizations.provision', 'members.add', 'invitations.accept', 'ownership.transfer', 'ownership.accept')
				OR e.action IN ('members.update', 'reviews.complete') AND e.detail LIKE '%"role%')
		ORDER BY s.seq`, append([]any{r.Organization(), v.StartedAt.UnixMicro()}, args...)...)
	_, err = rowsOf(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var member, action, name, email string
		var at int64
		err = rows.Scan(&member, &action, &at, &name, &email)
		items[place[member]].Granted = &Grant{How: ways[action], By: cmp.Or(name, email), At: time.UnixMicro(at).UTC()}
		return none, err
	})
	return err
}
