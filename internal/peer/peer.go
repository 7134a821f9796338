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
func Address(r *http.Request, trusted ...[]netip.Prefix) netip.Addr {
	address := Remote(r)
	sent := r.Header["X-Forwarded-For"]
	for i := len(sent) - 1; i >= 0; i-- {
		for rest, more := sent[i], true; more; {
			if !Within(address, trusted...) {
				return address
			}
			var hop string
			rest, hop, more = cutLast(rest)
			next, err := parse(strings.TrimSpace(hop))
			if err != nil {
				return address
			}
			address = next
		}
	}
	return address
}

// cutLast takes the last part off a list with commas. More says that there are others before it.
func cutLast(list string) (rest, last string, more bool) {
	if at := strings.LastIndexByte(list, ','); at >= 0 {
		return list[:at], list[at+1:], true
	}
	return "", list, false
}

// Remote is the peer's own address; not valid for one without.
func Remote(r *http.Request) netip.Addr {
	a, _ := parse(r.RemoteAddr)
	return a
}

// Text is an address as text; empty for one that is not valid.
func Text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Within reports whether an address is in one of the networks of the lists.
func Within(a netip.Addr, lists ...[]netip.Prefix) bool {
	for _, list := range lists {
		for _, network := range list {
			if network.Contains(a) {
				return true
			}
		}
	}
	return false
}

func parse(text string) (netip.Addr, error) {
	if pair, err := netip.ParseAddrPort(text); err == nil {
		return pair.Addr().Unmap(), nil
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return a.Unmap(), err
}
