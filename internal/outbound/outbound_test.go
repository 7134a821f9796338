package outbound_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/outbound"
	"github.com/guildhall/guildhall/internal/testdns"
	"github.com/guildhall/guildhall/internal/testinside"
)

func TestNothingInsideIsReachedHoweverItIsSpelled(t *testing.T) {
	if len(testinside.Spellings) < 80 {
		t.Fatalf("only %d spellings", len(testinside.Spellings))
	}
	port, reached := testinside.Listen(t)
	dns := testdns.Start(t)
	testinside.Names(dns)
	client := outbound.New(outbound.Config{Resolver: dns.Resolver(), Timeout: time.Second})
	inward := 0
	for _, host := range testinside.Spellings {
		_, err := outbound.Get(t.Context(), client, "https://"+host+":"+port+"/", "")
		if err == nil {
			t.Errorf("%s answers", host)
		}
		if errors.Is(err, outbound.ErrInward) {
			inward++
		}
		if n := reached.Swap(0); n != 0 {
			t.Errorf("%s reached this machine %d times: %v", host, n, err)
		}
	}
	if inward < 40 { // the others are names for which there is no address
		t.Errorf("only %d were refused for what they are", inward)
	}
}

func TestWhatIsPublic(t *testing.T) {
	for _, public := range []string{"1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"} {
		if !outbound.Public(netip.MustParseAddr(public)) {
			t.Errorf("%s is public", public)
		}
	}
	for _, not := range []string{"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "::8.8.8.8", "192.0.2.1", "0.1.2.3", "fe80::1%eth0"} {
		if outbound.Public(netip.MustParseAddr(not)) {
			t.Errorf("%s is not public", not)
		}
	}
	if outbound.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// server is one on this machine, which the client may reach at 127.0.0.1 and nowhere else.
func server(t *testing.T, serve http.HandlerFunc, dns *testdns.Server, change func(*outbound.Config)) (*outbound.Client, *httptest.Server) {
	t.Helper()
	s := httptest.NewTLSServer(serve)
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c := outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Roots: roots, Timeout: 2 * time.Second}
	if dns != nil {
		c.Resolver = dns.Resolver()
	}
	if change != nil {
		change(&c)
	}
	return outbound.New(c), s
}

// A name whose address changes between two questions is looked at each time that a connection is made. T-084
func TestANameThatIsBoundAgainIsLookedAtAgain(t *testing.T) {
	dns := testdns.Start(t)
	client, s := server(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }, dns, nil)
	u, _ := url.Parse(s.URL)
	dns.Host("example.com", "127.0.0.1", "127.0.0.2")
	address := "https://example.com:" + u.Port() + "/"
	var refused error
	for range 4 { // the resolver asks for IPv6 addresses too, which takes answers away
		if _, err := outbound.Get(t.Context(), client, address, ""); err != nil {
			refused = err
		}
	}
	if !errors.Is(refused, outbound.ErrInward) || !strings.Contains(refused.Error(), "127.0.0.2") {
		t.Errorf("after the change: %v", refused)
	}
	dns.Host("example.com", "127.0.0.1")
	if _, err := outbound.Get(t.Context(), client, address, ""); err != nil {
		t.Errorf("an allowed address: %v", err)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	other := 0
	client, s := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" {
			other++
		}
		http.Redirect(w, r, "/other", http.StatusFound)
	}, nil, nil)
	if _, err := outbound.Get(t.Context(), client, s.URL+"/", ""); !errors.Is(err, outbound.ErrRedirect) || other != 0 {
		t.Errorf("%v, and the other address was asked %d times", err, other)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"it says how long it is": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "104857600")
			_, _ = w.Write(make([]byte, 4096))
		},
		"it does not": func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
	} {
		client, s := server(t, serve, nil, nil)
		if _, err := outbound.Get(t.Context(), client, s.URL, ""); !errors.Is(err, outbound.ErrTooLarge) {
			t.Errorf("100 MB where %s: %v", name, err)
		}
	}
	client, s := server(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 10)) }, nil, func(c *outbound.Config) { c.MaxBody = 10 })
	if got, err := outbound.Get(t.Context(), client, s.URL, ""); err != nil || len(got) != 10 {
		t.Errorf("exactly as much as may be: %d, %v", len(got), err)
	}
}

func TestASlowAnswerIsGivenUp(t *testing.T) {
	held := make(chan struct{})
	client, s := server(t, func(http.ResponseWriter, *http.Request) { <-held }, nil, func(c *outbound.Config) { c.Timeout = 50 * time.Millisecond })
	defer close(held)
	if _, err := outbound.Get(t.Context(), client, s.URL, ""); err == nil {
		t.Error("it was waited for")
	}
}

func TestOnlyHTTPSIsSpokenAndNoProxyIsAsked(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("https_proxy", "http://127.0.0.1:1")
	client, s := server(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Authorization")) }, nil, nil)
	if got, err := outbound.Get(t.Context(), client, s.URL, "token"); err != nil || string(got) != "Bearer token" {
		t.Errorf("%q, %v", got, err)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for _, address := range []string{plain.URL, "ftp://127.0.0.1/", "file:///etc/passwd", "https://user:secret@" + strings.TrimPrefix(s.URL, "https://")} {
		if _, err := outbound.Get(t.Context(), client, address, ""); !errors.Is(err, outbound.ErrScheme) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := outbound.Get(t.Context(), client, s.URL+"/\x00", ""); err == nil {
		t.Error("what is no address answers")
	}
}
