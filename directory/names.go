package directory

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// cleanDisplay is a name as it is stored: NFC, without space at the ends.
func cleanDisplay(s string) string { return norm.NFC.String(strings.TrimSpace(s)) }

// checkDisplay says what is wrong with a name that people will see: control and format characters could hide or turn
// text around, and a name that is only such characters is none.
func checkDisplay(field, s string, least int) []op.FieldError {
	s = cleanDisplay(s)
	for _, r := range s {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs) {
			return []op.FieldError{{Pointer: "/" + field, Code: "invalid", Detail: fmt.Sprintf("%s has the invisible character %U: leave it out", field, r)}}
		}
	}
	if utf8.RuneCountInString(s) < least {
		return []op.FieldError{{Pointer: "/" + field, Code: "required", Detail: field + " is empty"}}
	}
	return nil
}

func checkTimeZone(name string) []op.FieldError {
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		return []op.FieldError{{Pointer: "/time_zone", Code: "invalid", Detail: fmt.Sprintf("%q is not an IANA time zone such as Europe/Berlin or UTC", name)}}
	}
	return nil
}

// slugForm is the grammar of slugs: ASCII only, so that no two look alike.
var slugForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// reservedSlugs would read as pages of the product or of its operator.
var reservedSlugs = []string{"about", "access", "account", "admin", "api", "app", "assets", "auth", "billing", "console", "dev", "docs", "ext-authz",
	"forward-auth", "guildhall", "healthz", "help", "login", "logout", "me", "metrics", "new", "openapi", "orgs", "organizations",
	"palette", "pricing", "readyz", "root", "security", "settings", "sign-in", "signin", "start", "static", "status", "support",
	"system", "v1", "verify", "well-known", "www"}

const (
	minSlug = 2
	maxSlug = 40
)

// checkSlug says what is wrong with a slug.
func checkSlug(s string) []op.FieldError {
	detail := ""
	switch {
	case len(s) < minSlug || len(s) > maxSlug:
		detail = fmt.Sprintf("the slug has to have %d to %d characters", minSlug, maxSlug)
	case !slugForm.MatchString(s):
		detail = fmt.Sprintf("the slug %q has to be lower-case letters a to z, digits and single hyphens between them", s)
	case slices.Contains(reservedSlugs, s):
		detail = fmt.Sprintf("the slug %q is reserved", s)
	default:
		return nil
	}
	return []op.FieldError{{Pointer: "/slug", Code: "invalid", Detail: detail}}
}

// suggestSlug makes a slug of a name: its ASCII letters and digits. It is empty where nothing of the name can stay.
func suggestSlug(name string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(name)) {
		switch {
		case r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r):
		default:
			b.WriteByte('-')
		}
	}
	parts := strings.FieldsFunc(b.String(), func(r rune) bool { return r == '-' })
	slug := strings.Join(parts, "-")
	if len(slug) > maxSlug-5 {
		slug = strings.Trim(slug[:maxSlug-5], "-")
	}
	if len(checkSlug(slug)) > 0 {
		return ""
	}
	return slug
}

// titleOf is a role's title; a role that the charter no longer has keeps its id.
func titleOf(c *charter.Charter, id string) string {
	if role, ok := c.Role(charter.RoleID(id)); ok {
		return role.Title
	}
	return id
}
