package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// office is a mail server, and what arrived there by address.
type office struct {
	port    string
	mu      sync.Mutex
	letters map[string]string
}

func openOffice(t *testing.T) *office {
	t.Helper()
	o := &office{letters: map[string]string{}}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &delivery{office: o}, nil }))
	server.Domain, server.ErrorLog = "localhost", log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, o.port, _ = net.SplitHostPort(l.Addr().String())
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	t.Cleanup(func() { server.Close(); serving.Wait() })
	return o
}

// delivery is a connection to the office.
type delivery struct {
	*office
	to string
}

func (d *delivery) Mail(string, *smtp.MailOptions) error      { return nil }
func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error { d.to = to; return nil }
func (d *delivery) Reset()                                    {}
func (d *delivery) Logout() error                             { return nil }

func (d *delivery) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.letters[d.to] = strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(string(raw))
	return err
}

func (o *office) forget(to string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.letters, to)
}

// token is what follows in the letter to an address, which may be on its way yet.
func (o *office) token(t *testing.T, to, after string) string {
	t.Helper()
	wanted := regexp.MustCompile(regexp.QuoteMeta(after) + `([0-9A-Za-z]+)`)
	letter := ""
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		o.mu.Lock()
		letter = o.letters[to]
		o.mu.Unlock()
		if found := wanted.FindStringSubmatch(letter); found != nil {
			return found[1]
		}
	}
	t.Fatalf("no %s came to %s: %q", after, to, letter)
	return ""
}

// gets sends a request until somebody answers it, and reads the answer.
func (s *clusterServer) gets(method, path, credential string, body, into any) (status int) {
	s.t.Helper()
	status, _ = s.answers(method, path, credential, body, into)
	return status
}

// answers sends a request until somebody answers it.
func (s *clusterServer) answers(method, path, credential string, body, into any) (status int, raw []byte) {
	s.t.Helper()
	key := ""
	if method != "GET" {
		key = "x" + strconv.FormatInt(time.Now().UnixNano(), 36)
	}
	var err error
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
		status, raw, err = send(s.t.Context(), http.DefaultClient, s.url, change{method, path, credential, body}, key)
		if err == nil && status != http.StatusServiceUnavailable {
			break
		}
	}
	if err == nil && into != nil && status < 300 {
		err = json.Unmarshal(raw, into)
	}
	if err != nil || status >= 500 {
		s.t.Fatalf("%s %s at %s: %d %v %s", method, path, s.name, status, err, raw)
	}
	return status, raw
}

// does wants that it is done.
func (s *clusterServer) does(method, path, credential string, body, into any) {
	s.t.Helper()
	if status, raw := s.answers(method, path, credential, body, into); status >= 300 {
		s.t.Fatalf("%s %s at %s: %d %s", method, path, s.name, status, raw)
	}
}

// says wants an answer about somebody who may or may not run workflows.
func (s *clusterServer) says(want bool, kind, id, organization string) {
	s.t.Helper()
	a := s.about(kind, id, organization)
	var answer struct{ Decision bool }
	if s.does("POST", a.path, a.credential, a.body, &answer); answer.Decision != want {
		s.t.Errorf("server %s says %t about a %s in %s, want %t", s.name, answer.Decision, kind, organization, want)
	}
}

// exchange has one server write what the other one reads.
func (u *upgrade) exchange(w, r *clusterServer) {
	u.t.Helper()
	slug := fmt.Sprintf("x%d", u.serial.Add(1))
	w.does("POST", "/v1/organizations/provision", u.service, map[string]any{"name": slug, "slug": slug, "owner": "ada@acme.test"}, nil)
	e := &exchanging{upgrade: u, w: w, r: r, slug: slug, at: "/v1/organizations/" + slug}
	for _, step := range []func(){e.signIn, e.handOff, e.keys, e.tokens, e.roles, e.invites, e.repeats, e.counts, e.files, e.examples, e.everything} {
		step()
	}
}

// exchanging is two servers and an organization of their own.
type exchanging struct {
	*upgrade
	w, r     *clusterServer
	slug, at string
}

