package directory

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// The limits of an address, in bytes (RFC 5321, section 4.5.3.1).
const (
	maxAddress = 254
	maxLocal   = 64
	maxDomain  = 253
	maxLabel   = 63
)

// Address is one e-mail address: as somebody wrote it, and as it is compared.
type Address struct {
	Email  string // as written: what people see, and what mail is sent to
	Folded string // what is compared: two addresses are the same if these are
	Name   string // the name beside it, "Ann" of "Ann <ann@acme.test>"; often empty
}

// ParseAddress reads one address, alone or as "Name <mail>". Its error says what is wrong, in the house's style:
// "ann" is not an address: it has no @.
func ParseAddress(s string) (Address, error) {
	name, email := splitName(strings.Trim(s, " \t\r\n"))
	folded, err := Fold(email)
	if err != nil {
		return Address{}, err
	}
	return Address{Email: email, Folded: folded, Name: cleanName(name)}, nil
}

// splitName takes "Name <mail>" apart; what has another form is all address.
func splitName(s string) (name, email string) {
	open := strings.LastIndexByte(s, '<')
	if open < 0 || !strings.HasSuffix(s, ">") {
		return "", s
	}
	return s[:open], strings.Trim(s[open+1:len(s)-1], " \t")
}

// cleanName makes a name that somebody wrote beside an address fit to be shown: one line, no control and no format
// characters, at most 100 characters.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsGraphic(r) || r == '"':
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > 100 {
		s = strings.TrimRight(string(runes[:100]), " ")
	}
	return s
}

// Fold gives the form of an address that is compared and that is unique: the local part with its ASCII letters in lower
// case and nothing else touched, since only its own server knows what it means; the domain as DNS has it (IDNA, UTS 46).
// Folding a folded address changes nothing.
func Fold(email string) (string, error) {
	local, domain, problem := splitAddress(email)
	if problem == "" {
		problem = localProblem(local)
	}
	if problem == "" {
		domain, problem = foldDomain(domain)
	}
	if problem == "" && len(local)+1+len(domain) > maxAddress {
		problem = fmt.Sprintf("it is longer than %d bytes", maxAddress)
	}
	if problem != "" {
		return "", fmt.Errorf("%s is not an address: %s", quoted(email), problem)
	}
	return lowerASCII(local) + "@" + domain, nil
}

// splitAddress cuts an address at its only @.
func splitAddress(email string) (local, domain, problem string) {
	switch {
	case email == "":
		return "", "", "it is empty"
	case len(email) > maxAddress:
		return "", "", fmt.Sprintf("it is longer than %d bytes", maxAddress)
	case !utf8.ValidString(email):
		return "", "", "it is not UTF-8"
	case strings.HasPrefix(email, `"`):
		return "", "", "a quoted local part is not supported"
	}
	if problem := unseen(email); problem != "" {
		return "", "", problem
	}
	local, domain, found := strings.Cut(email, "@")
	switch {
	case !found:
		return "", "", "it has no @"
	case strings.Contains(domain, "@"):
		return "", "", "it has more than one @"
	case local == "":
		return "", "", "nothing stands before the @"
	case domain == "":
		return "", "", "nothing stands after the @"
	}
	return local, domain, ""
}

// unseen finds characters that people cannot see: spaces, control characters, and those that hide, reverse or join.
func unseen(s string) string {
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			return "it has a space in it"
		case unicode.IsControl(r):
			return "it has a control character in it"
		case !unicode.IsGraphic(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r):
			return "it has an invisible character in it"
		}
	}
	return ""
}

// specials may not stand in a local part without quotes (RFC 5322, section 3.2.3).
const specials = `()<>[]:;@\,"`

func localProblem(local string) string {
	switch {
	case len(local) > maxLocal:
		return fmt.Sprintf("what stands before the @ is longer than %d bytes", maxLocal)
	case strings.ContainsAny(local, specials):
		at := strings.IndexAny(local, specials)
		return fmt.Sprintf("%q may not stand before the @", local[at:at+1])
	case strings.HasPrefix(local, "."), strings.HasSuffix(local, "."), strings.Contains(local, ".."):
		return "dots before the @ have to stand between other characters"
	}
	return ""
}

// foldDomain gives the domain as DNS has it, in ASCII and lower case.
func foldDomain(domain string) (folded, problem string) {
	if strings.HasPrefix(domain, "[") {
		return "", "an address of a machine is no mail domain"
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return "", fmt.Sprintf("%s is not a domain", quoted(domain))
	}
	if _, err := netip.ParseAddr(ascii); err == nil {
		return "", "an address of a machine is no mail domain"
	}
	labels := strings.Split(ascii, ".")
	switch {
	case strings.HasSuffix(ascii, "."):
		return "", "its domain ends with a dot"
	case len(labels) < 2:
		return "", "its domain has no dot"
	case len(ascii) > maxDomain:
		return "", fmt.Sprintf("its domain is longer than %d bytes", maxDomain)
	case strings.Trim(labels[len(labels)-1], "0123456789") == "":
		return "", fmt.Sprintf("%s is not a domain", quoted(domain))
	}
	for _, label := range labels {
		if label == "" || len(label) > maxLabel {
			return "", fmt.Sprintf("%s is not a domain", quoted(domain))
		}
	}
	return ascii, ""
}

// FoldDomain gives a domain as addresses are compared by it: in ASCII and lower case (IDNA, UTS 46). Its error says what is
// wrong, in the house's style.
func FoldDomain(domain string) (string, error) {
	if problem := unseen(domain); problem != "" {
		return "", fmt.Errorf("%s is not a domain: %s", quoted(domain), problem)
	}
	folded, problem := foldDomain(domain)
	if problem = strings.Replace(problem, "its domain ", "it ", 1); problem != "" && !strings.HasSuffix(problem, " is not a domain") {
		problem = quoted(domain) + " is not a domain: " + problem
	}
	if problem != "" {
		return "", errors.New(problem)
	}
	return folded, nil
}

// quoted shows a text in an error, cut where it is long, with what cannot be seen escaped.
func quoted(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:77], "") + "..."
	}
	return fmt.Sprintf("%q", s)
}

// lowerASCII folds the letters A to Z and no others: strings.ToLower makes a k of the Kelvin sign.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// Mask shows as much of an address as its holder needs to know it again: "b••@acme.test".
func Mask(email string) string {
	local, domain, found := strings.Cut(email, "@")
	first, size := utf8.DecodeRuneInString(local)
	if !found || size == 0 {
		return "••"
	}
	return string(first) + "••@" + domain
}

// DomainOf is the part of an address after the @, as addresses are compared; empty for what is no address.
func DomainOf(email string) string {
	folded, err := Fold(email)
	if err != nil {
		return ""
	}
	return domainOf(folded)
}

// domainOf is the part of a folded address after the @.
func domainOf(folded string) string {
	_, domain, _ := strings.Cut(folded, "@")
	return domain
}
