package guildhall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/guildhall/guildhall/internal/replica"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Peers says how the servers on one PostgreSQL reach each other, so that each may answer checks from its own memory. With
// SQLite there is one server, and nothing of this is used.
type Peers struct {
	Listen  string // HOST:PORT, where changes are heard of; port 0: any. Empty: nowhere, so that every check reads the database
	Address string // where the other servers reach that. Empty: as Listen says
	Name    string // for people. Empty: the machine's
	// Waited is told how long a change took to be known to every server, and how many did not answer. Nil: nobody is.
	Waited func(took time.Duration, silent int)
}

// peers is this server among those on its database.
type peers struct {
	replica  *replica.Replica
	database *sqldb.DB // a pool of its own
	wire     *replica.HTTP
	listener net.Listener // nil: nowhere
	server   *http.Server
	ended    func() // ends what run began, and returns when it has ended
}

// openPeers makes this server one of those on the database. It begins to answer from memory with run.
func (h *Hall) openPeers(ctx context.Context, ring *secret.Ring) error {
	if h.db.Dialect() == sqldb.SQLite {
		return nil
	}
	if err := replica.Usual.Check(); err != nil {
		return err
	}
	beside, err := h.db.Beside(4)
	if err != nil {
		return err
	}
	p := &peers{database: beside, ended: func() {}}
	h.peers = p
	registry := replica.Postgres{DB: beside}
	others, err := registry.Alike(ctx, replica.Fingerprint(ring))
	if err != nil {
		return err
	}
	var address string
	if p.listener, address, err = h.config.Peers.listen(); err != nil {
		return err
	}
	if others > 0 && onlyHere(address) && !h.db.Near() {
		h.config.Log.WarnContext(ctx, "there are other servers, and the database is on another machine, but this server is reached on this machine alone: "+
			"each change of rights waits for those that it does not reach; set peer_addr", slog.String("address", address))
	}
	p.wire = replica.NewHTTP(ring)
	p.replica = replica.New(replica.Config{
		Name: h.config.Peers.name(), Address: address, Secret: replica.Fingerprint(ring), Params: replica.Usual,
		Clock: replica.SystemClock{}, Registry: registry, Transport: p.wire, Waited: h.config.Peers.Waited, Log: h.config.Log,
		Drop:    func(scopes []replica.Scope) { h.forget(scopes) },
		Reset:   func() { h.access.Reset() },
		Deposed: func(justNow bool) { renew(justNow, h.db, beside) },
	})
	p.server = &http.Server{Handler: p.wire.Handler(p.replica, h.noticed, h.probed), ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		IdleTimeout: 5 * time.Minute, ErrorLog: slog.NewLogLogger(h.config.Log.Handler(), slog.LevelWarn)}
	return nil
}

// renew has pools leave a database server that another one has replaced.
func renew(justNow bool, pools ...*sqldb.DB) {
	for _, db := range pools {
		if justNow {
			db.Replaced()
		} else {
			db.Renew()
		}
	}
}

// listen opens the listener, and says where others reach it; neither without one.
func (p Peers) listen() (net.Listener, string, error) {
	if p.Listen == "" {
		return nil, "", nil
	}
	listener, err := net.Listen("tcp", p.Listen)
	if err != nil {
		return nil, "", fmt.Errorf("listener for other servers: %w", err)
	}
	return listener, cmp.Or(p.Address, listener.Addr().String()), nil
}

// onlyHere reports whether an address is of a machine's own, where no other machine reaches it.
func onlyHere(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().IsLoopback()
}

func (p Peers) name() string {
	host, _ := os.Hostname() // without one it has no name
	return cmp.Or(p.Name, host)
}

// run takes the messages of the others, and keeps the lease, until the hall is closed.
func (p *peers) run(db *sqldb.DB) {
	if p == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving, leased sync.WaitGroup
	if p.listener != nil {
		serving.Go(func() { _ = p.server.Serve(p.listener) })
	}
	leased.Go(func() { p.replica.Run(ctx) })
	db.Under(standing{p.replica})
	p.ended = func() {
		stop()
		leased.Wait() // and then nobody needs to reach it any more
		db.Under(nil)
		_ = p.server.Close()
		serving.Wait()
	}
}

