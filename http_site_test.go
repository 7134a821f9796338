package guildhall_test

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
	"github.com/guildhall/guildhall/signin"
)

// site is a world that is served over HTTP, and what it saw.
type site struct {
	*world
	*line
	seen    *sightings
	allowed map[string]string // by operation: the name of a caller who may, once found
}

// sightings are the operations that ran.
type sightings struct {
	mu  sync.Mutex
	all []op.Observation
}

func (s *sightings) note(o op.Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, o)
}

// take gives what ran since it was last asked.
func (s *sightings) take() []op.Observation {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all
	s.all = nil
	return all
}

// newSite serves a world. Nobody's rate is limited, unless an option says so.
func newSite(t *testing.T, charterName string, options ...guildhalltest.Option) *site {
	return newSiteWith(t, charterName, slog.New(slog.DiscardHandler), options...)
}

func newSiteWith(t *testing.T, charterName string, log *slog.Logger, options ...guildhalltest.Option) *site {
	s := &site{seen: &sightings{}, allowed: map[string]string{}}
	first := guildhalltest.With(func(c *guildhall.Config) {
		c.Limits.Exempt = func(string) bool { return true }
		c.Settings.ResendsPerDay = 1e6
		c.Observe = s.seen.note
	})
	s.world = newWorld(t, charterName, append([]guildhalltest.Option{first}, options...)...)
	served := httptest.NewServer(server.ForHall(s.world.Hall.Hall, server.HallConfig{BaseURL: guildhalltest.BaseURL, Log: log}))
	t.Cleanup(served.Close)
	s.line = newLine(t, served.Listener.Addr().String())
	return s
}

// eachSite runs a test on a site of every ready-made charter; of the first one only where little time is given.
func eachSite(t *testing.T, run func(*testing.T, *site)) {
	oneAfterAnother(t)
	for _, name := range someCharters() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, newSite(t, name))
		})
	}
}

// someCharters are the ready-made charters; the first one only where little time is given.
func someCharters() []string {
	if testing.Short() {
		return charter.Names()[:1]
	}
	return charter.Names()
}

// line is one connection, on which requests are written as they are spelled.
type line struct {
	t       testing.TB
	address string
	conn    net.Conn
	reader  *bufio.Reader
	heard   func(ask, answer) // told of every answer; nil: nobody is
}

func newLine(t testing.TB, address string) *line {
	l := &line{t: t, address: address}
	t.Cleanup(l.hangUp)
	return l
}

func (l *line) hangUp() {
	if l.conn != nil {
		l.conn.Close()
	}
	l.conn = nil
}

// ask is a request as it is written.
type ask struct {
	method, target string // as in the request line
	token          string // sent as Authorization: Bearer
	headers        []string
	body           string // JSON; empty for none
	host           string // empty: that of the base URL
	version        string // empty: "HTTP/1.1"
	kind           string // of the body; empty: JSON
}

func (a ask) with(headers ...string) ask {
	a.headers = append(slices.Clone(a.headers), headers...)
	return a
}

// text is the request's bytes.
func (a ask) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\r\n", a.method, a.target, or(a.version, "HTTP/1.1"))
	if a.host != "-" {
		fmt.Fprintf(&b, "Host: %s\r\n", or(a.host, strings.TrimPrefix(guildhalltest.BaseURL, "https://")))
	}
	if a.token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", a.token)
	}
	for _, h := range a.headers {
		b.WriteString(h + "\r\n")
	}
	if a.body != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", or(a.kind, "application/json"), len(a.body))
	} else if a.method == "POST" || a.method == "PATCH" {
		b.WriteString("Content-Length: 0\r\n")
	}
	return b.String() + "\r\n" + a.body
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) ok() bool { return a.status/100 == 2 }

// problem is what an error says; empty for none.
type problemBody struct {
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Detail    string `json:"detail"`
	Errors    []struct {
		Pointer string `json:"pointer"`
		Code    string `json:"code"`
	} `json:"errors"`
}

func (a answer) problem() (p problemBody) {
	_ = json.Unmarshal([]byte(a.body), &p)
	return p
}

// outcome is an answer in a word: its status, and the code of an error.
func (a answer) outcome() string {
	return strings.TrimSpace(fmt.Sprint(a.status, " ", a.problem().Code))
}

// bytes is the whole answer but for its own names: the request's id and the time.
func (a answer) bytes() string {
	var b strings.Builder
	fmt.Fprintln(&b, a.status)
	id := a.header.Get("Request-Id")
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		if name != "Date" && name != "Request-Id" {
			fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(a.header[name], " | "))
		}
	}
	return b.String() + strings.ReplaceAll(a.body, id, "ID")
}

// send writes a request and reads its answer.
func (l *line) send(a ask) answer {
	l.t.Helper()
	got, err := l.try(a)
	if err != nil && l.conn == nil { // the server had hung up: once more, on another connection
		got, err = l.try(a)
	}
	if err != nil {
		l.t.Fatalf("%s %s: %v", a.method, a.target, err)
	}
	if l.heard != nil {
		l.heard(a, got)
	}
	return got
}

