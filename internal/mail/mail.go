// Package mail sends messages: by SMTP, or into a mailbox in memory that the
// demo shows.
package mail

import (
	"context"
	"fmt"
	netmail "net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Message is a mail to one person.
type Message struct {
	To      string // an address without a name
	Subject string // one line; what would break it is replaced by spaces
	Text    string
	HTML    string // "" for a mail of plain text
}

// Sender delivers a message, or hands it to a server that does. It is safe for
// concurrent use. An error that is Refused is no use to repeat.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// maxSubject is what a subject is cut to, in characters.
const maxSubject = 200

// cleaned returns m as it may be sent: an address that is one, a subject of
// one line. What names and addresses of people bring along (line ends, other
// control characters, marks that turn the direction of text around) is not let
// into a header.
func (m Message) cleaned() (Message, error) {
	if err := checkAddress(m.To); err != nil {
		return Message{}, err
	}
	m.Subject = oneLine(m.Subject)
	return m, nil
}

// checkAddress refuses what is not one bare address.
func checkAddress(s string) error {
	parsed, err := netmail.ParseAddress(s)
	if err != nil || parsed.Address != s || parsed.Name != "" || strings.ContainsFunc(s, unsafeRune) {
		return refused{fmt.Errorf("%q is not an address", s)}
	}
	return nil
}

// oneLine replaces what does not belong in a header by spaces, and joins those.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unsafeRune(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > maxSubject {
		s = string([]rune(s)[:maxSubject-1]) + "…"
	}
	return s
}

// unsafeRune reports control characters, line and paragraph separators, and
// the marks of bidirectional text that let a name rewrite what surrounds it.
func unsafeRune(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || unicode.Is(unicode.Bidi_Control, r)
}

// refused marks an error that will be the same tomorrow.
type refused struct{ error }

// Unwrap returns the error that was marked.
func (r refused) Unwrap() error { return r.error }
