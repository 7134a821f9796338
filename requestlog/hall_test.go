package requestlog_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/requestlog"
)

// hall is an organization with a log, and a few people who look at it.
type hall struct {
	*testroom.Room
	log          *requestlog.Log
	acme, globex string
	ada, bob     testroom.Person // an owner, an editor
	cyd          testroom.Person // a viewer, who may not look
	gil          testroom.Person // the owner of Globex
}

func newHall(t testing.TB, db *sqldb.DB) *hall {
	t.Helper()
	h := &hall{Room: testroom.New(t, db, testroom.Ready(t, "automation")), log: requestlog.New(db, slog.Default())}
	operations := append(directory.Operations(), credential.Operations()...)
	h.Serve(op.Config{Operations: append(operations, requestlog.Operations()...), Settings: op.Settings{BaseURL: "https://hall.test"}})
	h.acme, h.ada = h.Found("acme", "ada@acme.test")
	h.globex, h.gil = h.Found("globex", "gil@globex.test")
	h.bob, h.cyd = h.Join(h.acme, "bob@acme.test", "editor"), h.Join(h.acme, "cyd@acme.test", "viewer")
	return h
}

// asks is a line of a check through a gateway, a second after the one before.
func (h *hall) asks(who testroom.Person, permission charter.Permission, allowed bool, requestID string) {
	h.After(time.Second)
	code := map[bool]string{true: "role", false: "no_permission"}[allowed]
	h.log.Add(&requestlog.Entry{Organization: check.MakeID(h.acme), At: h.Now(), Face: "forward-auth", Kind: "user", Credential: check.MakeID("ses_" + requestID),
		User: check.MakeID(who.User), Member: check.MakeID(who.Member), Permission: permission, Method: "POST", Route: "/api/workflows/{id}/run", Resource: "workflow:wf_1",
		Allowed: allowed, Code: code, Took: 250 * time.Microsecond, Address: "203.0.113.9", Agent: "curl", RequestID: requestID})
}

func (h *hall) list(who testroom.Person, f requestlog.Filter) ([]requestlog.Request, error) {
	h.T.Helper()
	h.Must(h.log.Flush(h.T.Context()))
	all, err := requestlog.ListRequests.Call(h.As(who.Token), h.Service, requestlog.ListRequestsInput{
		InOrganization: op.InOrganization{Organization: "acme"}, Filter: f, Page: op.Page{Limit: 100}})
	return all.Data, err
}

// serviceKey is the secret of a key of the product's back end.
func (h *hall) serviceKey() string {
	h.T.Helper()
	key, err := credential.CreateServiceKey.Call(h.Operator(), h.Service, credential.CreateServiceKeyInput{Name: "back end"})
	h.Must(err)
	return key.Secret
}
