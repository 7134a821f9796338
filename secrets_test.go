package guildhall_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"index/suffixarray"
	"log/slog"
	"maps"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
)

// pile is a pile of texts that is searched at once.
type pile struct {
	text   bytes.Buffer
	starts []int // of each text
	index  *suffixarray.Index
}

func (p *pile) add(text string) {
	p.starts = append(p.starts, p.text.Len())
	p.text.WriteString(text)
	p.text.WriteByte(0)
	p.index = nil
}

// with are the numbers of the texts that hold something.
func (p *pile) with(what string) []int {
	if p.index == nil {
		p.index = suffixarray.New(p.text.Bytes())
	}
	found := map[int]bool{}
	for _, at := range p.index.Lookup([]byte(what), -1) {
		if isCode(what) && !p.alone(at, len(what)) {
			continue
		}
		found[sort.SearchInts(p.starts, at+1)-1] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// alone reports whether six digits stand on their own, and are not part of a number or an id.
func (p *pile) alone(at, length int) bool {
	text := p.text.Bytes()
	part := func(i int) bool {
		return i >= 0 && i < len(text) && (text[i] == '.' || text[i] >= '0' && text[i] <= '9' || text[i] >= 'A' && text[i] <= 'Z' || text[i] >= 'a' && text[i] <= 'z')
	}
	return !part(at-1) && !part(at+length)
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

func isCode(s string) bool { return len(s) == 6 && sixDigits.MatchString(s) }

// spelled are the ways in which a secret may have been written down.
func spelled(s string) []string {
	if isCode(s) {
		return []string{s}
	}
	all := []string{s, hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s)))}
	for shift := range 3 { // base64 of a longer text that has it within
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + s))
		skip, end := []int{0, 2, 3}[shift], (shift+len(s))/3*4
		all = append(all, encoded[skip:end], strings.NewReplacer("+", "-", "/", "_").Replace(encoded[skip:end]))
	}
	return all
}

// hunt looks for secrets in everything that comes out of a hall or stays in it.
type hunt struct {
	responses, mails, elsewhere pile
	names                       []string // of the texts elsewhere
	sent                        []string // the request of each response
	secrets                     map[string]issued
}

// issued says where a secret may be.
type issued uint8

const (
	inProcess  issued = iota // handed over in this process: nowhere
	inResponse               // in exactly one response
	inMail                   // in exactly one mail
)

func newHunt() *hunt { return &hunt{secrets: map[string]issued{}} }

// keep puts a text where no secret may be.
func (h *hunt) keep(name, text string) {
	h.names = append(h.names, name)
	h.elsewhere.add(text)
}

// hear keeps an answer, and the secrets that it shows.
func (h *hunt) hear(a ask, got answer) {
	h.sent = append(h.sent, a.text())
	h.responses.add(headers(got) + got.body)
	if parsed, err := secret.Parse(a.token); err == nil {
		h.issue(parsed.Reveal(), inProcess)
	}
	var shown struct {
		Secret string `json:"secret"`
		Link   string `json:"link"`
		To     string `json:"redirect_to"`
	}
	if got.ok() && json.Unmarshal([]byte(got.body), &shown) == nil {
		h.issue(shown.Secret, inResponse)
		_, token, _ := strings.Cut(shown.Link, "/i/")
		h.issue(token, inResponse)
		if to, err := url.Parse(shown.To); err == nil {
			h.issue(to.Query().Get("code"), inResponse)
		}
	}
	for _, cookie := range got.header.Values("Set-Cookie") {
		if token, ok := strings.CutPrefix(cookie, sessionCookie+"="); ok {
			token, _, _ = strings.Cut(token, ";")
			h.issue(token, inResponse)
		}
	}
}

func headers(a answer) string {
	var b strings.Builder
	_ = a.header.Write(&b)
	return b.String()
}

// issue notes a secret. Whoever was shown it first keeps it that way.
func (h *hunt) issue(s string, where issued) {
	if s == "" {
		return
	}
	if known, ok := h.secrets[s]; !ok || known == inProcess {
		h.secrets[s] = where
	}
}

// receive keeps a mail, and the secrets in it.
func (h *hunt) receive(m mail.Message) {
	h.mails.add(m.To + "\n" + m.Subject + "\n" + m.Text + "\n" + m.HTML)
	for _, link := range linkTokens.FindAllStringSubmatch(m.Text, -1) {
		h.issue(link[1], inMail)
	}
	for _, code := range sixDigits.FindAllString(m.Text, -1) {
		h.issue(code, inMail)
	}
}

