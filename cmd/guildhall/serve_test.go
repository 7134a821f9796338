package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testport"
)

// installation is a guildhall serve that runs.
type installation struct {
	*running
	url, link string // link is the first owner's, as printed; empty if none was
}

// startServe starts guildhall serve; vacant says whether a first owner is expected.
func startServe(t *testing.T, vacant bool, args ...string) *installation {
	t.Helper()
	port := testport.Free(t)
	i := &installation{url: "http://localhost:" + port}
	i.running = serving(t, nil, append([]string{"serve", "--addr", "127.0.0.1:" + port}, args...)...)
	if line := i.line(); !strings.HasSuffix(line, " at "+i.url) {
		t.Fatalf("first line %q does not name %s", line, i.url)
	}
	if vacant {
		i.line()
		i.link = strings.TrimSpace(i.line())
	}
	return i
}

// sends sends a form without following where it leads.
func (i *installation) sends(fields url.Values) *http.Response {
	i.t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := browser.PostForm(i.url+"/start", fields)
	if err != nil {
		i.t.Fatal(err)
	}
	answer.Body.Close()
	return answer
}

func (i *installation) gets(address string) (int, http.Header, string) {
	i.t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		i.t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		i.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(raw)
}

func TestTheFirstOwnerGetsInWithoutMail(t *testing.T) {
	for _, d := range testdb.Dialects {
		t.Run(d.String(), func(t *testing.T) {
			data := t.TempDir()
			args := []string{"--data-dir", data}
			if d == sqldb.PostgreSQL {
				args = append(args, "--database", testdb.Empty(t, d))
			}
			i := startServe(t, true, args...)
			u, err := url.Parse(i.link)
			if err != nil || !strings.HasPrefix(i.link, i.url+"/start?token=") {
				t.Fatalf("link %q", i.link)
			}
			status, header, page := i.gets(i.link)
			if status != 200 || !strings.Contains(page, "You are the first here") || header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("the page: %d, referrer policy %q: %s", status, header.Get("Referrer-Policy"), page)
			}
			if status, _, _ := i.gets(i.url + "/start?token=guessed"); status != 404 {
				t.Errorf("a guessed token: %d, want 404", status)
			}
			form := url.Values{"token": {u.Query().Get("token")}, "name": {"Ada"}, "email": {"ada"}, "organization": {"Acme"}}
			if got := i.sends(form).StatusCode; got != 422 {
				t.Errorf("a wrong address: %d, want 422", got)
			}
			form.Set("email", "ada@acme.test")
			i.founds(form)
			// Who was interrupted tries again, and nobody else does.
			form.Set("email", "eve@acme.test")
			if got := i.sends(form).StatusCode; got != 422 {
				t.Errorf("another one with the link: %d, want 422", got)
			}
			form.Set("email", "ada@acme.test")
			token := i.founds(form)
			i.signsIn(token)
			i.end()

			again := startServe(t, false, args...)
			if status, _, _ := again.gets(strings.Replace(i.link, i.url, again.url, 1)); status != 404 {
				t.Errorf("the link after the owner came in: %d, want 404", status)
			}
		})
	}
}

// founds sends the form, and gives the token of the sign-in that it leads to.
func (i *installation) founds(form url.Values) string {
	i.t.Helper()
	answer := i.sends(form)
	for tries := 0; answer.StatusCode == http.StatusOK && tries < 5; tries++ { // another server on the database took the letter, and cannot send it
		answer = i.sends(form)
	}
	token, ok := strings.CutPrefix(answer.Header.Get("Location"), i.url+"/login/link?token=")
	if answer.StatusCode != http.StatusSeeOther || !ok {
		i.t.Fatalf("the form: %d to %q", answer.StatusCode, answer.Header.Get("Location"))
	}
	return token
}

// signsIn signs in by a token, and does something in the organization.
func (i *installation) signsIn(token string) {
	i.t.Helper()
	answer, err := http.Post(i.url+"/v1/signin/complete", "application/json", strings.NewReader(`{"token": "`+token+`"}`))
	if err != nil {
		i.t.Fatal(err)
	}
	defer answer.Body.Close()
	var signedIn struct{ Secret string }
	if err := json.NewDecoder(answer.Body).Decode(&signedIn); err != nil || signedIn.Secret == "" {
		i.t.Fatalf("sign-in: %d, %v", answer.StatusCode, err)
	}
	request, err := http.NewRequestWithContext(i.t.Context(), "GET", i.url+"/v1/organizations/acme", nil)
	if err != nil {
		i.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+signedIn.Secret)
	seen, err := http.DefaultClient.Do(request)
	if err != nil {
		i.t.Fatal(err)
	}
	seen.Body.Close()
	if seen.StatusCode != 200 {
		i.t.Errorf("the owner sees the organization: %d", seen.StatusCode)
	}
}

