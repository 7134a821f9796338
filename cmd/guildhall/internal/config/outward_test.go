package config_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"encoding/pem"

	"github.com/guildhall/guildhall/cmd/guildhall/internal/config"
	"github.com/guildhall/guildhall/internal/outbound"
)

func TestGoogleAndGitHubAreConfiguredWholeOrNotAtAll(t *testing.T) {
	c, err := config.Load(nil, []string{"GUILDHALL_GITHUB_CLIENT_ID=app", "GUILDHALL_GITHUB_CLIENT_SECRET=s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	if names := c.Social().Names(); len(names) != 1 || names[0] != "github" {
		t.Errorf("%v, %+v", names, c.Social())
	}
	for name, env := range map[string][]string{
		"google_client_id and google_client_secret": {"GUILDHALL_GOOGLE_CLIENT_ID=app"},
		"github_client_id and github_client_secret": {"GUILDHALL_GITHUB_CLIENT_SECRET=x"},
		"github_url":       {"GUILDHALL_GITHUB_URL=http://github.test"},
		"google_issuer":    {"GUILDHALL_GOOGLE_ISSUER=https://u:p@google.test"},
		"dns_server":       {"GUILDHALL_DNS_SERVER=dns.test:53"},
		"outbound_allow":   {"GUILDHALL_OUTBOUND_ALLOW=10.0.0.0/8,inside"},
		"outbound_ca_file": {"GUILDHALL_OUTBOUND_CA_FILE=" + os.DevNull},
	} {
		if _, err := config.Load(nil, env); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", env, err)
		}
	}
}

// What an operator opens is open, and nothing beside it. T-084
func TestOnlyTheNetworksThatAreNamedAreOpened(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("here")) }))
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	for _, c := range []struct{ allow, ca, address, want string }{
		{"", ca, s.URL, "no public address"},
		{"10.0.0.0/8", ca, s.URL, "no public address"},
		{"127.0.0.2", ca, s.URL, "no public address"},
		{"127.0.0.1", "", s.URL, "certificate"},
		{"127.0.0.1", ca, s.URL, ""},
		{"127.0.0.1", ca, "https://127.0.0.2" + port, "no public address"},
		{"127.0.0.1", ca, "https://[::ffff:7f00:2]" + port, "no public address"},
		{"127.0.0.1", ca, "https://169.254.169.254/", "no public address"},
		{"127.0.0.1", ca, "http://127.0.0.1" + port, "only https"},
	} {
		loaded, err := config.Load(nil, []string{"GUILDHALL_OUTBOUND_ALLOW=" + c.allow, "GUILDHALL_OUTBOUND_CA_FILE=" + c.ca})
		if err != nil {
			t.Fatal(err)
		}
		_, err = outbound.Get(t.Context(), loaded.Outbound(), c.address, "")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
