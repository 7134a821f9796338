package guildhall_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/internal/demo"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// kills is how often a server is killed on each database.
func kills() int {
	if os.Getenv("GUILDHALL_SOAK") != "" {
		return 100
	}
	if testing.Short() {
		return 1
	}
	return 5
}

// binary is the program, built once for all tests that start it, as make does.
func binary(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// builds is the folder of what tests build; TestMain removes it.
var builds string

var built = sync.OnceValues(func() (path string, err error) {
	if builds, err = os.MkdirTemp("", "hall-build-"); err != nil {
		return "", err
	}
	path = filepath.Join(builds, "guildhall")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/guildhall")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(builds)
	os.Exit(code)
}

// serverProcess is a guildhall demo that runs on its own.
type serverProcess struct {
	demo.Report
	t       *testing.T
	command *exec.Cmd
	stderr  bytes.Buffer
	ended   sync.Once
}

// startProcess starts guildhall demo and reads what it prints.
func startProcess(t *testing.T, program string, args ...string) *serverProcess {
	t.Helper()
	p := &serverProcess{t: t, command: exec.Command(program, append([]string{"demo", "--json", "--addr", "127.0.0.1:0"}, args...)...)}
	p.command.Stderr = &p.stderr
	out, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		p.kill()
		t.Fatalf("it ended early: %v\n%s", err, p.stderr.String())
	}
	if err := json.Unmarshal(line, &p.Report); err != nil {
		t.Fatal(err)
	}
	return p
}

// kill ends the process at once, without a chance to finish anything.
func (p *serverProcess) kill() {
	p.ended.Do(func() {
		_ = p.command.Process.Kill()
		_ = p.command.Wait()
	})
}

// asks sends a request; an error is an answer that never came.
func (p *serverProcess) asks(method, path, token, body string) (status int, requestID, text string, err error) {
	request, err := http.NewRequestWithContext(context.Background(), method, p.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", "", err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header.Get("Request-Id"), string(raw), err
}

// ledger is what clients were told: what has to be there whatever happens to the server.
type ledger struct {
	mu       sync.Mutex
	requests map[string]string // acknowledged, to what each was
	pending  map[string]bool   // invitations that were made, and not cancelled by an acknowledged call
	unsure   map[string]bool   // invitations whose cancelling was not answered
	roles    map[string]string // of members, as last acknowledged
	maybe    map[string]string // of members, as last asked for without an answer
	refused  []string          // what a client was told and should not have been
}

func newLedger() *ledger {
	return &ledger{requests: map[string]string{}, pending: map[string]bool{}, unsure: map[string]bool{}, roles: map[string]string{}, maybe: map[string]string{}}
}

// note keeps what a client was told, and counts the acknowledged.
func (l *ledger) note(requestID, what string, status int, text string, change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case status/100 == 2:
		l.requests[requestID] = what
		change()
	case status != 429:
		l.refused = append(l.refused, fmt.Sprintf("%s: %d %s", what, status, text))
	}
}

// load is eight clients of a server that is killed.
type load struct {
	*ledger
	server *serverProcess
	round  int
	acked  chan struct{} // one for each acknowledged write
	over   chan struct{} // closed when the server is dead
}

func (l *load) ack() {
	select {
	case l.acked <- struct{}{}:
	case <-l.over:
	}
}

// changesRoles changes the role of one member to and fro, until no answer comes.
func (l *load) changesRoles(organization demo.Organization, member demo.Member) {
	for n := 0; ; n++ {
		role := []string{"editor", "viewer"}[n%2]
		what := "role of " + member.Member + " to " + role
		l.mu.Lock()
		l.maybe[member.Member] = role
		l.mu.Unlock()
		status, id, text, err := l.server.asks("PATCH", "/v1/organizations/"+organization.ID+"/members/"+member.Member,
			organization.Members[0].Token, `{"role": "`+role+`"}`)
		if err != nil {
			return
		}
		l.note(id, what, status, text, func() { l.roles[member.Member] = role; delete(l.maybe, member.Member) })
		l.ack()
	}
}

// invites invites somebody and cancels every other invitation, until no answer comes. It renames the organization where
// no more mail may be sent.
func (l *load) invites(organization demo.Organization, client int) {
	path, token := "/v1/organizations/"+organization.ID, organization.Members[0].Token
	for n := 0; ; n++ {
		var made struct {
			ID string `json:"id"`
		}
		email := fmt.Sprintf("r%d-c%d-n%d@crash.test", l.round, client, n)
		status, id, text, err := l.server.asks("POST", path+"/invitations", token, `{"email": "`+email+`", "role": "viewer"}`)
		if err != nil {
			return
		}
		if status == 429 {
			status, id, text, err = l.server.asks("PATCH", path, token, fmt.Sprintf(`{"name": "Renamed %d %d %d"}`, l.round, client, n))
			if err != nil {
				return
			}
			l.note(id, "name", status, text, func() {})
			l.ack()
			continue
		}
		l.note(id, "invitation of "+email, status, text, func() {
			if err := json.Unmarshal([]byte(text), &made); err == nil {
				l.pending[made.ID] = true
			}
		})
		l.ack()
		if n%2 == 1 && !l.cancels(path, token, made.ID) {
			return
		}
	}
}

func (l *load) cancels(path, token, invitation string) bool {
	l.mu.Lock()
	l.unsure[invitation] = true
	l.mu.Unlock()
	status, id, text, err := l.server.asks("POST", path+"/invitations/"+invitation+"/cancel", token, "")
	if err != nil {
		return false
	}
	l.note(id, "cancelling of "+invitation, status, text, func() { l.pending[invitation] = false; delete(l.unsure, invitation) })
	l.ack()
	return true
}

// run lets eight clients work until so many writes were acknowledged, kills the server in the midst of the next ones,
// and waits for the clients to notice.
func (l *load) run(after int) {
	var clients sync.WaitGroup
	for i := range 8 {
		organization := l.server.Organizations[i%2]
		if i < 4 {
			clients.Go(func() { l.changesRoles(organization, organization.Members[1+i/2]) })
		} else {
			clients.Go(func() { l.invites(organization, i) })
		}
	}
	gone := make(chan struct{})
	go func() { clients.Wait(); close(gone) }()
	for range after {
		select {
		case <-l.acked:
		case <-gone: // the server ended by itself
			l.server.t.Error("the server ended by itself")
			return
		}
	}
	close(l.over)
	l.server.kill()
	<-gone
}

// TestSoakNothingAcknowledgedIsLost: the server is killed while eight clients write, again and again. Whatever it had
// acknowledged is there, whatever is there is whole, and the log has no gap. T-104
func TestSoakNothingAcknowledgedIsLost(t *testing.T) {
	oneAfterAnother(t)
	program := binary(t)
	for _, d := range testdb.Dialects {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			c := &crashes{t: t, program: program, ledger: newLedger(), dir: t.TempDir()}
			c.dsn = "sqlite:" + filepath.Join(c.dir, "guildhall.db")
			if d == sqldb.PostgreSQL {
				c.dsn = testdb.DSN(t, d)
			}
			random := rand.New(rand.NewPCG(104, uint64(d)))
			for round := range kills() {
				c.round(round, 20+random.IntN(150))
			}
			t.Logf("%d acknowledged writes", len(c.requests))
		})
	}
}

