package guildhall_test

import (
	"strings"
	"testing"
)

// notJSON are values that a JSON text does not have, after the cases of JSONTestSuite (n_).
var notJSON = []string{
	// numbers
	"-", "+1", "++1", "-01", "01", "012", "-012", "1.", ".5", "-.5", "1.e1", "2.e3", "2.e+3", "2.e-3", "0.e1", "0e", "0e+", "0E+",
	"1e", "1eE2", "1.0e", "1.0e+", "1.0e-", "9.e+", "1e+-2", "0.1.2", "0.3e", "-2.", "0x1", "0x42", "1_000", "1 000", "1+2", "- 1", "--1", "-foo",
	"-1x", "1ea", "1.2a", "1.2a-3", "NaN", "-NaN", "nan", "Inf", "Infinity", "-Infinity", "+Inf", "\uff11", "1\xe5", "1e1\xe5", "-123.123foo",
	// strings
	`"`, `"x`, `x"`, `'x'`, "\"a\x00b\"", "\"a\tb\"", "\"a\nb\"", "\"\x1f\"", `"\x00"`, `"\a"`, `"\u"`, `"\u1"`, `"\u12"`, `"\u123"`, `"\u00A"`,
	`"\uD834\uDd"`, `"\uD800\u"`, `"\uD800\u1x"`, `"\uqqqq"`, `"\"`, `"\\\"`, `"\🌀"`, `"\` + "\xe5" + `"`, `\u0020"x"`, `\n`, "“x”", `""x`, `"a" "b"`,
	"\"\xff\"", "\"\xc0\xaf\"", "\"\xe0\xff\"", "\"\xed\xa0\x80\"", "\"\xf4\xbf\xbf\xbf\"", "\"\xe2\x82\"", "\"\x80\"", "\"\xfc\x80\x80\x80\x80\x80\"",
	`"\uD800"`, `"\uDC00"`, `"\uD800\uD800"`, `"\ud800abc"`, `"\uDd1e\uD834"`,
	// words
	"tru", "truth", "True", "TRUE", "fals", "nul", "nil", "None", "undefined", "true1",
	// arrays
	"[", "]", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1,,2]", "[1 2]", `["x" "y"]`, "[1:2]", "[1}", `["x"]]`, "[x", "[,", "[1,\n1\n,1", "[\"\": 1]", "[3[4]]", "[ , \"\"]", "[\x0c]",
	// objects
	"{", "}", "{]", "{,}", `{"a"}`, `{"a":}`, `{"a" 1}`, `{"a":1,}`, `{"a":1,,"b":2}`, `{,"a":1}`, `{"a":1 "b":2}`, `{a:1}`, `{'a':1}`, `{1:1}`,
	`{null:1}`, `{"a"::1}`, `{"a","b"}`, `{"a":"b"]`, `{"a": tru`, `{"a":/**/1}`, `{"a":1/**/}`, `{"a":1//x`, `{"a":1}#`, `{[: "x"}`, `{"x", null}`, `{🇨🇭}`,
	// what is no white space
	"\u00a01", "\u20601", "\ufeff1", "\x0b1", "\x0c1", "\u2028 1", "/* x */ 1", "// x\n1", "# x\n1", "",
}

// TestWhatIsNoJSONIsMalformed: nothing is guessed from what is no JSON text, wherever in the body it stands. T-099
func TestWhatIsNoJSONIsMalformed(t *testing.T) {
	s := newSite(t, "automation")
	for _, text := range notJSON {
		bodies := []string{`{"name": ` + text + `}`, `{"time_zone": "Europe/Berlin", "name": [` + text + `]}`}
		if text != "" {
			bodies = append(bodies, text) // no body at all is an empty object
		} else {
			bodies = bodies[:1] // and [] is JSON
		}
		for _, body := range bodies {
			if got := s.renames(body); got.status != 400 || got.problem().Code != "malformed" {
				t.Errorf("%q: %s %s", body, got.outcome(), got.body)
			}
		}
	}
	s.keepsName(t)
}

// TestABodyIsOneObjectWithEachNameOnce: what is JSON and no request is refused too. The suite accepts a name that stands
// twice (y_object_duplicated_key), and we do not: another reader of the same body would take the other value. T-099
func TestABodyIsOneObjectWithEachNameOnce(t *testing.T) {
	s := newSite(t, "automation")
	deep := func(n int) string { return `{"name": ` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	tests := []struct {
		name, body string
		status     int
		code       string
	}{
		{"null", `null`, 400, "malformed"},
		{"a word", `true`, 400, "malformed"},
		{"a number", `1`, 400, "malformed"},
		{"a string", `"name"`, 400, "malformed"},
		{"an array", `[{"name": "Ada"}]`, 400, "malformed"},
		{"two objects", `{"name": "Ada"} {"name": "Eve"}`, 400, "malformed"},
		{"more after it", `{"name": "Ada"}]`, 400, "malformed"},
		{"a NUL after it", "{\"name\": \"Ada\"}\x00", 400, "malformed"},
		{"a byte order mark", "\ufeff{\"name\": \"Ada\"}", 400, "malformed"},
		{"UTF-16", "{\x00\"\x00n\x00\"\x00:\x001\x00}\x00", 400, "malformed"},
		{"a name twice", `{"name": "Ada", "name": "Eve"}`, 400, "malformed"},
		{"the same name twice, the same value", `{"name": "Ada", "name": "Ada"}`, 400, "malformed"},
		{"a name twice, once written otherwise", `{"name": "Ada", "n\u0061me": "Eve"}`, 400, "malformed"},
		{"a name twice, further in", `{"name": {"a": 1, "a": 2}}`, 400, "malformed"},
		{"another case", `{"Name": "Ada"}`, 422, "invalid"},
		{"both cases", `{"name": "Ada", "NAME": "Eve"}`, 422, "invalid"},
		{"a look-alike", `{"nаme": "Ada"}`, 422, "invalid"},
		{"an empty name", `{"": "Ada"}`, 422, "invalid"},
		{"a prototype", `{"__proto__": {"name": "Ada"}}`, 422, "invalid"},
		{"a number for text", `{"name": 1}`, 422, "invalid"},
		{"a huge number", `{"name": 1e400}`, 400, "malformed"},
		{"a long number", `{"name": ` + strings.Repeat("1", 400) + `}`, 400, "malformed"},
		{"an object for text", `{"name": {}}`, 422, "invalid"},
		{"deep enough", deep(31), 422, "invalid"},
		{"too deep", deep(32), 400, "malformed"},
		{"100,000 deep", deep(100_000), 400, "malformed"},
		{"100,000 open", `{"name": ` + strings.Repeat("[", 100_000), 400, "malformed"},
		{"100,000 objects open", strings.Repeat(`{"name":`, 100_000), 400, "malformed"},
		{"more than a megabyte", `{"name": "` + strings.Repeat("x", 1<<20) + `"}`, 413, "too_large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.renames(tt.body); got.status != tt.status || got.problem().Code != tt.code {
				t.Errorf("got %s, want %d %s: %s", got.outcome(), tt.status, tt.code, got.body)
			}
		})
	}
	s.keepsName(t)
}

// TestWhatIsJSONIsRead: texts of the suite's y_ cases are read, and mean what they say. T-099
func TestWhatIsJSONIsRead(t *testing.T) {
	s := newSite(t, "automation")
	tests := map[string]string{ // as sent, and as it is answered
		`"Ada"`:                       "Ada",
		`"\u0041d\u0061"`:             "Ada",
		`"\uD834\uDD1E"`:              "𝄞",
		`"\u00e9\u0416\u6c34"`:        "éЖ水",
		`"a\/b"`:                      "a/b",
		`"quote \" and \\ backslash"`: `quote \" and \\ backslash`,
		`"€𝄞"`:                        "€𝄞",
		"\"new\u00a0line\"":           "new",
	}
	for text, want := range tests {
		for _, body := range []string{`{"name":` + text + `}`, " \t\r\n{ \"name\" \n:\t" + text + "\r } \n"} {
			if got := s.renames(body); !got.ok() || !strings.Contains(got.body, want) {
				t.Errorf("%s: %s %s", body, got.outcome(), got.body)
			}
		}
	}
	for _, value := range []string{"0", "-0", "1.5e+10", "1E-2", "123456789012345", "true", "[]", "[null, 1, \"1\", {}]", `{"a": {"b": []}}`} {
		if got := s.renames(`{"name": ` + value + `}`); got.status != 422 || got.problem().Errors[0].Pointer != "/name" {
			t.Errorf("%s: %s %s", value, got.outcome(), got.body)
		}
	}
}

// renames sends a body to the route that changes the owner's name.
func (s *site) renames(body string) answer {
	s.world.t.Helper()
	a := ask{method: "PATCH", target: "/v1/me", token: s.acme.Owner().Token, body: body}
	if body == "" {
		s.world.t.Fatal("a body is wanted")
	}
	return s.send(a)
}

// keepsName wants the name to be none, as at first.
func (s *site) keepsName(t *testing.T) {
	t.Helper()
	got := s.send(ask{method: "GET", target: "/v1/me", token: s.acme.Owner().Token})
	if !got.ok() || strings.Contains(got.body, `"name":"Ada"`) || strings.Contains(got.body, "Eve") {
		t.Errorf("%s %s", got.outcome(), got.body)
	}
}

// TestABodyHasItsMediaType: JSON is said to be JSON, in UTF-8, once. T-099
func TestABodyHasItsMediaType(t *testing.T) {
	s := newSite(t, "automation")
	for kind, want := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON": 200, "application/json;charset=UTF-8": 200,
		"application/json; charset=utf-16": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "text/json": 415,
		"application/json, text/plain": 415, "multipart/form-data; boundary=x": 415, "application/jsonx": 415,
	} {
		a := ask{method: "PATCH", target: "/v1/me", token: s.acme.Owner().Token, body: `{"name": "Typed"}`, kind: kind}
		if got := s.send(a); got.status != want {
			t.Errorf("%s: %s, want %d", kind, got.outcome(), want)
		}
	}
}
