package signin_test

import (
	"strings"
	"testing"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

var listed = op.Settings{BaseURL: "https://accounts.acme.test", ReturnTo: []string{"https://app.acme.test/signed-in?from=guildhall", "https://app.acme.test/"}}

// elsewhere are addresses that nobody is led to, in every spelling that somebody may read as one of here or of the list.
var elsewhere = []string{
	"", " ", "evil.test", "evil.test/path", "www.evil.test", "o/acme", "./o/acme", "../o/acme", "?next=/o", "#/o",
	"//evil.test", "///evil.test", "////evil.test", "/\\evil.test", "\\/evil.test", "\\\\evil.test", "/\\/evil.test", "\\evil.test",
	"/ /evil.test", "/\t/evil.test", "/\n/evil.test", "/\r\n/evil.test", "\t//evil.test", " //evil.test", "\n//evil.test", "/\x00/evil.test", "\x00/o/acme", "/o/acme\x7f",
	"http://evil.test", "https://evil.test", "HTTPS://evil.test", "https:evil.test", "https:/evil.test", "https:///evil.test", "http:\\\\evil.test", "https://evil.test\\@app.acme.test/",
	"ftp://evil.test", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:https://evil.test/1", "about:blank", "mailto:a@evil.test", "view-source:https://evil.test",
	"/%2f/evil.test", "/%2fevil.test", "/%2F%2Fevil.test", "%2f%2fevil.test", "/%5cevil.test", "/%5C%5Cevil.test", "/%252f%252fevil.test", "/%25252fevil.test", "/%09/evil.test", "/%0d%0aLocation:%20https://evil.test", "/%00/evil", "/%zz", "/%", "/o/a%20b",
	"/..//evil.test", "/../evil", "/o/../../evil", "/./evil", "/.//evil.test", "/o/./acme", "/o/..", "/%2e%2e/evil", "/o/%2e%2e%2f%2fevil.test", "/..;/evil", "/o/..;a=b/evil", "/o//evil.test",
	"/\u2025/evil", "/\uff0fevil.test", "/\u2044evil.test", "//evil\u3002test", "\u3000//evil.test", "\ufeff/o/acme", "/\u202e/evil", "/o/ácme", "/\xff",
	"https://app.acme.test", "https://app.acme.test//", "https://app.acme.test/signed-in", "https://app.acme.test/signed-in?from=guildhall&x=1", "https://APP.acme.test/", "https://app.acme.test/#x",
	"https://app.acme.test.evil.test/", "https://app.acme.test@evil.test/", "https://evil.test/https://app.acme.test/", "https://user@app.acme.test/", "https://app.acme.test:443/", "http://app.acme.test/", " https://app.acme.test/", "https://app.acme.test/ ", "https://accounts.acme.test/o/acme",
	"@evil.test", ":80", "//", "/\\", "///", "//@evil.test", "//user:pass@evil.test/", "//[::1]/", "//0x7f.1/", "//evil%E3%80%82test", "/" + strings.Repeat("a", 1024),
}

// T-055
func TestASignInLeadsNowhereElse(t *testing.T) {
	for _, spelling := range elsewhere {
		if got, ok := signin.ReturnTo(listed, spelling); ok || got != "" {
			t.Errorf("ReturnTo(%q) = %q, %v; want it refused", spelling, got, ok)
		}
	}
}

func TestASignInLeadsBackIntoThisServerOrAsListed(t *testing.T) {
	for _, spelling := range []string{
		"/", "/o/acme", "/o/acme/settings/team?q=ann&role=owner", "/o/acme/settings/team#members", "/i/3fQ0aZ", "/o/acme?next=//evil.test",
		"/search?q=%2f%2fevil", "/o/acme/", "/a:b@c", "/...", "/o/..hidden", "/" + strings.Repeat("a", 1023),
		"https://app.acme.test/", "https://app.acme.test/signed-in?from=guildhall",
	} {
		got, ok := signin.ReturnTo(listed, spelling)
		if !ok || got != spelling {
			t.Errorf("ReturnTo(%q) = %q, %v; want it as it is", spelling, got, ok)
		}
	}
}

func FuzzReturnTo(f *testing.F) {
	f.Add("/o/acme")
	f.Add("//evil.test")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := signin.ReturnTo(op.Settings{}, s)
		if !ok {
			return
		}
		if got != s || s[0] != '/' || len(s) > 1 && (s[1] == '/' || s[1] == '\\') || strings.ContainsAny(s, "\\\t\r\n") {
			t.Errorf("ReturnTo(%q) = %q", s, got)
		}
	})
}

func TestTheListHasWholeAddressesOnly(t *testing.T) {
	for address, want := range map[string]string{ // what is wrong; empty: nothing
		"https://app.acme.test/signed-in": "", "https://app.acme.test/": "", "https://app.acme.test": "", "https://app.acme.test:8443/x?from=guildhall": "",
		"http://localhost:8081/callback": "", "http://127.0.0.1:8081/callback": "", "http://[::1]:8081/callback": "",
		"http://app.acme.test/": "http is for localhost only", "http://localhost.acme.test/": "http is for localhost only", "http://10.0.0.1/": "http is for localhost only",
		"/o/acme": "is not an address", "//app.acme.test/": "is not an address", "https:app.acme.test": "is not an address", "https:///x": "is not an address",
		"HTTPS://app.acme.test/": "is not an address", "javascript:alert(1)": "is not an address", "ftp://app.acme.test/": "is not an address", "https://app.acme.test/a b": "is not an address",
		"https://app.acme.test/\\x": "is not an address", "https://äpp.acme.test/": "is not an address", "": "is not an address",
		"https://ann@app.acme.test/": "has more than", "https://app.acme.test/#x": "has more than", "https://app.acme.test/#": "is not an address", "https://app.acme.test/?": "has more than",
		"https://app.acme.test/?code=1": "code or state", "https://app.acme.test/?a=1&state=": "code or state",
		"https://app.acme.test/" + strings.Repeat("x", 512): "is longer than",
	} {
		err := signin.CheckReturnTo(address)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", address, err, want)
		}
		if got := signin.Listed(op.Settings{ReturnTo: []string{address}}, address); got != (want == "") {
			t.Errorf("%q, listed, leads there: %v", address, got)
		}
	}
}
