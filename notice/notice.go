// Package notice mails the people of an organization what they must not miss: that there is another owner, that the
// organization is to be deleted, that a setting of its security is another one.
//
// A mail says what happened, who did it, when and from where, and where to look. It goes to everybody whom it concerns
// and not to whoever did it alone: a thief who acts in somebody's name cannot keep it from the others.
package notice

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/op"
)

// Kind is the kind of a notice's job in the outbox; its payload is a mail.Message.
const Kind = "notice"

// Notice is what happened in an organization.
type Notice struct {
	Subject string // in a few words, without the organization's name: "Bo Berg is an owner now"
	Text    string // in whole sentences. Who, when and from where is added: it need not say so
	Path    string // where to look, below the organization's address: "/settings/general"; empty: the audit log
	Also    []Person
	Always  bool // is mailed however many notices the organization had today
}

// Person is somebody who is told although the rule leaves them out: a former owner.
type Person struct{ Email, Folded string }

// PerDay is how many notices an organization's owners get in a day, of those that are not Always: whoever could send
// them more could bury the one that counts. The log has them all.
const PerDay = 100

// TellOwners mails a notice to every active owner of the call's organization, as they are at this point of the
// transaction. It takes one statement, and one more for the outbox where the call sends nothing else.
func TellOwners(ctx context.Context, tx *op.Tx, n Notice) error {
	return TellOwnersOf(ctx, tx, tx.Organization(), n)
}

// TellOwnersOf is TellOwners for an organization that the call concerns and is not about.
func TellOwnersOf(ctx context.Context, tx *op.Tx, organization string, n Notice) error {
	to, err := readers(ctx, tx.Reader, organization, "AND m.role = $4", string(tx.Charter.OwnerRole().ID))
	if err != nil {
		return err
	}
	to.send(tx, n)
	return nil
}

// TellMembers mails a notice to every active member of the call's organization, and says to how many. It is for what
// each of them has to be able to object to, and has no limit.
func TellMembers(ctx context.Context, tx *op.Tx, n Notice) (int, error) {
	n.Always = true
	to, err := readers(ctx, tx.Reader, tx.Organization(), "")
	if err != nil {
		return 0, err
	}
	return to.send(tx, n), nil
}

// TellRoles mails a notice to every active member of the call's organization with one of some roles, and says to how many.
func TellRoles(ctx context.Context, tx *op.Tx, roles []string, n Notice) (int, error) {
	in, args := "", make([]any, len(roles))
	for i, role := range roles {
		in += ", $" + strconv.Itoa(i+4)
		args[i] = role
	}
	to, err := readers(ctx, tx.Reader, tx.Organization(), "AND m.role IN ("+strings.TrimPrefix(in, ", ")+")", args...)
	if err != nil {
		return 0, err
	}
	return to.send(tx, n), nil
}

// audience is who is told, and about which organization.
type audience struct {
	slug, name string
	people     []Person
	today      int // notices that the organization had today, counted by mails
}

// readers reads the active members of an organization that a condition leaves. Without any there is no name of
// the organization either, and nobody to read it.
func readers(ctx context.Context, r *op.Reader, organization, only string, args ...any) (audience, error) {
	var a audience
	rows, err := r.Query(ctx, `SELECT o.slug, o.name, u.email, u.email_folded,
			(SELECT count(*) FROM outbox x WHERE x.organization = $1 AND x.kind = '`+Kind+`' AND x.created_at >= $3)
		FROM organizations o JOIN members m ON m.organization = o.id AND m.status = 'active' AND (m.ends_at = 0 OR m.ends_at > $2)
		JOIN users u ON u.id = m.user_id AND u.deleted_at = 0
		WHERE o.id = $1 `+only+` ORDER BY m.id`, append([]any{organization, r.Micros(), r.Now.UTC().Truncate(24 * time.Hour).UnixMicro()}, args...)...)
	if err != nil {
		return a, err
	}
	defer rows.Close()
	for rows.Next() {
		var p Person
		if err := rows.Scan(&a.slug, &a.name, &p.Email, &p.Folded, &a.today); err != nil {
			return a, err
		}
		a.people = append(a.people, p)
	}
	return a, rows.Err()
}

// send puts one mail for each address into the outbox, and says how many.
func (a audience) send(tx *op.Tx, n Notice) int {
	people := slices.Concat(a.people, n.Also)
	if len(a.people) == 0 || !n.Always && a.today >= PerDay*len(a.people) {
		return 0
	}
	told := map[string]bool{}
	for _, p := range people {
		if p.Email == "" || told[p.Folded] { // the product makes users without an address
			continue
		}
		told[p.Folded] = true
		Mail(tx, mail.Message{To: mail.Deliverable(p.Email, p.Folded), Subject: "“" + mail.Line(a.name) + "”: " + n.Subject, Text: a.text(tx, n)})
	}
	return len(told)
}

// text is the mail's.
func (a audience) text(tx *op.Tx, n Notice) string {
	path := n.Path
	if path == "" {
		path = "/settings/audit-log"
	}
	return mail.Paragraphs(n.Text, facts(tx.Reader), "If you did not expect this, look here:\n"+tx.Settings.URL("/o/"+a.slug+path),
		"You get this mail because you belong to “"+mail.Line(a.name)+"” on "+mail.Line(tx.Charter.Product)+".")
}

// facts say who did it, when and from where.
func facts(r *op.Reader) string {
	text := "Who: " + Who(r.Actor) + "\nWhen: " + mail.Moment(r.Now)
	if r.Caller.Address != "" {
		text += "\nFrom: " + r.Caller.Address
		if agent := mail.Line(r.Caller.Agent); agent != "" {
			text += ", " + agent
		}
	}
	return text
}

// Who says who acts, as people call them.
func Who(a *op.Actor) string {
	name := mail.Line(a.Name)
	switch a.Kind {
	case op.OperatorActor:
		return "the operator of this installation"
	case op.SystemActor:
		return "Guildhall itself (" + a.ID + ")"
	case op.ServiceActor:
		return "the product, by the service key " + strconv.Quote(name)
	case op.KeyActor, op.TokenActor:
		return "the " + string(a.Kind) + " " + strconv.Quote(name)
	case op.NobodyActor:
		return "somebody who was not signed in"
	}
	if name == "" {
		return a.Email
	}
	return name + " (" + a.Email + ")"
}

// Mail puts a message into the outbox as a notice: it is delivered like any other mail, and counts as one.
func Mail(tx *op.Tx, m mail.Message) {
	raw, err := json.Marshal(m)
	if err != nil {
		panic("notice: " + err.Error()) // four strings always marshal
	}
	tx.Send(Kind, raw)
}
