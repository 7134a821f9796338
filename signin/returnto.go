package signin

import (
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
	if slices.Contains(settings.ReturnTo, s) || ownPath(s) {
		return s, true
	}
	return "", false
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
