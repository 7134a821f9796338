package mail

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Line makes what somebody wrote fit for the line of a mail: visible characters only, at most a hundred, and nothing
// that mail programs make a link of.
func Line(s string) string {
	s = strings.Join(strings.Fields(strings.Map(visible, s)), " ")
	if runes := []rune(s); len(runes) > 100 {
		s = strings.TrimRight(string(runes[:100]), " ")
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "://", ": "), "www.", "www ")
}

func visible(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case r == utf8.RuneError || !unicode.IsGraphic(r) || r == '"':
		return -1
	}
	return r
}

// Moment says a time in words, in UTC.
func Moment(at time.Time) string { return at.UTC().Format("2 January 2006 at 15:04 UTC") }

// Deliverable is an address as every mail server takes it: a domain with other letters is written as DNS has it, as in
// the folded form of the address.
func Deliverable(email, folded string) string {
	local, domain, _ := strings.Cut(email, "@")
	for _, r := range domain {
		if r >= utf8.RuneSelf {
			_, ascii, _ := strings.Cut(folded, "@")
			return local + "@" + ascii
		}
	}
	return email
}

// Paragraphs puts texts under each other and leaves out the empty ones.
func Paragraphs(texts ...string) string {
	var kept []string
	for _, text := range texts {
		if text != "" {
			kept = append(kept, text)
		}
	}
	return strings.Join(kept, "\n\n") + "\n"
}
