package config_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/cmd/guildhall/internal/config"
)

// file writes a configuration file and gives its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "guildhall.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheLaterPlaceWins(t *testing.T) {
	const text = "addr: :1\nlink_life: 1m\n"
	for _, c := range []struct {
		says      string
		file      string
		env, args []string
		addr      string
		life      time.Duration
	}{
		{"nobody says anything", "", nil, nil, "127.0.0.1:8080", 15 * time.Minute},
		{"the file says it", text, nil, nil, ":1", time.Minute},
		{"the environment says other than the file", text, []string{"GUILDHALL_ADDR=:2"}, nil, ":2", time.Minute},
		{"a flag says other than both", text, []string{"GUILDHALL_ADDR=:2", "GUILDHALL_LINK_LIFE=2m"}, []string{"--addr", ":3"}, ":3", 2 * time.Minute},
		{"a flag is written with =", text, nil, []string{"--addr=:4", "-link-life=3m"}, ":4", 3 * time.Minute},
		{"an empty file says nothing", "# nothing\n", nil, nil, "127.0.0.1:8080", 15 * time.Minute},
	} {
		t.Run(c.says, func(t *testing.T) {
			args := c.args
			if c.file != "" {
				args = append([]string{"--config", file(t, c.file)}, args...)
			}
			got, err := config.Load(args, c.env)
			if err != nil {
				t.Fatal(err)
			}
			if got.Addr != c.addr || got.LinkLife != c.life {
				t.Errorf("addr %s, link_life %s; want %s, %s", got.Addr, got.LinkLife, c.addr, c.life)
			}
		})
	}
}

