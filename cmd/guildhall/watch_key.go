package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// What a server says of a key.
const (
	saysYes     = "accepted"
	saysNo      = "refused"
	saysNothing = "no answer"
)

// watchEvery is how often each server is asked.
const watchEvery = 2 * time.Millisecond

// watchedKey asks servers about a key all the time. Times count from the first question.
type watchedKey struct {
	client    *http.Client
	key       string // a service key, which asks
	body      []byte // the question; it is about the key itself where it is empty
	began     time.Time
	mu        sync.Mutex
	out       io.Writer
	servers   []*watchedServer
	announced string
}

// watchedServer is what a server said.
type watchedServer struct {
	url         string
	says        string
	lastYes     time.Duration // when the last question was sent that it answered yes
	firstNo     time.Duration // when the first one was sent that it answered no; 0: none
	asked       int
	after, late int // questions sent after all had refused, and those of them that were answered yes
}

// watchKey asks every server about a key until all of them refuse it.
func watchKey(ctx context.Context, p process) error {
	flags := flag.NewFlagSet("watch-key", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	permission := flags.String("permission", "", "")
	organization := flags.String("organization", "", "")
	if err := flags.Parse(p.args); err != nil {
		return usageError{err}
	}
	w := &watchedKey{client: &http.Client{Timeout: 5 * time.Second}, key: environment(p, "GUILDHALL_KEY"), out: p.stdout}
	watched := environment(p, "GUILDHALL_WATCHED")
	switch {
	case flags.NArg() == 0:
		return usagef("which servers? usage: GUILDHALL_KEY=... guildhall watch-key URL...")
	case w.key == "":
		return usagef("GUILDHALL_KEY is empty: it is the service key that asks, and the one that is watched unless GUILDHALL_WATCHED is another")
	case watched != "" && (*permission == "" || *organization == ""):
		return usagef("with GUILDHALL_WATCHED, say with --permission and --organization what to ask about it")
	}
	for _, at := range flags.Args() {
		u, err := url.Parse(at)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return usagef("%q is not the address of a server, such as http://127.0.0.1:8081", at)
		}
		w.servers = append(w.servers, &watchedServer{url: strings.TrimRight(at, "/")})
	}
	if watched != "" {
		w.body, _ = json.Marshal(map[string]any{"subject": map[string]string{"type": "credential", "id": watched}, // texts always marshal
			"action": map[string]string{"name": *permission}, "resource": map[string]string{"type": "organization", "id": *organization}})
	}
	return w.watch(ctx)
}

func environment(p process, name string) string {
	at := slices.IndexFunc(p.environ, func(e string) bool { return strings.HasPrefix(e, name+"=") })
	if at < 0 {
		return ""
	}
	return p.environ[at][len(name)+1:]
}

// watch asks until all refuse, and then for half a second more.
func (w *watchedKey) watch(ctx context.Context) error {
	w.began = time.Now()
	if says := w.sayAll(ctx); !slices.Contains(says, saysYes) {
		return fmt.Errorf("no server accepts it: %s", strings.Join(says, ", "))
	}
	fmt.Fprintf(w.out, "Revoke it now, anywhere. Ctrl-C ends this.\n%11s", "")
	for _, s := range w.servers {
		_, host, _ := strings.Cut(s.url, "//")
		fmt.Fprintf(w.out, "  %-21s", host)
	}
	fmt.Fprintln(w.out)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var asking sync.WaitGroup
	for _, s := range w.servers {
		asking.Go(func() { w.ask(ctx, s, stop) })
	}
	asking.Wait()
	return w.report()
}

func (w *watchedKey) sayAll(ctx context.Context) []string {
	says := make([]string, len(w.servers))
	for i, s := range w.servers {
		says[i] = w.say(ctx, s)
	}
	return says
}

// ask asks one server, and stops all when they have refused for half a second.
func (w *watchedKey) ask(ctx context.Context, s *watchedServer, stop func()) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		sent := time.Since(w.began)
		if says := w.say(ctx, s); ctx.Err() == nil && w.note(s, sent, says) {
			stop()
		}
	}
}

// say asks a server once.
func (w *watchedKey) say(ctx context.Context, s *watchedServer) string {
	body := w.body
	if body == nil {
		body = []byte("{}") // which is answered 400 to a key that is good
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/access/v1/evaluation", bytes.NewReader(body))
	if err != nil {
		return saysNothing
	}
	request.Header.Set("Authorization", "Bearer "+w.key)
	request.Header.Set("Content-Type", "application/json")
	response, err := w.client.Do(request)
	if err != nil {
		return saysNothing
	}
	defer response.Body.Close()
	var answer struct{ Decision bool }
	err = json.NewDecoder(response.Body).Decode(&answer)
	switch {
	case response.StatusCode == http.StatusUnauthorized:
		return saysNo
	case err != nil || response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests:
		return saysNothing
	case w.body == nil || answer.Decision:
		return saysYes
	}
	return saysNo
}

// note keeps what a server said to a question, and reports whether it is time to end.
func (w *watchedKey) note(s *watchedServer, sent time.Duration, says string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	over, all := w.refused()
	s.asked++
	if all && sent > over {
		if s.after++; says == saysYes {
			s.late++
		}
	}
	switch {
	case says == saysYes:
		s.lastYes = sent
	case says == saysNo && s.firstNo == 0:
		s.firstNo = sent
	}
	s.says = says
	w.announce(time.Since(w.began))
	return all && sent > over+500*time.Millisecond
}

// refused says when the last of the servers refused for the first time, and whether all have.
func (w *watchedKey) refused() (at time.Duration, all bool) {
	for _, s := range w.servers {
		if s.firstNo == 0 {
			return 0, false
		}
		at = max(at, s.firstNo)
	}
	return at, true
}

// announce prints what all say, whenever that is something new.
func (w *watchedKey) announce(at time.Duration) {
	line := ""
	for _, s := range w.servers {
		line += fmt.Sprintf("  %-21s", s.says)
	}
	if line != w.announced {
		w.announced = line
		fmt.Fprintf(w.out, "%9.4f s%s\n", at.Seconds(), line)
	}
}

// report prints what came of it. It is an error if anybody accepted what others had refused before.
func (w *watchedKey) report() error {
	over, all := w.refused()
	if !all {
		return errors.New("ended before every server had refused it")
	}
	first, after, late := over, 0, 0
	fmt.Fprintln(w.out)
	for _, s := range w.servers {
		fmt.Fprintf(w.out, "%-28s last accepted %9.4f s, first refused %9.4f s, asked %d times\n", s.url, s.lastYes.Seconds(), s.firstNo.Seconds(), s.asked)
		first, after, late = min(first, s.firstNo), after+s.after, late+s.late
	}
	fmt.Fprintf(w.out, "Between the first refusal and the last: %.1f ms. Of %d questions after it, %d were accepted.\n", float64((over-first).Microseconds())/1000, after, late)
	if late > 0 {
		return fmt.Errorf("%d questions were accepted after every server had refused", late)
	}
	return nil
}
