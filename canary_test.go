package guildhall_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/internal/replica"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// runHall opens a hall and does its work until the test ends.
func runHall(t *testing.T, c guildhall.Config) *guildhall.Hall {
	t.Helper()
	model, err := charter.Ready("automation")
	if err != nil {
		t.Fatal(err)
	}
	c.Charter, c.Log = model, slog.New(slog.DiscardHandler)
	hall, err := guildhall.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = hall.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		if err := hall.Close(); err != nil {
			t.Error(err)
		}
	})
	return hall
}

// awaited gives the first result that is as wanted, and fails with the last one that was not.
func awaited(t *testing.T, results <-chan guildhall.CanaryResult, want func(guildhall.CanaryResult) bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	var last guildhall.CanaryResult
	for {
		select {
		case last = <-results:
			if want(last) {
				return
			}
		case <-late:
			t.Fatalf("waited in vain; the last result is %+v", last)
		}
	}
}

// The canary's key is refused by every server after it was revoked, and one that accepts it is noticed. T-038
func TestTheCanaryTriesEveryServer(t *testing.T) {
	dsn, file := testdb.DSN(t, sqldb.PostgreSQL), filepath.Join(t.TempDir(), "secret")
	results := make(chan guildhall.CanaryResult, 1)
	local := guildhall.Peers{Listen: "127.0.0.1:0"}
	runHall(t, guildhall.Config{Database: dsn, SecretFile: file, Peers: local, Canary: guildhall.Canary{Every: time.Millisecond,
		Tried: func(r guildhall.CanaryResult) {
			select {
			case results <- r:
			default:
			}
		}}})
	runHall(t, guildhall.Config{Database: dsn, SecretFile: file, Peers: local})
	awaited(t, results, func(r guildhall.CanaryResult) bool { return r == guildhall.CanaryResult{Refused: 2} })

	liar(t, dsn, file)
	awaited(t, results, func(r guildhall.CanaryResult) bool { return r == guildhall.CanaryResult{Refused: 2, Accepted: 1} })
}

// liar is a server that forgets what it is told to, and accepts every credential.
func liar(t *testing.T, dsn, file string) {
	t.Helper()
	ring, err := secret.OpenRing(file)
	if err != nil {
		t.Fatal(err)
	}
	beside, err := testdb.Connect(t, dsn).Beside(2)
	if err != nil {
		t.Fatal(err)
	}
	wire, server := replica.NewHTTP(ring), httptest.NewUnstartedServer(http.NotFoundHandler())
	r := replica.New(replica.Config{Name: "liar", Address: server.Listener.Addr().String(), Params: replica.Usual, Clock: replica.SystemClock{},
		Registry: replica.Postgres{DB: beside}, Transport: wire, Secret: replica.Fingerprint(ring), Drop: func([]replica.Scope) {}, Reset: func() {},
		Log: slog.New(slog.DiscardHandler)})
	server.Config.Handler = wire.Handler(r, func(replica.Notice) {}, func(context.Context, string) string { return "accepted" })
	server.Start()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait(); server.Close(); _ = beside.Close() })
}

// One server alone tries itself, and what it makes for that is gone when it is over.
func TestTheCanaryOfOneServer(t *testing.T) {
	results := make(chan guildhall.CanaryResult, 1)
	hall := runHall(t, guildhall.Config{Database: "sqlite:" + filepath.Join(t.TempDir(), "guildhall.db"), SecretFile: filepath.Join(t.TempDir(), "secret"),
		Canary: guildhall.Canary{Every: 50 * time.Millisecond, Tried: func(r guildhall.CanaryResult) {
			select {
			case results <- r:
			default:
			}
		}}})
	operator := op.As(t.Context(), op.Caller{Machine: true})
	own, err := credential.CreateServiceKey.Call(operator, hall.Service(), credential.CreateServiceKeyInput{Name: "canary"})
	if err != nil {
		t.Fatal(err)
	}
	for len(results) > 0 { // of rounds before that
		<-results
	}
	awaited(t, results, func(guildhall.CanaryResult) bool { return true })
	awaited(t, results, func(r guildhall.CanaryResult) bool { return r == guildhall.CanaryResult{Refused: 1} })
	late := time.After(30 * time.Second)
	for {
		keys, err := credential.ListServiceKeys.Call(operator, hall.Service(), credential.ListServiceKeysInput{Page: op.Page{Limit: 25}})
		if err != nil {
			t.Fatal(err)
		}
		if len(keys.Data) == 1 {
			if keys.Data[0].ID != own.ID || !keys.Data[0].RevokedAt.IsZero() {
				t.Errorf("a key that somebody else called canary: %+v", keys.Data[0])
			}
			return
		}
		select {
		case <-late:
			t.Fatalf("its keys stay: %+v", keys.Data)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
