package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/guildhall/guildhall/charter"
)

// target is a server in a process of its own, and how it is asked.
type target struct {
	name    string
	child   *child
	ask     func(q *question) request
	allowed func(status int, body []byte) bool
	checked bool // answers are compared with the table
	floor   bool
}

// request is the whole text of a request, and whether yes is the right answer to it.
type request struct {
	text  []byte
	allow bool
}

// overHTTP asks every target in turn over the same number of connections, and prints the server's CPU time a request.
func overHTTP(ctx context.Context, o options) error {
	f, err := newFixture(o.organizations, o.members)
	if err != nil {
		return err
	}
	targets, err := startTargets(ctx, o, f)
	defer func() {
		for _, t := range targets {
			t.child.stop()
		}
	}()
	if err != nil {
		return err
	}
	questions := f.questions(1 << 12)
	if err := warmUp(ctx, targets, questions, o.connections); err != nil {
		return err
	}
	heading(fmt.Sprintf("Over HTTP, %d connections: microseconds of the server's CPU time a request", o.connections), o.usual())
	figures := make([]figure, len(targets))
	for range o.rounds {
		for i, t := range targets {
			if err := figures[i].round(ctx, t, questions, o); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	printFigures(targets, figures)
	return nil
}

func startTargets(ctx context.Context, o options, f *fixture) (targets []target, err error) {
	bare, err := start(ctx, o, "floor")
	if err != nil {
		return nil, err
	}
	targets = append(targets, target{name: "floor: a bare handler, GET", child: bare, ask: bareGet, floor: true})
	hall, err := start(ctx, o, "hall")
	if err != nil {
		return targets, err
	}
	busy, err := start(ctx, o, "busy")
	if err != nil {
		return targets, err
	}
	forward, evaluate := asking(f)
	targets = append(targets,
		target{name: "forward-auth, raw key", child: hall, ask: forward, checked: true, allowed: passes},
		target{name: "the same, keys revoked beside", child: busy, ask: forward, checked: true, allowed: passes},
		target{name: "floor: a bare handler, POST", child: bare, ask: evaluate, floor: true},
		target{name: "AuthZEN evaluation, two credentials", child: hall, ask: evaluate, checked: true,
			allowed: func(_ int, body []byte) bool { return bytes.Contains(body, []byte(`"decision":true`)) }})
	if o.openfga == "" {
		return targets, nil
	}
	peer, err := startOpenFGA(ctx, o.openfga, f)
	if peer != nil {
		targets = append(targets, peer.target(f))
	}
	return targets, err
}

func bareGet(*question) request {
	return request{text: []byte("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer gld_live_0000000000000000000000000000000000000000000000000\r\n\r\n")}
}

// asking makes the requests of one question, prepared before anything is measured.
func asking(f *fixture) (forward, evaluate func(*question) request) {
	secrets, service := f.secrets(), f.serviceKey().Reveal()
	routes := map[string]string{}
	for _, r := range f.charter.Routes {
		if !strings.Contains(r.Pattern, "{") && !r.Public {
			routes[string(r.Needs)] = r.Method + " " + r.Pattern
		}
	}
	forward = func(q *question) request {
		permission := string(q.permission)
		if routes[permission] == "" { // no request asks for it: take one that everybody may make
			permission = "endpoints.view"
		}
		method, path, _ := strings.Cut(routes[permission], " ")
		allow := f.charter.Can(f.role(q.member), charter.Permission(permission))
		return request{allow: allow, text: fmt.Appendf(nil, "GET /forward-auth HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Method: %s\r\nX-Forwarded-Uri: %s\r\nX-Forwarded-For: 203.0.113.7\r\nAuthorization: Bearer %s\r\n\r\n",
			method, path, secrets[q.organization*f.members+q.member])}
	}
	evaluate = func(q *question) request {
		body := fmt.Sprintf(`{"subject":{"type":"credential","id":%q},"action":{"name":%q},"resource":{"type":"organization","id":%q}}`,
			secrets[q.organization*f.members+q.member], q.permission, f.organizationID(q.organization))
		return request{allow: q.allow, text: fmt.Appendf(nil, "POST /access/v1/evaluation HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
			service, len(body), body)}
	}
	return forward, evaluate
}

// child is a server in a process of its own.
type child struct {
	command *exec.Cmd
	stdin   io.Closer
	address string
}

func start(ctx context.Context, o options, what string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{command: exec.CommandContext(ctx, self, "serve", "-organizations", strconv.Itoa(o.organizations), "-members", strconv.Itoa(o.members), "-profile", o.profile, what)}
	c.command.Stderr = os.Stderr
	if c.stdin, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%s did not start: %w", what, err)
	}
	c.address = strings.TrimSpace(line)
	return c, nil
}

// stop ends the process: ours end with their standard input, others by a signal.
func (c *child) stop() {
	_ = c.stdin.Close()
	_ = c.command.Process.Signal(os.Interrupt)
	_ = c.command.Wait()
}

// cpu is the CPU time that the process has used so far (proc(5): utime and stime, in hundredths of a second).
func (c *child) cpu() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// figure is what was measured of one target.
type figure struct {
	cpu, rate []float64 // microseconds a request; requests a second
	p99       []float64 // microseconds; over HTTP only
}

func (g *figure) round(ctx context.Context, t target, questions []question, o options) error {
	before, err := t.child.cpu()
	if err != nil {
		return err
	}
	asked := &waits{}
	length := time.Duration(o.seconds * float64(time.Second))
	if err := hammerCounting(ctx, t, questions, o.connections, length, asked); err != nil {
		return err
	}
	after, err := t.child.cpu()
	n := float64(len(asked.took))
	g.p99 = append(g.p99, asked.p99())
	g.cpu, g.rate = append(g.cpu, float64((after-before).Microseconds())/n), append(g.rate, n/length.Seconds())
	return err
}

// waits are how long requests took, as their senders saw it.
type waits struct {
	pause time.Duration // of a sender after each answer
	mu    sync.Mutex
	took  []time.Duration
}

func (w *waits) add(took []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, took...)
}

