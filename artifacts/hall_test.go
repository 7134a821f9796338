package artifacts_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

const day = 24 * time.Hour

// hall is a service that stores files in a folder of its own.
type hall struct {
	*testroom.Room
	acme, globex string
	ada, glen    testroom.Person // owners of the two
	room         *artifacts.Room
	folder       string
	gauge        map[string]int64 // by organization, as the meter was last told
}

// inHalls runs a test on both databases.
func inHalls(t *testing.T, product string, test func(t *testing.T, h *hall)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) { test(t, newHall(t, db, product, 0)) })
}

func newHall(t *testing.T, db *sqldb.DB, product string, most int64) *hall {
	t.Helper()
	h := &hall{Room: testroom.New(t, db, testroom.Ready(t, product)), folder: t.TempDir(), gauge: map[string]int64{}}
	store, err := artifacts.OpenStore(t.Context(), "file://"+h.folder)
	h.Must(err)
	t.Cleanup(func() { h.Must(store.Close()) })
	h.room = artifacts.New(artifacts.Config{Store: store, DB: db, MaxSize: most, Principal: directory.PrincipalOf,
		Meter: func(_ context.Context, _ *op.Tx, organization, meter string, l artifacts.Level) error {
			h.gauge[organization+" "+meter] = l.Bytes
			return nil
		}})
	operations := append(artifacts.Operations(), directory.Operations()...)
	h.Serve(op.Config{Operations: append(operations, credential.Operations()...), Fence: h.Fence, Parts: op.Parts{h.room, directory.RetentionEffect(artifacts.Effect)},
		Settings: op.Settings{BaseURL: "https://hall.test", SessionIdle: -1, SessionLife: 3650 * day}})
	h.acme, h.ada = h.Found("acme", "ada@acme.test")
	h.globex, h.glen = h.Found("globex", "glen@globex.test")
	return h
}

func (h *hall) in() op.InOrganization { return op.InOrganization{Organization: h.acme} }

// puts stores text under a name, as somebody.
func (h *hall) puts(who string, in artifacts.PutInput, text string) (artifacts.Artifact, error) {
	in.InOrganization = h.in()
	return artifacts.Put.Call(h.As(who), h.Service, in, op.Content{Body: strings.NewReader(text), MediaType: "text/plain", Size: int64(len(text))})
}

// stored is a file of ada's that is stored.
func (h *hall) stored(name, text string) artifacts.Artifact {
	h.T.Helper()
	a, err := h.puts(h.ada.Token, artifacts.PutInput{Name: name}, text)
	h.Must(err)
	return a
}

func (h *hall) named(id string) artifacts.ArtifactInput {
	return artifacts.ArtifactInput{InOrganization: h.in(), Artifact: id}
}

// reads downloads a file as somebody.
func (h *hall) reads(who, id string) (string, error) {
	var b bytes.Buffer
	err := h.Service.Stream(h.T.Context(), artifacts.Content, op.Request{Caller: op.Caller{Credential: who}, Input: h.named(id)},
		func(op.Info) io.Writer { return &b })
	return b.String(), err
}

// lists are the names of the files that a list answers with.
func (h *hall) lists(who string, in artifacts.ListInput) (names []string) {
	h.T.Helper()
	in.InOrganization = h.in()
	list, err := artifacts.List.Call(h.As(who), h.Service, in)
	h.Must(err)
	for _, a := range list.Data {
		names = append(names, a.Name)
	}
	return names
}

// refused fails the test unless an error has a code.
func refused(t testing.TB, err error, code string) {
	t.Helper()
	if err == nil {
		t.Fatalf("it was done, want %s", code)
	}
	if got := op.AsError(err).FullCode(); got != code {
		t.Errorf("got %s (%v), want %s", got, err, code)
	}
}

// blobs are the files in the folder of an organization.
func (h *hall) blobs() []string { return filesIn(h.T, h.folder) }

// sound wants every rule to hold.
func (h *hall) sound() {
	h.T.Helper()
	h.Must(h.Service.Snapshot(h.T.Context(), func(r *op.Reader) error {
		broken, err := artifacts.Broken(h.T.Context(), r)
		for _, rule := range broken {
			h.T.Errorf("broken: %s", rule)
		}
		return err
	}))
}

// sweeps sweeps everything.
func (h *hall) sweeps() error { return h.room.SweepAll(h.T.Context(), h.Service) }
