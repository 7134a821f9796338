// Package testinside is what must never be reached from outside, for tests: addresses of this machine and of networks that are
// nobody else's, however they are written, and a listener that notices.
package testinside

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/guildhall/guildhall/internal/testdns"
)

// Spellings are 80 ways to write an address that nobody outside may make us call. The last ones are names that Names sets. T-084
var Spellings = []string{
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

// Names makes a DNS server answer for the names among the spellings.
func Names(dns *testdns.Server) {
	dns.Host("loop.example", "127.0.0.1")
	dns.Host("metadata.example", "169.254.169.254")
	dns.Host("mapped.example", "::ffff:127.0.0.1")
}

// Listen counts the connections that reach this machine at a port.
func Listen(t testing.TB) (port string, reached *atomic.Int64) {
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