func (l *line) try(a ask) (answer, error) {
	if l.conn == nil {
		conn, err := net.Dial("tcp", l.address)
		if err != nil {
			return answer{}, err
		}
		l.conn, l.reader = conn, bufio.NewReader(conn)
	}
	_ = l.conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(l.conn, a.text()); err != nil {
		l.hangUp()
		return answer{}, err
	}
	response, err := http.ReadResponse(l.reader, &http.Request{Method: a.method})
	if err != nil {
		l.hangUp()
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.Close || err != nil {
		l.hangUp()
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // a stream that was cut is an answer too
	}
	return answer{response.StatusCode, response.Header, string(body)}, err
}

// inUse are the callers that HTTP knows: all but the operator.
func (s *site) inUse() []caller {
	all := s.callers()
	return all[:len(all)-1]
}

func (s *site) called(name string) caller { return s.caller(name) }

// request writes an operation's call with these fields as HTTP.
func request(info op.Info, fields map[string]any, token string) ask {
	rest := maps.Clone(fields)
	target := info.Path
	for _, name := range info.PathFields() {
		target = strings.ReplaceAll(target, "{"+name+"}", url.PathEscape(fmt.Sprint(fields[name])))
		delete(rest, name)
	}
	a := ask{method: info.Method, target: target, token: token}
	if info.Method == "GET" || info.Upload {
		a.target += queryOf(rest)
		return a
	}
	raw, err := json.Marshal(rest, json.Deterministic(true))
	if err != nil {
		panic(err)
	}
	a.body = string(raw)
	return a
}

func queryOf(fields map[string]any) string {
	query := url.Values{}
	for name, value := range fields {
		if list, ok := value.([]any); ok {
			for _, one := range list {
				query.Add(name, fmt.Sprint(one))
			}
			continue
		}
		query.Set(name, fmt.Sprint(value))
	}
	if len(query) == 0 {
		return ""
	}
	return "?" + query.Encode()
}

// fill is the fields of a call by a caller, with whatever proof only a mail brings.
func (s *site) fill(info op.Info, in *guildhalltest.Organization, by caller) (fields map[string]any) {
	s.preparing(func() { fields = s.filled(info, in, by) })
	return fields
}

func (s *site) filled(info op.Info, in *guildhalltest.Organization, by caller) map[string]any {
	fields := s.fields(info, in)
	if fields["credential"] != nil {
		fields["credential"] = s.credential(info, by)
	} else if info.Noun() == "signin" && fields["challenge"] != nil {
		delete(fields, "challenge")
		delete(fields, "code")
		fields["token"] = s.proof(info, by)
	}
	if info.Noun() == "invitations" && info.Scope == op.Public {
		email := fmt.Sprintf("invited%d@%s.test", s.next(), in.Slug)
		s.operator(directory.CreateInvitation.Call(s.Operator(), s.Service(), directory.CreateInvitationInput{
			InOrganization: in.In(), Email: email, Role: s.Charter().Roles()[0].ID}))
		fields["token"] = s.MailedToken(email)
	}
	if info.Name == "invitations.update" {
		fields["role"] = string(s.Charter().Roles()[1].ID) // it offers the lowest
	}
	if strings.HasPrefix(info.Name, "sessions.") && fields["state"] != nil {
		s.handOff(info, fields)
	}
	s.freshen(fields)
	return fields
}

// handOff fills in where a person is handed over to, and a code of one who was.
func (s *site) handOff(info op.Info, fields map[string]any) {
	fields["return_to"], fields["state"] = productURL, "state-1"
	if info.Name != "sessions.exchange" {
		return
	}
	made, err := signin.HandOff.Call(s.acme.Owner().Ctx(), s.Service(), signin.HandOffInput{ReturnTo: productURL, State: "state-1"})
	s.operator(made, err)
	at, err := url.Parse(made.RedirectTo)
	s.operator(at, err)
	fields["code"] = at.Query().Get("code")
}

// freshen gives the people within a body new addresses, and a provider's metadata a new name.
func (s *site) freshen(fields map[string]any) {
	if metadata, ok := fields["metadata"].(string); ok {
		fields["metadata"] = strings.Replace(metadata, `entityID="`, fmt.Sprintf(`entityID="%d-`, s.next()), 1)
	}
	for _, value := range fields {
		all, _ := value.([]any)
		for _, one := range all {
			if person, ok := one.(map[string]any); ok && person["email"] != nil {
				person["email"] = fmt.Sprintf("one%d@of-many.test", s.next())
			}
		}
	}
}

func (s *site) next() int {
	s.fresh++
	return s.fresh
}

// operator wants a call of the operator's to have gone well.
func (s *site) operator(_ any, err error) {
	s.world.t.Helper()
	if err != nil {
		s.world.t.Fatal(err)
	}
}

// proof is the token of the mail that signin.begin sends: to the caller's own address, or to a new one.
func (s *site) proof(info op.Info, by caller) string {
	if info.Verb() != "verify" {
		email := fmt.Sprintf("proved%d@nowhere.test", s.next())
		s.operator(signin.BeginSignIn.Call(s.Nobody(), s.Service(), signin.BeginSignInInput{Email: email}))
		return lastToken(s, email)
	}
	person := s.person(by)
	if person == nil {
		return strings.Repeat("0", 27)
	}
	s.Clock.Advance(10 * time.Minute) // an address gets so many mails within an hour
	s.operator(signin.BeginSignIn.Call(person.Ctx(), s.Service(), signin.BeginSignInInput{Purpose: "verify"}))
	return s.MailedToken(person.Email)
}

// lastToken is the token of the last mail, if there is one in it: some products tell strangers that there is no account.
func lastToken(s *site, email string) string {
	for _, link := range s.Deliver(email).Links {
		if _, token, ok := strings.Cut(link, "token="); ok {
			return token
		}
	}
	return strings.Repeat("0", 27)
}

// person is who stands behind a caller; nil for keys and strangers.
func (s *site) person(by caller) *guildhalltest.Person {
	for _, p := range append(slices.Collect(maps.Values(s.acme.People)), s.outsider, s.globex.Owner()) {
		if p.Token == by.Credential {
			return p
		}
	}
	return nil
}

// call calls an operation with fresh fields, as a caller, over HTTP.
func (s *site) call(o op.Any, by caller) answer {
	info := o.Info()
	return s.send(request(info, s.fill(info, s.acme, by), s.called(by.name).Credential))
}

// mayCall finds somebody who may call an operation over HTTP. Nobody may what is for the operator.
func (s *site) mayCall(o op.Any) (caller, bool) {
	name := o.Info().Name
	if onlyInAState[name] {
		return caller{}, false
	}
	if found, known := s.allowed[name]; known {
		return s.calledOrNobody(found)
	}
	callers := s.inUse()
	slices.Reverse(callers) // the service key, the owner, and so on down to nobody
	slices.SortStableFunc(callers, func(a, b caller) int { return cmp.Compare(derived(a), derived(b)) })
	for _, c := range callers {
		got := s.call(o, s.called(c.name))
		s.mend()
		if got.ok() {
			s.allowed[name] = c.name
			return s.called(c.name), true
		}
	}
	s.allowed[name] = ""
	return caller{}, false
}

// derived is 1 for a key or a token of somebody: people are tried first.
func derived(c caller) int {
	if strings.HasPrefix(c.name, "owner's ") {
		return 1
	}
	return 0
}

func (s *site) calledOrNobody(name string) (caller, bool) {
	if name == "" {
		return caller{}, false
	}
	return s.called(name), true
}

// mend is the world's, with the time that the mails of new sign-ins need.
func (s *site) mend() {
	if s.moved.Load() {
		s.Clock.Advance(10 * time.Minute)
		s.world.mend()
	}
}

// notOverHTTP are the operations that nobody reaches over HTTP as things stand in these worlds: those of the operator at
// the machine, and those that need something to have happened before. The walk in process tries them too.
func (s *site) notOverHTTP(info op.Info) bool {
	if info.Noun() == "service_accounts" && info.Kind != op.Read {
		return !s.Charter().Rules.Keys.Allows(charter.OrganizationKey)
	}
	return info.Noun() == "service_keys" || onlyInAState[info.Name]
}

// onlyInAState are the operations that the examples of these worlds do not reach, by what they wait for.
var onlyInAState = map[string]bool{
	"retention.sweep": true, "organizations.purge": true, "organizations.recover_owner": true, "organizations.complete_recovery": true, // the operator's
	"invoices.close": true, "invoices.remind": true, "subscription.sync": true, "budgets.fire": true,
	"reviews.repeat": true, "reviews.remind": true,
	"ownership.accept": true, "ownership.cancel": true, "organizations.recovery": true, "organizations.cancel_recovery": true, // a transfer, a recovery
	"organizations.deletion": true,                                                                                                                                // a deletion
	"connections.test":       true, "signin.federated_begin": true, "signin.federated": true, "signin.saml": true, "signin.connections": true, "setup.test": true, // an identity provider
	"signin.saml_logout": true, "signin.backchannel_logout": true, "signin.saml_metadata": true, "connections.remind_saml": true, // what it says, and certificates that end
	"signin.social_begin": true, "signin.social": true, "identities.begin": true, "identities.create": true, "identities.delete": true, // a client at Google or GitHub

	// an authenticator app, for which every sign-in would ask
	"totp.create": true, "totp.delete": true, "totp.recovery_codes": true, "signin.second_factor": true, "signin.verify_totp": true,
}

// TestEveryOperationIsCalledOverHTTP: the tests of this face of the hall find, for each operation, somebody who may.
func TestEveryOperationIsCalledOverHTTP(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		for _, o := range guildhall.Operations() {
			if _, ok := s.mayCall(o); ok == s.notOverHTTP(o.Info()) && o.Info().Name != "organizations.create" {
				t.Errorf("%s: somebody may call it over HTTP: %v", o.Info().Name, ok)
			}
		}
	})
}
