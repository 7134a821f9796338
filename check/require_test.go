package check_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
)

// hears answers every question alike, and remembers the last one.
type hears struct {
	always
	asked *check.Request
}

func (h hears) Check(ctx context.Context, r check.Request) (check.Decision, error) {
	*h.asked = r
	return h.always.Check(ctx, r)
}

// workflow is the resource of the tests' requests.
func workflow(r *http.Request) check.Resource {
	return check.On("workflow", r.URL.Query().Get("id")).In("acme")
}

// through sends a request through Require, and gives what was answered and what was asked.
func through(a always, change func(*http.Request), options ...check.Option) (*httptest.ResponseRecorder, *check.Request) {
	asked := new(check.Request)
	product := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, ok := check.From(r.Context())
		if !ok || !d.Allow {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	r := httptest.NewRequest("POST", "https://product.test/run?id=wf_1", nil)
	r.RemoteAddr = "203.0.113.7:999"
	change(r)
	w := httptest.NewRecorder()
	check.Require(hears{a, asked}, "workflows.run", workflow, options...)(product).ServeHTTP(w, r)
	return w, asked
}

func bearer(r *http.Request) { r.Header.Set("Authorization", "Bearer gld_live_x") }

func cookie(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add("Cookie", "guildhall="+value) }
}

var (
	yes = always{decision: check.Decision{Allow: true, Reason: decide.ByRole}}
	no  = always{decision: check.Decision{Reason: decide.NoPermission, Needs: "workflows.run", FixURL: "/docs/permissions#workflows-run",
		Holders: []check.Holder{{Member: "mem_1", Name: "Ada", Role: "owner"}}}}
	nobody = always{decision: check.Decision{Reason: decide.UnknownSubject, Needs: "workflows.run"}}
	silent = always{err: errors.New("the database at 10.0.0.5 does not answer")}
)

