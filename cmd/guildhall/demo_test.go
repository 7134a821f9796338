package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/demo"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// demoRun is a demo that serves, with what it printed.
type demoRun struct {
	*running
	demo.Report
}

// startDemo starts guildhall demo --json on a free port.
func startDemo(t *testing.T, args ...string) *demoRun {
	t.Helper()
	d := &demoRun{running: serving(t, nil, append([]string{"demo", "--json", "--addr", "127.0.0.1:0"}, args...)...)}
	if err := json.Unmarshal([]byte(d.line()), &d.Report); err != nil {
		t.Fatal(err)
	}
	return d
}

// stop interrupts it: nothing more was written to standard output, and it ends well.
func (d *demoRun) stopWell() {
	d.t.Helper()
	if rest, code := d.end(); rest != "" || code != 0 {
		d.t.Errorf("wrote %q after its one line and ended with %d; want nothing and 0; standard error:\n%s", rest, code, d.stderr)
	}
}

// calls sends a request, and gives status and body.
func (d *demoRun) calls(method, path, token, body string, change ...func(*http.Request)) (int, string) {
	d.t.Helper()
	request, err := http.NewRequestWithContext(d.t.Context(), method, d.URL+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for _, f := range change {
		f(request)
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer.StatusCode, string(raw)
}

// wants is calls for a JSON answer with a status.
func (d *demoRun) wants(status int, out any, method, path, token, body string) {
	d.t.Helper()
	got, text := d.calls(method, path, token, body)
	if got != status {
		d.t.Fatalf("%s %s: %d, want %d: %s", method, path, got, status, text)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		d.t.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
}

// caught is a mail of /dev/mail.json.
type caught struct {
	To, Subject, Text string
	Links             []string
}

func (d *demoRun) mail(to string) caught {
	d.t.Helper()
	var all []caught
	d.wants(200, &all, "GET", "/dev/mail.json", "", "")
	for _, m := range slices.Backward(all) {
		if m.To == to {
			return m
		}
	}
	d.t.Fatalf("no mail to %s among %d", to, len(all))
	return caught{}
}

// onBoth runs a test on both databases. It gets the arguments that name one of its own.
func onBoth(t *testing.T, test func(t *testing.T, data ...string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "--data", t.TempDir()) })
	t.Run("postgres", func(t *testing.T) {
		test(t, "--data", t.TempDir(), "--database", testdb.Empty(t, sqldb.PostgreSQL))
	})
}

func TestTheDemoKeepsItsContract(t *testing.T) {
	for _, name := range charter.Names() {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, data ...string) {
				d := startDemo(t, append(data, "--charter", name)...)
				d.keepsItsContract(name)
				d.stopWell()
			})
		})
	}
}

// keepsItsContract checks what is printed against what is served.
func (d *demoRun) keepsItsContract(name string) {
	t := d.t
	t.Helper()
	c, err := charter.Ready(name)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^http://localhost:[1-9][0-9]*$`).MatchString(d.URL) || d.MailURL != d.URL+"/dev/mail" || d.Charter != name {
		t.Errorf("url %q, mail_url %q, charter %q", d.URL, d.MailURL, d.Charter)
	}
	slugs := []string{}
	for _, o := range d.Organizations {
		slugs = append(slugs, o.Slug)
		d.hasAMemberForEachRole(c, o)
	}
	if want := []string{"acme", "globex"}; !slices.Equal(slugs, want) {
		t.Errorf("organizations %q, want %q", slugs, want)
	}
	if first := d.Organizations[0].Members[0]; first.Email != "ada@acme.test" || first.Role != string(c.OwnerRole().ID) {
		t.Errorf("first is %s, %s; want ada@acme.test, who owns it", first.Email, first.Role)
	}
	d.wants(200, nil, "GET", "/v1/organizations/acme", d.ServiceKey, "")
	var pending struct {
		Data []struct{ Email, State string }
	}
	d.wants(200, &pending, "GET", "/v1/organizations/globex/invitations?state=pending", d.Organizations[1].Members[0].Token, "")
	if len(pending.Data) != 1 || pending.Data[0].Email != "nia@globex.test" {
		t.Errorf("pending invitations %+v", pending.Data)
	}
	var trail struct{ Data []struct{ Action string } }
	d.wants(200, &trail, "GET", "/v1/organizations/acme/audit?limit=100", d.Organizations[0].Members[0].Token, "")
	if len(trail.Data) < 5 {
		t.Errorf("an audit trail of %d rows", len(trail.Data))
	}
}