func TestMistakesAreRefused(t *testing.T) {
	for _, c := range []struct {
		says, file string
		env, args  []string
		want       string
	}{
		{says: "an unknown name in the file", file: "adr: :1\n", want: `.yaml:1:1: unknown setting "adr"; did you mean addr?`},
		{says: "a name of nothing", file: "addr: :1\nwibble_wobble: 1\n", want: `.yaml:2:1: unknown setting "wibble_wobble"`},
		{says: "a name twice", file: "addr: :1\naddr: :2\n", want: ".yaml:2:1: addr stands here twice"},
		{says: "a wrong value in the file", file: "addr: :1\nlink_life: soon\n", want: `.yaml:2:1: link_life is "soon": want a duration such as 15m or 336h`},
		{says: "no value", file: "addr:\n", want: "addr: has no value"},
		{says: "a mapping as value", file: "addr: {a: b}\n", want: "addr: want one value"},
		{says: "a list as document", file: "- addr\n", want: "want lines of name: value"},
		{says: "a file that is not there", args: []string{"--config", "/nowhere/at/all"}, want: "configuration: open /nowhere/at/all"},
		{says: "a mistyped variable", env: []string{"GUILDHALL_BASEURL=x"}, want: "unknown variable GUILDHALL_BASEURL; did you mean GUILDHALL_BASE_URL?"},
		{says: "a wrong number", env: []string{"GUILDHALL_CODE_TRIES=-1"}, want: `environment GUILDHALL_CODE_TRIES: code_tries is "-1": want a whole number`},
		{says: "a value that is no choice", args: []string{"--log-level", "loud"}, want: `log_level is "loud": want debug, info, warn, error`},
		{says: "an unknown flag", args: []string{"--chartre", "x"}, want: "unknown flag --chartre; did you mean charter?"},
		{says: "a flag without value", args: []string{"--addr"}, want: "--addr needs a value"},
		{says: "no flag", args: []string{"addr"}, want: `"addr" is not a flag`},
		{says: "a secret by flag", args: []string{"--smtp-password=hunter2"}, want: "a secret is not given by a flag"},
		{says: "a wrong address", args: []string{"--addr", "here"}, want: `addr "here" is not HOST:PORT`},
		{says: "http on a real host", args: []string{"--base-url", "http://accounts.example.com"}, want: "http is for localhost only"},
		{says: "a base with a path", args: []string{"--base-url", "https://example.com/accounts"}, want: "has more than scheme, host and port"},
		{says: "a base that is none", args: []string{"--base-url", "accounts"}, want: "is not an address"},
		{says: "a wrong network", args: []string{"--trusted-proxies", "10.0.0.0/8,proxy"}, want: `trusted_proxies: "proxy" is not a network`},
		{says: "a canary without a rest", args: []string{"--canary", "10ms"}, want: "canary 10ms is less than a second"},
		{says: "a wrong gateway", args: []string{"--gateways", "10.0.0.7,gateway"}, want: `gateways: "gateway" is not a network`},
		{says: "a path to return to", args: []string{"--return-to", "https://app.example.com/x,/signed-in"}, want: `return_to "/signed-in" is not an address`},
		{says: "http to return to", args: []string{"--return-to", "http://app.example.com/x"}, want: "http is for localhost only"},
		{says: "an editor without a place for the page", args: []string{"--docs-edit-url", "https://example.com/edit"}, want: "is not an address such as https://example.com/edit/docs/{page}"},
		{says: "a script as editor", args: []string{"--docs-edit-url", "javascript:alert({page})"}, want: "is not an address"},
		{says: "mail from nobody", args: []string{"--smtp-host", "mail.example.com"}, want: "smtp_from is not"},
		{says: "a publishable key", env: []string{"GUILDHALL_STRIPE_KEY=pk_hunter2"}, want: "stripe_key is not a secret key of Stripe"},
		{says: "a key without the webhook's secret", env: []string{"GUILDHALL_STRIPE_KEY=sk_test_1"}, want: "stripe_webhook_secret is not"},
		{says: "a webhook's secret without a key", env: []string{"GUILDHALL_STRIPE_WEBHOOK_SECRET=whsec_1"}, want: "stripe_key is not a secret key of Stripe"},
		{says: "another secret", env: []string{"GUILDHALL_STRIPE_KEY=sk_test_1", "GUILDHALL_STRIPE_WEBHOOK_SECRET=whsec_1 hunter2"}, want: "the secret number 2 is not one of Stripe's"},
		{says: "two keys", env: []string{"GUILDHALL_STRIPE_KEY=sk_test_hunter2", "GUILDHALL_STRIPE_KEY_FILE=b"}, want: "stripe_key and stripe_key_file are both set"},
		{says: "a key's file that is not there", env: []string{"GUILDHALL_STRIPE_KEY_FILE=/nowhere/at/all"}, want: "stripe_key_file: open /nowhere/at/all"},
		{says: "a key by flag", args: []string{"--stripe-key=sk_hunter2"}, want: "a secret is not given by a flag"},
		{says: "two passwords", env: []string{"GUILDHALL_SMTP_PASSWORD=a", "GUILDHALL_SMTP_PASSWORD_FILE=b"}, want: "both set"},
	} {
		t.Run(c.says, func(t *testing.T) {
			args := c.args
			if c.file != "" {
				args = append([]string{"--config", file(t, c.file)}, args...)
			}
			_, err := config.Load(args, c.env)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

// What an orchestrator puts into the environment is none of ours.
func TestVariablesOfOthersAreLeftAlone(t *testing.T) {
	_, err := config.Load(nil, []string{"GUILDHALL_PORT=tcp://10.0.0.1:8080", "GUILDHALL_PORT_8080_TCP_ADDR=10.0.0.1",
		"GUILDHALL_SERVICE_HOST=10.0.0.1", "GUILDHALL_TOKEN=gld_ses_x", "GUILDHALL_SERVER=http://localhost:8080", "HOME=/root"})
	if err != nil {
		t.Error(err)
	}
}

func TestShowSaysWhereValuesCameFromAndHidesSecrets(t *testing.T) {
	path := file(t, "smtp_password: hunter2\nreturn_to: [https://a.example.com/x, https://b.example.com/y]\n")
	loaded, err := config.Load([]string{"--config", path, "--addr", ":9"},
		[]string{"GUILDHALL_DATABASE=postgres://hall:hunter3@db.example.com/hall?sslpassword=hunter4"})
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	if err := loaded.Show(&shown); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"addr: :9 # flag --addr",
		"smtp_password: '***' # " + path + ":1:1",
		"database: postgres://hall:xxxxx@db.example.com/hall?sslpassword=xxxxx # environment GUILDHALL_DATABASE",
		"session_idle: 336h # default",
		"base_url: http://localhost:9 # default",
	} {
		if !strings.Contains(strings.Join(strings.Fields(shown.String()), " "), want) {
			t.Errorf("no line %q in\n%s", want, &shown)
		}
	}
	if strings.Contains(shown.String(), "hunter") {
		t.Errorf("shows a secret:\n%s", &shown)
	}
	if got, want := loaded.OpSettings().ReturnTo, []string{"https://a.example.com/x", "https://b.example.com/y"}; !cmp.Equal(got, want) {
		t.Errorf("return_to %q, want %q", got, want)
	}
}

func TestWhatIsShownCanBeReadAgain(t *testing.T) {
	loaded, err := config.Load([]string{"--trusted-proxies", "10.0.0.0/8, 192.0.2.1", "--session-idle", "-1h"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	if err := loaded.Show(&shown); err != nil {
		t.Fatal(err)
	}
	again, err := config.Load([]string{"--config", file(t, shown.String())}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(loaded.Config, again.Config); diff != "" {
		t.Error(diff)
	}
}

func TestAPasswordFileIsRead(t *testing.T) {
	loaded, err := config.Load([]string{"--smtp-host", "mail.example.com", "--smtp-from", "hall@example.com",
		"--smtp-user", "hall", "--smtp-password-file", file(t, "hunter2\n")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := loaded.SMTPPassword, "hunter2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if loaded.Mail() == nil {
		t.Error("no mail server")
	}
}

func TestDocumentation(t *testing.T) {
	var page, help bytes.Buffer
	if err := config.Markdown(&page); err != nil {
		t.Fatal(err)
	}
	if err := config.Help(&help); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"configuration.md": page.String(), "help_config.txt": help.String()} {
		golden(t, filepath.Join("..", "..", "testdata", name), got)
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (UPDATE=1 rewrites it):\n%s", path, diff)
	}
}

func TestOnlyNamedGatewaysAreBelieved(t *testing.T) {
	for _, c := range []struct {
		says string
		args []string
		want string
	}{
		{"this machine, where nobody else reaches it", nil, "127.0.0.0/8 ::1/128"},
		{"nobody on a real host", []string{"--base-url", "https://accounts.example.com"}, ""},
		{"those that are named", []string{"--base-url", "https://accounts.example.com", "--gateways", "10.0.0.7, 2001:db8::/64"}, "10.0.0.7/32 2001:db8::/64"},
		{"only those, on this machine too", []string{"--gateways", "127.0.0.2"}, "127.0.0.2/32"},
	} {
		l, err := config.Load(c.args, nil)
		if err != nil {
			t.Fatal(err)
		}
		networks, err := l.GatewayNetworks()
		if got := strings.Trim(fmt.Sprint(networks), "[]"); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.says, got, err, c.want)
		}
	}
}

func TestStripeIsConfigured(t *testing.T) {
	loaded, err := config.Load(nil, []string{"GUILDHALL_STRIPE_KEY_FILE=" + file(t, "sk_test_hunter2\n"), "GUILDHALL_STRIPE_WEBHOOK_SECRET=whsec_hunter3, whsec_hunter4"})
	if err != nil {
		t.Fatal(err)
	}
	c := loaded.Stripe()
	if c.Key != "sk_test_hunter2" || !cmp.Equal(c.WebhookSecrets, []string{"whsec_hunter3", "whsec_hunter4"}) || c.Check() != nil {
		t.Errorf("it is %+v", c)
	}
	var shown bytes.Buffer
	if err := loaded.Show(&shown); err != nil || strings.Contains(shown.String(), "hunter") {
		t.Errorf("%v, shows a secret:\n%s", err, &shown)
	}
}