func TestRequireAnswers(t *testing.T) {
	withCookie := check.WithCookie("guildhall")
	for _, tt := range []struct {
		name    string
		answer  always
		send    func(*http.Request)
		options []check.Option
		status  int
		code    string
	}{
		{"a yes lets through", yes, bearer, nil, 200, ""},
		{"the scheme is read in any case", yes, func(r *http.Request) { r.Header.Set("Authorization", "bearer x") }, nil, 200, ""},
		{"a no is forbidden", no, bearer, nil, 403, "denied"},
		{"a dead credential is none", nobody, bearer, nil, 401, "unauthenticated"},
		{"no answer is no", silent, bearer, nil, 503, "unavailable"},
		{"no answer is no, whatever the decision says", always{yes.decision, silent.err}, bearer, nil, 503, "unavailable"},
		{"nothing is sent", yes, func(*http.Request) {}, nil, 401, "unauthenticated"},
		{"two headers", yes, func(r *http.Request) { bearer(r); r.Header.Add("Authorization", "Bearer y") }, nil, 401, "unauthenticated"},
		{"two credentials in one header", yes, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x, Bearer y") }, nil, 401, "unauthenticated"},
		{"another scheme", yes, func(r *http.Request) { r.SetBasicAuth("x", "y") }, nil, 401, "unauthenticated"},
		{"an empty bearer", yes, func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, nil, 401, "unauthenticated"},
		{"a cookie that nobody asked for", yes, cookie("x"), nil, 401, "unauthenticated"},
		{"a cookie", yes, cookie("x"), []check.Option{withCookie}, 200, ""},
		{"two cookies", yes, func(r *http.Request) { cookie("x")(r); cookie("y")(r) }, []check.Option{withCookie}, 401, "unauthenticated"},
		{"a wrong header beside the cookie", yes, func(r *http.Request) { cookie("x")(r); r.SetBasicAuth("x", "y") }, []check.Option{withCookie}, 401, "unauthenticated"},
		{"a cookie that another site makes a browser send", yes, func(r *http.Request) { // T-054
			cookie("x")(r)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, []check.Option{withCookie}, 403, "cross_origin"},
		{"a bearer from another site", yes, func(r *http.Request) { bearer(r); r.Header.Set("Sec-Fetch-Site", "cross-site") }, []check.Option{withCookie}, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := through(tt.answer, tt.send, tt.options...)
			var problem struct{ Code string }
			if tt.code != "" {
				if err := json.Unmarshal(got.Body.Bytes(), &problem, json.MatchCaseInsensitiveNames(true)); err != nil {
					t.Fatalf("%v: %s", err, got.Body)
				}
			}
			if got.Code != tt.status || problem.Code != tt.code {
				t.Errorf("got %d %q, want %d %q: %s", got.Code, problem.Code, tt.status, tt.code, got.Body)
			}
			if challenge := got.Header().Get("WWW-Authenticate"); (tt.status == 401) != strings.HasPrefix(challenge, "Bearer") {
				t.Errorf("the challenge is %q", challenge)
			}
			if strings.Contains(got.Body.String(), "10.0.0.5") || (tt.status == 503) != (got.Header().Get("Retry-After") == "1") {
				t.Errorf("got %v: %s", got.Header(), got.Body)
			}
		})
	}
}

func TestARefusalSaysWhatIsMissing(t *testing.T) {
	problem := func(fix string) string {
		return `{"type":"about:blank","title":"Forbidden","status":403,"detail":"this needs workflows.run","code":"denied",` +
			`"needs":"workflows.run","reason":"no_permission",` + fix + `"holders":[{"member":"mem_1","name":"Ada","role":"owner"}]}` + "\n"
	}
	got, _ := through(no, bearer)
	if diff := cmp.Diff(problem(""), got.Body.String()); diff != "" {
		t.Errorf("without a server (-want +got):\n%s", diff)
	}
	got, _ = through(no, bearer, check.WithServer("https://accounts.test/"))
	if diff := cmp.Diff(problem(`"fix_url":"https://accounts.test/docs/permissions#workflows-run",`), got.Body.String()); diff != "" {
		t.Errorf("with a server (-want +got):\n%s", diff)
	}
}

func TestRequireAsksWhatWasSent(t *testing.T) {
	forwarded := func(r *http.Request) { bearer(r); r.Header.Set("X-Forwarded-For", "198.51.100.1") }
	want := check.Request{Subject: check.ByCredential("gld_live_x"), Permission: "workflows.run",
		Resource: check.On("workflow", "wf_1").In("acme"), Address: "203.0.113.7"}
	_, got := through(yes, forwarded) // T-101
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	_, got = through(yes, forwarded, check.WithProxies(netip.MustParsePrefix("203.0.113.0/24")))
	if want.Address = "198.51.100.1"; *got != want {
		t.Errorf("behind a proxy it asks %+v", *got)
	}
}

func TestWithoutAResourceItIsTheCredentialsOrganization(t *testing.T) {
	asked := new(check.Request)
	r := httptest.NewRequest("GET", "/", nil)
	bearer(r)
	check.Require(hears{yes, asked}, "usage.view", nil)(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	if got, want := asked.Resource, check.Whole(""); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAProductRefusesInItsOwnWay(t *testing.T) {
	var got []error
	own := check.WithRefusal(func(_ http.ResponseWriter, _ *http.Request, err error) { got = append(got, err) })
	through(no, bearer, own)
	through(yes, func(*http.Request) {}, own)
	through(silent, bearer, own)
	var denied *check.Denied
	if len(got) != 3 || !errors.As(got[0], &denied) || denied.Decision.Needs != "workflows.run" || got[1] != check.ErrNoCredential || got[2] != silent.err {
		t.Errorf("got %v", got)
	}
}

func TestWithoutRequireThereIsNoDecision(t *testing.T) {
	if d, ok := check.From(t.Context()); ok || d.Allow {
		t.Errorf("got %+v, %v", d, ok)
	}
}