// signIn: a mail that is asked for here, sent by whoever comes first, and taken there.
func (e *exchanging) signIn() {
	address := e.slug + "@acme.test"
	e.w.does("POST", "/v1/signin/begin", "", map[string]any{"email": address}, nil)
	var in struct {
		Secret  string
		Session struct{ ID string }
	}
	e.r.does("POST", "/v1/signin/complete", "", map[string]any{"token": e.office.token(e.t, address, "link?token=")}, &in)
	var me struct{ User struct{ Email string } }
	if e.w.does("GET", "/v1/me", in.Secret, nil, &me); me.User.Email != address {
		e.t.Errorf("signed in as %q, want %q", me.User.Email, address)
	}
	e.r.does("POST", "/v1/me/sessions/"+in.Session.ID+"/revoke", in.Secret, map[string]any{}, nil)
	if status := e.w.gets("GET", "/v1/me", in.Secret, nil, nil); status != http.StatusUnauthorized {
		e.t.Errorf("a session that the other server has ended: %d", status)
	}
}

// handOff: to the product.
func (e *exchanging) handOff() {
	var to struct {
		To string `json:"redirect_to"`
	}
	e.w.does("POST", "/v1/sessions/handoff", e.owner, map[string]any{"return_to": returnTo, "state": "state"}, &to)
	_, code, _ := strings.Cut(to.To, "code=")
	code, _, _ = strings.Cut(code, "&")
	var handed struct{ Session, Secret string }
	e.r.does("POST", "/v1/sessions/exchange", e.service, map[string]any{"code": code, "state": "state"}, &handed)
	e.w.says(true, "credential", handed.Secret, e.slug)
	e.r.does("POST", "/v1/me/sessions/"+handed.Session+"/revoke", e.owner, map[string]any{}, nil)
	e.w.says(false, "credential", handed.Secret, e.slug)
}

func (e *exchanging) keys() {
	var k, rotated clusterKey
	e.w.does("POST", e.at+"/keys", e.owner, map[string]any{"name": "nightly", "permissions": []string{"workflows.run"}}, &k)
	e.r.says(true, "credential", k.Secret, e.slug)
	e.r.does("PATCH", e.at+"/keys/"+k.ID, e.owner, map[string]any{"name": "daily"}, nil)
	e.r.does("POST", e.at+"/keys/"+k.ID+"/rotate", e.owner, map[string]any{}, &rotated)
	e.w.says(false, "credential", k.Secret, e.slug)
	e.w.says(true, "credential", rotated.Secret, e.slug)
	e.w.does("POST", e.at+"/keys/"+rotated.ID+"/revoke", e.owner, map[string]any{}, nil)
	e.r.says(false, "credential", rotated.Secret, e.slug)
}

func (e *exchanging) tokens() {
	var k clusterKey
	e.w.does("POST", e.at+"/tokens", e.owner, map[string]any{"name": "preview", "permissions": []string{"workflows.run"}}, &k)
	e.r.says(true, "credential", k.Secret, e.slug)
	e.r.does("POST", e.at+"/tokens/"+k.ID+"/revoke", e.owner, map[string]any{}, nil)
	e.w.says(false, "credential", k.Secret, e.slug)
}

func (e *exchanging) roles() {
	var role, user, member struct{ ID string }
	e.w.does("POST", e.at+"/roles", e.owner, map[string]any{"title": "Runner", "permissions": []string{"workflows.run"}}, &role)
	e.r.does("POST", "/v1/users", e.service, map[string]any{"external_id": e.slug}, &user)
	e.w.does("POST", e.at+"/members", e.service, map[string]any{"user": user.ID, "role": "viewer"}, &member)
	e.r.does("PATCH", e.at+"/members/"+member.ID, e.owner, map[string]any{"role": role.ID}, nil)
	e.w.says(true, "user", user.ID, e.slug)
	e.r.does("PATCH", e.at+"/roles/"+role.ID, e.owner, map[string]any{"permissions": []string{"workflows.view"}}, nil)
	e.w.says(false, "user", user.ID, e.slug)
	e.r.does("PATCH", e.at+"/roles/"+role.ID, e.owner, map[string]any{"permissions": []string{"workflows.run"}}, nil)
	e.w.does("POST", e.at+"/members/"+member.ID+"/suspend", e.owner, map[string]any{}, nil)
	e.r.says(false, "user", user.ID, e.slug)
}