var linkTokens = regexp.MustCompile(`(?:/i/|token=)([0-9A-Za-z]{27})\b`)

// leaks are the secrets that are where they may not be, one a line, without the secrets.
func (h *hunt) leaks() (all []string) {
	for _, s := range slices.Sorted(maps.Keys(h.secrets)) {
		for _, where := range h.where(s) {
			all = append(all, fmt.Sprintf("a secret of %d characters beginning with %.8s %s", len(s), s, where))
		}
	}
	return all
}

func (h *hunt) where(s string) (all []string) {
	for n, as := range spelled(s) {
		responses, mails := h.responses.with(as), h.mails.with(as)
		responses = slices.DeleteFunc(responses, func(i int) bool { return h.ownPage(i, as) })
		if wanted := b2i(n == 0 && h.secrets[s] == inResponse); len(responses) > wanted {
			all = append(all, fmt.Sprintf("is in %d responses, such as that to %.60q", len(responses), h.sent[responses[len(responses)-1]]))
		}
		if wanted := b2i(n == 0 && h.secrets[s] == inMail); len(mails) > wanted && !isCode(s) {
			all = append(all, fmt.Sprintf("is in %d mails", len(mails)))
		}
		for _, i := range h.elsewhere.with(as) {
			all = append(all, "is in "+h.names[i])
		}
	}
	return all
}

// ownPage reports whether a response is a page that got the secret in its own address: its form sends it on.
func (h *hunt) ownPage(response int, token string) bool {
	line, _, _ := strings.Cut(h.sent[response], "\r\n")
	page := strings.HasPrefix(line, "GET /login") || strings.HasPrefix(line, "GET /i/")
	return page && strings.Contains(line, token)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// watched is a site of which everything is kept: answers, mails, log at its lowest level, metrics, and the database.
type watched struct {
	*site
	*hunt
	log     *lockedBuffer
	metrics *server.Metrics
	post    *letters
	dir     string
	beside  *sql.DB
}

func watch(t *testing.T, charterName string) *watched {
	t.Helper()
	w := &watched{hunt: newHunt(), log: &lockedBuffer{}, metrics: server.NewMetrics(), post: &letters{}, dir: t.TempDir()}
	path := filepath.Join(w.dir, "hall.db")
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
	w.site = newSiteWith(t, charterName, log, w.post.kept(), guildhalltest.OnDatabase("sqlite:"+path), guildhalltest.With(func(c *guildhall.Config) {
		seen := c.Observe
		c.Observe = func(o op.Observation) { seen(o); w.metrics.Observe(o) }
		c.Log, c.SecretFile = log, filepath.Join(w.dir, "instance.secret")
	}))
	w.line.heard = w.hear
	beside, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { beside.Close() })
	w.beside = beside
	return w
}

// everything calls every operation as everybody, twice with one key.
func (w *watched) everything() {
	for i, o := range guildhall.Operations() {
		for _, c := range w.inUse() {
			info := o.Info()
			by := w.called(c.name)
			a := request(info, w.fill(info, w.acme, by), w.called(c.name).Credential)
			if info.Method != "GET" {
				a = a.with(fmt.Sprintf("Idempotency-Key: everything-%d-%s", i, strings.ReplaceAll(c.name, " ", "-")))
				w.send(a)
			}
			w.send(a)
			w.mend()
		}
	}
}

// signsInOnPages signs somebody in as a browser does, by the mailed link and by the code.
func (w *watched) signsInOnPages(t *testing.T) {
	t.Helper()
	email := w.outsider.Email
	begin := ask{method: "POST", target: "/v1/signin/begin", body: `{"email": "` + email + `"}`}
	if got := w.send(begin); !got.ok() {
		t.Fatalf("begin: %s", got.outcome())
	}
	token := w.MailedToken(email)
	w.send(ask{method: "GET", target: "/login/link?token=" + token})
	form := ask{method: "POST", target: "/login/link", kind: "application/x-www-form-urlencoded", body: url.Values{"token": {token}}.Encode()}
	got := w.send(form.with("Origin: " + guildhalltest.BaseURL))
	cookie := got.header.Get("Set-Cookie")
	if got.status != 303 || !strings.HasPrefix(cookie, sessionCookie+"=") {
		t.Fatalf("signing in on the page: %s, cookie %.30q", got.outcome(), cookie)
	}
	cookie, _, _ = strings.Cut(cookie, ";")
	for _, page := range []string{"/", "/orgs", "/account", "/account/sessions", "/account/activity", "/o/acme", "/verify"} {
		w.send(ask{method: "GET", target: page}.with("Cookie: " + cookie))
	}
	w.send(form) // a second time
}

