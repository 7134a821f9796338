package guildhall

import (
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/requestlog"
)

// Requests is the request log: what checks and calls by keys leave a line in.
func (h *Hall) Requests() *requestlog.Log { return h.requests }

// observe notes how each call went: those by keys and tokens in the request log, too.
func (h *Hall) observe(o op.Observation) {
	if o.By.Kind == op.KeyActor || o.By.Kind == op.TokenActor {
		line := lineOf(o)
		h.requests.Add(&line)
	}
	if h.config.Observe != nil {
		h.config.Observe(o)
	}
}

// lineOf is the line of a call by a key or token. One that named another organization than its own stands in none.
func lineOf(o op.Observation) requestlog.Entry {
	e := requestlog.Entry{Organization: check.MakeID(o.By.Principal.Organization), At: o.At, Face: "api", Kind: string(o.By.Kind),
		Credential: check.MakeID(o.By.Credential.ID), User: check.MakeID(o.By.User), Member: check.MakeID(o.By.Principal.Member), Route: o.Operation, Allowed: o.Error == nil,
		Code: "ok", Status: 200, Took: o.Took, Address: o.Caller.Address, Agent: o.Caller.Agent, RequestID: o.Caller.RequestID}
	if o.Error != nil {
		e.Code, e.Status, e.Permission = o.Error.FullCode(), o.Error.Kind.Status(), o.Error.Needs
	}
	return e
}
