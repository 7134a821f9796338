package gate_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/server"
)

// BenchmarkForwardAuth is the server's own work for a request that may pass, with each kind of credential.
func BenchmarkForwardAuth(b *testing.B) {
	h := guildhalltest.New(b, "automation")
	acme := h.Organization("acme")
	editor := acme.People["editor"]
	key, err := credential.CreateKey.Call(editor.Ctx(), h.Service(), credential.CreateKeyInput{InOrganization: acme.In(), Name: "nightly"})
	if err != nil {
		b.Fatal(err)
	}
	handler := server.ForHall(h.Hall, server.HallConfig{BaseURL: guildhalltest.BaseURL, Log: slog.New(slog.DiscardHandler),
		Gateways: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	for kind, secret := range map[string]string{"session": editor.Token, "key": key.Secret} {
		b.Run(kind, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/forward-auth", nil)
			r.Header.Set("Authorization", "Bearer "+secret)
			r.Header.Set("X-Forwarded-Method", "POST")
			r.Header.Set("X-Forwarded-Uri", "/api/workflows/wf_1/run")
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				if handler.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
