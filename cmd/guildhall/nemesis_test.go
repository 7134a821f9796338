package main

import (
	"database/sql"
	"math/rand/v2"
	"syscall"
	"time"
)

// fault is what goes wrong for a time, at one of the servers. It returns when it is mended.
type fault struct {
	name string
	do   func(h *history, i int, d time.Duration)
}

// everyFault is the general mix.
func everyFault() []fault {
	return []fault{paused, killed, fromDatabase, fromPeers, isolated, staggered, answersHeld, questionsHeld, deaf, mute, delayed, severed, backendsEnded, databaseRestarted}
}

// torment lets one fault after another happen, each for up to three leases.
func (h *history) torment(list []fault) {
	for !h.ended() {
		h.pause(time.Duration(rand.Int64N(int64(2*shortLease) * int64(1+h.calm))))
		if h.ended() {
			return
		}
		f := list[rand.IntN(len(list))]
		d := shortLease/20 + time.Duration(rand.Float64()*rand.Float64()*float64(3*shortLease)) // short ones are likelier
		if h.long {
			d = shortLease + time.Duration(rand.Int64N(int64(3*shortLease)))
		}
		h.field.mu.Lock()
		h.faults[f.name]++
		h.field.mu.Unlock()
		f.do(h, rand.IntN(3), d)
	}
}

// hold holds what is on its way for a time.
func (h *history) hold(d time.Duration, ways ...*way) {
	for _, w := range ways {
		w.held.Add(1)
	}
	time.Sleep(d)
	for _, w := range ways {
		w.held.Add(-1)
	}
}

func (h *history) around(i int) []*way { return append(h.network.inward(i), h.network.outward(i)...) }

var paused = fault{"stopped", func(h *history, i int, d time.Duration) {
	h.busy[i].Lock()
	defer h.busy[i].Unlock()
	process := h.servers[i].process.Process
	if process.Signal(syscall.SIGSTOP) == nil {
		time.Sleep(d)
		process.Signal(syscall.SIGCONT)
	}
}}

var killed = fault{"killed", func(h *history, i int, d time.Duration) {
	h.busy[i].Lock()
	defer h.busy[i].Unlock()
	s := h.servers[i]
	h.field.mu.Lock()
	h.readings += h.readOf(i)
	h.field.mu.Unlock()
	s.process.Process.Kill()
	s.process.Wait()
	time.Sleep(d / 2)
	for range 5 {
		if s.tryStart() == nil {
			return
		}
		s.process.Process.Kill()
		s.process.Wait()
	}
	h.t.Errorf("server %s cannot be started again", s.name)
}}

var fromDatabase = fault{"cut off from the database", func(h *history, i int, d time.Duration) { h.hold(d, h.network.base(i)...) }}
var fromPeers = fault{"cut off from the others", func(h *history, i int, d time.Duration) { h.hold(d, h.around(i)...) }}
var isolated = fault{"cut off from both", func(h *history, i int, d time.Duration) {
	h.hold(d, append(h.around(i), h.network.base(i)...)...)
}}
var staggered = fault{"cut off from the others, then the database", func(h *history, i int, d time.Duration) {
	later := time.Duration(rand.Int64N(int64(shortLease * 6 / 10)))
	done := make(chan struct{})
	go func() { defer close(done); time.Sleep(later); h.hold(d, h.network.base(i)...) }()
	h.hold(d, h.around(i)...)
	<-done
}}
var answersHeld = fault{"the database's answers are late", func(h *history, i int, d time.Duration) { h.hold(d, &h.network.fromBase[i]) }}
var questionsHeld = fault{"the database hears late", func(h *history, i int, d time.Duration) { h.hold(d, &h.network.toBase[i]) }}
var deaf = fault{"hears the others late", func(h *history, i int, d time.Duration) { h.hold(d, h.network.inward(i)...) }}
var mute = fault{"the others hear it late", func(h *history, i int, d time.Duration) { h.hold(d, h.network.outward(i)...) }}

var delayed = fault{"slow", func(h *history, i int, d time.Duration) {
	ways := append(h.network.outward(i), &h.network.toBase[i])
	if rand.IntN(2) == 0 {
		ways = append(h.network.inward(i), &h.network.fromBase[i])
	}
	for _, w := range ways {
		w.slow.Store(int64(2 * shortLease))
	}
	time.Sleep(d)
	for _, w := range ways {
		w.slow.Store(0)
	}
}}

// severed ends connections, and lets none begin.
var severed = fault{"connections cut", func(h *history, i int, d time.Duration) {
	ways := h.network.base(i)
	if rand.IntN(2) == 0 {
		ways = h.around(i)
	}
	h.network.cutOff(ways)
	time.Sleep(d)
	for _, w := range ways {
		w.cut.Add(-1)
	}
}}

var backendsEnded = fault{"connections ended by the database", func(h *history, _ int, _ time.Duration) {
	pool, err := sql.Open("pgx", h.dsn)
	if err != nil {
		return
	}
	defer pool.Close()
	pool.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.7")
}}

var databaseRestarted = fault{"database restarted", func(h *history, _ int, _ time.Duration) {
	h.restarting.Lock()
	defer h.restarting.Unlock()
	if err := h.base.Restart([]string{"INT", "QUIT"}[rand.IntN(2)]); err != nil {
		h.t.Error(err)
	}
}}
