package config

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/outbound"
	"github.com/guildhall/guildhall/internal/secret"
)

// checkSocial wants a client with its secret, or neither, and https.
func (c *Config) checkSocial() error {
	if err := errors.Join(fromFile("google_client_secret", &c.GoogleClientSecret, c.GoogleClientSecretFile),
		fromFile("github_client_secret", &c.GitHubClientSecret, c.GitHubClientSecretFile)); err != nil {
		return err
	}
	c.GoogleIssuer, c.GitHubURL = strings.TrimSuffix(c.GoogleIssuer, "/"), strings.TrimSuffix(c.GitHubURL, "/")
	return errors.Join(checkClient("google", c.GoogleClientID, c.GoogleClientSecret), checkClient("github", c.GitHubClientID, c.GitHubClientSecret),
		checkOrigin("google_issuer", c.GoogleIssuer), checkOrigin("github_url", c.GitHubURL))
}

func checkClient(provider, id, secret string) error {
	if (id == "") != (secret == "") {
		return fmt.Errorf("%[1]s_client_id and %[1]s_client_secret: give both, or neither", provider)
	}
	return nil
}

func checkOrigin(setting, address string) error {
	u, err := url.Parse(address)
	if address != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		return fmt.Errorf("%s %q is not an address such as https://github.example.com", setting, address)
	}
	return nil
}

// Social are the clients at the providers that anybody may sign in with.
func (c *Config) Social() federation.Social {
	return federation.Social{Google: federation.SocialClient{ID: c.GoogleClientID, Secret: secret.Hide(c.GoogleClientSecret), URL: c.GoogleIssuer},
		GitHub: federation.SocialClient{ID: c.GitHubClientID, Secret: secret.Hide(c.GitHubClientSecret), URL: c.GitHubURL}}
}

func (c *Config) checkOutbound() error {
	_, err := c.outbound()
	return err
}

// outbound is what may be reached beyond this machine.
func (c *Config) outbound() (outbound.Config, error) {
	out := outbound.Config{Resolver: c.resolver()}
	if at, err := netip.ParseAddrPort(c.DNSServer); c.DNSServer != "" && (err != nil || at.Port() == 0) {
		return out, fmt.Errorf("dns_server %q is not ADDRESS:PORT, such as 10.0.0.2:53", c.DNSServer)
	}
	var err error
	if out.Allow, err = networks("outbound_allow", c.OutboundAllow); err != nil || c.OutboundCAFile == "" {
		return out, err
	}
	pem, err := os.ReadFile(c.OutboundCAFile)
	if err != nil {
		return out, fmt.Errorf("outbound_ca_file: %w", err)
	}
	if out.Roots, err = x509.SystemCertPool(); err != nil {
		out.Roots = x509.NewCertPool()
	}
	if !out.Roots.AppendCertsFromPEM(pem) {
		return out, fmt.Errorf("outbound_ca_file %s holds no certificate in PEM", c.OutboundCAFile)
	}
	return out, nil
}

// Outbound reaches identity providers: at public addresses and those that are allowed, and at no others.
func (c *Config) Outbound() *outbound.Client {
	out, _ := c.outbound() // finish has looked at it
	return outbound.New(out)
}

// Resolver asks the DNS server that is named; nil: the system's.
func (c *Config) Resolver() federation.Resolver {
	if c.DNSServer == "" {
		return nil
	}
	return c.resolver()
}

func (c *Config) resolver() *net.Resolver {
	if c.DNSServer == "" {
		return nil
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, c.DNSServer)
	}}
}
