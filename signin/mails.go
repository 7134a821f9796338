package signin

import (
	"fmt"
	"html"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/op"
)

// letter is a mail as its sentences, and at most one code and one link. Nothing in it comes from a stranger.
type letter struct {
	subject string
	before  []string
	code    string
	link    string
	after   []string
}

// proofLetter has the link and, unless too many wrong codes were tried, the code.
func proofLetter(tx *op.Tx, purpose, link, code string) letter {
	product := tx.Charter.Product
	l := letter{subject: "Sign in to " + product, link: link, code: code}
	path := "Open this link to sign in to " + product + "."
	if purpose == purposeVerify {
		l.subject = "Verify that it is you, for " + product
		path = "Open this link to verify that it is you, for " + product + "."
	}
	l.before = []string{path}
	if code != "" {
		l.before = []string{path + " Or type this code where you asked for it."}
	}
	l.after = []string{fmt.Sprintf("It works once, for %s.", inWords(tx.Settings.LinkLife)),
		"If you did not ask for this, ignore this mail: without it nobody gets in. Tell the code to nobody."}
	return l
}

// unknownLetter goes to an address without an account, where only the product makes them.
func unknownLetter(tx *op.Tx) letter {
	product := tx.Charter.Product
	return letter{subject: "No account at " + product, before: []string{
		"Somebody, probably you, asked to sign in to " + product + " with this address. There is no account for it, and no invitation is waiting.",
		"Ask whoever uses " + product + " with you to invite this address, or sign in with another one.",
		"If you did not ask for this, ignore this mail.",
	}}
}

// noticeLetter tells a person what was changed about how they sign in, and what to do if it was not them.
func noticeLetter(tx *op.Tx, subject, happened string) letter {
	return letter{subject: subject, before: []string{happened},
		link:  tx.Settings.URL("/account/passkeys"),
		after: []string{"If this was not you, end your sessions there, remove what you do not know, and tell whoever runs " + tx.Charter.Product + "."}}
}

// passkeyLetter is the notice about a passkey that was added or removed.
func passkeyLetter(tx *op.Tx, subject, happened string) letter {
	return noticeLetter(tx, subject+tx.Charter.Product, happened)
}

// copiedLetter warns of a passkey whose counter went back.
func copiedLetter(tx *op.Tx, name string) letter {
	return noticeLetter(tx, "A passkey of yours was refused at "+tx.Charter.Product,
		"The passkey "+name+" was refused, because its counter went back: there may be a copy of it. Remove it, and add a new one.")
}

// inWords writes a duration for people: "15 minutes".
func inWords(d time.Duration) string {
	if d == time.Minute {
		return "1 minute"
	}
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.String()
}

// send puts the letter into the outbox.
func (l letter) send(tx *op.Tx, to string) error {
	raw, err := json.Marshal(mail.Message{To: to, Subject: l.subject, Text: l.text(), HTML: l.html()})
	if err != nil {
		return err
	}
	tx.Send("mail", raw)
	return nil
}

func (l letter) text() string {
	parts := append([]string{}, l.before...)
	if l.link != "" {
		parts = append(parts, l.link)
	}
	if l.code != "" {
		parts = append(parts, l.code)
	}
	return strings.Join(append(parts, l.after...), "\n\n") + "\n"
}

func (l letter) html() string {
	var b strings.Builder
	paragraph := func(inner string) { b.WriteString("<p>" + inner + "</p>\n") }
	for _, s := range l.before {
		paragraph(html.EscapeString(s))
	}
	if l.link != "" {
		paragraph(`<a href="` + html.EscapeString(l.link) + `">` + html.EscapeString(l.link) + `</a>`)
	}
	if l.code != "" {
		paragraph(`<strong style="font-size:1.5em;letter-spacing:.15em">` + html.EscapeString(l.code) + `</strong>`)
	}
	for _, s := range l.after {
		paragraph(html.EscapeString(s))
	}
	return b.String()
}