func (d *demoRun) hasAMemberForEachRole(c *charter.Charter, o demo.Organization) {
	d.t.Helper()
	if o.Keys == nil || len(o.Members) != len(c.Roles()) {
		d.t.Errorf("%s: keys %v, %d members; want a list, and one for each of %d roles", o.Slug, o.Keys, len(o.Members), len(c.Roles()))
	}
	for _, m := range o.Members {
		var me struct {
			ID            string
			Organizations []struct{ ID, Member, Role string }
		}
		d.wants(200, &me, "GET", "/v1/me", m.Token, "")
		if me.ID != m.User || len(me.Organizations) != 1 || me.Organizations[0].ID != o.ID ||
			me.Organizations[0].Member != m.Member || me.Organizations[0].Role != m.Role {
			d.t.Errorf("%s is %+v, printed %+v", m.Email, me, m)
		}
	}
}

// T-033: a scanner that opens the links of a mail uses nothing up.
func TestOpeningAMailedLinkConsumesNothing(t *testing.T) {
	d := startDemo(t, "--data", t.TempDir())
	ada := d.Organizations[0].Members[0]
	d.wants(201, nil, "POST", "/v1/organizations/acme/invitations", ada.Token, `{"email": "zoe@acme.test", "role": "editor"}`)
	link := d.mail("zoe@acme.test").Links[0]
	path, ok := strings.CutPrefix(link, d.URL)
	if !ok || !strings.HasPrefix(path, "/i/") {
		t.Fatalf("link %q does not lead to %s/i/", link, d.URL)
	}
	d.opens(path)
	var joined struct{ Role string }
	d.wants(200, &joined, "POST", "/v1/invitations/accept", "", fmt.Sprintf(`{"token": %q}`, strings.TrimPrefix(path, "/i/")))
	if joined.Role != "editor" {
		t.Errorf("joined as %q", joined.Role)
	}
	d.wants(410, nil, "POST", "/v1/invitations/accept", "", fmt.Sprintf(`{"token": %q}`, strings.TrimPrefix(path, "/i/")))
}

// opens opens a page as a scanner does: again and again.
func (d *demoRun) opens(path string) {
	d.t.Helper()
	for range 3 {
		for _, method := range []string{"GET", "HEAD"} {
			if got, _ := d.calls(method, path, "", ""); got != 200 {
				d.t.Errorf("%s %s: %d, want 200", method, path, got)
			}
		}
	}
}

// T-033: neither does it with the link that signs in.
func TestOpeningTheLinkOfASignInConsumesNothing(t *testing.T) {
	d := startDemo(t, "--data", t.TempDir())
	d.wants(200, nil, "POST", "/v1/signin/begin", "", `{"email": "cy@acme.test"}`)
	path := strings.TrimPrefix(d.mail("cy@acme.test").Links[0], d.URL)
	d.opens(path)
	_, token, _ := strings.Cut(path, "token=")
	d.wants(200, nil, "POST", "/v1/signin/complete", "", fmt.Sprintf(`{"token": %q}`, token))
	d.wants(410, nil, "POST", "/v1/signin/complete", "", fmt.Sprintf(`{"token": %q}`, token))
}

func TestDevAnswersToLocalNamesOnly(t *testing.T) {
	d := startDemo(t, "--data", t.TempDir())
	u, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/dev/mail", "/dev/mail.json", "/dev/sign-in", "/dev/components", "/dev/nothing"} {
		for host, open := range map[string]bool{
			"localhost": true, "localhost:" + u.Port(): true, "127.0.0.1:" + u.Port(): true, "LOCALHOST:1": true,
			"evil.example.com": false, "evil.example.com:" + u.Port(): false, "localhost.evil.example.com": false, "127.0.0.1.nip.io": false,
		} {
			want := 200
			if !open || path == "/dev/nothing" {
				want = 404
			}
			got, _ := d.calls("GET", path, "", "", func(r *http.Request) { r.Host = host })
			if got != want {
				t.Errorf("GET %s at %s: %d, want %d", path, host, got, want)
			}
		}
	}
	got, _ := d.calls("POST", "/dev/clock", "", `{"advance": "1h"}`, func(r *http.Request) { r.Host = "evil.example.com" })
	if got != 404 {
		t.Errorf("the clock answers %d to a foreign name", got)
	}
}

