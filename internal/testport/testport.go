// Package testport finds ports for servers that tests start, where these cannot say themselves which one they took.
package testport

import (
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// lowest is the lowest port that is given; below it are those of well-known servers.
const lowest = 10_240

var given sync.Map // ports of this process

// Free gives a port of 127.0.0.1 that nobody listens on. It is none of those that the system gives to whoever connects
// somewhere, or asks for any: until its server listens, and while that is started anew, nobody else takes it.
func Free(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(lowest + rand.IntN(ephemeral()-lowest))
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatalf("no free port from %d to %d", lowest, ephemeral())
	return ""
}

// ephemeral is the first port that the system gives itself: by ip(7), or else by RFC 6335.
func ephemeral() int {
	raw, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	first, _, _ := strings.Cut(strings.TrimSpace(string(raw)), "\t")
	if n, err := strconv.Atoi(first); err == nil && n > lowest+1000 {
		return n
	}
	return 49_152
}