// invites: a mail that is written here is opened there, and accepted here.
func (e *exchanging) invites() {
	address := "guest-" + e.slug + "@acme.test"
	var made struct{ ID, State string }
	e.w.does("POST", e.at+"/invitations", e.owner, map[string]any{"email": address, "role": "editor"}, &made)
	token := map[string]any{"token": e.office.token(e.t, address, "/i/")}
	e.r.does("POST", "/v1/invitations/open", "", token, nil)
	token["name"] = "Gus"
	var joined struct{ Secret, User, Member string }
	e.w.does("POST", "/v1/invitations/accept", "", token, &joined)
	e.r.says(true, "credential", joined.Secret, e.slug)
	e.r.does("POST", e.at+"/members/"+joined.Member+"/remove", e.owner, map[string]any{}, nil)
	e.w.says(false, "credential", joined.Secret, e.slug)
}

// repeats: what is sent to both under one key is done once.
func (e *exchanging) repeats() {
	var ids [2]string
	for i, s := range []*clusterServer{e.w, e.r} {
		var k clusterKey
		status, raw, err := send(e.t.Context(), http.DefaultClient, s.url, change{"POST", e.at + "/keys", e.owner, map[string]any{"name": "once", "permissions": []string{"workflows.run"}}}, e.slug)
		if err != nil || status != http.StatusCreated || json.Unmarshal(raw, &k) != nil {
			e.t.Errorf("server %s: %d %v %s", s.name, status, err, raw)
		}
		ids[i] = k.ID
	}
	if ids[0] != ids[1] {
		e.t.Errorf("one key was made twice: %q", ids)
	}
}

// counts: a use that both are told of counts once.
func (e *exchanging) counts() {
	for _, s := range []*clusterServer{e.w, e.r} {
		s.does("POST", e.at+"/quotas/consume", e.service, map[string]any{"meter": meter, "id": "run", "source": "both", "amount": 3}, nil)
	}
	for _, s := range []*clusterServer{e.w, e.r} {
		var all struct {
			Quotas []struct {
				Meter string
				Used  int
			}
		}
		s.does("GET", e.at+"/quotas", e.service, nil, &all)
		if !slices.ContainsFunc(all.Quotas, func(q struct {
			Meter string
			Used  int
		}) bool {
			return q.Meter == meter && q.Used == 3
		}) {
			e.t.Errorf("server %s: 3 units were used, it says %v", s.name, all)
		}
	}
}

// files: stored here, read there.
func (e *exchanging) files() {
	request, err := http.NewRequestWithContext(e.t.Context(), "POST", e.w.url+e.at+"/artifacts?name=report.txt", strings.NewReader("hello there"))
	if err != nil {
		e.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+e.owner)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		e.t.Fatal(err)
	}
	defer answer.Body.Close()
	var made struct{ ID string }
	if err := json.NewDecoder(answer.Body).Decode(&made); err != nil || answer.StatusCode != http.StatusCreated {
		e.t.Fatalf("stored: %d %v", answer.StatusCode, err)
	}
	status, raw, err := send(e.t.Context(), http.DefaultClient, e.r.url, change{"GET", e.at + "/artifacts/" + made.ID + "/content", e.owner, nil}, "")
	if err != nil || status != http.StatusOK || string(raw) != "hello there" {
		e.t.Errorf("read at the other server: %d %v %q", status, err, raw)
	}
}

// description is what of an API's description is needed here.
type description struct {
	Paths map[string]map[string]struct {
		OperationID string
		RequestBody struct {
			Content map[string]struct{ Example any }
		}
		Parameters []struct {
			Name, In string
			Required bool
		}
	}
}

func (s *clusterServer) describes() (d description) {
	s.t.Helper()
	s.does("GET", "/openapi.json", s.owner, nil, &d)
	return d
}

// examples: what is made as the writer's API describes it, so that there is something to read.
func (e *exchanging) examples() {
	d := e.w.describes()
	e.w.does("POST", e.at+"/subscription/change", e.owner, map[string]any{"plan": "business"}, nil)
	for _, noun := range []string{"budgets", "directories", "reviews", "holds", "setup_links", "connections/saml", "domains"} {
		path := "/v1/organizations/{organization}/" + noun
		body := d.Paths[path]["post"].RequestBody.Content["application/json"].Example
		if body == nil {
			continue // an older one does not know it
		}
		if of, ok := body.(map[string]any); ok && noun == "domains" {
			of["domain"] = e.slug + ".test"
		}
		status, raw, err := send(e.t.Context(), http.DefaultClient, e.w.url, change{"POST", e.at + "/" + noun, e.owner, body}, "")
		if err != nil || status >= 300 {
			e.t.Errorf("%s at %s: %d %v %s", noun, e.w.name, status, err, raw)
		}
	}
}