// looksAtPages opens the pages of an organization as its owner.
func (w *watched) looksAtPages() {
	cookie := "Cookie: " + sessionCookie + "=" + w.acme.Owner().Token
	for _, page := range []string{"", "/settings", "/settings/members", "/settings/invitations", "/settings/roles", "/settings/audit", "/settings/access"} {
		w.send(ask{method: "GET", target: "/o/acme" + page}.with(cookie))
	}
}

// mistakes sends living secrets to wherever people paste them, and lets the database and the mail server fail.
func (w *watched) mistakes(t *testing.T) {
	t.Helper()
	token := w.acme.Owner().Token
	for _, a := range []ask{
		{method: "GET", target: "/v1/me?access_token=" + token},
		{method: "GET", target: "/v1/organizations?q=" + token},
		{method: "GET", target: "/v1/organizations/" + token, token: token},
		{method: "GET", target: "/" + token},
		{method: "GET", target: "/login?return_to=/" + token},
		ask{method: "GET", target: "/v1/me"}.with("Authorization: Basic " + token),
		ask{method: "GET", target: "/v1/me"}.with("Authorization: Bearer "+token, "Authorization: Bearer "+token),
		ask{method: "GET", target: "/v1/me"}.with("Referer: https://guildhall.test/i/" + token),
		{method: "PATCH", target: "/v1/me", token: token, body: `{"name": ` + token + `}`},
		{method: "POST", target: "/access/v1/evaluation", token: w.serviceKey, body: `{"subject": {"type": "credential", "id": "` + token + `"}, "action": {"name": "x"}, "resource": {"type": "organization", "id": "acme"}}`},
		{method: "POST", target: "/access/v1/evaluation", token: token, body: `{"subject": 1}`},
		{method: "POST", target: "/v1/invitations/open", body: `{"token": "` + token + `"}`},
		{method: "POST", target: "/v1/signin/complete", body: `{"token": "` + token + `"`},
	} {
		w.send(a)
	}
	w.post.mu.Lock()
	w.post.fails = errors.New("the mail server does not answer")
	w.post.mu.Unlock()
	w.send(ask{method: "POST", target: "/v1/signin/begin", body: `{"email": "late@nowhere.test"}`})
	if err := w.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.breaks(t, "sessions", ask{method: "GET", target: "/v1/me", token: token})
	w.breaks(t, "challenges", ask{method: "POST", target: "/v1/signin/complete", body: `{"token": "` + strings.Repeat("0", 27) + `"}`})
	w.breaks(t, "invitations", ask{method: "POST", target: "/v1/invitations/open", body: `{"token": "` + strings.Repeat("0", 27) + `"}`})
}

// breaks takes a table away while something is asked, so that the error itself is logged.
func (w *watched) breaks(t *testing.T, table string, a ask) {
	t.Helper()
	for _, rename := range [][2]string{{table, "away"}, {"away", table}} {
		if _, err := w.beside.Exec("ALTER TABLE " + rename[0] + " RENAME TO " + rename[1]); err != nil {
			t.Fatal(err)
		}
		if rename[1] != "away" {
			continue
		}
		if got := w.send(a); got.status != 500 && got.status != 503 {
			t.Errorf("without %s: %s", table, got.outcome())
		}
	}
}

// collect keeps what stays: log, metrics, every table, and the bytes of the files.
func (w *watched) collect(t *testing.T) {
	t.Helper()
	for _, m := range w.post.take() {
		w.receive(m)
	}
	w.keep("the log", w.log.String())
	shown := httptest.NewRecorder()
	w.metrics.Handler().ServeHTTP(shown, httptest.NewRequest("GET", "/metrics", nil))
	w.keep("the metrics", shown.Body.String())
	for name, text := range dump(t, w.beside) {
		w.keep("the table "+name, text)
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "hall.db*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%q %v", files, err)
	}
	for _, file := range files {
		w.keep("the file "+filepath.Base(file), string(read(t, file)))
	}
	for line := range strings.Lines(string(read(t, filepath.Join(w.dir, "instance.secret")))) {
		for _, word := range strings.Fields(line) {
			if len(word) > 30 {
				w.issue(word, inProcess)
			}
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// dump is every row of every table as text.
func dump(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	tables := map[string]string{}
	for _, name := range column(t, db, "SELECT name FROM sqlite_master WHERE type = 'table'") {
		rows, err := db.Query("SELECT * FROM " + name)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			for i, value := range values {
				fmt.Fprintf(&b, "%s=%s\n", columns[i], fmt.Sprint(*value.(*any)))
				if raw, ok := (*value.(*any)).([]byte); ok {
					b.Write(raw)
				}
			}
		}
		rows.Close()
		tables[name] = b.String()
	}
	return tables
}

func column(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// TestEverySecretIsShownOnceAndKeptNowhere: after everything was called by everybody, and much went wrong, each secret
// that was ever issued is in the one response or the one mail that gave it, and nowhere else: no other response, no log
// at any level, no metric, no table, no byte of the files. T-044, T-033, T-050, T-110
func TestEverySecretIsShownOnceAndKeptNowhere(t *testing.T) {
	oneAfterAnother(t)
	for _, name := range someCharters() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watch(t, name)
			w.everything()
			w.signsInOnPages(t)
			w.looksAtPages()
			w.mistakes(t)
			w.collect(t)
			for _, leak := range w.leaks() {
				t.Error(leak)
			}
			w.checkHunt(t)
			w.findsPlanted(t)
		})
	}
}

