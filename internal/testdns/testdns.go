// Package testdns is a DNS server on this machine for tests: it answers what a test tells it to, and may change its mind.
package testdns

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Server answers for names that a test has set. It is safe for concurrent use.
type Server struct {
	conn net.PacketConn

	mu     sync.Mutex
	texts  map[string][]string
	hosts  map[string][]netip.Addr // given one after another, the last one for ever
	broken bool
	asked  int
}

// Start begins to answer, until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{conn: conn, texts: map[string][]string{}, hosts: map[string][]netip.Addr{}}
	ended := make(chan struct{})
	go func() { defer close(ended); s.serve() }()
	t.Cleanup(func() { conn.Close(); <-ended })
	return s
}

// Resolver asks this server and no other.
func (s *Server) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

// Text sets the TXT records of a name; none: there is no such name.
func (s *Server) Text(name string, records ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[name] = records
}

// Host sets the addresses of a name. Each question is answered with the next one, and the last one stays.
func (s *Server) Host(name string, addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[name] = nil
	for _, a := range addresses {
		s.hosts[name] = append(s.hosts[name], netip.MustParseAddr(a))
	}
}

// Break makes every answer a failure of the server, or mends it.
func (s *Server) Break(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
}

// Asked is how many questions came.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *Server) serve() {
	buffer := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		s.answer(&m)
		if raw, err := m.Pack(); err == nil {
			_, _ = s.conn.WriteTo(raw, from)
		}
	}
}

// answer makes the question its answer.
func (s *Server) answer(m *dnsmessage.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	q := m.Questions[0]
	name := strings.TrimSuffix(q.Name.String(), ".")
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
	switch {
	case s.broken:
		m.RCode = dnsmessage.RCodeServerFailure
	case q.Type == dnsmessage.TypeTXT && len(s.texts[name]) > 0:
		for _, text := range s.texts[name] {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.TXTResource{TXT: pieces(text)}})
		}
	case len(s.hosts[name]) > 0:
		s.answerHost(m, head, name)
	case len(s.texts[name]) == 0:
		m.RCode = dnsmessage.RCodeNameError
	}
}

func (s *Server) answerHost(m *dnsmessage.Message, head dnsmessage.ResourceHeader, name string) {
	a := s.hosts[name][0]
	switch {
	case head.Type == dnsmessage.TypeA && a.Is4():
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
	case head.Type == dnsmessage.TypeAAAA && a.Is6():
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
	default:
		return
	}
	if len(s.hosts[name]) > 1 {
		s.hosts[name] = s.hosts[name][1:]
	}
}

// pieces parts a text, of which one string of a record holds 255 bytes.
func pieces(text string) (all []string) {
	for len(text) > 255 {
		all, text = append(all, text[:255]), text[255:]
	}
	return append(all, text)
}
