package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestNobodyGetsAroundTheProxy sends the product what the proxy would, from elsewhere. T-098
func TestNobodyGetsAroundTheProxy(t *testing.T) {
	s := behind(t, func(*street) string { return "" })
	b := http.Header{}
	forged := func(r *http.Request) {
		for name, value := range map[string]string{organizationHeader: s.acme.ID, memberHeader: s.acme.Owner().Member, permissionHeader: "prompts.view"} {
			header(name, value)(r)
		}
		for name, values := range b {
			r.Header[name] = values
		}
	}
	secret := s.options.proxySecret
	for _, c := range []struct {
		says   string
		proof  []string
		status int
	}{
		{"without the secret", nil, http.StatusForbidden},
		{"with an empty one", []string{""}, http.StatusForbidden},
		{"with a wrong one", []string{strings.Repeat("x", minSecret)}, http.StatusForbidden},
		{"with half of it", []string{secret[:minSecret/2]}, http.StatusForbidden},
		{"with two of them", []string{secret, secret}, http.StatusForbidden},
		{"as the proxy does", []string{secret}, http.StatusOK},
	} {
		b = http.Header{proxyHeader: c.proof}
		for _, path := range []string{"/api/prompts", "/"} {
			if got := s.sendsTo(s.inside, "GET", path, "", forged); got.status != c.status {
				t.Errorf("%s, %s: %d %s, want %d", c.says, path, got.status, got.body, c.status)
			}
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/api/prompts", nil)
	r.RemoteAddr = "192.0.2.1:4711"
	b = http.Header{proxyHeader: {secret}}
	forged(r)
	w := httptest.NewRecorder()
	if s.handler().ServeHTTP(w, r); w.Code != http.StatusForbidden {
		t.Errorf("from another machine: %d", w.Code)
	}
}

// TestAnAnswerForAnotherRequestIsNone gives the product answers of Guildhall that are not for what it is asked to do. T-098
func TestAnAnswerForAnotherRequestIsNone(t *testing.T) {
	s := behind(t, func(*street) string { return "" })
	for _, c := range []struct {
		says, permission, resource string
		organization               []string
		status                     int
	}{
		{"as it is", "prompts.view", "prompt:pr_1", []string{"org_1"}, http.StatusNotFound},
		{"another permission", "endpoints.view", "prompt:pr_1", []string{"org_1"}, http.StatusForbidden},
		{"no permission", "", "", []string{"org_1"}, http.StatusForbidden},
		{"another prompt", "prompts.view", "prompt:pr_2", []string{"org_1"}, http.StatusForbidden},
		{"all prompts", "prompts.view", "", []string{"org_1"}, http.StatusForbidden},
		{"no organization", "prompts.view", "prompt:pr_1", nil, http.StatusForbidden},
		{"two organizations", "prompts.view", "prompt:pr_1", []string{"org_1", "org_2"}, http.StatusForbidden},
	} {
		got := s.sendsTo(s.inside, "GET", "/api/prompts/pr_1", "", header(proxyHeader, s.options.proxySecret),
			header(permissionHeader, c.permission), header(resourceHeader, c.resource),
			func(r *http.Request) { r.Header[organizationHeader] = c.organization })
		if got.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.says, got.status, got.body, c.status)
		}
	}
}

