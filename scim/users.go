package scim

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// person is somebody of a directory, as stored.
type person struct {
	id, user, userName, email, folded string
	active                            bool
	document                          document
	version, created, updated         int64
	groups                            []any
}

const personColumns = "s.id, s.user_id, s.user_name, s.email, s.email_folded, s.active, s.document, s.version, s.created_at, s.updated_at"

func scanPerson(row interface{ Scan(...any) error }) (p person, err error) {
	var text string
	err = row.Scan(&p.id, &p.user, &p.userName, &p.email, &p.folded, &p.active, &text, &p.version, &p.created, &p.updated)
	p.document = parseDocument(text)
	return p, missing(err)
}

func (p person) label() string {
	if name := nameOf(p.document); name != "" {
		return name
	}
	return p.userName
}

// resource is the person as the directory sees them.
func (p person) resource() Resource {
	all := maps.Clone(map[string]any(p.document))
	if p.groups != nil {
		all["groups"] = p.groups
	}
	return Resource{ID: p.id, Type: "User", Attributes: all, Version: p.version,
		CreatedAt: time.UnixMicro(p.created).UTC(), UpdatedAt: time.UnixMicro(p.updated).UTC()}
}

func readUsers(ctx context.Context, r *op.Reader, groups bool, where string, args []any) ([]Resource, error) {
	rows, err := r.Query(ctx, "SELECT "+personColumns+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var people []person
	for rows.Next() {
		p, err := scanPerson(rows)
		if err != nil {
			return nil, err
		}
		people = append(people, p)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if groups {
		if err := withGroups(ctx, r, people); err != nil {
			return nil, err
		}
	}
	all := make([]Resource, len(people))
	for i, p := range people {
		all[i] = p.resource()
	}
	return all, nil
}

// withGroups adds the groups that people are in: one query for all.
func withGroups(ctx context.Context, r *op.Reader, people []person) error {
	if len(people) == 0 {
		return nil
	}
	ids := make([]string, len(people))
	for i, p := range people {
		ids[i] = p.id
	}
	in, args := sqldb.Placeholders(2, ids)
	rows, err := r.Query(ctx, `SELECT gm.directory_user, g.id, g.display FROM directory_group_members gm
		JOIN directory_groups g ON g.organization = gm.organization AND g.id = gm.group_id
		WHERE gm.organization = $1 AND gm.directory_user IN (`+in+") ORDER BY g.id", append([]any{r.Organization()}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var user, group, display string
		if err := rows.Scan(&user, &group, &display); err != nil {
			return err
		}
		i := slices.Index(ids, user)
		people[i].groups = append(people[i].groups, map[string]any{"value": group, "display": display, "type": "direct"})
	}
	return rows.Err()
}

// UserInput names a person of a directory.
type UserInput struct {
	InDirectory
	User string `json:"user" maxLength:"64"`
}

// loaded is what Target found: the person, and the directory.
type loaded struct {
	person
	policy policy
	taken  string // who has the userName that the call wants
}

func (in UserInput) target(ctx context.Context, r *op.Reader) (op.Target, error) {
	p, err := in.own(ctx, r)
	if err != nil {
		return op.Target{}, err
	}
	one, err := scanPerson(r.QueryRow(ctx, "SELECT "+personColumns+" FROM directory_users s WHERE s.organization = $1 AND s.directory = $2 AND s.id = $3",
		r.Organization(), in.Directory, in.User))
	return op.Target{Organization: r.Organization(), Type: "directory_user", ID: one.id, Name: one.label(), Version: one.version,
		Value: loaded{person: one, policy: p}}, err
}

var exampleUser = UserInput{User: "scu_00000000000000000000000000"}

// GetUser shows a person of a directory.
var GetUser = &op.Op[UserInput, Resource]{
	Name:    "scim_users.get",
	Route:   "GET /scim/v2/{directory}/Users/{user}",
	Summary: "Show a person of a directory",
	Allow:   op.ByDirectory,
	Target:  func(ctx context.Context, r *op.Reader, in UserInput) (op.Target, error) { return in.target(ctx, r) },
	Do: func(ctx context.Context, tx *op.Tx, _ UserInput) (Resource, error) {
		return tx.Target().Value.(loaded).withGroups(ctx, tx)
	},
	Example: exampleUser,
}

// CreateUserInput is a person as a directory tells of them.
type CreateUserInput struct {
	InDirectory
	Resource map[string]any `json:"resource"`
}

// CreateUser takes somebody in. Who is active and has a role is a member when it returns.
var CreateUser = &op.Op[CreateUserInput, Resource]{
	Name:    "scim_users.create",
	Route:   "POST /scim/v2/{directory}/Users",
	Summary: "Take in a person of a directory",
	Kind:    op.Access,
	Allow:   op.ByDirectory,
	Target:  createUserTarget,
	Fences:  nobody[CreateUserInput],
	Do:      createUser,
	Example: CreateUserInput{Resource: map[string]any{"userName": "zoe@acme.test"}},
}

// createUserTarget finds who has the userName already. The organization is locked when it is asked again, so nobody takes
// it in between.
func createUserTarget(ctx context.Context, r *op.Reader, in CreateUserInput) (op.Target, error) {
	p, err := in.own(ctx, r)
	if err != nil {
		return op.Target{}, err
	}
	l := loaded{policy: p}
	if sent, err := newDocument(in.Resource); err == nil {
		err := r.QueryRow(ctx, "SELECT s.id FROM directory_users s WHERE s.organization = $1 AND s.directory = $2 AND s.user_name_folded = $3",
			r.Organization(), in.Directory, strings.ToLower(sent.text("userName"))).Scan(&l.taken)
		if err := missing(err); err != nil && err != op.ErrNotFound {
			return op.Target{}, err
		}
	}
	return op.Target{Organization: r.Organization(), Value: l}, nil
}

func createUser(ctx context.Context, tx *op.Tx, in CreateUserInput) (Resource, error) {
	l := tx.Target().Value.(loaded)
	d, err := newDocument(in.Resource)
	if err != nil {
		return Resource{}, err
	}
	if l.taken != "" {
		return Resource{}, nameInUse(d.text("userName"), l.taken)
	}
	if _, said := d["active"]; !said {
		d["active"] = true
	}
	p := person{id: tx.NewID("scu"), document: d, version: 1, created: tx.Micros(), updated: tx.Micros()}
	if err := p.read(); err != nil {
		return Resource{}, err
	}
	tx.Also("directory_user", p.id, p.label())
	if _, err := tx.Exec(ctx, `INSERT INTO directory_users (id, organization, directory, user_id, active, access, user_name, user_name_folded, external_id,
			display_folded, email, email_folded, document, version, created_at, updated_at)
		VALUES ($1, $2, $3, '', $4, FALSE, $5, $6, $7, $8, $9, $10, $11, 1, $12, $12)`, p.id, tx.Organization(), in.Directory, p.active, p.userName,
		strings.ToLower(p.userName), d.text("externalId"), strings.ToLower(d.text("displayName")), p.email, p.folded, d.String(), tx.Micros()); err != nil {
		return Resource{}, err
	}
	return p.resource(), l.policy.settleNow(ctx, tx, []string{p.id}, "")
}

func nameInUse(name, by string) error {
	return &op.Error{Kind: op.Conflict, Code: "uniqueness", Refers: map[string]string{"user": by},
		Text: fmt.Sprintf("userName %q is that of %s already", name, by)}
}

// read takes out of the document what the tables keep apart, and says what is wrong with it.
func (p *person) read() error {
	p.userName = strings.TrimSpace(p.document.text("userName"))
	if p.userName == "" || len(p.userName) > 500 {
		return invalidValue("userName is required, and has at most 500 bytes")
	}
	p.document["userName"] = p.userName
	p.active, _ = p.document["active"].(bool)
	sent := addressOf(p.document)
	address, err := directory.ParseAddress(sent)
	if err != nil {
		return invalidValue("emails needs an address, or userName has to be one: %v", err)
	}
	p.email, p.folded = address.Email, address.Folded
	return nil
}

// addressOf is a person's address: the primary one, else that for work, else the first, else the userName.
func addressOf(d document) string {
	best, rank := d.text("userName"), 0
	for _, one := range values(d["emails"]) {
		value, _ := one["value"].(string)
		kind, _ := one["type"].(string)
		is := 1
		switch {
		case one["primary"] == true:
			is = 3
		case strings.EqualFold(kind, "work"):
			is = 2
		}
		if value != "" && is > rank {
			best, rank = value, is
		}
	}
	return best
}

// ReplaceUserInput is a person as they are to be, all of it.
type ReplaceUserInput struct {
	UserInput
	Resource map[string]any `json:"resource"`
}

// ReplaceUser changes a person to what is sent. Whether somebody is active stays where it is not said.
var ReplaceUser = &op.Op[ReplaceUserInput, Resource]{
	Name:    "scim_users.replace",
	Route:   "PUT /scim/v2/{directory}/Users/{user}",
	Summary: "Replace what a directory says of a person",
	Kind:    op.Access,
	Allow:   op.ByDirectory,
	Target: func(ctx context.Context, r *op.Reader, in ReplaceUserInput) (op.Target, error) {
		return in.target(ctx, r)
	},
	Fences: nobody[ReplaceUserInput],
	Do: func(ctx context.Context, tx *op.Tx, in ReplaceUserInput) (Resource, error) {
		d, err := newDocument(in.Resource)
		if err != nil {
			return Resource{}, err
		}
		was := tx.Target().Value.(loaded)
		for _, name := range []string{"active", "userName"} {
			if _, said := d[name]; !said {
				d[name] = was.document[name]
			}
		}
		return was.become(ctx, tx, d)
	},
	Example: ReplaceUserInput{UserInput: exampleUser, Resource: map[string]any{"userName": "zoe@acme.test", "active": false}},
}

// PatchUserInput is what changes of a person.
type PatchUserInput struct {
	UserInput
	Operations []PatchOperation `json:"operations" maxItems:"1000"`
}

// PatchUser changes parts of a person: all of the operations, or none.
var PatchUser = &op.Op[PatchUserInput, Resource]{
	Name:    "scim_users.patch",
	Route:   "PATCH /scim/v2/{directory}/Users/{user}",
	Summary: "Change parts of what a directory says of a person",
	Kind:    op.Access,
	Allow:   op.ByDirectory,
	Target: func(ctx context.Context, r *op.Reader, in PatchUserInput) (op.Target, error) {
		return in.target(ctx, r)
	},
	Fences: nobody[PatchUserInput],
	Do: func(ctx context.Context, tx *op.Tx, in PatchUserInput) (Resource, error) {
		was := tx.Target().Value.(loaded)
		d := parseDocument(was.document.String())
		for _, o := range in.Operations {
			if err := d.patch(o); err != nil {
				return Resource{}, err
			}
		}
		return was.become(ctx, tx, d)
	},
	Example: PatchUserInput{UserInput: exampleUser, Operations: []PatchOperation{{Op: "replace", Path: "active", Value: false}}},
}

// patch does one operation of a PATCH.
func (d document) patch(o PatchOperation) error {
	verb, err := o.verb()
	if err != nil {
		return err
	}
	if strings.TrimSpace(o.Path) == "" {
		if verb == "remove" {
			return op.Errorf(op.Malformed, "no_target", "remove needs a path")
		}
		object, err := o.object()
		if err != nil {
			return err
		}
		return d.merge(verb, object)
	}
	at, err := parsePath(o.Path)
	switch {
	case err != nil:
		return err
	case !at.extension && slices.Contains(readOnly, at.attribute):
		return op.Errorf(op.Malformed, "mutability", "%s is not yours to change", at.attribute)
	}
	return d.apply(verb, at, o.Value)
}

// become writes what a person is now, and does what follows from it.
func (l loaded) become(ctx context.Context, tx *op.Tx, d document) (Resource, error) {
	if active, ok := d["active"].(bool); !ok {
		d["active"] = l.active
	} else if active != l.active {
		tx.Changed("active", l.active, active)
	}
	was, now := l.person, l.person
	now.document = d
	if err := now.read(); err != nil {
		return Resource{}, err
	}
	if reflect.DeepEqual(map[string]any(was.document), map[string]any(d)) {
		tx.Unchanged()
		return now.withGroups(ctx, tx)
	}
	if err := now.free(ctx, tx, l); err != nil {
		return Resource{}, err
	}
	tx.Changed("attributes", nil, differing(was.document, d))
	now.version, now.updated = was.version+1, tx.Micros()
	if _, err := tx.Exec(ctx, `UPDATE directory_users SET active = $3, user_name = $4, user_name_folded = $5, external_id = $6, display_folded = $7,
			email = $8, email_folded = $9, document = $10, version = $11, updated_at = $12 WHERE organization = $1 AND id = $2`,
		tx.Organization(), now.id, now.active, now.userName, strings.ToLower(now.userName), d.text("externalId"), strings.ToLower(d.text("displayName")),
		now.email, now.folded, d.String(), now.version, now.updated); err != nil {
		return Resource{}, err
	}
	if now.active != was.active {
		if err := l.policy.settleNow(ctx, tx, []string{now.id}, "the directory says that they are not active"); err != nil {
			return Resource{}, err
		}
	}
	return now.withGroups(ctx, tx)
}

func (p person) withGroups(ctx context.Context, tx *op.Tx) (Resource, error) {
	people := []person{p}
	err := withGroups(ctx, tx.Reader, people)
	return people[0].resource(), err
}

// free refuses a userName that somebody else has.
func (p person) free(ctx context.Context, tx *op.Tx, was loaded) error {
	if strings.EqualFold(p.userName, was.userName) {
		return nil
	}
	var taken string
	err := tx.QueryRow(ctx, "SELECT s.id FROM directory_users s WHERE s.organization = $1 AND s.directory = $2 AND s.user_name_folded = $3 AND s.id <> $4",
		tx.Organization(), was.policy.directory, strings.ToLower(p.userName), p.id).Scan(&taken)
	switch err := missing(err); {
	case err == nil:
		return nameInUse(p.userName, taken)
	case err != op.ErrNotFound:
		return err
	}
	return nil
}

// differing are the names of the attributes that are not the same, without their values: they are personal.
func differing(a, b document) []string {
	var names []string
	for _, name := range sortedKeys(a) {
		if !reflect.DeepEqual(a[name], b[name]) {
			names = append(names, name)
		}
	}
	for _, name := range sortedKeys(b) {
		if _, had := a[name]; !had {
			names = append(names, name)
		}
	}
	return names
}

// DeleteUser forgets a person. Their access ends as if they were not active any more, and people look after the member
// from then on.
var DeleteUser = &op.Op[UserInput, Nothing]{
	Name:    "scim_users.delete",
	Route:   "DELETE /scim/v2/{directory}/Users/{user}",
	Summary: "Forget a person of a directory, whose access ends",
	Kind:    op.Access,
	Allow:   op.ByDirectory,
	Target:  func(ctx context.Context, r *op.Reader, in UserInput) (op.Target, error) { return in.target(ctx, r) },
	Fences:  nobody[UserInput],
	Do:      deleteUser,
	Example: exampleUser,
}

func deleteUser(ctx context.Context, tx *op.Tx, in UserInput) (Nothing, error) {
	l := tx.Target().Value.(loaded)
	all, err := standings(ctx, tx.Reader, l.policy, "s.id = $3", in.User)
	if err != nil {
		return Nothing{}, err
	}
	for i := range all {
		all[i].active = false
	}
	out := l.policy.settle(all)
	for _, s := range all {
		if s.manages && len(out.changes)+len(out.leaving) == 0 {
			out.changes = append(out.changes, s.change())
		}
	}
	for i := range out.changes {
		c := &out.changes[i]
		c.Access, c.ByMapping, c.Released = false, false, true
	}
	if err := l.policy.carryOut(ctx, tx, out, "the directory deleted them"); err != nil {
		return Nothing{}, err
	}
	_, err = tx.Exec(ctx, "DELETE FROM directory_users WHERE organization = $1 AND id = $2", tx.Organization(), in.User)
	return Nothing{}, err
}