func TestTheDemosClockMoves(t *testing.T) {
	data := t.TempDir()
	d := startDemo(t, "--data", data)
	ada := d.Organizations[0].Members[0]
	d.wants(201, nil, "POST", "/v1/organizations/acme/invitations", ada.Token, `{"email": "zoe@acme.test", "role": "editor"}`)
	link := d.mail("zoe@acme.test").Links[0]
	for body, want := range map[string]int{
		`{"advance": "soon"}`: 422, `{"advance": "-1h"}`: 422, `{"advance": "0s"}`: 422, `{"advance": "2000000h"}`: 422,
		`{}`: 422, `[]`: 400, `{"advance": "1h", "back": true}`: 400, `{"advance": 1}`: 400,
	} {
		if got, _ := d.calls("POST", "/dev/clock", "", body); got != want {
			t.Errorf("POST /dev/clock %s: %d, want %d", body, got, want)
		}
	}
	var moved struct{ Now time.Time }
	d.wants(200, &moved, "POST", "/dev/clock", "", `{"advance": "168h"}`)
	if ahead := time.Until(moved.Now); ahead < 167*time.Hour || ahead > 168*time.Hour {
		t.Errorf("the clock is ahead by %s", ahead)
	}
	d.wants(410, nil, "POST", "/v1/invitations/accept", "", fmt.Sprintf(`{"token": %q}`, link[strings.LastIndex(link, "/")+1:]))
	d.wants(200, nil, "GET", "/v1/me", ada.Token, "") // 90 days
	d.stopWell()

	again := startDemo(t, "--data", data)
	again.wants(200, &moved, "POST", "/dev/clock", "", `{"advance": "1s"}`)
	if ahead := time.Until(moved.Now); ahead < 167*time.Hour {
		t.Errorf("after another start, the clock is ahead by %s", ahead)
	}
}

func TestADemoStartsAgainOnItsData(t *testing.T) {
	onBoth(t, func(t *testing.T, data ...string) {
		first := startDemo(t, data...)
		ada, key := first.Organizations[0].Members[0], first.ServiceKey
		first.wants(200, nil, "PATCH", "/v1/organizations/acme", ada.Token, `{"name": "Acme Inc."}`)
		first.stopWell()

		second := startDemo(t, data...)
		again := second.Organizations[0].Members[0]
		if again.Member != ada.Member || again.Token == ada.Token || second.ServiceKey == key {
			t.Errorf("the second start has %+v and the first %+v: want the same people with new secrets", again, ada)
		}
		var acme struct{ Name string }
		second.wants(200, &acme, "GET", "/v1/organizations/acme", again.Token, "")
		if acme.Name != "Acme Inc." {
			t.Errorf("the name is %q: what people changed has to stay", acme.Name)
		}
		second.wants(401, nil, "GET", "/v1/me", ada.Token, "")
		second.wants(401, nil, "GET", "/v1/organizations", key, "")
		second.stopWell()
	})
}

func TestFreshBeginsAnew(t *testing.T) {
	data := t.TempDir()
	first := startDemo(t, "--data", data)
	running := runs(t, nil, "demo", "--json", "--addr", "127.0.0.1:0", "--data", data, "--fresh")
	if running.code != 1 || !strings.Contains(running.stderr, "in use by process") {
		t.Errorf("--fresh while it runs: exit code %d, %s", running.code, running.stderr)
	}
	first.wants(200, nil, "GET", "/v1/me", first.Organizations[0].Members[0].Token, "")
	first.stopWell()
	second := startDemo(t, "--data", data, "--fresh", "--charter", "gateway")
	if second.Charter != "gateway" || second.Organizations[0].ID == first.Organizations[0].ID {
		t.Errorf("after --fresh: charter %s, organization %s as before", second.Charter, second.Organizations[0].ID)
	}
	second.stopWell()
	other := runs(t, nil, "demo", "--json", "--addr", "127.0.0.1:0", "--data", data, "--charter", "documents")
	if other.code != 1 || !strings.Contains(other.stderr, "--fresh begins anew") {
		t.Errorf("another charter on the same data: exit code %d, %s", other.code, other.stderr)
	}
}

// A PostgreSQL database may hold more than the demo's tables, so the demo empties none.
func TestFreshEmptiesNoPostgreSQL(t *testing.T) {
	data, dsn := t.TempDir(), testdb.Empty(t, sqldb.PostgreSQL)
	startDemo(t, "--data", data, "--database", dsn, "--fresh").stopWell()
	got := runs(t, nil, "demo", "--addr", "127.0.0.1:0", "--data", data, "--database", dsn, "--fresh")
	if got.code != 1 || !strings.Contains(got.stderr, "make an empty PostgreSQL database") {
		t.Errorf("exit code %d, %s", got.code, got.stderr)
	}
	other := startDemo(t, "--data", data, "--database", testdb.Empty(t, sqldb.PostgreSQL))
	if len(other.Organizations) != 2 {
		t.Errorf("on another database, the same folder has %d organizations", len(other.Organizations))
	}
}