// crashes is one database, and what clients were told by all servers that ran on it.
type crashes struct {
	*ledger
	t                 *testing.T
	program, dir, dsn string
}

func (c *crashes) args(flag string) []string {
	args := []string{flag, c.dir}
	if strings.HasPrefix(c.dsn, "postgres:") {
		args = append(args, "--database", c.dsn)
	}
	return args
}

// round starts a server, kills it after so many writes, and looks at what is left.
func (c *crashes) round(round, after int) {
	c.t.Helper()
	server := startProcess(c.t, c.program, c.args("--data")...)
	if status, _, text, err := server.asks("POST", "/dev/clock", "", `{"advance": "25h"}`); err != nil || status != 200 {
		c.t.Fatalf("clock: %d %s %v", status, text, err)
	}
	c.stillThere(server)
	(&load{ledger: c.ledger, server: server, round: round, acked: make(chan struct{}), over: make(chan struct{})}).run(after)
	for _, what := range c.refused {
		c.t.Errorf("round %d: %s", round, what)
	}
	c.refused = nil
	c.sound(round)
	c.complete(round)
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// stillThere asks the server itself for some of what earlier ones acknowledged.
func (c *crashes) stillThere(server *serverProcess) {
	c.t.Helper()
	asked := 0
	for id := range c.pending {
		if asked++; asked > 10 {
			return
		}
		found := false
		for _, o := range server.Organizations {
			status, _, _, err := server.asks("GET", "/v1/organizations/"+o.ID+"/invitations/"+id, o.Members[0].Token, "")
			found = found || err == nil && status == 200
		}
		if !found {
			c.t.Errorf("invitation %s is gone", id)
		}
	}
}

// sound runs the program's own doctor on the data.
func (c *crashes) sound(round int) {
	c.t.Helper()
	out, err := exec.CommandContext(c.t.Context(), c.program, append([]string{"doctor"}, c.args("--data-dir")...)...).CombinedOutput()
	if err != nil || string(out) != "every rule holds\n" {
		c.t.Errorf("round %d: doctor: %v\n%s", round, err, out)
	}
}

// complete compares what clients were told with what is stored, without any help of the server.
func (c *crashes) complete(round int) {
	t := c.t
	t.Helper()
	db, err := sqldb.Open(t.Context(), c.dsn, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := &stored{t: t, round: round, db: db}
	logged := s.texts("SELECT request_id, count(*) FROM audit_rows WHERE request_id <> '' GROUP BY request_id")
	for id, what := range c.requests {
		if logged[id] != "1" {
			t.Errorf("round %d: %s was acknowledged and has %q rows", round, what, logged[id])
		}
	}
	states := s.texts("SELECT id, state FROM invitations WHERE organization IN (SELECT id FROM organizations)")
	for id, pending := range c.pending {
		if got := states[id]; pending && got != "pending" && !(c.unsure[id] && got == "cancelled") || !pending && got != "cancelled" {
			t.Errorf("round %d: invitation %s is %q; pending as told: %v", round, id, got, pending)
		}
	}
	roles := s.texts("SELECT id, role FROM members WHERE organization IN (SELECT id FROM organizations)")
	for id, role := range c.roles {
		if got := roles[id]; got != role && got != c.maybe[id] {
			t.Errorf("round %d: member %s is %s; as told %s, as asked for %q", round, id, got, role, c.maybe[id])
		}
		c.roles[id] = roles[id]
	}
	clear(c.maybe)
	s.whole()
}

// stored looks at the tables themselves.
type stored struct {
	t     *testing.T
	round int
	db    *sqldb.DB
}

// whole wants every row of what happened to have its counterpart, and every stream all its numbers.
func (s *stored) whole() {
	s.t.Helper()
	for what, query := range map[string]string{
		"gaps in a stream": `SELECT s.id, s.seq FROM streams s WHERE s.seq <> (SELECT count(*) FROM audit_rows a WHERE a.stream = s.id)
			OR s.seq > 0 AND s.seq <> (SELECT max(a.seq) FROM audit_rows a WHERE a.stream = s.id)`,
		"rows without their actor": `SELECT a.id, a.action FROM audit_rows a
			WHERE NOT EXISTS (SELECT 1 FROM audit_subjects p WHERE p.stream = a.stream AND p.seq = a.seq AND p.n = 0)`,
		"invitations without a mail": `SELECT i.id, i.state FROM invitations i WHERE i.organization IN (SELECT id FROM organizations)
			AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.id = i.mail)`,
		"invitations and their rows": unequal("SELECT count(*) FROM invitations WHERE organization IN (SELECT id FROM organizations)",
			"SELECT count(*) FROM audit_rows WHERE action = 'invitations.create' AND outcome = 'ok'"),
		"cancelled invitations and their rows": unequal("SELECT count(*) FROM invitations WHERE organization IN (SELECT id FROM organizations) AND state = 'cancelled'",
			"SELECT count(*) FROM audit_rows WHERE action = 'invitations.cancel' AND outcome = 'ok'"),
		"versions of members and their rows": unequal("SELECT COALESCE(sum(version - 1), 0) FROM members WHERE organization IN (SELECT id FROM organizations)",
			"SELECT count(*) FROM audit_rows WHERE action = 'members.update' AND outcome = 'ok'"),
	} {
		if found := s.texts(query); len(found) != 0 {
			s.t.Errorf("round %d: %s: %v", s.round, what, found)
		}
	}
}

// unequal is a query for two numbers, where they differ.
func unequal(a, b string) string {
	return "SELECT x.n, y.n FROM (SELECT CAST((" + a + ") AS bigint) AS n) x, (SELECT CAST((" + b + ") AS bigint) AS n) y WHERE x.n <> y.n"
}

// texts is the answer to a query of two columns.
func (s *stored) texts(query string) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	err := s.db.Read(s.t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(s.t.Context(), query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, value any
			if err := rows.Scan(&name, &value); err != nil {
				return err
			}
			all[fmt.Sprint(name)] = fmt.Sprint(value)
		}
		return rows.Err()
	})
	if err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return all
}

// TestASecondProcessIsRefused: while a server runs on a file, no other process opens it, and the server goes on. Once it
// is killed, the next one has it. T-107
func TestASecondProcessIsRefused(t *testing.T) {
	oneAfterAnother(t)
	program, dir := binary(t), t.TempDir()
	server := startProcess(t, program, "--data", dir)
	for _, args := range [][]string{
		{"demo", "--json", "--addr", "127.0.0.1:0", "--data", dir},
		{"demo", "--json", "--addr", "127.0.0.1:0", "--data", dir, "--fresh"},
		{"serve", "--addr", "127.0.0.1:0", "--data-dir", dir},
		{"doctor", "--data-dir", dir},
	} {
		out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
		want := fmt.Sprintf("in use by process %d", server.command.Process.Pid)
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("guildhall %s: %v, want %s: %s", args[0], err, want, out)
		}
	}
	member := server.Organizations[0].Members[0]
	if status, _, text, err := server.asks("GET", "/v1/organizations/acme", member.Token, ""); err != nil || status != 200 {
		t.Errorf("the first server: %d %s %v", status, text, err)
	}
	server.kill()
	startProcess(t, program, "--data", dir)
}
