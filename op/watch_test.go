package op_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// lookout is an organization in which bo watches a page.
type lookout struct {
	*testroom.Room
	acme          string
	ada, bo, cleo testroom.Person
}

func openLookout(t *testing.T, db *sqldb.DB) *lookout {
	l := &lookout{Room: testroom.New(t, db, testroom.Ready(t, "automation"))}
	l.Serve(op.Config{Operations: append(directory.Operations(), credential.Operations()...)})
	l.acme, l.ada = l.Found("acme", "ada@acme.test")
	l.bo, l.cleo = l.Join(l.acme, "bo@acme.test", "editor"), l.Join(l.acme, "cleo@acme.test", "viewer")
	return l
}

// watches opens a watch of somebody's.
func (l *lookout) watches(p testroom.Person) (*op.Watch, error) {
	return l.Service.Watch(l.T.Context(), &op.Actor{Kind: op.UserActor, User: p.User, Credential: op.Credential{ID: p.Session}}, l.acme)
}

// page is something that shows what it watches, until the watch ends.
type page struct {
	*op.Watch
	shows atomic.Bool
}

func (l *lookout) opens(p testroom.Person) *page {
	l.T.Helper()
	w, err := l.watches(p)
	l.Must(err)
	shown := &page{Watch: w}
	shown.shows.Store(true)
	go func() {
		<-w.Context().Done()
		_ = l.Service.Snapshot(context.WithoutCancel(w.Context()), func(*op.Reader) error { return nil }) // it was about to read
		shown.shows.Store(false)
		w.Close()
	}()
	l.T.Cleanup(w.Close)
	return shown
}

func (l *lookout) in() op.InOrganization { return op.InOrganization{Organization: l.acme} }

func (l *lookout) member(p testroom.Person) directory.MemberInput {
	return directory.MemberInput{InOrganization: l.in(), Member: p.Member}
}

// T-067: what ends a right ends the pages that rest on it, before the call returns; those of others stay.
func TestAWatchEndsInTheCallThatEndsItsRight(t *testing.T) {
	viewer := "viewer"
	for what, change := range map[string]func(l *lookout, ada, bo context.Context) error{
		"bo is removed": func(l *lookout, ada, _ context.Context) error {
			_, err := directory.RemoveMember.Call(ada, l.Service, directory.EndMemberInput{MemberInput: l.member(l.bo)})
			return err
		},
		"bo is suspended": func(l *lookout, ada, _ context.Context) error {
			_, err := directory.SuspendMember.Call(ada, l.Service, directory.EndMemberInput{MemberInput: l.member(l.bo)})
			return err
		},
		"bo has another role": func(l *lookout, ada, _ context.Context) error {
			_, err := directory.UpdateMember.Call(ada, l.Service, directory.UpdateMemberInput{MemberInput: l.member(l.bo), Role: &viewer})
			return err
		},
		"bo signs out": func(l *lookout, _, bo context.Context) error {
			_, err := credential.RevokeSession.Call(bo, l.Service, credential.RevokeSessionInput{Session: "current"})
			return err
		},
		"bo ends all of his sessions": func(l *lookout, _, bo context.Context) error {
			_, err := credential.RevokeSessions.Call(bo, l.Service, credential.RevokeSessionsInput{})
			return err
		},
		"bo leaves": func(l *lookout, _, bo context.Context) error {
			_, err := directory.Leave.Call(bo, l.Service, directory.LeaveInput{InOrganization: l.in()})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
				l := openLookout(t, db)
				bos, cleos := l.opens(l.bo), l.opens(l.cleo)
				l.Must(change(l, l.As(l.ada.Token), l.As(l.bo.Token)))
				if bos.shows.Load() {
					t.Error("the page still shows after the call has returned")
				}
				if !cleos.shows.Load() {
					t.Error("the page of somebody else has ended")
				}
			})
		})
	}
}

// T-067
func TestEveryWatchOfAnOrganizationEndsWithIt(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		l := openLookout(t, db)
		pages := []*page{l.opens(l.ada), l.opens(l.bo), l.opens(l.cleo)}
		_, err := directory.DeleteOrganization.Call(l.As(l.ada.Token), l.Service, directory.DeleteOrganizationInput{InOrganization: l.in()})
		l.Must(err)
		for _, p := range pages {
			if p.shows.Load() {
				t.Error("a page still shows")
			}
		}
	})
}

func TestAWatchIsToldOfChanges(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		l := openLookout(t, db)
		bos := l.opens(l.bo)
		told := func() bool {
			select {
			case <-bos.Changed():
				return true
			default:
				return false
			}
		}
		name := "Acme & Co"
		_, err := directory.UpdateOrganization.Call(l.As(l.ada.Token), l.Service, directory.UpdateOrganizationInput{InOrganization: l.in(), Name: &name})
		l.Must(err)
		if !told() || told() {
			t.Error("not told once")
		}
		l.Found("globex", "gil@globex.test")
		if _, err := directory.RemoveMember.Call(l.As(l.bo.Token), l.Service, directory.EndMemberInput{MemberInput: l.member(l.ada)}); err == nil {
			t.Error("an editor removes the owner")
		}
		if told() {
			t.Error("told of what another organization did, or of what was refused")
		}
		if !bos.shows.Load() {
			t.Error("ended")
		}
	})
}

func TestWatchesAreBounded(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		l := openLookout(t, db)
		var first *page
		for range op.MaxWatchesEach {
			first = l.opens(l.bo)
		}
		_, err := l.watches(l.bo)
		l.Refused("one more", err, "too_many_watches")
		first.Close()
		first.Close() // twice is once
		l.opens(l.bo)
		_, err = l.watches(l.bo)
		l.Refused("one more again", err, "too_many_watches")
		for n := op.MaxWatchesEach; n < op.MaxWatches; n++ {
			l.opens(testroom.Person{User: l.cleo.User, Session: time.Duration(n).String()})
		}
		_, err = l.watches(l.ada)
		l.Refused("beyond those of the server", err, "too_many_watches")
		_, err = l.Service.Watch(t.Context(), &op.Actor{Kind: op.ServiceActor}, l.acme)
		l.Refused("by a service key", err, "people_only")
	})
}

func TestAServerThatEndsHasNoWatches(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		l := openLookout(t, db)
		pages := []*page{l.opens(l.ada), l.opens(l.bo)}
		l.Service.EndWatches()
		for _, p := range pages {
			if p.shows.Load() || !errors.Is(p.Context().Err(), context.Canceled) {
				t.Error("a page still shows")
			}
		}
		_, err := l.watches(l.bo)
		l.Refused("afterwards", err, "unavailable")
	})
}

// A page that keeps itself up to date is no use of the session: it does not keep it from ending when nobody uses it.
func TestAPassiveCallIsNoUse(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		l := openLookout(t, db)
		seen := 0
		l.Serve(op.Config{Operations: directory.Operations(), Seen: func(*op.Actor, op.Caller, time.Time) { seen++ }})
		ctx := l.As(l.bo.Token)
		caller := op.CallerOf(ctx)
		caller.Passive = true
		for _, ctx := range []context.Context{ctx, op.As(t.Context(), caller)} {
			_, err := directory.GetOrganization.Call(ctx, l.Service, directory.GetOrganizationInput{InOrganization: l.in()})
			l.Must(err)
		}
		if seen != 1 {
			t.Errorf("seen %d times, want once", seen)
		}
	})
}