func TestTheDemoTouchesNothingButItsOwn(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(data, "guildhall.db")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--data", data}, {"--data", data, "--fresh"}} {
		got := runs(t, nil, append([]string{"demo", "--addr", "127.0.0.1:0"}, args...)...)
		if got.code != 1 || !strings.Contains(got.stderr, "holds data that no demo made") {
			t.Errorf("%q: exit code %d, %s", args, got.code, got.stderr)
		}
	}
	if raw, err := os.ReadFile(file); err != nil || string(raw) != "precious" {
		t.Errorf("the file is %q, %v", raw, err)
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	data := filepath.Join(t.TempDir(), "data")
	got := runs(t, nil, "demo", "--addr", taken.Addr().String(), "--data", data)
	if got.code != 1 || !strings.Contains(got.stderr, "is in use: choose another with --addr") {
		t.Errorf("exit code %d, %s", got.code, got.stderr)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("the data folder was made all the same: %v", err)
	}
}

// T-107: a second process on one SQLite file is refused, and says what to do.
func TestASecondProcessIsRefused(t *testing.T) {
	data := t.TempDir()
	startDemo(t, "--data", data)
	for _, args := range [][]string{
		{"demo", "--addr", "127.0.0.1:0", "--data", data},
		{"doctor", "--data-dir", data},
	} {
		_, stderr, err := another(t, args...)
		if err == nil || !strings.Contains(stderr, fmt.Sprintf("in use by process %d", os.Getpid())) {
			t.Errorf("%q: %v, %s", args, err, stderr)
		}
	}
}

// another runs this program as a process of its own.
func another(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	second := exec.CommandContext(t.Context(), program, args...)
	second.Env = append(os.Environ(), "GUILDHALL_TEST_MAIN=1")
	second.Stdout, second.Stderr = &out, &errs
	err = second.Run()
	return out.String(), errs.String(), err
}

// Several servers on one PostgreSQL have one instance secret: with another one they would not believe each other.
func TestAServerWithAnotherSecretIsRefused(t *testing.T) {
	dsn := testdb.DSN(t, sqldb.PostgreSQL)
	startDemo(t, "--data", t.TempDir(), "--database", dsn)
	_, stderr, err := another(t, "demo", "--addr", "127.0.0.1:0", "--data", t.TempDir(), "--database", dsn)
	if err == nil || !strings.Contains(stderr, "another server on this database has another instance secret") {
		t.Errorf("%v, %s", err, stderr)
	}
}

// The operator's commands reach the server that runs in the data folder, whatever its database, and are recorded as the
// operator's.
func TestTheOperatorReachesARunningServer(t *testing.T) {
	for _, d := range testdb.Dialects {
		t.Run(d.String(), func(t *testing.T) {
			data, err := os.MkdirTemp("", "gh") // short: the path of a socket has to be
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(data) })
			args := []string{"--data", data}
			if d == sqldb.PostgreSQL {
				args = append(args, "--database", testdb.DSN(t, d))
			}
			started := startDemo(t, args...)
			stdout, stderr, err := another(t, "service-keys", "create", "back end", "--data", data)
			if err != nil {
				t.Fatalf("%v, %s", err, stderr)
			}
			var key struct{ Secret string }
			if err := json.Unmarshal([]byte(stdout), &key); err != nil || key.Secret == "" {
				t.Fatalf("%s: %v", stdout, err)
			}
			request, _ := http.NewRequest("GET", started.URL+"/v1/me", nil)
			request.Header.Set("Authorization", "Bearer "+key.Secret)
			answer, err := http.DefaultClient.Do(request)
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatalf("the key that was made: %v, %v", answer, err)
			}
			_ = answer.Body.Close()
			if info, err := os.Stat(filepath.Join(data, operatorSocket)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the socket: %v, %v", info.Mode(), err)
			}
		})
	}
}

