package directory

import (
	"context"
	"html"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// post puts the invitation's mail into the outbox and gives the job's id. The link is made of the configured address
// alone, and everything that people wrote is one line of visible text, or quoted.
func (i *invitationRow) post(tx *op.Tx, organization string, token secret.Text) string {
	l := i.letter(tx.Reader, organization, tx.Settings.URL("/i/"+token.Reveal()))
	payload, err := json.Marshal(l)
	if err != nil {
		panic("invitation mail: " + err.Error()) // strings of valid UTF-8 always marshal
	}
	return tx.Send("mail", payload)
}

func (i *invitationRow) letter(r *op.Reader, organization, link string) mail.Message {
	inviter, product, role := mail.Line(i.inviterName(r)), mail.Line(r.Charter.Product), i.named.label(r.Charter)
	organization = mail.Line(organization)
	lead := inviter + " invites you to join “" + organization + "” on " + product + " as " + role + "."
	expiry := "The invitation is for " + i.email + " and expires on " + inWords(i.expiresAt) + "."
	after := ""
	if i.endsAt != 0 {
		after = "The membership would end on " + inWords(i.endsAt) + "."
	}
	const unwanted = "If you do not know what this is about, ignore this mail: nothing happens."
	return mail.Message{
		To:      mail.Deliverable(i.mailedTo, i.folded),
		Subject: inviter + " invites you to “" + organization + "”",
		Text:    mail.Paragraphs(lead, quote(inviter, i.message), "Accept or decline:\n"+link, expiry, after, readOn(r), unwanted),
		HTML:    i.html(lead, inviter, link, expiry, after, readOn(r), unwanted),
	}
}

func (i *invitationRow) html(lead, inviter, link, expiry, after, more, unwanted string) string {
	var b strings.Builder
	paragraph := func(text string) {
		if text != "" {
			b.WriteString("<p>" + html.EscapeString(text) + "</p>\n")
		}
	}
	b.WriteString("<!doctype html>\n<html lang=\"en\"><body>\n")
	paragraph(lead)
	if i.message != "" {
		paragraph(inviter + " writes:")
		b.WriteString("<blockquote style=\"white-space: pre-line\">" + html.EscapeString(i.message) + "</blockquote>\n")
	}
	b.WriteString("<p><a href=\"" + html.EscapeString(link) + "\">Accept or decline</a></p>\n")
	paragraph(expiry)
	paragraph(after)
	paragraph(more)
	paragraph(unwanted)
	b.WriteString("</body></html>\n")
	return b.String()
}

// readOn says where the product is described, where its charter does; empty: nowhere. The address is the charter's own.
func readOn(r *op.Reader) string {
	if documentation := r.Charter.Links["documentation"]; documentation != "" {
		return "What it is: " + documentation
	}
	return ""
}

// quote shows what somebody wrote as theirs, line by line.
func quote(writer, message string) string {
	if message == "" {
		return ""
	}
	return writer + " writes:\n> " + strings.ReplaceAll(message, "\n", "\n> ")
}

func inWords(micros int64) string { return mail.Moment(time.UnixMicro(micros)) }

// checkMessage says what is wrong with an inviter's words: they are lines of visible text.
func checkMessage(message string) []op.FieldError {
	for _, r := range cleanMessage(message) {
		if r != '\n' && r != '\t' && (r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return []op.FieldError{{Pointer: "/message", Code: "invalid", Detail: "the message has control characters in it: leave them out"}}
		}
	}
	return nil
}

func cleanMessage(message string) string {
	return strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(message))
}

// MarkDelivery notes what became of a mail, by the id of its job: with a nil error it was handed over. A job that is no
// invitation's, or no longer its last one, changes nothing. A mail that fails never loses an invitation.
func MarkDelivery(ctx context.Context, db *sqldb.DB, job string, failure error) error {
	delivery, reason := "sent", ""
	if failure != nil {
		delivery, reason = "failed", cut(cleanName(failure.Error()), 300)
	}
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE invitations SET delivery = $2, delivery_error = $3 WHERE mail = $1", job, delivery, reason)
		return err
	})
}