func TestServeRefusesDemoData(t *testing.T) {
	data := t.TempDir()
	startDemo(t, "--data", data).stopWell()
	got := runs(t, nil, "serve", "--addr", "127.0.0.1:0", "--data-dir", data)
	if got.code != 1 || !strings.Contains(got.stderr, "demo data") || got.stdout != "" {
		t.Errorf("exit code %d, %q, %s", got.code, got.stdout, got.stderr)
	}
}

func TestTheDemoRefusesRealData(t *testing.T) {
	dsn := testdb.Empty(t, sqldb.PostgreSQL)
	startServe(t, true, "--data-dir", t.TempDir(), "--database", dsn).end()
	got := runs(t, nil, "demo", "--addr", "127.0.0.1:0", "--data", t.TempDir(), "--database", dsn)
	if got.code != 1 || !strings.Contains(got.stderr, "no demo data") || got.stdout != "" {
		t.Errorf("exit code %d, %q, %s", got.code, got.stdout, got.stderr)
	}
}

func TestServeRefusesACharterThatLacksARoleInUse(t *testing.T) {
	data := t.TempDir()
	i := startServe(t, true, "--data-dir", data)
	u, err := url.Parse(i.link)
	if err != nil {
		t.Fatal(err)
	}
	i.founds(url.Values{"token": {u.Query().Get("token")}, "name": {"Ada"}, "email": {"ada@acme.test"}, "organization": {"Acme"}})
	i.end()
	other := filepath.Join(data, "other.yaml")
	if err := os.WriteFile(other, []byte("product: Other\nname: other\nkey_prefix: oth\nroles:\n  hand: {title: Hand, grants: [organization.view]}\n  boss: {title: Boss, grants: all}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runs(t, nil, "serve", "--addr", "127.0.0.1:0", "--data-dir", data, "--charter", other)
	if got.code != 1 || !strings.Contains(got.stderr, "does not fit this data") {
		t.Errorf("exit code %d, %s", got.code, got.stderr)
	}
}

func TestServeSaysWhatIsWrongBeforeItServes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		says string
		args []string
		want string
	}{
		{"a port that is taken", []string{"--addr", taken.Addr().String()}, "is in use: choose another with --addr"},
		{"a charter that is not there", []string{"--charter", "gatway"}, `unknown charter "gatway"; did you mean "gateway"?`},
		{"a charter with mistakes", []string{"--charter", "testdata/wrong.yaml"}, `testdata/wrong.yaml:3:25: unknown key "grnats"`},
		{"a database of another kind", []string{"--database", "mysql://x"}, "only sqlite:PATH and postgres://... are known"},
		{"a metrics port that is taken", []string{"--metrics-addr", taken.Addr().String()}, "metrics_addr"},
		{"a port for Envoy that is taken", []string{"--envoy-addr", taken.Addr().String()}, "envoy_addr"},
	} {
		t.Run(c.says, func(t *testing.T) {
			got := runs(t, nil, append([]string{"serve", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir()}, c.args...)...)
			if got.code != 1 || !strings.Contains(got.stderr, c.want) {
				t.Errorf("exit code %d, %s", got.code, got.stderr)
			}
		})
	}
}

func TestEnvoyHasAListenerOfItsOwn(t *testing.T) {
	port := testport.Free(t)
	startServe(t, true, "--data-dir", t.TempDir(), "--envoy-addr", "127.0.0.1:"+port)
	conn, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	out, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{}, grpc.WaitForReady(true))
	if err != nil || out.GetDeniedResponse().GetStatus().GetCode() != typev3.StatusCode_BadRequest {
		t.Errorf("got %v %v, want that an empty question is refused", out, err)
	}
}