func TestTheSignInPageSignsIn(t *testing.T) {
	d := startDemo(t, "--data", t.TempDir())
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(path string) int {
		answer, err := browser.Get(d.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	page, err := browser.Get(d.URL + "/dev/sign-in?user=ada@acme.test")
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	if got := get("/v1/me"); page.StatusCode != 200 || got != 401 {
		t.Errorf("opening the page: %d, and then /v1/me: %d; want 200 and nobody signed in", page.StatusCode, got)
	}
	sent, err := browser.PostForm(d.URL+"/dev/sign-in", url.Values{"user": {"ada@acme.test"}})
	if err != nil {
		t.Fatal(err)
	}
	sent.Body.Close()
	if sent.StatusCode != 303 || sent.Header.Get("Location") != "/o/acme" {
		t.Errorf("signing in: %d to %q", sent.StatusCode, sent.Header.Get("Location"))
	}
	for _, path := range []string{"/v1/me", "/o/acme/settings/team"} {
		if got := get(path); got != 200 {
			t.Errorf("signed in, %s: %d, want 200", path, got)
		}
	}
	if got, _ := d.calls("POST", "/dev/sign-in", "", "user=ada@acme.test", func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://evil.example.com")
	}); got != 403 {
		t.Errorf("a form of another site: %d, want 403", got)
	}
	if got, _ := d.calls("POST", "/dev/sign-in", "", "user=nobody@acme.test", func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}); got != 404 {
		t.Errorf("nobody: %d, want 404", got)
	}
}

func TestTheMailboxShowsLinks(t *testing.T) {
	d := startDemo(t, "--data", t.TempDir())
	d.wants(201, nil, "POST", "/v1/organizations/acme/invitations", d.Organizations[0].Members[0].Token,
		`{"email": "zoe@acme.test", "role": "editor", "message": "<script>alert(1)</script>"}`)
	link := d.mail("zoe@acme.test").Links[0]
	_, page := d.calls("GET", "/dev/mail", "", "")
	if !strings.Contains(page, `<a href="`+link+`">`) || strings.Contains(page, "<script>") {
		t.Errorf("no link to %s, or a script, in\n%s", link, page)
	}
}

// The lines that the demo prints for people work as they are, in a shell.
func TestThePrintedLinesWork(t *testing.T) {
	d := serving(t, nil, "demo", "--addr", "127.0.0.1:0", "--data", t.TempDir(), "--charter", "gateway")
	var printed []string
	for line := ""; !strings.Contains(line, "Ctrl-C"); {
		line = d.line()
		printed = append(printed, line)
	}
	text := strings.Join(printed, "\n")
	signIns, tries := 0, 0
	for _, line := range printed {
		if _, address, ok := strings.Cut(line, ") "); ok && strings.Contains(line, "/dev/sign-in?user=") {
			signIns++
			answer, err := http.Get(strings.TrimSpace(address))
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != 200 {
				t.Errorf("%s: %d", address, answer.StatusCode)
			}
		}
		if _, command, ok := strings.Cut(line, "curl "); ok {
			tries++
			out, err := exec.CommandContext(t.Context(), "sh", "-c", "curl -f "+command).CombinedOutput()
			if err != nil || !json.Valid(out) {
				t.Errorf("curl %s: %v: %s", command, err, out)
			}
		}
	}
	if signIns != 8 || tries != 3 {
		t.Errorf("%d sign-in links and %d curl lines, want 8 and 3, in\n%s", signIns, tries, text)
	}
	for _, want := range []string{"/o/acme", "/o/globex", "/v1", "/docs", "/dev/mail", "gld_svc_", "export GUILDHALL_SERVER=", "GUILDHALL_TOKEN=gld_ses_"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// TestTheDemoHandsPeopleOver goes the whole way of a product whose people sign in here.
func TestTheDemoHandsPeopleOver(t *testing.T) {
	d := startDemo(t, "--data", t.TempDir(), "--return-to", "https://app.example.com/signed-in")
	ann := d.Organizations[0].Members[0]
	for _, product := range []string{"http://localhost:8081/callback", "https://app.example.com/signed-in"} {
		status, body := d.calls("POST", "/v1/sessions/handoff", ann.Token, fmt.Sprintf(`{"return_to": %q, "state": "mine"}`, product))
		var out struct {
			To string `json:"redirect_to"`
		}
		if err := json.Unmarshal([]byte(body), &out); err != nil || status != http.StatusOK || !strings.HasPrefix(out.To, product+"?code=") {
			t.Fatalf("%s: %d %s", product, status, body)
		}
		code, _, _ := strings.Cut(strings.TrimPrefix(out.To, product+"?code="), "&")
		status, body = d.calls("POST", "/v1/sessions/exchange", d.ServiceKey, fmt.Sprintf(`{"code": %q, "state": "mine"}`, code))
		if status != http.StatusOK || !strings.Contains(body, ann.Email) || !strings.Contains(body, `"role":"owner"`) {
			t.Errorf("%s: %d %s", product, status, body)
		}
	}
	if status, body := d.calls("POST", "/v1/sessions/handoff", ann.Token, `{"return_to": "https://app.example.com/", "state": "mine"}`); status != http.StatusUnprocessableEntity {
		t.Errorf("an address that nobody listed: %d %s", status, body)
	}
	d.stopWell()
}
