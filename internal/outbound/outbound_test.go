package outbound_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/outbound"
	"github.com/guildhall/guildhall/internal/testdns"
)

// inside are 80 ways to write an address that nobody outside may make us call. T-084
var inside = []string{
	"127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7f.0x0.0x0.0x1", "0x7f.1", "017700000001", "0177.0.0.1",
	"0177.0.0.01", "00000177.0.0.1", "127.0.0.1.", "127.000.000.001", "localhost", "LOCALHOST", "localhost.", "ip6-localhost", "foo.localhost", "①②⑦.⓪.⓪.①",
	"127。0。0。1", "127．0．0．1", "0", "0.0.0.0", "0.0.0.1", "0x0", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[0000::1]", "[::0001]", "[::ffff:127.0.0.1]",
	"[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::ffff:0:127.0.0.1]", "[::127.0.0.1]", "[::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]",
	"[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%25lo]", "[fec0::1]", "[fc00::1]", "[fd00::1]",
	"[fd00:ec2::254]", "[ff02::1]", "[ff01::1]", "[100::1]", "[2001:db8::1]", "[3fff::1]", "[5f00::1]", "10.0.0.1", "10.255.255.255", "012.0.0.1", "0xa000001",
	"172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.1.1", "3232235521", "169.254.169.254", "169.254.0.1", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]",
	"[::ffff:a9fe:a9fe]", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1",
	"loop.example", "metadata.example", "mapped.example",
}

// listener counts the connections that reach this machine.
func listener(t *testing.T) (port string, reached *atomic.Int64) {
	t.Helper()
	reached = &atomic.Int64{}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		if port != "" {
			_, p, _ := net.SplitHostPort(port)
			address = "[::1]:" + p
		}
		l, err := net.Listen("tcp", address)
		if err != nil && port != "" {
			continue // no IPv6 here
		}
		if err != nil {
			t.Fatal(err)
		}
		if port == "" {
			port = l.Addr().String()
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				reached.Add(1)
				conn.Close()
			}
		}()
	}
	_, port, _ = net.SplitHostPort(port)
	return port, reached
}

func TestNothingInsideIsReachedHoweverItIsSpelled(t *testing.T) {
	if len(inside) < 80 {
		t.Fatalf("only %d spellings", len(inside))
	}
	port, reached := listener(t)
	dns := testdns.Start(t)
	dns.Host("loop.example", "127.0.0.1")
	dns.Host("metadata.example", "169.254.169.254")
	dns.Host("mapped.example", "::ffff:127.0.0.1")
	client := outbound.New(outbound.Config{Resolver: dns.Resolver(), Timeout: time.Second})
	inward := 0
	for _, host := range inside {
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
