package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one setting: how it is named, what it means, and where its value goes.
type Setting struct {
	Name    string // in the file: "base_url"
	Default string
	Doc     string   // what it says, and what its zero value means
	Choices []string // the only values; nil: any
	Secret  bool     // never printed, and no flag: arguments of a process are there for all to see
	value   func(*Config) any
}

// Env is the setting's name in the environment: "GUILDHALL_BASE_URL".
func (s Setting) Env() string { return envPrefix + strings.ToUpper(s.Name) }

// Flag is the setting's name among arguments, without dashes: "base-url".
func (s Setting) Flag() string { return strings.ReplaceAll(s.Name, "_", "-") }

const envPrefix = "GUILDHALL_"

// Settings are all settings, in the order of the documentation.
func Settings() []Setting {
	return slices.Concat(serving(), limits(), mailing(), money(), providers(), telling())
}

// serving are where the server is, and where its data is.
func serving() []Setting {
	return []Setting{
		{Name: "addr", Default: "127.0.0.1:8080", Doc: "Where to listen: HOST:PORT, or :PORT for every address of the machine.",
			value: func(c *Config) any { return &c.Addr }},
		{Name: "base_url", Doc: "The server's address as browsers and mails see it, such as https://accounts.example.com. Empty: http://localhost and the port of addr.",
			value: func(c *Config) any { return &c.BaseURL }},
		{Name: "data_dir", Default: "data", Doc: "The folder of the database file and the instance secret; made if there is none.",
			value: func(c *Config) any { return &c.DataDir }},
		{Name: "database", Doc: "sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME. Empty: the SQLite file guildhall.db in data_dir.",
			value: func(c *Config) any { return &c.Database }},
		{Name: "secret_file", Doc: "The instance secret, made at the first start; servers on one database share it. Keep it out of the database's backups. Empty: the file secret in data_dir.",
			value: func(c *Config) any { return &c.SecretFile }},
		{Name: "artifacts", Doc: "Where stored files are, with spaces between: an address for all regions, and REGION=ADDRESS for one. Addresses are file:///FOLDER, s3://BUCKET?region=REGION, gs://BUCKET and azblob://CONTAINER; servers on one database share the place. See the page on files. Empty: the folder artifacts in data_dir.",
			value: func(c *Config) any { return &c.Artifacts }},
		{Name: "artifact_max_megabytes", Default: "5120", Doc: "How large one stored file may be, in MiB. 0: 5120.",
			value: func(c *Config) any { return &c.ArtifactMaxMegabytes }},
		{Name: "doctor_files", Default: "0", Doc: "How many of the latest stored files guildhall doctor compares with their bytes. 0: none.",
			value: func(c *Config) any { return &c.DoctorFiles }},
		{Name: "charter", Default: "automation", Doc: "The product's model: automation, gateway, documents, or the path of a charter file.",
			value: func(c *Config) any { return &c.Charter }},
		{Name: "trusted_proxies", Doc: "Networks, parted by commas, whose X-Forwarded-For is believed. Empty: nobody's.",
			value: func(c *Config) any { return &c.TrustedProxies }},
		{Name: "gateways", Doc: "Networks, parted by commas, of the gateways that may ask /forward-auth and ext_authz. Empty: nobody, but this machine where base_url is http://localhost.",
			value: func(c *Config) any { return &c.Gateways }},
		{Name: "envoy_addr", Doc: "Where Envoy's ext_authz is answered over gRPC, on a listener of its own and for the gateways: HOST:PORT. Empty: nowhere; over HTTP it is answered below /ext-authz/.",
			value: func(c *Config) any { return &c.EnvoyAddr }},
		{Name: "peer_addr", Default: "127.0.0.1:0", Doc: "Where this server hears of changes that other servers on the same PostgreSQL make: HOST:PORT, on a network that only they reach. The usual one is enough for one server, and for several on one machine. Empty: nowhere; then every check asks the database.",
			value: func(c *Config) any { return &c.PeerAddr }},
		{Name: "peer_address", Doc: "Where the other servers reach peer_addr. Empty: as peer_addr says.",
			value: func(c *Config) any { return &c.PeerAddress }},
		{Name: "server_name", Doc: "What this server is called in the list of servers. Empty: the machine's name.",
			value: func(c *Config) any { return &c.ServerName }},
		{Name: "canary", Default: "0s", Doc: "How often a key that may nothing is made, shown to every server, revoked, and shown to them again, such as 1m; each time is three lines of the instance's audit log. See guildhall_revocation_violations_total. 0: never.",
			value: func(c *Config) any { return &c.Canary }},
		{Name: "metrics_addr", Doc: "Where metrics for Prometheus are served, on a listener of their own. Empty: nowhere.",
			value: func(c *Config) any { return &c.MetricsAddr }},
	}
}

