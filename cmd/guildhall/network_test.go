package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/testport"
)

// way is one direction of what two parties send each other. What is held arrives later and in its order; what is cut is
// lost with its connection.
type way struct {
	held, cut atomic.Int32
	slow      atomic.Int64 // the longest delay
	late      atomic.Int64 // the delay of every piece
}

// pass returns when a piece may go on.
func (w *way) pass(over <-chan struct{}) {
	if slow := w.slow.Load(); slow > 0 {
		time.Sleep(time.Duration(rand.Int64N(slow)))
	}
	if late := w.late.Load(); late > 0 {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(late)):
		}
	}
	for w.held.Load() > 0 {
		select {
		case <-over:
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// relay stands between those who connect to it and where they want to go.
type relay struct {
	listener net.Listener
	to       func() (net.Conn, error)
	ways     func(from net.Conn) (there, back *way)
	mu       sync.Mutex
	open     map[*passage]bool
}

// passage is a connection through a relay.
type passage struct {
	from, to    net.Conn
	there, back *way
	over        chan struct{}
	end         func()
	forsaken    atomic.Bool // its other end is gone, and nobody tells whoever it is from
}

func startRelay(t *testing.T, to func() (net.Conn, error), ways func(net.Conn) (there, back *way)) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, to: to, ways: ways, open: map[*passage]bool{}}
	var taking sync.WaitGroup
	taking.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go r.take(from)
		}
	})
	t.Cleanup(func() { listener.Close(); taking.Wait(); r.drop(func(*passage) bool { return true }) })
	return r
}

func (r *relay) address() string { return r.listener.Addr().String() }

func (r *relay) take(from net.Conn) {
	there, back := r.ways(from)
	if there.cut.Load() > 0 || back.cut.Load() > 0 {
		from.Close()
		return
	}
	to, err := r.to()
	if err != nil {
		from.Close()
		return
	}
	p := &passage{from: from, to: to, there: there, back: back, over: make(chan struct{})}
	p.end = sync.OnceFunc(func() {
		close(p.over)
		to.Close()
		if p.forsaken.Load() {
			_, _ = io.Copy(io.Discard, from) // what is sent is taken, and never answered
		}
		from.Close()
	})
	r.mu.Lock()
	r.open[p] = true
	r.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(to, from, there) })
	both.Go(func() { p.pump(from, to, back) })
	both.Wait()
	p.end()
	r.mu.Lock()
	delete(r.open, p)
	r.mu.Unlock()
}

func (p *passage) pump(to io.Writer, from io.Reader, w *way) {
	defer p.end()
	for piece := make([]byte, 32<<10); ; {
		n, err := from.Read(piece)
		if n > 0 {
			w.pass(p.over)
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			w.pass(p.over) // the end of a connection waits too
			return
		}
	}
}

// drop ends connections.
func (r *relay) drop(which func(*passage) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.open {
		if which(p) {
			p.end()
		}
	}
}

// forsake ends the far ends of all connections, and leaves the near ones open.
func (r *relay) forsake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.open {
		p.forsaken.Store(true)
		p.to.Close()
	}
}

// network is what lies between the servers of a cluster, and between each of them and the database. Clients reach every
// server always.
type network struct {
	t        *testing.T
	toBase   [3]way // from each server to the database
	fromBase [3]way
	between  [3][3]way // from one server to another
	loose    way       // of whoever is not known
	bases    [3]*relay
	peers    [3]*relay
	listen   [3]string // where each server takes the messages of the others
	pids     [3]atomic.Int64
}

func newNetwork(t *testing.T, database func(server int) (net.Conn, error)) *network {
	n := &network{t: t}
	for i := range n.bases {
		n.bases[i] = startRelay(t, func() (net.Conn, error) { return database(i) }, func(net.Conn) (there, back *way) { return &n.toBase[i], &n.fromBase[i] })
		n.listen[i] = "127.0.0.1:" + testport.Free(t)
		n.peers[i] = startRelay(t, func() (net.Conn, error) { return net.Dial("tcp", n.listen[i]) }, func(from net.Conn) (there, back *way) {
			j := n.sender(from)
			if j < 0 {
				return &n.loose, &n.loose
			}
			return &n.between[j][i], &n.between[i][j]
		})
	}
	return n
}

// sender is which server a connection is from. The kernel knows whose the socket at its other end is.
func (n *network) sender(from net.Conn) int {
	port := from.RemoteAddr().(*net.TCPAddr).Port
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return -1
	}
	socket := ""
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && f[9] != "0" {
			socket = "socket:[" + f[9] + "]"
		}
	}
	for i := range n.pids {
		files, _ := filepath.Glob("/proc/" + strconv.FormatInt(n.pids[i].Load(), 10) + "/fd/*")
		for _, file := range files {
			if to, err := os.Readlink(file); err == nil && to == socket {
				return i
			}
		}
	}
	return -1
}

// cutOff ends what goes over ways, until they are mended.
func (n *network) cutOff(ways []*way) {
	for _, w := range ways {
		w.cut.Add(1)
	}
	cut := func(p *passage) bool { return p.there.cut.Load() > 0 || p.back.cut.Load() > 0 }
	for i := range n.bases {
		n.bases[i].drop(cut)
		n.peers[i].drop(cut)
	}
}

func (n *network) base(i int) []*way { return []*way{&n.toBase[i], &n.fromBase[i]} }

// inward and outward are what the other servers send one, and what it sends them.
func (n *network) inward(i int) (ways []*way) {
	for j := range n.between {
		if j != i {
			ways = append(ways, &n.between[j][i])
		}
	}
	return ways
}

func (n *network) outward(i int) (ways []*way) {
	for j := range n.between {
		if j != i {
			ways = append(ways, &n.between[i][j])
		}
	}
	return ways
}
