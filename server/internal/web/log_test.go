package web_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/web"
)

func TestDirectPathsAreLoggedWhenTheyFail(t *testing.T) {
	tests := []struct {
		path string
		no   *op.Error
		want bool
	}{
		{"/direct", nil, false},
		{"/direct", op.ErrUnauthenticated, false},
		{"/direct", &op.Error{Kind: op.Unavailable}, true},
		{"/direct/", nil, true},
		{"/%64irect", nil, true},
	}
	for _, test := range tests {
		var log bytes.Buffer
		direct := func(x *web.Exchange) {
			if test.no != nil {
				x.Problem(test.no)
				return
			}
			x.Empty()
		}
		h := web.Handler(web.Config{BaseURL: "https://guildhall.test", Direct: map[string]web.Direct{"/direct": direct},
			Log: slog.New(slog.NewTextHandler(&log, nil))}, http.NotFoundHandler())
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", test.path, nil))
		if got := strings.Contains(log.String(), "msg=request"); got != test.want {
			t.Errorf("%s answered %v: logged %v, want %v", test.path, test.no, got, test.want)
		}
	}
}

// TestADirectAnswerKeepsThePromisesOfTheLayers: its headers, what another site sent, and a panic.
func TestADirectAnswerKeepsThePromisesOfTheLayers(t *testing.T) {
	var log bytes.Buffer
	h := web.Handler(web.Config{BaseURL: "https://guildhall.test", Log: slog.New(slog.NewTextHandler(&log, nil)), Direct: map[string]web.Direct{
		"/empty": func(x *web.Exchange) { x.Empty() },
		"/json":  func(x *web.Exchange) { x.JSON(append(x.Buffer(), "{}"...)) },
		"/no":    func(x *web.Exchange) { x.Problem(op.ErrNotFound) },
		"/panic": func(*web.Exchange) { panic("gld_live_secret") },
	}}, http.NotFoundHandler())
	ask := func(path string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", path, nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	ids := map[string]bool{}
	for path, want := range map[string]int{"/empty": 200, "/json": 200, "/no": 404, "/panic": 500} {
		for range 2 {
			w := ask(path)
			id := w.Header().Get("Request-Id")
			if w.Code != want || !strings.HasPrefix(id, "req_") || ids[id] || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %d %v, want %d", path, w.Code, w.Header(), want)
			}
			ids[id] = true
			if want != 200 && w.Header().Get("Content-Security-Policy") == "" {
				t.Errorf("%s: a page that a gateway shows has no policy", path)
			}
		}
		if w := ask(path, "Sec-Fetch-Site", "cross-site"); w.Code != 403 || !strings.Contains(w.Body.String(), "cross_origin") { // T-054
			t.Errorf("%s from another site: %d %s", path, w.Code, w.Body)
		}
	}
	if !strings.Contains(log.String(), "msg=panic") || strings.Contains(ask("/panic").Body.String(), "secret") {
		t.Errorf("a panic is not told, or told to the wrong one: %s", log.String())
	}
}