// standing is by what readings count that are no checks: as those do, by the lease (I11 of package replica).
type standing struct{ replica *replica.Replica }

func (s standing) Await(ctx context.Context) error {
	_, err := s.replica.Hold(ctx)
	return err
}

func (s standing) Undisputed() bool { return s.replica.Reading().Undisputed() }

func (s standing) Covers(timeline uint32) bool {
	return s.replica.Reading().Covers(replica.Timeline(timeline))
}

func (p *peers) close() error {
	if p == nil {
		return nil
	}
	p.ended()
	if p.listener != nil {
		_ = p.listener.Close() // it is closed already, if run was
	}
	return p.database.Close()
}

// among is what access knows of other servers.
func (p *peers) among() *replica.Replica {
	if p == nil {
		return nil
	}
	return p.replica
}

// forget forgets what another server is about to change, and ends the live pages that rest on it.
func (h *Hall) forget(scopes []replica.Scope) {
	principals := fencesOf(scopes)
	h.access.Forget(principals)
	h.service.NoticeWatches(principals, nil)
}

// noticed ends live pages once more after another server's change is committed: somebody may have opened them anew in
// between. Others look again. And it counts here what was taken there.
func (h *Hall) noticed(n replica.Notice) {
	h.service.TookElsewhere(n.Taken)
	h.service.NoticeWatches(fencesOf(n.Scopes), n.Streams)
}

func fencesOf(scopes []replica.Scope) []op.Fence {
	principals := make([]op.Fence, len(scopes))
	for i, s := range scopes {
		principals[i] = op.FenceOf(s)
	}
	return principals
}

// share has every other server forget, in the transaction of a change.
func (h *Hall) share(ctx context.Context, tx *sqldb.Tx, principals []op.Fence) error {
	return h.peers.replica.Fence(ctx, replica.InTx(tx), op.ScopesOf(principals))
}

// changed tells the other servers what was committed.
func (h *Hall) changed(ctx context.Context, principals []op.Fence, streams []string) {
	n := replica.Notice{Scopes: op.ScopesOf(principals), Streams: streams}
	if len(principals) > 0 { // live pages of whoever lost a right end before the call returns: T-067
		h.peers.replica.Tell(ctx, n, replica.Usual.Ack)
		return
	}
	go h.peers.replica.Tell(ctx, n, replica.Usual.Ack)
}

// countTogether tells the other servers how often callers have called here, until ctx ends: limits of rates hold among all
// of them. T-101
func (h *Hall) countTogether(ctx context.Context) {
	if h.peers == nil {
		return
	}
	every(ctx, 100*time.Millisecond, func() { h.tellTaken(ctx) })
}

// every calls do again and again, until ctx ends.
func every(ctx context.Context, pause time.Duration, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		do()
	}
}

// tellTaken tells the others once. Whoever does not answer is not told again: it counts for itself meanwhile.
func (h *Hall) tellTaken(ctx context.Context) {
	if taken := h.service.Taken(); len(taken) > 0 {
		h.peers.replica.Tell(ctx, replica.Notice{Taken: taken}, replica.Usual.Lease)
	}
}

// beside does in this process what each server has to do for itself, until ctx ends: comparing its clock with the database's, and
// writing what it has gathered.
func (h *Hall) beside(ctx context.Context) {
	every(ctx, 30*time.Second, func() {
		if h.clocks.kept {
			h.compareClocks(ctx, h.config.Now)
		}
		if err := errors.Join(h.service.WriteRefusals(ctx), h.sightings.Flush(ctx, h.db)); err != nil && ctx.Err() == nil {
			h.config.Log.ErrorContext(ctx, "what was gathered is not written yet", slog.Any("error", err))
		}
	})
}
