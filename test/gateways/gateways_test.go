// Package gateways_test puts real gateways, set up by the very recipes of docs/gates.md, between clients and a product that
// records what reaches it.
package gateways_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testport"
	"github.com/guildhall/guildhall/server"
)

// site is a product behind a gateway, and Guildhall beside it.
type site struct {
	t     *testing.T
	kind  string // of the gateway
	hall  *guildhalltest.Hall
	url   string // of the gateway
	guild *guild
	seen  *product
}

// kinds are the gateways, by the section of the documentation that has their recipe.
var kinds = map[string]func(t *testing.T, recipe, listen string){"nginx": startNginx, "Caddy": startCaddy, "Traefik": startTraefik}

// behindEach runs a test behind each gateway.
func behindEach(t *testing.T, c *charter.Charter, test func(t *testing.T, s *site)) {
	t.Helper()
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) { test(t, behind(t, kind, c)) })
	}
}

// The addresses that the recipes name.
const (
	recipeGuildhall = "127.0.0.1:8080"
	recipeProduct   = "127.0.0.1:9000"
	recipePort      = ":8081"
)

// behind starts a gateway as its recipe says, but for the addresses and the changes (pairs of old and new text).
func behind(t *testing.T, kind string, c *charter.Charter, changes ...string) *site {
	t.Helper()
	s := &site{t: t, kind: kind, hall: guildhalltest.WithCharter(t, c), seen: &product{}}
	listen := "127.0.0.1:" + testport.Free(t)
	s.url = "http://" + listen
	s.guild = &guild{next: server.ForHall(s.hall.Hall, server.HallConfig{BaseURL: s.url, Log: slog.New(slog.DiscardHandler),
		Gateways: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})}
	_, port, _ := strings.Cut(listen, ":")
	recipe := strings.NewReplacer(append([]string{recipeGuildhall, serve(t, s.guild), recipeProduct, serve(t, s.seen), recipePort, ":" + port},
		changes...)...).Replace(recipeOf(t, kind))
	kinds[kind](t, recipe, listen)
	return s
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// recipeOf is the one block in the section of docs/gates.md about a kind of gateway.
func recipeOf(t *testing.T, kind string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/gates.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## "+kind+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?ms)^```[a-z]+\n(.*?)^```$").FindAllStringSubmatch(section, -1)
	if len(blocks) != 1 {
		t.Fatalf("the section %q of docs/gates.md has %d blocks", kind, len(blocks))
	}
	return blocks[0][1]
}

// identity are the headers that say who calls, as the product reads them.
var identity = [...]string{"X-Guildhall-User", "X-Guildhall-Member", "X-Guildhall-Organization", "X-Guildhall-Role", "X-Guildhall-Credential",
	"X-Guildhall-Kind", "X-Guildhall-Region", "X-Guildhall-Plan", "X-Guildhall-Features", "X-Guildhall-Permission", "X-Guildhall-Resource"}

// passed is one request with the identity that goes with it: what Guildhall let pass, and what the product received.
type passed struct {
	Method, Path string
	Identity     [len(identity)]string // in the order of identity
}

func identityIn(h http.Header) (found [len(identity)]string) {
	for i, name := range identity {
		found[i] = strings.Join(h.Values(name), ", ")
	}
	return found
}

// guild is Guildhall, with a memory of what it let pass.
type guild struct {
	next http.Handler
	down atomic.Bool // it breaks every connection
	mu   sync.Mutex
	yes  []passed
}

func (g *guild) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.down.Load() {
		panic(http.ErrAbortHandler)
	}
	if r.URL.Path != "/forward-auth" {
		g.next.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	g.next.ServeHTTP(answer, r)
	if answer.Code == http.StatusOK {
		path, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Uri"), "?")
		g.mu.Lock()
		g.yes = append(g.yes, passed{r.Header.Get("X-Forwarded-Method"), path, identityIn(answer.Header())})
		g.mu.Unlock()
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// product records the requests that reach it, and what is wrong with them in itself.
type product struct {
	mu       sync.Mutex
	received []passed
	wrong    []string
}

// refused are headers that no product may get: by them a client would say who it is, or that it means another request.
var refused = regexp.MustCompile(`(?i)^(authorization|cookie|forwarded|x[-_]forwarded[-_](method|uri)|x[-_]http[-_]method.*|x[-_]method[-_]override|x[-_]original[-_]ur[il]|x[-_]rewrite[-_]ur[il])$`)

func (p *product) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	path, _, _ := strings.Cut(r.RequestURI, "?")
	p.received = append(p.received, passed{r.Method, path, identityIn(r.Header)})
	for name, values := range r.Header {
		folded := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		known := slices.Contains(identity[:], name)
		if refused.MatchString(name) || strings.Contains(folded, "guildhall") && (!known || len(values) != 1) {
			p.wrong = append(p.wrong, fmt.Sprintf("%s %s with %s: %q", r.Method, r.RequestURI, name, values))
		}
	}
	if r.Header.Get("X-Guildhall-Kind") == "" {
		p.wrong = append(p.wrong, fmt.Sprintf("%s %s for nobody", r.Method, r.RequestURI))
	}
	_, _ = io.WriteString(w, "the product")
}

// take gives what the product received since the last call, and what is wrong with it: it may not receive anything but
// what Guildhall let pass, exactly so.
func (s *site) take() (received []passed, wrong []string) {
	s.seen.mu.Lock()
	received, wrong = s.seen.received, s.seen.wrong
	s.seen.received, s.seen.wrong = nil, nil
	s.seen.mu.Unlock()
	yes := s.guild.take()
	for _, r := range received {
		i := slices.Index(yes, r)
		if i < 0 {
			wrong = append(wrong, fmt.Sprintf("%+v, which was not let pass; these were: %+v", r, yes))
			continue
		}
		yes = slices.Delete(yes, i, i+1)
	}
	return received, wrong
}

// take gives what was let pass since the last call.
func (g *guild) take() []passed {
	g.mu.Lock()
	defer g.mu.Unlock()
	yes := g.yes
	g.yes = nil
	return yes
}
