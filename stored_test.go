package guildhall_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// storing is a hall whose owner stores and deletes files.
type storing struct {
	*guildhalltest.Hall
	t     *testing.T
	dsn   string
	acme  *guildhalltest.Organization
	owner *guildhalltest.Person
}

// eachStoring runs a test on both databases.
func eachStoring(t *testing.T, test func(s *storing)) {
	for _, d := range testdb.Dialects {
		t.Run(d.String(), func(t *testing.T) {
			dsn := testdb.DSN(t, d)
			s := &storing{Hall: guildhalltest.New(t, "automation", guildhalltest.OnDatabase(dsn)), t: t, dsn: dsn}
			s.acme = s.Organization("acme")
			s.owner = s.acme.Owner()
			test(s)
		})
	}
}

func (s *storing) puts(size int) artifacts.Artifact {
	s.t.Helper()
	in := artifacts.PutInput{InOrganization: s.acme.In(), Name: fmt.Sprintf("%d bytes", size)}
	a, err := artifacts.Put.Call(s.owner.Ctx(), s.Service(), in, op.Content{Body: strings.NewReader(strings.Repeat("x", size)), Size: int64(size)})
	s.must(err)
	return a
}

func (s *storing) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *storing) deletes(a artifacts.Artifact) {
	s.t.Helper()
	_, err := artifacts.Delete.Call(s.owner.Ctx(), s.Service(), artifacts.ArtifactInput{InOrganization: s.acme.In(), Artifact: a.ID})
	s.must(err)
}

func (s *storing) works() {
	s.t.Helper()
	s.must(s.RunDue(s.t.Context()))
}

// openBeside opens a database beside the hall's own connections.
func openBeside(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	driver, name := "pgx", dsn
	if path, is := strings.CutPrefix(dsn, "sqlite:"); is {
		driver, name = "sqlite", "file:"+path
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// upsets turns the order of what waits in the outbox round, and lets each be done twice.
func (s *storing) upsets() {
	s.t.Helper()
	beside := openBeside(s.t, s.dsn)
	for _, text := range []string{
		"UPDATE outbox SET due_at = (SELECT MIN(w.due_at) + MAX(w.due_at) FROM outbox w WHERE w.kind = outbox.kind) - due_at WHERE kind = 'artifacts.stored'",
		`INSERT INTO outbox (id, kind, organization, payload, due_at, attempts, claimed_until, state, last_error, created_at)
			SELECT id || 'x', kind, organization, payload, due_at, attempts, claimed_until, state, last_error, created_at FROM outbox WHERE kind = 'artifacts.stored'`,
	} {
		_, err := beside.ExecContext(s.t.Context(), text)
		s.must(err)
	}
}

// events are the levels that the meter was told, the latest first.
func (s *storing) events() (levels []int64) {
	s.t.Helper()
	list, err := usage.ListEvents.Call(s.owner.Ctx(), s.Service(), usage.ListEventsInput{InOrganization: s.acme.In(), Meter: "storage_artifacts"})
	s.must(err)
	for _, e := range list.Data {
		levels = append(levels, e.Value)
	}
	return levels
}

// metered wants the meter to say something now, after a number of events.
func (s *storing) metered(want int64, events int) {
	s.t.Helper()
	got, err := usage.GetSummary.Call(s.owner.Ctx(), s.Service(), usage.GetSummaryInput{InOrganization: s.acme.In()})
	s.must(err)
	for _, m := range got.Meters {
		if m.Meter == "storage_artifacts" && (m.Now == nil || *m.Now != want) {
			s.t.Errorf("the meter says %v, want %d", m.Now, want)
		}
	}
	if all := s.events(); len(all) != events {
		s.t.Errorf("the meter was told %v, want %d events", all, events)
	}
}

// What is stored is what the meter says, whatever the time at which it is told: at once, late, or twice after a crash.
func TestWhatIsStoredIsMetered(t *testing.T) {
	eachStoring(t, func(s *storing) {
		a := s.puts(100)
		s.Sound() // what is still to be told is no broken rule
		s.works()
		s.metered(100, 1)
		s.puts(20) // at the same moment, by this clock
		s.deletes(a)
		s.puts(3)
		s.works()
		s.metered(23, 4)
		s.works()
		s.metered(23, 4)
		s.Sound()
	})
}

// Jobs are done in any order, and again after a crash: the level of the latest change stands.
func TestLevelsAreToldInAnyOrderAndTwice(t *testing.T) {
	eachStoring(t, func(s *storing) {
		s.puts(100)
		s.Clock.Advance(-time.Minute) // a clock that goes back
		s.puts(20)
		s.Clock.Advance(3 * time.Minute)
		s.puts(3)
		s.upsets()
		s.works()
		s.metered(123, 3)
		s.Sound()
	})
}

// What was stored before a deletion was scheduled is metered then too; what ends with the organization is not.
func TestWhatIsStoredIsMeteredLateInAClosedOrganization(t *testing.T) {
	eachStoring(t, func(s *storing) {
		s.puts(100)
		_, err := directory.DeleteOrganization.Call(s.owner.Ctx(), s.Service(), directory.DeleteOrganizationInput{InOrganization: s.acme.In()})
		s.must(err)
		s.works()
		_, err = directory.RestoreOrganization.Call(s.owner.Ctx(), s.Service(), directory.RestoreOrganizationInput{InOrganization: s.acme.In()})
		s.must(err)
		s.metered(100, 1)
		_, err = directory.DeleteOrganization.Call(s.owner.Ctx(), s.Service(), directory.DeleteOrganizationInput{InOrganization: s.acme.In()})
		s.must(err)
		s.Clock.Advance(31 * 24 * time.Hour)
		for range 3 {
			s.Clock.Advance(2 * time.Minute)
			s.works()
		}
		s.Sound()
	})
}
