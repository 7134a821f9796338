// Package peer finds the address that a request came from.
package peer

import (
	"net/http"
	"net/netip"
	"strings"
)

// Address is the address that a request came from: the peer's own, or, if that is a trusted proxy, the last one in
// X-Forwarded-For that is not. What stands left of it is what the client claims. It is not valid for a client without an
// address, such as one of a Unix socket.
func Address(r *http.Request, trusted []netip.Prefix) netip.Addr {
	address, _ := parse(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && within(address, trusted); i-- {
		hop, err := parse(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		address = hop
	}
	return address
}

// Text is an address as text; empty for one that is not valid.
func Text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func parse(text string) (netip.Addr, error) {
	if pair, err := netip.ParseAddrPort(text); err == nil {
		return pair.Addr().Unmap(), nil
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return a.Unmap(), err
}

func within(a netip.Addr, networks []netip.Prefix) bool {
	for _, network := range networks {
		if network.Contains(a) {
			return true
		}
	}
	return false
}