func (w *waits) p99() float64 {
	slices.Sort(w.took)
	return float64(w.took[len(w.took)*99/100].Nanoseconds()) / 1000
}

// warmUp asks every target everything twice: what is asked a second time is remembered.
func warmUp(ctx context.Context, targets []target, questions []question, connections int) error {
	for _, t := range slices.Repeat(targets, 2) {
		if err := hammer(ctx, t, questions, connections, 0); err != nil {
			return fmt.Errorf("%s, warming up: %w", t.name, err)
		}
	}
	return nil
}

// passes reports whether forward-auth said yes.
func passes(status int, _ []byte) bool { return status == http.StatusOK }

func hammer(ctx context.Context, t target, questions []question, connections int, length time.Duration) error {
	return hammerCounting(ctx, t, questions, connections, length, &waits{})
}

// hammerCounting asks over the connections at once: for a time, or every question once where that is 0.
func hammerCounting(ctx context.Context, t target, questions []question, connections int, length time.Duration, asked *waits) error {
	requests := make([]request, len(questions))
	for i := range questions {
		requests[i] = t.ask(&questions[i])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wait sync.WaitGroup
	errs := make(chan error, connections)
	until := time.Now().Add(length)
	for n := range connections {
		wait.Go(func() {
			if err := converse(ctx, t, questions, requests, n, connections, until, length == 0, asked); err != nil {
				errs <- err
				cancel()
			}
		})
	}
	wait.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return ctx.Err()
	}
}

// converse asks over one connection, which is kept.
func converse(ctx context.Context, t target, questions []question, requests []request, n, step int, until time.Time, once bool, asked *waits) error {
	conn, err := net.Dial("tcp", t.child.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var took []time.Duration
	defer func() { asked.add(took) }()
	for i := n; ctx.Err() == nil; i += step {
		if once && i >= len(questions) || !once && !time.Now().Before(until) {
			return nil
		}
		asking, began := requests[i%len(questions)], time.Now()
		if _, err := conn.Write(asking.text); err != nil {
			return err
		}
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if t.checked && t.allowed(response.StatusCode, body) != asking.allow {
			return fmt.Errorf("wrong answer %d %s about %+v", response.StatusCode, body, questions[i%len(questions)])
		}
		took = append(took, time.Since(began))
		time.Sleep(asked.pause)
	}
	return nil
}

func printFigures(targets []target, figures []figure) {
	fmt.Printf("%-38s %10s %8s %12s %10s %s\n", "", "CPU µs", "spread", "requests/s", "p99 µs", "times the floor above it: CPU, p99 (medians of the rounds' ratios)")
	above := 0
	for i, t := range targets {
		ratio := ""
		if t.floor {
			above = i
		} else {
			ratio = ratioOf(figures[i].cpu, figures[above].cpu) + "  " + ratioOf(figures[i].p99, figures[above].p99)
		}
		p99 := ""
		if len(figures[i].p99) > 0 {
			p99 = fmt.Sprintf("%.0f", median(figures[i].p99))
		}
		fmt.Printf("%-38s %10.1f %7.0f%% %12.0f %10s %s\n", t.name, median(figures[i].cpu), spread(figures[i].cpu)*100, median(figures[i].rate), p99, ratio)
	}
}

// ratioOf is the median of the rounds' ratios; empty without any.
func ratioOf(of, to []float64) string {
	ratios := make([]float64, len(of))
	for r := range ratios {
		ratios[r] = of[r] / to[r]
	}
	if len(ratios) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", median(ratios))
}
