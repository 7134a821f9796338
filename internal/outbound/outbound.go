// Package outbound makes requests to addresses that somebody else chose, such as an identity provider's or a webhook's, so
// that they cannot be turned inward: whatever a name resolves to, and however an address is spelled, is looked at when the
// connection is made, and anything that is not a public address is refused.
package outbound

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// The errors of a request that is refused. They are found by errors.Is.
var (
	ErrInward   = errors.New("it is no public address")
	ErrScheme   = errors.New("only https is spoken")
	ErrRedirect = errors.New("it leads to another address, which is not followed")
	ErrTooLarge = errors.New("its answer is too large")
)

// Client is what makes the requests. Rooms, which know no HTTP, hand it on.
type Client = http.Client

// Config says what a Client may do.
type Config struct {
	Allow    []netip.Prefix // networks that are reached although they are not public; none: none
	Resolver *net.Resolver  // nil: the system's
	Roots    *x509.CertPool // whose certificates are believed; nil: the system's
	Timeout  time.Duration  // of a whole request with its answer; 0: 10 seconds
	MaxBody  int64          // bytes of an answer; 0: 1 MiB
}

// New makes a client: https only, no redirects, no proxy of the environment, no compressed answers, a limit of time and one
// of bytes. It keeps connections, each of which was looked at when it was made.
func New(c Config) *Client {
	c.Timeout, c.MaxBody = cmp.Or(c.Timeout, 10*time.Second), cmp.Or(c.MaxBody, 1<<20)
	dialer := &net.Dialer{Timeout: c.Timeout, Resolver: c.Resolver, Control: func(_, address string, _ syscall.RawConn) error { return c.check(address) }}
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
		DisableCompression: true, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2, MaxConnsPerHost: 8, IdleConnTimeout: time.Minute,
		TLSHandshakeTimeout: c.Timeout, ResponseHeaderTimeout: c.Timeout, MaxResponseHeaderBytes: 64 << 10,
	}
	return &Client{Timeout: c.Timeout, Transport: bounded{transport, c.MaxBody},
		CheckRedirect: func(*http.Request, []*http.Request) error { return ErrRedirect }}
}

// check refuses an address that a connection is about to be made to.
func (c Config) check(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s: %w", address, ErrInward)
	}
	for _, prefix := range c.Allow {
		if prefix.Contains(at.Addr().Unmap()) {
			return nil
		}
	}
	if !Public(at.Addr()) {
		return fmt.Errorf("%s: %w", at.Addr(), ErrInward)
	}
	return nil
}

// special are the networks within the public ranges that are for something else (IANA's registries of special-purpose
// addresses).
var special = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")

// unicast6 is where the public addresses of IPv6 are. Outside of it are, among others, loopback, link-local and unique local
// addresses, multicast, and those that stand for an address of IPv4.
var unicast6 = netip.MustParsePrefix("2000::/3")

func prefixes(all ...string) (parsed []netip.Prefix) {
	for _, one := range all {
		parsed = append(parsed, netip.MustParsePrefix(one))
	}
	return parsed
}

// Public reports whether an address is one of the public internet.
func Public(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" || !a.Is4() && !unicast6.Contains(a) {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// bounded speaks https alone, and bounds what answers hold.
type bounded struct {
	next http.RoundTripper
	most int64
}

// RoundTrip makes one request.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" || r.URL.User != nil {
		return nil, ErrScheme
	}
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if answer.ContentLength > b.most {
		answer.Body.Close()
		return nil, ErrTooLarge
	}
	answer.Body = &body{answer.Body, b.most}
	return answer, nil
}

// body is an answer that ends with ErrTooLarge where it is longer than left.
type body struct {
	io.ReadCloser
	left int64
}

// Read reads up to one byte more than is left: that one only tells that there are more.
func (b *body) Read(into []byte) (int, error) {
	if int64(len(into)) > b.left+1 {
		into = into[:b.left+1]
	}
	n, err := b.ReadCloser.Read(into)
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// Get reads what stands at an address, with a bearer token if there is one. Any other answer than 200 is an error.
func Get(ctx context.Context, c *Client, address, bearer string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json, */*;q=0.9")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	answer, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", r.URL.Host, answer.Status)
	}
	return io.ReadAll(answer.Body)
}