// limits are how long and how often people may.
func limits() []Setting {
	return []Setting{
		{Name: "session_idle", Default: "336h", Doc: "A session that nobody used for so long has ended. Negative: no idle limit; 0: 336h.",
			value: func(c *Config) any { return &c.SessionIdle }},
		{Name: "session_life", Default: "720h", Doc: "A session ends so long after its sign-in. 0: 720h.",
			value: func(c *Config) any { return &c.SessionLife }},
		{Name: "link_life", Default: "15m", Doc: "How long a mailed link or code lives. 0: 15m.",
			value: func(c *Config) any { return &c.LinkLife }},
		{Name: "code_tries", Default: "5", Doc: "Wrong codes before a code is dead. 0: 5.",
			value: func(c *Config) any { return &c.CodeTries }},
		{Name: "resends_per_day", Default: "5", Doc: "Mails for one invitation within a day. 0: 5.",
			value: func(c *Config) any { return &c.ResendsPerDay }},
		{Name: "invites_per_hour", Default: "100", Doc: "Invitation mails by one inviter within an hour. 0: 100.",
			value: func(c *Config) any { return &c.InvitesPerHour }},
		{Name: "invites_per_day", Default: "500", Doc: "Invitation mails of one organization within a day. 0: 500.",
			value: func(c *Config) any { return &c.InvitesPerDay }},
		{Name: "invoice_due", Default: "336h", Doc: "An invoice is to be paid so long after it was issued. 0: 336h.",
			value: func(c *Config) any { return &c.InvoiceDue }},
		{Name: "unpaid_for", Default: "720h", Doc: "An organization falls to the first plan so long after an invoice was due. 0: 720h.",
			value: func(c *Config) any { return &c.UnpaidFor }},
		{Name: "owner_recovery_wait", Default: "72h", Doc: "How long members can object before an owner recovery that the operator began is carried out. 0: 72h.",
			value: func(c *Config) any { return &c.OwnerRecoveryWait }},
		{Name: "requests_per_second", Default: "100", Doc: "Requests of one credential within a second. 0: no limit.",
			value: func(c *Config) any { return &c.RequestsPerSecond }},
		{Name: "organization_requests_per_second", Default: "500", Doc: "Requests about one organization within a second, whoever sends them. 0: no limit.",
			value: func(c *Config) any { return &c.OrganizationRequestsPerSecond }},
		{Name: "address_requests_per_minute", Default: "6000", Doc: "Requests of one address within a minute, whatever they are. 0: no limit.",
			value: func(c *Config) any { return &c.AddressRequestsPerMinute }},
		{Name: "address_failures_per_minute", Default: "600", Doc: "Requests of one address within a minute that a gateway asks about and whose credential is not good. 0: no limit.",
			value: func(c *Config) any { return &c.AddressFailuresPerMinute }},
		{Name: "return_to", Doc: "Absolute addresses, parted by commas, that a sign-in may lead back to, letter by letter: https, or http on localhost. Empty: only paths of this server.",
			value: func(c *Config) any { return &c.ReturnTo }},
	}
}

