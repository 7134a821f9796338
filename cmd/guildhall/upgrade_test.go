package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// upgrade is servers of two programs on one database: the one of the release before, and this one.
type upgrade struct {
	*field
	previous, this string
	office         *office
	all            told
}

// upgradeLease is that of the servers: shorter than usual, and long enough for a machine on which three programs start.
const upgradeLease = time.Second

func startUpgrade(t *testing.T, previous string) *upgrade {
	t.Helper()
	this, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	u := &upgrade{previous: previous, this: this, office: openOffice(t)}
	u.field = startFieldOf(t, previous, "", upgradeLease, "--smtp-host", "127.0.0.1", "--smtp-port", u.office.port, "--smtp-tls", "unencrypted", "--smtp-from", "guildhall@acme.test")
	return u
}

// mix says who serves, and how far the tables are.
func (u *upgrade) mix() string {
	var of [2]int
	for _, s := range u.servers {
		if s.program == u.this {
			of[1]++
			continue
		}
		of[0]++
	}
	return fmt.Sprintf("%d of the release before, %d of this one, tables of %d", of[0], of[1], u.number("SELECT max(version_id) FROM goose_db_version"))
}

// replaces ends one server, as an operator does, and starts a program in its place, while clients go on.
func (u *upgrade) replaces(i int, program string) {
	u.t.Helper()
	var ended, took time.Duration
	replaced := fault{"replaced", func(h *history, _ int, _ time.Duration) {
		h.busy[i].Lock()
		defer h.busy[i].Unlock()
		began := time.Now()
		err := u.ends(h, i)
		ended = time.Since(began)
		if s := h.servers[i]; err == nil {
			s.program = program
			err = s.tryStart()
		}
		if err != nil {
			h.t.Errorf("server %s: %v%s", h.servers[i].name, err, h.servers[i].said())
		}
		took = time.Since(began)
		h.pause(2 * time.Second)
		h.enough.Store(true)
		<-h.end
	}}
	u.legal(u.run(1_000_000, 3*time.Minute, []fault{replaced}))
	if u.t.Failed() {
		u.t.FailNow()
	}
	u.t.Logf("server %s had ended after %s, and answered after %s: %s", u.servers[i].name, ended.Round(time.Millisecond), took.Round(time.Millisecond), u.mix())
}

// A server of this program that is asked to end has ended by longestEnd. One of the release before is not waited for longer
// than supervisor, and killed.
const (
	longestEnd = 45 * time.Second
	supervisor = 10 * time.Second
)

// ends asks a server to end, and waits for it.
func (u *upgrade) ends(h *history, i int) error {
	s := h.servers[i]
	h.field.mu.Lock()
	h.readings += h.readOf(i)
	h.field.mu.Unlock()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	patience := supervisor
	if s.program == u.this {
		patience = longestEnd
	}
	stuck := time.AfterFunc(patience, func() { s.process.Process.Signal(syscall.SIGQUIT) }) // it says where
	err := s.process.Wait()
	stuck.Stop()
	if err != nil && s.program != u.this {
		u.t.Logf("the server of the release before did not end within %s: %v", patience, err)
		return nil
	}
	return err
}

// said is the end of what a server has logged to its file.
func (s *clusterServer) said() string {
	raw, _ := os.ReadFile(s.data + ".log")
	return "\n" + string(raw[max(0, len(raw)-40_000):])
}

// legal fails for answers that nobody may give.
func (u *upgrade) legal(a told) {
	u.t.Helper()
	u.t.Log(a)
	u.all.add(a)
	if a.illegal > 0 || a.late > 0 {
		u.t.Errorf("%d registers have no legal history, and %d checks were accepted that were sent after the revocation had returned: %s", a.illegal, a.late, a.first)
	}
}

// works tries whoever serves now: in peace, with every fault, and what each writes for the others.
func (u *upgrade) works() {
	u.t.Helper()
	u.t.Run(u.mix(), func(t *testing.T) {
		outer := u.t
		u.t = t
		defer func() { u.t = outer }()
		u.provesAgain()
		u.legal(u.run(20_000, 4*time.Second))
		u.legal(u.run(20_000, 6*time.Second, everyFault(), everyFault()))
		u.goesOn(t)
		for _, pair := range u.pairs() {
			u.exchange(pair[0], pair[1])
			u.exchange(pair[1], pair[0])
		}
		for _, s := range u.servers {
			u.knowsAll(s)
		}
	})
}

// pairs are servers that run different programs, each once; two of one program, where all do.
func (u *upgrade) pairs() (all [][2]*clusterServer) {
	for i, s := range u.servers {
		if next := u.servers[(i+1)%len(u.servers)]; s.program != next.program {
			all = append(all, [2]*clusterServer{s, next})
		}
	}
	if len(all) == 0 {
		all = append(all, [2]*clusterServer{u.servers[0], u.servers[1]})
	}
	return all
}

// provesAgain signs the owner in again: a proof of who somebody is lasts ten minutes.
func (u *upgrade) provesAgain() {
	u.t.Helper()
	u.office.forget("ada@acme.test")
	u.servers[0].does("POST", "/v1/signin/begin", "", map[string]any{"email": "ada@acme.test"}, nil)
	var in struct{ Secret string }
	u.servers[1].does("POST", "/v1/signin/complete", "", map[string]any{"token": u.office.token(u.t, "ada@acme.test", "link?token=")}, &in)
	u.owner = in.Secret
}

// doctor has the whole database read, by a program.
func (u *upgrade) doctor(program string) {
	u.t.Helper()
	cmd := exec.Command(program, append([]string{"doctor"}, u.servers[0].args[1:]...)...)
	cmd.Env = append(os.Environ(), "GUILDHALL_TEST_MAIN=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "every rule holds") {
		u.t.Errorf("doctor: %v\n%s", err, out)
	}
}

// Servers of the release before are replaced by this one's, one after another, and back again, while clients go on: at each
// mix no answer is wrong, whatever fails, and what one version writes the other one reads. T-038, T-104, T-106, T-108
func TestSoakUpgrade(t *testing.T) {
	previous := os.Getenv("GUILDHALL_PREVIOUS")
	if os.Getenv("GUILDHALL_SOAK") == "" || previous == "" {
		t.Skip("minutes, and a program of the release before: make upgrade")
	}
	u := startUpgrade(t, previous)
	u.works()
	for _, program := range []string{u.this, u.previous} {
		for i := range u.servers {
			u.replaces(i, program)
			u.works()
		}
		u.doctor(u.this)
		u.doctor(u.previous)
	}
	u.judged(t, u.all)
}
