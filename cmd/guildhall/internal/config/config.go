// Package config is the configuration of `guildhall serve`: a YAML file, the environment and flags, of which the later
// ones win. One table says every setting once; reading, printing and documentation are loops over it.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/guildhall/guildhall/billing/stripe"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// Config is what the settings say. Settings says what the zero value of each field means.
type Config struct {
	Addr, BaseURL, MetricsAddr, TrustedProxies string
	PeerAddr, PeerAddress, ServerName          string
	Gateways, EnvoyAddr                        string
	DataDir, Database, SecretFile, Charter     string
	Artifacts                                  string
	ArtifactMaxMegabytes, DoctorFiles          int
	SessionIdle, SessionLife, LinkLife         time.Duration
	InvoiceDue, UnpaidFor, OwnerRecoveryWait   time.Duration
	Canary                                     time.Duration
	CodeTries, ResendsPerDay, InvitesPerHour   int
	InvitesPerDay, RequestsPerSecond           int
	OrganizationRequestsPerSecond              int
	AddressRequestsPerMinute                   int
	AddressFailuresPerMinute                   int
	ReturnTo                                   string
	SMTPHost, SMTPUser, SMTPPassword, SMTPFrom string
	SMTPPort                                   int
	SMTPPasswordFile, SMTPTLS                  string
	StripeKey, StripeKeyFile                   string
	StripeWebhookSecret                        string
	StripeWebhookSecretFile                    string
	GoogleClientID, GoogleClientSecret         string
	GoogleClientSecretFile, GoogleIssuer       string
	GitHubClientID, GitHubClientSecret         string
	GitHubClientSecretFile, GitHubURL          string
	OutboundAllow, OutboundCAFile, DNSServer   string
	DocsEditURL                                string
	LogLevel, LogFormat                        string
}

// finish fills in what follows from other settings, and checks what they say together.
func (c *Config) finish() error {
	c.Database = cmp.Or(c.Database, "sqlite:"+filepath.Join(c.DataDir, "guildhall.db"))
	c.SecretFile = cmp.Or(c.SecretFile, filepath.Join(c.DataDir, "secret"))
	c.Artifacts = cmp.Or(c.Artifacts, folderURL(filepath.Join(c.DataDir, "artifacts")))
	_, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return fmt.Errorf("addr %q is not HOST:PORT or :PORT", c.Addr)
	}
	c.BaseURL = strings.TrimRight(cmp.Or(c.BaseURL, "http://localhost:"+port), "/")
	_, badProxy := c.Proxies()
	_, badGateway := c.GatewayNetworks()
	return errors.Join(checkPeers(c.PeerAddr, c.PeerAddress), checkCanary(c.Canary), badProxy, badGateway, checkBaseURL(c.BaseURL), checkEditURL(c.DocsEditURL), c.checkReturnTo(), c.checkMail(), c.checkStripe(), c.checkSocial(), c.checkOutbound())
}

// checkCanary wants time between two rounds.
func checkCanary(every time.Duration) error {
	if every != 0 && every < time.Second {
		return fmt.Errorf("canary %s is less than a second: 1m is often enough; 0 turns it off", every)
	}
	return nil
}

// checkPeers wants places that others can be reached at.
func checkPeers(listen, reached string) error {
	var errs []error
	for name, address := range map[string]string{"peer_addr": listen, "peer_address": reached} {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			errs = append(errs, fmt.Errorf("%s %q is not HOST:PORT", name, address))
		}
	}
	if host, _, _ := net.SplitHostPort(listen); listen != "" && reached == "" && (host == "" || host == "0.0.0.0" || host == "::") {
		errs = append(errs, fmt.Errorf("peer_addr %q is every address of the machine: say with peer_address where the other servers reach it", listen))
	}
	return errors.Join(errs...)
}

// folderURL is a folder as the address of a bucket.
func folderURL(folder string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(folder)}
	if !filepath.IsAbs(folder) {
		u.Host, u.Path = ".", "/"+u.Path
	}
	return u.String()
}

// checkReturnTo wants whole addresses: people are handed to a product by their letters.
func (c *Config) checkReturnTo() error {
	var errs []error
	for _, address := range words(c.ReturnTo) {
		errs = append(errs, signin.CheckReturnTo(address))
	}
	return errors.Join(errs...)
}

// checkEditURL wants an address of the web with a place for the page in it.
func checkEditURL(address string) error {
	u, err := url.Parse(strings.ReplaceAll(address, "{page}", "index.md"))
	if address != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || !strings.Contains(address, "{page}")) {
		return fmt.Errorf("docs_edit_url %q is not an address such as https://example.com/edit/docs/{page}", address)
	}
	return nil
}

