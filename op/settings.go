package op

import (
	"net/url"
	"strings"
	"time"
)

// Settings are what the installation's configuration says to the rooms. Fields without a value take the default that
// their comment names.
type Settings struct {
	BaseURL       string        // "https://accounts.example.com", without a slash at the end: every link in a mail begins with it, whatever a request says
	SessionIdle   time.Duration // a session that nobody used for so long has ended; 0: 14 days; negative: no idle limit
	SessionLife   time.Duration // a session ends so long after its sign-in; 0: 30 days
	LinkLife      time.Duration // how long a mailed link or code lives; 0: 15 minutes
	CodeTries     int           // wrong codes before a code is dead; 0: 5
	ResendsPerDay int           // mails for one invitation within a day; 0: 5
	InviterHour   int           // invitation mails by one inviter within an hour; 0: 100
	TenantDay     int           // invitation mails of one organization within a day; 0: 500
	RecoveryWait  time.Duration // how long members can object before the operator's recovery of an owner is carried out; 0: 72 hours
	InvoiceDue    time.Duration // an invoice is to be paid so long after it was issued; 0: 14 days
	UnpaidFor     time.Duration // an organization falls to the first plan so long after an invoice was due; 0: 30 days
	SignInWith    []string      // "google", "github": the providers that anybody may sign in with; guildhall.Open fills it in from its clients there
	ReturnTo      []string      // absolute URLs that a sign-in may lead back to, letter by letter; empty: none but paths of this server
}

// WithDefaults fills in what is not said.
func (s Settings) WithDefaults() Settings {
	s.BaseURL = strings.TrimRight(s.BaseURL, "/")
	s.SessionIdle = or(s.SessionIdle, 14*24*time.Hour)
	s.SessionLife = or(s.SessionLife, 30*24*time.Hour)
	s.LinkLife = or(s.LinkLife, 15*time.Minute)
	s.CodeTries = or(s.CodeTries, 5)
	s.ResendsPerDay = or(s.ResendsPerDay, 5)
	s.InviterHour = or(s.InviterHour, 100)
	s.TenantDay = or(s.TenantDay, 500)
	s.RecoveryWait = or(s.RecoveryWait, 72*time.Hour)
	s.InvoiceDue = or(s.InvoiceDue, 14*24*time.Hour)
	s.UnpaidFor = or(s.UnpaidFor, 30*24*time.Hour)
	return s
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// URL makes an absolute address on this server: of the configured base, never of what a request said.
func (s Settings) URL(path string) string { return s.BaseURL + path }

// Host is the host of the base URL.
func (s Settings) Host() string {
	u, err := url.Parse(s.BaseURL)
	if err != nil {
		return ""
	}
	return u.Host
}
