package signin

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/op"
)

// maxReturnTo bounds an address to go back to, in bytes.
const maxReturnTo = 1024

// ReturnTo says whether a sign-in may lead to an address, and gives it: a path of this server, or an absolute URL that
// the settings list, letter by letter. Browsers, proxies and servers read odd spellings differently, so a path is taken
// only if all of them read it as one of this server.
func ReturnTo(settings op.Settings, s string) (string, bool) {
	if s == "" || len(s) > maxReturnTo {
		return "", false
	}
	if Listed(settings, s) || ownPath(s) {
		return s, true
	}
	return "", false
}

// Listed reports whether an address is one of the absolute URLs that the settings list, letter by letter: a person may be
// handed to a product there.
func Listed(settings op.Settings, address string) bool {
	return slices.Contains(settings.ReturnTo, address) && CheckReturnTo(address) == nil
}

// maxListed bounds an absolute address, so that it fits into a path of this server together with a state.
const maxListed = 512

// CheckReturnTo says what is wrong with an absolute address that the settings list; nil: nothing is. It is https, or http
// on this machine, and has nothing that a code is added behind or that two programs could read differently.
func CheckReturnTo(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.String() != address || !plainASCII(address):
		return fmt.Errorf("return_to %q is not an address such as https://app.example.com/signed-in", address)
	case len(address) > maxListed:
		return fmt.Errorf("return_to %q is longer than %d bytes", address, maxListed)
	case u.User != nil || u.Fragment != "" || u.ForceQuery:
		return fmt.Errorf("return_to %q has more than scheme, host, port, path and query", address)
	case u.Query().Has("code") || u.Query().Has("state"):
		return fmt.Errorf("return_to %q has code or state in its query, which come with the person", address)
	case u.Scheme == "http" && !thisMachine(u.Hostname()):
		return fmt.Errorf("return_to %q: http is for localhost only", address)
	}
	return nil
}

// thisMachine reports whether a host is always this machine.
func thisMachine(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// ownPath reports whether s is a path of this server, with or without a query and a fragment.
func ownPath(s string) bool {
	if !plainASCII(s) {
		return false
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return false
	}
	path, _, _ := strings.Cut(s, "#")
	path, _, _ = strings.Cut(path, "?")
	for { // as written, and as any number of decoders in a row would read it
		if !plainPath(path) {
			return false
		}
		decoded, err := url.PathUnescape(path)
		if err != nil || decoded == path {
			return err == nil
		}
		path = decoded
	}
}

// plainPath reports whether everybody reads a path as one of the same server, below its root.
func plainPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || !plainASCII(path) {
		return false
	}
	for part := range strings.SplitSeq(path, "/") {
		// A dot segment, also with the parameters that some servers cut off.
		if name, _, _ := strings.Cut(part, ";"); name == "." || name == ".." {
			return false
		}
	}
	return true
}

// plainASCII reports whether s is visible ASCII without the backslash, which browsers read as a slash.
func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return false
		}
	}
	return true
}
