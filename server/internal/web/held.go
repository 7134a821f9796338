package web

import (
	"net/http"
	"net/netip"

	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/peer"
	"github.com/guildhall/guildhall/op"
)

// Held reads requests that a gateway describes by other means than HTTP, by the rules of those that come over HTTP, and
// writes the answers that their clients get. It is safe for concurrent use.
type Held struct{ config Config }

// NewHeld makes one, of a configuration whose BaseURL, TrustedProxies and Now are used.
func NewHeld(c Config) *Held { return &Held{c.withDefaults()} }

// NewID makes the id of a request.
func (h *Held) NewID() string { return id.New("req", h.config.Now()) }

// Caller says who a request is from: its headers say by what credential, and its RemoteAddr, and what trusted proxies and
// the gateways forward, from which address.
func (h *Held) Caller(r *http.Request, requestID string, gateways []netip.Prefix) op.Caller {
	s := state{config: &h.config, id: requestID, address: peer.Text(peer.Address(r, gateways, h.config.TrustedProxies))}
	return s.callerBy(r)
}

// Problem answers with an error, as the function of this name does.
func (h *Held) Problem(w http.ResponseWriter, requestID string, e *op.Error) {
	s := state{config: &h.config, id: requestID}
	secureHeaders(w.Header(), &s)
	problem(w, &s, e)
}
