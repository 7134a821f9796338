package console_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/server/internal/console"
	"github.com/guildhall/guildhall/server/internal/web"
)

// Whoever goes away while a page is being made has broken nothing: operators are not alarmed by it.
func TestGoneClientIsNoError(t *testing.T) {
	s := newSite(t, "automation")
	owner := s.Organization("acme").Owner()
	for _, c := range []struct {
		name string
		gone bool
	}{{"there", false}, {"gone", true}} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			told := slog.New(slog.NewTextHandler(&log, nil))
			pages := console.New(console.Config{Service: s.Service(), Access: s.Access(), BaseURL: host, LastUse: s.LastUse, Log: told})
			site := web.Handler(web.Config{BaseURL: host, Refuse: pages.Refuse, Now: s.Clock.Now, Log: told}, pages)
			ctx, leave := context.WithCancel(t.Context())
			r := httptest.NewRequestWithContext(ctx, "GET", host+"/o/acme/members", nil)
			r.Header.Set("Cookie", "guildhall="+owner.Token)
			if c.gone {
				leave()
			}
			site.ServeHTTP(httptest.NewRecorder(), r)
			leave()
			if strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("logged as an error:\n%s", &log)
			}
			if c.gone != strings.Contains(log.String(), "context canceled") {
				t.Errorf("logged:\n%s", &log)
			}
		})
	}
}
