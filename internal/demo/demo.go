// Package demo is the product with made-up people: two organizations with one member for each role, invitations, an
// audit trail, a mailbox that catches all mail, and a clock that can be moved. All of it is made through operations.
// Its sessions and mails are for everybody at the machine to see, so its data is never served for real.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Config says what a demo is made of.
type Config struct {
	Data     string           // the folder with everything that stays; made if there is none
	Database string           // "postgres://..."; empty: an SQLite file in Data
	Charter  *charter.Charter // the product's model
	BaseURL  string           // "http://localhost:8080"
	Fresh    bool             // forget the data of an earlier demo first
	ReturnTo []string         // where people may be handed to, beside the gateway example
	Log      *slog.Logger     // nil: slog.Default
	// Change changes what the demo is made of, such as whom it asks beyond this machine; nil: nothing is changed.
	Change func(*guildhall.Config)
}

// Demo is a hall with its made-up people. Close it.
type Demo struct {
	config Config
	hall   *guildhall.Hall
	clock  *clock
	mails  *mail.Catcher
	report Report
	due    sync.Mutex // held while due work is done, so that whoever asks for mail gets all of it
}

// Open opens the data of an earlier demo or makes it, and signs everybody in. It refuses data that no demo made, and
// that of a demo with another charter.
func Open(ctx context.Context, c Config) (*Demo, error) {
	d := &Demo{config: c}
	if err := d.prepare(ctx); err != nil {
		return nil, err
	}
	var err error
	if d.clock, err = openClock(filepath.Join(c.Data, markerFile)); err != nil {
		return nil, err
	}
	d.mails = &mail.Catcher{Now: d.clock.Now}
	if d.hall, err = guildhall.Open(ctx, d.hallConfig()); err != nil {
		return nil, withAdvice(err)
	}
	if c.Fresh && !d.hall.Empty() {
		return nil, errors.Join(errNotFresh, d.hall.Close())
	}
	if err := d.populate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("demo data: %w", err), d.hall.Close())
	}
	return d, nil
}

// withAdvice says how to get a demo all the same, unless it runs already.
func withAdvice(err error) error {
	if errors.As(err, new(*sqldb.InUseError)) {
		return err
	}
	return fmt.Errorf("%w; --fresh begins anew, --data DIR takes another folder", err)
}

// The files in the folder of a demo. The marker says that it is one, and how far its clock was moved.
const (
	databaseFile = "guildhall.db"
	secretFile   = "secret"
	markerFile   = "demo"
	// artifactsFolder is where a hall keeps stored files: beside its secret file.
	artifactsFolder = "artifacts"
)

func (d *Demo) database() string {
	if d.config.Database != "" {
		return d.config.Database
	}
	return "sqlite:" + filepath.Join(d.config.Data, databaseFile)
}

// prepare makes the folder, or makes sure that it is a demo's, and empties it if a fresh one is wanted.
func (d *Demo) prepare(ctx context.Context) error {
	if err := os.MkdirAll(d.config.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	marked, used := exists(d.config.Data, markerFile), exists(d.config.Data, databaseFile)
	switch {
	case used && !marked:
		return fmt.Errorf("%s holds data that no demo made: the demo does not touch it; name another folder with --data", d.config.Data)
	case !d.config.Fresh || !marked || d.config.Database != "":
		return nil
	}
	return d.forget(ctx)
}

// errNotFresh answers --fresh on a PostgreSQL database, which the demo does not empty: it may hold more than the demo's.
var errNotFresh = errors.New("--fresh empties files only: make an empty PostgreSQL database, and name it with --database")

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// forget removes the files of an earlier demo, unless it runs.
func (d *Demo) forget(ctx context.Context) error {
	db, err := sqldb.Open(ctx, d.database(), sqldb.Options{Readers: 1})
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	for _, name := range []string{databaseFile, databaseFile + "-wal", databaseFile + "-shm", secretFile, markerFile} {
		if err := os.Remove(filepath.Join(d.config.Data, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("data folder: %w", err)
		}
	}
	return os.RemoveAll(filepath.Join(d.config.Data, artifactsFolder))
}

// gatewayExample is where examples/gateway waits for those who sign in here.
const gatewayExample = "http://localhost:8081/callback"

// sessionLife is how long people of the demo stay signed in: long enough for their clock to be moved.
const sessionLife = 90 * 24 * time.Hour

func (d *Demo) hallConfig() guildhall.Config {
	c := guildhall.Config{
		Database: d.database(), SecretFile: filepath.Join(d.config.Data, secretFile), Charter: d.config.Charter,
		Settings: op.Settings{BaseURL: d.config.BaseURL, SessionLife: sessionLife, SessionIdle: -1,
			ReturnTo: append([]string{gatewayExample}, d.config.ReturnTo...)},
		Limits: op.Limits{PerAddress: op.RateLimit{Times: 6000, Per: time.Minute},
			PerCredential: op.RateLimit{Times: 100, Per: time.Second}, Exempt: loopback},
		Mail: d.mails, Demo: true, Peers: guildhall.Peers{Listen: "127.0.0.1:0"}, Extra: []op.Any{signInAs}, Now: d.clock.Now, Log: d.config.Log,
	}
	if d.config.Change != nil {
		d.config.Change(&c)
	}
	return c
}

func loopback(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && a.Unmap().IsLoopback()
}

// Hall is the demo's hall.
func (d *Demo) Hall() *guildhall.Hall { return d.hall }

// Report says who and what there is.
func (d *Demo) Report() Report { return d.report }

// Run does the background work until ctx ends.
func (d *Demo) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := d.runDue(ctx); err != nil && ctx.Err() == nil {
				d.config.Log.ErrorContext(ctx, "background work", "error", err)
			}
		}
	}
}

// runDue does all work that is due: when it returns, every mail of the calls before is caught.
func (d *Demo) runDue(ctx context.Context) error {
	d.due.Lock()
	defer d.due.Unlock()
	return d.hall.RunDue(ctx)
}

// Close closes the hall. Run must have returned.
func (d *Demo) Close() error { return d.hall.Close() }

// Clock is the clock of the demo that a data folder belongs to.
func Clock(dir string) (now func() time.Time, err error) {
	c, err := openClock(filepath.Join(dir, markerFile))
	if err != nil {
		return nil, err
	}
	return c.Now, nil
}

// Owns reports whether a data folder belongs to a demo.
func Owns(dir string) bool { return exists(dir, markerFile) }
