package guildhalltest

import (
	"net/http/httptest"

	"github.com/guildhall/guildhall/server"
)

// URL starts an HTTP server of the hall, which ends with the test, and gives its address. Each call starts another.
func (h *Hall) URL() string {
	h.t.Helper()
	s := httptest.NewServer(server.ForHall(h.Hall, server.HallConfig{BaseURL: BaseURL}))
	h.t.Cleanup(s.Close)
	return s.URL
}
