package console

import (
	"github.com/guildhall/guildhall/signin"
)

func homePages() []page {
	return []page{
		{"GET /{$}", signedIn, showHome},
		{"POST /theme", anybody, chooseTheme},
	}
}

// showHome leads to the only or last organization, else to the choice of one.
func showHome(v *visit) error {
	if v.organization.ID == "" {
		return v.away(v.href("/orgs"))
	}
	return v.away(v.org(""))
}

// chooseTheme keeps the colour mode and goes back.
func chooseTheme(v *visit) error {
	v.remember("theme", v.form.value("theme"))
	return v.away(v.back(v.form.value("here"), v.href("/")))
}

// back is an address that a form asks to go back to, if it is one of ours; else the other one.
func (v *visit) back(to, otherwise string) string {
	if own, ok := signin.ReturnTo(v.settings, to); ok {
		return own
	}
	return otherwise
}
