package access

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/op"
)

// Server is one of the servers on the database, as it is registered.
type Server struct {
	ID        string    `json:"id" doc:"This registration's: a server that starts again, or was evicted, has another one" example:"5XQZJ3RYMKTPD4BWHCVN6GA2LE"`
	Name      string    `json:"name" doc:"What it is called" example:"web-1"`
	Address   string    `json:"address" doc:"Where it hears of changes" example:"10.0.0.7:8090"`
	State     string    `json:"state" doc:"live; silent: it has not renewed its lease in time, and answers no check; evicted: it did not answer a change, and is about to be taken off the list" enum:"live,silent,evicted"`
	LeaseEnds time.Time `json:"lease_ends" doc:"When its lease ends, if it is not renewed, by the database's clock"`
	StartedAt time.Time `json:"started_at" doc:"When its process began"`
	FencedAt  time.Time `json:"fenced_at,omitzero" doc:"When it last forgot something for a change; absent: never"`
	Fences    int64     `json:"fences" doc:"For how many changes it forgot something, since its process began"`
	Waits     int64     `json:"waits" doc:"How many changes of its own had to wait for a server that did not answer"`
}

// ListReplicasInput pages through the servers.
type ListReplicasInput struct{ op.Page }

// ListReplicas lists the servers that answer checks from memory, on one PostgreSQL. With SQLite, or where every check asks
// the database, there are none.
var ListReplicas = &op.Op[ListReplicasInput, op.List[Server]]{
	Name:    "replicas.list",
	Route:   "GET /v1/replicas",
	Summary: "List the servers that answer checks from memory on this database",
	Kind:    op.Read,
	Scope:   op.Instance,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Do:      listReplicas,
	Example: ListReplicasInput{Page: op.Page{Limit: 25}},
}

func listReplicas(ctx context.Context, tx *op.Tx, in ListReplicasInput) (op.List[Server], error) {
	before, id := in.Page.AfterNewest()
	rows, err := tx.Query(ctx, `SELECT incarnation, name, address, evicted, expires_at, started_at, fenced_at, fences, waits FROM replicas
		WHERE started_at < $1 OR started_at = $1 AND incarnation < $2 ORDER BY started_at DESC, incarnation DESC LIMIT $3`, before, id, in.Size()+1)
	if err != nil {
		return op.List[Server]{}, err
	}
	defer rows.Close()
	var servers []Server
	for rows.Next() {
		var s Server
		var evicted bool
		var ends, started, fenced int64
		if err := rows.Scan(&s.ID, &s.Name, &s.Address, &evicted, &ends, &started, &fenced, &s.Fences, &s.Waits); err != nil {
			return op.List[Server]{}, err
		}
		s.LeaseEnds, s.StartedAt, s.State = time.UnixMicro(ends).UTC(), time.UnixMicro(started).UTC(), "live"
		switch {
		case evicted:
			s.State = "evicted"
		case s.LeaseEnds.Before(time.Now()): // the clock of leases is never a test's
			s.State = "silent"
		}
		if fenced != 0 {
			s.FencedAt = time.UnixMicro(fenced).UTC()
		}
		servers = append(servers, s)
	}
	return op.Listed(tx.Reader, &in.Page, servers, func(s Server) []string { return op.Newest(s.StartedAt.UnixMicro(), s.ID) }), rows.Err()
}