// moving are what two servers need not say in the same way, or not at one time.
var moving = regexp.MustCompile(`/audit|/activity|/export|/requests|/sessions|/replicas|/usage/live|/preview_change|/me$|/content|/pdf|/signin/`)

// everything that both let be read, they say alike. Later ones may say more.
func (e *exchanging) everything() {
	older, newer := e.w, e.r
	if e.w.program == e.this {
		older, newer = e.r, e.w
	}
	read := 0
	for path, operations := range older.describes().Paths {
		get, ok := operations["get"]
		if !ok {
			continue
		}
		for _, one := range e.filled(older, path) {
			for _, p := range get.Parameters {
				if p.In == "query" && p.Required {
					one += "?" + p.Name + "=" + map[string]string{"meter": meter, "permission": "workflows.run", "plan": "pro", "slug": e.slug}[p.Name]
				}
			}
			e.alike(older, newer, one)
			read++
		}
	}
	if read < 40 {
		e.t.Errorf("%d things were read: that proves little", read)
	}
}

// filled are the paths that a pattern stands for here: with the first of what its list has.
func (e *exchanging) filled(s *clusterServer, pattern string) (paths []string) {
	path := strings.Replace(pattern, "{organization}", e.slug, 1)
	for {
		list, rest, more := strings.Cut(path, "/{")
		if !more {
			return []string{path}
		}
		_, rest, _ = strings.Cut(rest, "}")
		var all struct{ Data []struct{ ID string } }
		status, raw, err := send(s.t.Context(), http.DefaultClient, s.url, change{"GET", list, e.owner, nil}, "")
		if err != nil || status != http.StatusOK || json.Unmarshal(raw, &all) != nil || len(all.Data) == 0 || all.Data[0].ID == "" {
			return nil
		}
		path = list + "/" + all.Data[0].ID + rest
	}
}

// alike wants that two servers say the same.
func (e *exchanging) alike(older, newer *clusterServer, path string) {
	var before, after int
	var old, young any
	for range 20 {
		var texts [2]bytes.Buffer
		for i, s := range []*clusterServer{older, newer} {
			status, raw, err := send(e.t.Context(), http.DefaultClient, s.url, change{"GET", path, e.owner, nil}, "")
			if err != nil {
				status = 0
			}
			if texts[i].WriteString(strings.ReplaceAll(string(raw), s.url, "")); i == 0 {
				before = status
			} else {
				after = status
			}
		}
		old, young = nil, nil
		_ = json.Unmarshal(texts[0].Bytes(), &old) // of what is no JSON, the status is compared
		_ = json.Unmarshal(texts[1].Bytes(), &young)
		if before == after && before != 0 && before < 500 && (before >= 300 || moving.MatchString(path) || within(old, young)) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	e.t.Errorf("%s: server %s answers %d, and %s %d:\n%v\n%v", path, older.name, before, newer.name, after, old, young)
}

// within reports whether all that is in one value is in the other.
func within(old, young any) bool {
	switch old := old.(type) {
	case map[string]any:
		of, ok := young.(map[string]any)
		for name, value := range old {
			if ok = ok && within(value, of[name]); !ok {
				return false
			}
		}
		return ok
	case []any:
		of, ok := young.([]any)
		if !ok || len(old) > len(of) {
			return false
		}
		for i := range old {
			if !within(old[i], of[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(old, young)
}

// knowsAll wants that a server lists all three, each with its lease.
func (u *upgrade) knowsAll(s *clusterServer) {
	u.t.Helper()
	var names []string
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(100 * time.Millisecond) {
		var all struct {
			Data []struct{ Name, State string }
		}
		s.does("GET", "/v1/replicas", u.service, nil, &all)
		names = nil
		for _, r := range all.Data {
			names = append(names, r.Name)
		}
		slices.Sort(names)
		if slices.Equal(slices.Compact(names), []string{"a", "b", "c"}) {
			return
		}
	}
	u.t.Errorf("server %s lists %q", s.name, names)
}