// mailing is how mail is sent.
func mailing() []Setting {
	return []Setting{
		{Name: "smtp_host", Doc: "The mail server. Empty: no mail is sent, and what should be is given up after two days.",
			value: func(c *Config) any { return &c.SMTPHost }},
		{Name: "smtp_port", Default: "0", Doc: "Its port. 0: 587, and 465 with smtp_tls: tls.",
			value: func(c *Config) any { return &c.SMTPPort }},
		{Name: "smtp_user", Doc: "Who signs in to it. Empty: nobody.",
			value: func(c *Config) any { return &c.SMTPUser }},
		{Name: "smtp_password", Secret: true, Doc: "The password of smtp_user, in the file or the environment. Empty: see smtp_password_file.",
			value: func(c *Config) any { return &c.SMTPPassword }},
		{Name: "smtp_password_file", Doc: "A file with the password of smtp_user. Empty: see smtp_password.",
			value: func(c *Config) any { return &c.SMTPPasswordFile }},
		{Name: "smtp_from", Doc: "The address that mail comes from. Needed with smtp_host.",
			value: func(c *Config) any { return &c.SMTPFrom }},
		{Name: "smtp_tls", Default: "starttls", Choices: []string{"starttls", "tls", "unencrypted"},
			Doc:   "How the connection to the mail server is encrypted; unencrypted is for a server on this machine.",
			value: func(c *Config) any { return &c.SMTPTLS }},
	}
}

// money is who takes it.
func money() []Setting {
	return []Setting{
		{Name: "stripe_key", Secret: true, Doc: "The secret key of Stripe, sk_... or rk_..., by which Stripe takes the money; in the file or the environment. Empty: see stripe_key_file.",
			value: func(c *Config) any { return &c.StripeKey }},
		{Name: "stripe_key_file", Doc: "A file with it. Empty, and stripe_key too: nobody takes money, and invoices are made here.",
			value: func(c *Config) any { return &c.StripeKeyFile }},
		{Name: "stripe_webhook_secret", Secret: true, Doc: "The signing secret of Stripe's webhook, whsec_...; while one takes the place of another, both with a space between. Needed with stripe_key. Empty: see stripe_webhook_secret_file.",
			value: func(c *Config) any { return &c.StripeWebhookSecret }},
		{Name: "stripe_webhook_secret_file", Doc: "A file with it. Empty: see stripe_webhook_secret.",
			value: func(c *Config) any { return &c.StripeWebhookSecretFile }},
	}
}

// providers are whom sign-ins are asked of, and how they are reached.
func providers() []Setting {
	return []Setting{
		{Name: "google_client_id", Doc: "The client at Google with which anybody may sign in. Empty: nobody signs in with Google.",
			value: func(c *Config) any { return &c.GoogleClientID }},
		{Name: "google_client_secret", Secret: true, Doc: "Its secret, in the file or the environment. Needed with google_client_id. Empty: see google_client_secret_file.",
			value: func(c *Config) any { return &c.GoogleClientSecret }},
		{Name: "google_client_secret_file", Doc: "A file with it. Empty: see google_client_secret.",
			value: func(c *Config) any { return &c.GoogleClientSecretFile }},
		{Name: "google_issuer", Doc: "How Google calls itself; another one is for tests. Empty: https://accounts.google.com.",
			value: func(c *Config) any { return &c.GoogleIssuer }},
		{Name: "github_client_id", Doc: "The OAuth app at GitHub with which anybody may sign in. Empty: nobody signs in with GitHub.",
			value: func(c *Config) any { return &c.GitHubClientID }},
		{Name: "github_client_secret", Secret: true, Doc: "Its secret, in the file or the environment. Needed with github_client_id. Empty: see github_client_secret_file.",
			value: func(c *Config) any { return &c.GitHubClientSecret }},
		{Name: "github_client_secret_file", Doc: "A file with it. Empty: see github_client_secret.",
			value: func(c *Config) any { return &c.GitHubClientSecretFile }},
		{Name: "github_url", Doc: "Where GitHub is: another one is a GitHub Enterprise Server, such as https://github.example.com. Empty: https://github.com.",
			value: func(c *Config) any { return &c.GitHubURL }},
		{Name: "outbound_allow", Doc: "Networks, parted by commas, that identity providers may be in although they are not public, such as 10.20.0.0/16. Whoever sets a provider up can have requests made into them. Empty: public addresses alone.",
			value: func(c *Config) any { return &c.OutboundAllow }},
		{Name: "outbound_ca_file", Doc: "A file of certificates (PEM) that are believed of identity providers, beside the system's. Empty: the system's alone.",
			value: func(c *Config) any { return &c.OutboundCAFile }},
		{Name: "dns_server", Doc: "The DNS server, ADDRESS:PORT, that is asked for the records of domains and the addresses of identity providers. Empty: the system's.",
			value: func(c *Config) any { return &c.DNSServer }},
	}
}