// TestNothingIsSmuggledThroughTheProxy is a reader of Acme who would like to be more. T-098, T-007
func TestNothingIsSmuggledThroughTheProxy(t *testing.T) {
	behindEach(t, func(t *testing.T, s *street) {
		globex := s.belongingsOf(s.globex(), s.globex().Owner())
		acme := s.belongingsOf(s.acme, s.acme.Owner())
		reader := bearer(s.acme.People["reader"].Token)
		for _, c := range []struct {
			says, method, path string
			changes            []func(*http.Request)
		}{
			{"another organization", "GET", "/api/prompts/" + globex.prompt, []func(*http.Request){header(organizationHeader, s.globex().ID)}},
			{"in lower case", "GET", "/api/prompts/" + globex.prompt, []func(*http.Request){header("x-guildhall-organization", s.globex().ID)}},
			{"with underscores", "GET", "/api/prompts/" + globex.prompt, []func(*http.Request){header("X_Guildhall_Organization", s.globex().ID)}},
			{"another permission", "POST", "/api/prompts/" + acme.prompt + "/promote", []func(*http.Request){header(permissionHeader, "prompts.promote")}},
			{"a header taken away", "GET", "/api/prompts/" + globex.prompt, []func(*http.Request){header("Connection", organizationHeader)}},
			{"another method by header", "POST", "/api/prompts/" + acme.prompt + "/promote", []func(*http.Request){header("X-Forwarded-Method", "GET")}},
			{"another address by header", "POST", "/api/prompts/" + acme.prompt + "/promote", []func(*http.Request){header("X-Forwarded-Uri", "/api/prompts")}},
			{"the proxy's secret", "POST", "/api/prompts/" + acme.prompt + "/promote", []func(*http.Request){header(proxyHeader, "x")}},
			{"dot segments", "DELETE", "/api/prompts/../endpoints/" + acme.endpoint, nil},
			{"encoded dot segments", "DELETE", "/api/prompts/%2e%2e/endpoints/" + acme.endpoint, nil},
			{"an encoded letter", "DELETE", "/%61pi/endpoints/" + acme.endpoint, nil},
			{"two slashes", "DELETE", "//api/endpoints/" + acme.endpoint, nil},
			{"two slashes within", "DELETE", "/api//endpoints/" + acme.endpoint, nil},
			{"in by the pages", "DELETE", "/assets/..%2fapi/endpoints/" + acme.endpoint, nil},
			{"capital letters", "DELETE", "/API/endpoints/" + acme.endpoint, nil},
		} {
			got := s.sends(c.method, c.path, `{"version":1}`, append(c.changes, reader)...)
			if got.status < 300 || strings.Contains(got.body, "of_globex") {
				t.Errorf("%s: %d %s", c.says, got.status, got.body)
			}
		}
		if got := s.sends("GET", "/api/endpoints/"+acme.endpoint, "", reader); got.status != http.StatusOK {
			t.Errorf("the endpoint is gone: %d %s", got.status, got.body)
		}
		dev := s.acme.People["developer"]
		made := s.sends("POST", "/api/prompts", `{"name":"x","text":"x"}`, bearer(dev.Token), header("Connection", memberHeader))
		if got := s.sends("GET", "/api/prompts/"+field[string](t, made, "id"), "", reader); !strings.Contains(got.body, `"created_by":"`+dev.Member+`"`) {
			t.Errorf("whoever has the proxy drop their name is somebody else: %s", got.body)
		}
		got := s.sends("GET", "/api/prompts", "", reader, header("X-Forwarded-For", "10.0.0.1"), header("Connection", "close"))
		if got.status != http.StatusOK || strings.Contains(got.body, "of_globex") {
			t.Errorf("an honest request: %d %s", got.status, got.body)
		}
	})
}

// TestWhatItIsStartedWithIsChecked starts the program with what would leave it open.
func TestWhatItIsStartedWithIsChecked(t *testing.T) {
	good := map[string]string{"GATEWAY_PROXY_SECRET": strings.Repeat("s", minSecret), "GUILDHALL_SERVICE_KEY": "gld_svc_x"}
	for _, c := range []struct {
		says string
		args []string
		env  map[string]string
		want string
	}{
		{"no secrets", nil, nil, "GATEWAY_PROXY_SECRET"},
		{"a short secret", nil, map[string]string{"GATEWAY_PROXY_SECRET": "short"}, "GATEWAY_PROXY_SECRET"},
		{"no service key", nil, map[string]string{"GATEWAY_PROXY_SECRET": good["GATEWAY_PROXY_SECRET"]}, "GUILDHALL_SERVICE_KEY"},
		{"every interface", []string{"--addr", ":8082"}, good, "--addr"},
		{"another machine's", []string{"--addr", "192.0.2.1:8082"}, good, "--addr"},
		{"no address of its own", []string{"--public", "here"}, good, "--public"},
	} {
		err := run(t.Context(), c.args, func(name string) string { return c.env[name] }, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something about %s", c.says, err, c.want)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := run(ctx, []string{"--addr", "127.0.0.1:0", "--data", t.TempDir()}, func(name string) string { return good[name] }, io.Discard); err != nil {
		t.Errorf("as it should be: %v", err)
	}
}
