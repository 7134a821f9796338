package web_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/server/internal/web"
)

func TestQuietPathsAreLoggedWhenTheyFail(t *testing.T) {
	tests := []struct {
		path   string
		status int
		want   bool
	}{
		{"/v1/me", 200, true},
		{"/access/v1/evaluation", 200, false},
		{"/access/v1/evaluation", 401, false},
		{"/access/v1/evaluation", 503, true},
		{"/access/v1", 200, true},
		{"/forward-auth", 403, false},
		{"/forward-authority", 403, true},
	}
	for _, test := range tests {
		var log bytes.Buffer
		h := web.Handler(web.Config{BaseURL: "https://guildhall.test", Quiet: []string{"/access/v1/", "/forward-auth"},
			Log: slog.New(slog.NewTextHandler(&log, nil))},
			http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(test.status) }))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", test.path, nil))
		if got := strings.Contains(log.String(), "msg=request"); got != test.want {
			t.Errorf("%s answered %d: logged %v, want %v", test.path, test.status, got, test.want)
		}
	}
}