func TestMetricsHaveAListenerOfTheirOwn(t *testing.T) {
	port := testport.Free(t)
	i := startServe(t, true, "--data-dir", t.TempDir(), "--metrics-addr", "127.0.0.1:"+port)
	i.gets(i.url + "/v1/me")
	status, _, text := i.gets("http://127.0.0.1:" + port + "/metrics")
	if status != 200 || !strings.Contains(text, `guildhall_operations_total{code="unauthenticated",kind="read",operation="me.get"} 1`) {
		t.Errorf("%d, %s", status, text)
	}
	if status, _, _ := i.gets(i.url + "/metrics"); status != 404 {
		t.Errorf("metrics for everybody: %d", status)
	}
}

func TestDoctor(t *testing.T) {
	data := t.TempDir()
	startDemo(t, "--data", data).stopWell()
	got := runs(t, nil, "doctor", "--data-dir", data)
	if got.code != 0 || got.stdout != "every rule holds\n" {
		t.Fatalf("sound data: exit code %d, %s%s", got.code, got.stdout, got.stderr)
	}
	unowned(t, "sqlite:"+filepath.Join(data, "guildhall.db"))
	got = runs(t, nil, "doctor", "--data-dir", data)
	if got.code != 1 || !strings.Contains(got.stdout, "has no active owner") || !strings.Contains(got.stderr, "not hold") {
		t.Errorf("broken data: exit code %d, %s%s", got.code, got.stdout, got.stderr)
	}
}

// unowned takes every owner's membership away behind the back of all rules.
func unowned(t *testing.T, dsn string) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), dsn, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), "UPDATE members SET status = 'removed', removed_at = 1 WHERE role = 'owner'")
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestTheOperatorWorksOnADataFolder(t *testing.T) {
	data := t.TempDir()
	d := startDemo(t, "--data", data, "--charter", "gateway")
	d.wants(200, nil, "POST", "/dev/clock", "", `{"advance": "48h"}`)
	d.stopWell()
	got := runs(t, nil, "members", "list", "--org", "acme", "--json", "--data", data)
	if got.code != 0 || !strings.Contains(got.stdout, "ada@acme.test") {
		t.Errorf("exit code %d, %s%s", got.code, got.stdout, got.stderr)
	}
	got = runs(t, []string{"GUILDHALL_DATA=" + data}, "service-keys", "create", "production", "--json")
	if got.code != 0 || !strings.Contains(got.stdout, "gld_svc_") {
		t.Errorf("exit code %d, %s%s", got.code, got.stdout, got.stderr)
	}
	got = runs(t, nil, "members", "list", "--org", "acme", "--data", filepath.Join(data, "nothing"))
	if got.code == 0 || !strings.Contains(got.stderr, "has no guildhall.db") {
		t.Errorf("exit code %d, %s%s", got.code, got.stdout, got.stderr)
	}
}

func TestPeopleWorkOnAServer(t *testing.T) {
	d := startDemo(t, "--data", t.TempDir())
	environ := []string{"GUILDHALL_SERVER=" + d.URL, "GUILDHALL_TOKEN=" + d.Organizations[0].Members[0].Token}
	got := runs(t, environ, "invitations", "create", "zoe@acme.test", "--role", "editor", "--org", "acme", "--json")
	if got.code != 0 {
		t.Errorf("exit code %d, %s%s", got.code, got.stdout, got.stderr)
	}
	d.mail("zoe@acme.test")
	viewer := []string{"GUILDHALL_SERVER=" + d.URL, "GUILDHALL_TOKEN=" + d.Organizations[0].Members[2].Token}
	got = runs(t, viewer, "invitations", "create", "yan@acme.test", "--role", "editor", "--org", "acme")
	if got.code != 5 || !strings.Contains(got.stderr, "members.invite") {
		t.Errorf("a viewer: exit code %d, want 5: %s", got.code, got.stderr)
	}
}

// A process that is told to end by a signal ends well, and lets the next one have the data.
func TestSignalsEndTheServer(t *testing.T) {
	data := t.TempDir()
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		server := exec.CommandContext(t.Context(), program, "demo", "--json", "--addr", "127.0.0.1:0", "--data", data)
		server.Env = append(os.Environ(), "GUILDHALL_TEST_MAIN=1")
		out, err := server.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Error(err)
		}
		if err := server.Process.Signal(signal); err != nil {
			t.Error(err)
		}
		if err := server.Wait(); err != nil {
			t.Errorf("%s: %v", signal, err)
		}
	}
}
