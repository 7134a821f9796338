package peer_test

import (
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/guildhall/guildhall/internal/peer"
)

// T-101
func TestTheClientsAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, tt := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"nobody forwards", "203.0.113.7:999", nil, "203.0.113.7"},
		{"a stranger forwards", "203.0.113.7:999", []string{"198.51.100.1"}, "203.0.113.7"},
		{"a proxy forwards", "10.0.0.1:999", []string{"198.51.100.1"}, "198.51.100.1"},
		{"the client claims another", "10.0.0.1:999", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		{"the client claims another in a header of its own", "10.0.0.1:999", []string{"1.1.1.1", "198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:999", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"only proxies", "10.0.0.1:999", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"no address", "10.0.0.1:999", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:999", []string{"[2001:db8::9]:1"}, "2001:db8::9"},
		{"a socket", "@", []string{"198.51.100.1"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = tt.peer, tt.forwarded
			if got := peer.Text(peer.Address(r, trusted)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
