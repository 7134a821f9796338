package federation_test

import (
	"crypto/x509"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/outbound"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testinside"
	"github.com/guildhall/guildhall/internal/testoidc"
)

// withOutsider is a hall with a provider at an address of its own, which alone may be reached.
func withOutsider(t *testing.T, test func(i *idp, port string, reached func() int64)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.77:0")
	if err != nil {
		t.Skipf("this machine has one loopback address only: %v", err)
	}
	port, reached := testinside.Listen(t)
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		if db.Dialect() == sqldb.PostgreSQL {
			return // nothing of it is about the database
		}
		h := newHall(t, db, "automation")
		h.Most = 16
		i := &idp{hall: h, Provider: testoidc.On(t, h.Now, l, "example.com")}
		testinside.Names(h.dns)
		h.dns.Host("example.com", "127.0.0.77")
		roots := x509.NewCertPool()
		roots.AddCert(i.Certificate())
		h.providers = federation.NewProviders(outbound.New(outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.77/32")}, Roots: roots,
			Resolver: h.dns.Resolver(), Timeout: 2 * time.Second}), h.Now)
		h.owns("acme.test")
		i.connection = i.creates("viewer")
		i.switchesOn(i.connection)
		test(i, port, func() int64 { return reached.Swap(0) })
	})
}

// Every address that an administrator or a provider can have us call is tried in every spelling. T-084
func TestNoOperationReachesInside(t *testing.T) {
	withOutsider(t, func(i *idp, port string, reached func() int64) {
		for _, host := range testinside.Spellings {
			address := "https://" + host + ":" + port
			c, err := federation.CreateConnection.Call(i.As(i.ada.Token), i.Service, federation.CreateConnectionInput{InOrganization: i.in(), Name: "x", Issuer: address, ClientID: "x", ClientSecret: "x"})
			if err == nil {
				_, err = federation.TestConnection.Call(i.As(i.ada.Token), i.Service, federation.TestConnectionInput{ConnectionInput: i.named(c)})
			}
			if n := reached(); err == nil || n != 0 {
				i.T.Errorf("the issuer %s: %v, it was reached %d times", address, err, n)
			}
			for _, name := range []string{"jwks_uri", "token_endpoint", "userinfo_endpoint"} {
				begun := i.begins("zoe@acme.test")
				q := i.Authorizes(i.T, begun.URL)
				i.After(2 * time.Hour / 100) // so that keys are read again
				i.Set(func() {
					i.About = func(c map[string]any) { c[name] = address + "/x" }
					i.Changes = func(c map[string]any) { c["email"] = nil }
				})
				_, err := i.answers(i.Nobody(), begun, q)
				i.Set(func() { i.About, i.Changes = nil, nil })
				if n := reached(); err == nil || n != 0 {
					i.T.Errorf("%s %s: %v, it was reached %d times", name, address, err, n)
				}
			}
		}
	})
}

// A name that leads to the provider first and inside then is looked at whenever a connection is made. T-084
func TestANameThatIsBoundAgainLeadsNowhere(t *testing.T) {
	withOutsider(t, func(i *idp, port string, reached func() int64) {
		for n := range 4 {
			addresses := append([]string{}, "127.0.0.77", "127.0.0.77", "127.0.0.77", "127.0.0.77")[:n+1]
			i.dns.Host("rebound.example", append(addresses, "127.0.0.1")...)
			begun := i.begins("zoe@acme.test")
			q := i.Authorizes(i.T, begun.URL)
			i.Set(func() {
				i.About = func(c map[string]any) {
					c["jwks_uri"] = strings.Replace("https://rebound.example:PORT/keys", "PORT", port, 1)
				}
			})
			_, err := i.answers(i.Nobody(), begun, q)
			i.Set(func() { i.About = nil })
			if got := reached(); err == nil || got != 0 {
				i.T.Errorf("after %d answers: %v, it was reached %d times", n, err, got)
			}
		}
	})
}