// telling is what the server says of itself.
func telling() []Setting {
	return []Setting{
		{Name: "docs_edit_url", Doc: "Where the pages of /docs are changed, such as https://github.com/guildhall/guildhall/edit/main/docs/{page}; {page} is the file's name. Empty: no link.",
			value: func(c *Config) any { return &c.DocsEditURL }},
		{Name: "log_level", Default: "info", Choices: []string{"debug", "info", "warn", "error"}, Doc: "What is logged: this and all that is worse.",
			value: func(c *Config) any { return &c.LogLevel }},
		{Name: "log_format", Default: "text", Choices: []string{"text", "json"}, Doc: "How a line of the log is written.",
			value: func(c *Config) any { return &c.LogFormat }},
	}
}

// set reads a value into its field.
func (s Setting) set(c *Config, text string) error {
	if s.Choices != nil && !slices.Contains(s.Choices, text) {
		return fmt.Errorf("%s is %q: want %s", s.Name, text, strings.Join(s.Choices, ", "))
	}
	var err error
	switch field := s.value(c).(type) {
	case *string:
		*field = text
	case *time.Duration:
		*field, err = time.ParseDuration(text)
	case *int:
		*field, err = strconv.Atoi(text)
		if *field < 0 {
			err = strconv.ErrRange
		}
	}
	if err != nil {
		return fmt.Errorf("%s is %q: want %s", s.Name, text, s.wants())
	}
	return nil
}

func (s Setting) wants() string {
	if _, ok := s.value(new(Config)).(*time.Duration); ok {
		return "a duration such as 15m or 336h"
	}
	return "a whole number"
}

// show is the value as it may be printed.
func (s Setting) show(c *Config) string {
	var text string
	switch field := s.value(c).(type) {
	case *string:
		text = *field
	case *time.Duration:
		text = shortDuration(*field)
	case *int:
		text = strconv.Itoa(*field)
	}
	if s.Secret && text != "" {
		return "***"
	}
	return withoutPassword(text)
}

// shortDuration is a duration without the zeros that its String ends with: "336h".
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zeros := range []string{"0s", "0m"} {
		if rest := strings.TrimSuffix(text, zeros); rest != "" && strings.HasSuffix(rest, map[string]string{"0s": "m", "0m": "h"}[zeros]) {
			text = rest
		}
	}
	return text
}

// withoutPassword hides the password of an address that has one. An address that does not parse is hidden whole from
// its scheme on: nobody can say where in it a password stands.
func withoutPassword(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || !strings.ContainsAny(rest, "@?") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		return scheme + "://***"
	}
	query := u.Query()
	for _, name := range []string{"password", "sslpassword", "passfile"} {
		if query.Has(name) {
			query.Set(name, "xxxxx")
			u.RawQuery = query.Encode()
		}
	}
	return u.Redacted()
}
