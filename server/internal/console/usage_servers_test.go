package console_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// T-067: a page that is open at one server ends in the call that ends the right at another one.
func TestAnOpenPageEndsInTheCallAtAnotherServer(t *testing.T) {
	dsn, file := testdb.DSN(t, sqldb.PostgreSQL), filepath.Join(t.TempDir(), "secret")
	same := guildhalltest.With(func(c *guildhall.Config) { c.Database, c.SecretFile = dsn, file })
	one, other := newSite(t, "automation", same), newSite(t, "automation", same)
	other.pages.LiveEvery = time.Hour
	server := other.served()
	acme := one.Organization("acme")
	editor, owner := acme.People["editor"], acme.Owner()
	mine, _ := listens(t, server, editor, usagePath+"/live")
	theirs, _ := listens(t, server, owner, usagePath+"/live")
	mine.next()
	theirs.next()
	_, err := directory.RemoveMember.Call(owner.Ctx(), one.Service(),
		directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: acme.In(), Member: editor.Member}})
	if err != nil {
		t.Fatal(err)
	}
	ended(t, "removed", mine)
	select {
	case got, open := <-theirs.events:
		if !open {
			t.Errorf("the owner's page has ended too: %s", got)
		}
	default:
	}
	if _, err := credential.RevokeSession.Call(owner.Ctx(), one.Service(), credential.RevokeSessionInput{Session: "current"}); err != nil {
		t.Fatal(err)
	}
	ended(t, "signed out", theirs)
}

// ended wants that a page has ended: what its server has closed is on its way here.
func ended(t *testing.T, who string, l *listener) {
	t.Helper()
	late := time.After(500 * time.Millisecond)
	for {
		select {
		case got, open := <-l.events:
			if !open {
				return
			}
			t.Logf("%s: %s", who, got)
		case <-late:
			t.Fatalf("%s: the page is open after the call has returned", who)
		}
	}
}
