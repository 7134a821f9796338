package gateways_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// traefik is a small gateway that does with its recipe what Traefik does: it drops what clients say in X-Forwarded-*, runs
// the middlewares of the router in their order, and passes on.
type traefik struct {
	recipe traefikRecipe
	client http.Client
}

type traefikRecipe struct {
	HTTP struct {
		Middlewares map[string]struct {
			Headers *struct {
				CustomRequestHeaders map[string]string `yaml:"customRequestHeaders"`
			}
			ForwardAuth *struct {
				Address                  string
				TrustForwardHeader       bool   `yaml:"trustForwardHeader"`
				AuthResponseHeadersRegex string `yaml:"authResponseHeadersRegex"`
			} `yaml:"forwardAuth"`
		}
		Routers  map[string]struct{ Middlewares []string }
		Services map[string]struct {
			LoadBalancer struct{ Servers []struct{ URL string } } `yaml:"loadBalancer"`
		}
	}
}

func startTraefik(t *testing.T, recipe, listen string) {
	t.Helper()
	g := &traefik{client: http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if err := yaml.Unmarshal([]byte(recipe), &g.recipe); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: g}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); g.client.CloseIdleConnections() })
}

func (g *traefik) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		http.NotFound(w, r)
		return
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") {
			r.Header.Del(name)
		}
	}
	for _, name := range g.recipe.HTTP.Routers["product"].Middlewares {
		m := g.recipe.HTTP.Middlewares[name]
		if m.Headers != nil {
			for header, value := range m.Headers.CustomRequestHeaders {
				setOrDrop(r.Header, header, value)
			}
		}
		if m.ForwardAuth != nil && !g.ask(w, r, m.ForwardAuth.Address, regexp.MustCompile(m.ForwardAuth.AuthResponseHeadersRegex)) {
			return
		}
	}
	to, err := url.Parse(g.recipe.HTTP.Services["product"].LoadBalancer.Servers[0].URL)
	if err != nil {
		panic(err)
	}
	proxy := httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to); p.SetXForwarded() }}
	proxy.ServeHTTP(w, r)
}

func setOrDrop(h http.Header, name, value string) {
	if value == "" {
		h.Del(name)
		return
	}
	h.Set(name, value)
}

// ask asks the address, and copies what it answers to the request. An answer that is no yes is the client's.
func (g *traefik) ask(w http.ResponseWriter, r *http.Request, address string, ours *regexp.Regexp) bool {
	q, err := http.NewRequestWithContext(r.Context(), http.MethodGet, address, nil)
	if err != nil {
		panic(err)
	}
	q.Header = r.Header.Clone()
	for _, name := range []string{"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length"} {
		q.Header.Del(name)
	}
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	q.Header.Set("X-Forwarded-For", client)
	q.Header.Set("X-Forwarded-Method", r.Method)
	q.Header.Set("X-Forwarded-Host", r.Host)
	q.Header.Set("X-Forwarded-Uri", r.URL.RequestURI())
	answer, err := g.client.Do(q)
	if err != nil {
		http.Error(w, "no answer", http.StatusInternalServerError)
		return false
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
		return false
	}
	for name := range r.Header {
		if ours.MatchString(name) {
			delete(r.Header, name)
		}
	}
	for name, values := range answer.Header {
		if ours.MatchString(name) {
			r.Header[name] = slices.Clone(values)
		}
	}
	return true
}