// checkHunt wants the hunt to have seen enough for its silence to mean something.
func (w *watched) checkHunt(t *testing.T) {
	t.Helper()
	kinds := map[issued]int{}
	for s, where := range w.secrets {
		kinds[where]++
		if where == inResponse && len(w.responses.with(s)) != 1 {
			t.Errorf("a secret that a response showed is in %d of them", len(w.responses.with(s)))
		}
		if where == inMail && len(w.mails.with(s)) == 0 {
			t.Error("a secret of a mail is in none")
		}
	}
	if kinds[inProcess] < 10 || kinds[inResponse] < 5 || kinds[inMail] < 100 {
		t.Errorf("secrets in process, in responses, in mails: %v", kinds)
	}
	log := w.log.String()
	for _, want := range []string{"msg=request", "level=ERROR", "no such table"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s", want)
		}
	}
	t.Logf("%d secrets, %d responses, %d mails, %d bytes of log", len(w.secrets), len(w.responses.starts), len(w.mails.starts), len(log))
}

// findsPlanted leaks one secret of each kind in each place, and wants the hunt to find it: one that finds nothing is
// worth nothing.
func (w *watched) findsPlanted(t *testing.T) {
	t.Helper()
	samples := map[issued]string{}
	for _, s := range slices.Sorted(maps.Keys(w.secrets)) {
		if !isCode(s) {
			samples[w.secrets[s]] = s
		}
	}
	w.names, w.elsewhere = nil, pile{}
	for kind, s := range samples {
		if _, err := w.beside.Exec("UPDATE audit_rows SET reason = 'for ' || $1 WHERE rowid = (SELECT max(rowid) - $2 FROM audit_rows)", s, int(kind)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(w.log, "debugging", hex.EncodeToString([]byte(s)))
		w.metrics.Observe(op.Observation{Operation: s})
		w.hear(ask{method: "GET", target: "/later"}, answer{status: 200, body: base64.StdEncoding.EncodeToString([]byte(`{"was": "` + s + `"}`))})
	}
	w.collect(t)
	for kind, s := range samples {
		found := strings.Join(w.where(s), "\n")
		for _, want := range []string{"is in the log", "is in the metrics", "is in the table audit_rows", "is in the file hall.db", "responses"} {
			if !strings.Contains(found, want) {
				t.Errorf("a planted secret of kind %d was not found: no %q in:\n%s", kind, want, found)
			}
		}
	}
}

// TestTheHuntFindsWhatItShould: each way to write a secret down is found, and six digits only where they stand alone.
func TestTheHuntFindsWhatItShould(t *testing.T) {
	token := secret.New(nil, "gld", "ses").Reveal()
	tests := []struct {
		name, secret, text string
		want               bool
	}{
		{"as it is", token, "x" + token + "y", true},
		{"in hexadecimal", token, hex.EncodeToString([]byte("ab" + token)), true},
		{"in base64", token, base64.StdEncoding.EncodeToString([]byte(token)), true},
		{"in base64, one further", token, base64.StdEncoding.EncodeToString([]byte("{" + token + "}")), true},
		{"in base64, two further", token, base64.URLEncoding.EncodeToString([]byte("{\"" + token + "\"}")), true},
		{"another one", token, secret.New(nil, "gld", "ses").Reveal(), false},
		{"a part of it", token, token[:len(token)-1], false},
		{"a code", "482915", "code=482915 ", true},
		{"a code in a number", "482915", "at=1482915", false},
		{"a code in a fraction", "482915", "took=0.482915", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHunt()
			h.issue(tt.secret, inProcess)
			h.keep("the text", tt.text)
			if got := len(h.leaks()) > 0; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
