package testport_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/guildhall/guildhall/internal/testport"
)

// A port is given once, can be listened on, and is none that the system would give.
func TestAPortIsGivenOnce(t *testing.T) {
	given := map[string]bool{}
	for range 200 {
		port := testport.Free(t)
		if n, err := strconv.Atoi(port); err != nil || n < 10_240 || n >= 49_152 || given[port] {
			t.Fatalf("port %q, given before: %t", port, given[port])
		}
		given[port] = true
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}