// checkBaseURL wants https anywhere but on this machine: without it, browsers do not keep the session's cookie.
func checkBaseURL(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("base_url %q is not an address such as https://accounts.example.com", base)
	}
	if u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("base_url %q has more than scheme, host and port", base)
	}
	address, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !address.IsLoopback()) {
		return fmt.Errorf("base_url %q: http is for localhost only; browsers keep a session on https alone", base)
	}
	return nil
}

func (c *Config) checkMail() error {
	if err := fromFile("smtp_password", &c.SMTPPassword, c.SMTPPasswordFile); err != nil {
		return err
	}
	if c.SMTPHost == "" {
		return nil
	}
	if c.SMTPFrom == "" {
		return errors.New("smtp_host is set and smtp_from is not: say whom the mail comes from")
	}
	return c.smtp().Check()
}

// fromFile reads a secret from the file that another setting names, unless it is given itself.
func fromFile(name string, value *string, path string) error {
	if path == "" {
		return nil
	}
	if *value != "" {
		return fmt.Errorf("%s and %s_file are both set: give one", name, name)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s_file: %w", name, err)
	}
	*value = strings.TrimRight(string(text), "\r\n")
	return nil
}

// checkStripe wants a secret key and the secrets of the webhook, or neither.
func (c *Config) checkStripe() error {
	if err := errors.Join(fromFile("stripe_key", &c.StripeKey, c.StripeKeyFile),
		fromFile("stripe_webhook_secret", &c.StripeWebhookSecret, c.StripeWebhookSecretFile)); err != nil {
		return err
	}
	if c.StripeKey == "" && c.StripeWebhookSecret == "" {
		return nil
	}
	return c.Stripe().Check()
}

// Stripe is the configuration of the payment provider Stripe; without a key there is none.
func (c *Config) Stripe() stripe.Config {
	return stripe.Config{Key: c.StripeKey, WebhookSecrets: strings.FieldsFunc(c.StripeWebhookSecret, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' })}
}

// Mail is what sends mail; nil where no mail server is configured.
func (c *Config) Mail() mail.Sender {
	if c.SMTPHost == "" {
		return nil
	}
	return c.smtp()
}

func (c *Config) smtp() *mail.SMTP {
	return &mail.SMTP{Host: c.SMTPHost, Port: c.SMTPPort, User: c.SMTPUser, Password: secret.Hide(c.SMTPPassword),
		TLS: mail.TLSPolicy(c.SMTPTLS), FromAddress: c.SMTPFrom}
}

// Proxies are the networks of trusted_proxies.
func (c *Config) Proxies() ([]netip.Prefix, error) {
	return networks("trusted_proxies", c.TrustedProxies)
}

// GatewayNetworks are the networks of gateways: without any, this machine itself where nobody else reaches the server.
func (c *Config) GatewayNetworks() ([]netip.Prefix, error) {
	if u, err := url.Parse(c.BaseURL); c.Gateways == "" && err == nil && u.Scheme == "http" {
		return Loopback(), nil // checkBaseURL wants https for all but this machine
	}
	return networks("gateways", c.Gateways)
}

// Loopback are the networks of this machine itself.
func Loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// networks reads a setting that lists networks or single addresses.
func networks(setting, list string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range words(list) {
		prefix, err := netip.ParsePrefix(text)
		if address, notPrefix := netip.ParseAddr(text); err != nil && notPrefix == nil {
			prefix, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not a network such as 10.0.0.0/8", setting, text)
		}
		all = append(all, prefix)
	}
	return all, nil
}

// OpSettings are the settings that the rooms read.
func (c *Config) OpSettings() op.Settings {
	return op.Settings{BaseURL: c.BaseURL, SessionIdle: c.SessionIdle, SessionLife: c.SessionLife, LinkLife: c.LinkLife,
		CodeTries: c.CodeTries, ResendsPerDay: c.ResendsPerDay, InviterHour: c.InvitesPerHour, TenantDay: c.InvitesPerDay,
		InvoiceDue: c.InvoiceDue, UnpaidFor: c.UnpaidFor, RecoveryWait: c.OwnerRecoveryWait, ReturnTo: words(c.ReturnTo)}
}

// Limits are the rate limits of all operations.
func (c *Config) Limits() op.Limits {
	return op.Limits{PerAddress: op.RateLimit{Times: c.AddressRequestsPerMinute, Per: time.Minute},
		PerCredential:   op.RateLimit{Times: c.RequestsPerSecond, Per: time.Second},
		PerOrganization: op.RateLimit{Times: c.OrganizationRequestsPerSecond, Per: time.Second},
		Failures:        op.RateLimit{Times: c.AddressFailuresPerMinute, Per: time.Minute}}
}

// words are the items of a list, which are parted by commas or spaces.
func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
