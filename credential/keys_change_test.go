package credential_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// T-041
func TestAKeyOnlyEverGetsNarrower(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		k := has(a.ada.creates(credential.CreateKeyInput{Scoping: credential.Scoping{Permissions: may("workflows.view", "workflows.run", "artifacts.view"),
			Resources: []string{"workflow:*", "artifact:a_1"}, Networks: []string{"203.0.113.0/24"}, ExpiresAt: "30d"}}))(t)
		for name, wider := range map[string]credential.Scoping{
			"another permission": {Permissions: may("workflows.view", "workflows.edit")},
			"another resource":   {Resources: []string{"artifact:a_2"}},
			"a whole type":       {Resources: []string{"artifact:*"}},
			"any resource":       {Resources: []string{}},
			"another network":    {Networks: []string{"198.51.100.0/24"}},
			"a larger network":   {Networks: []string{"203.0.112.0/23"}},
			"any network":        {Networks: []string{}},
			"a later end":        {ExpiresAt: "31d"},
			"no end":             {ExpiresAt: "never"},
		} {
			_, err := a.ada.narrows(k.ID, wider)
			a.Refused(name, err, "invalid")
		}
		a.allows(k.Secret, "workflows.run", "workflow:wf_1")
		a.Fenced()
		got := has(a.ada.narrows(k.ID, credential.Scoping{Permissions: may("workflows.run"), Resources: []string{"workflow:wf_1"},
			Networks: []string{"203.0.113.7"}, ExpiresAt: "1d"}))(t)
		a.fences(op.Fence{Kind: op.FenceKey, ID: k.ID})
		if !slices.Equal(got.Permissions, may("workflows.run")) || !got.ExpiresAt.Equal(a.Now().Add(day)) || got.Version != 2 {
			t.Errorf("narrowed to %+v", got)
		}
		a.allows(k.Secret, "workflows.run", "workflow:wf_1")
		a.denies(k.Secret, "workflows.run", "workflow:wf_2", decide.OtherResource)
		a.denies(k.Secret, "workflows.view", "workflow:wf_1", decide.OutOfScope)
		if a.reaches(k.Secret, "203.0.113.8") || !a.reaches(k.Secret, "203.0.113.7") {
			t.Error("the key is for other addresses than it was narrowed to")
		}
		if same := has(a.ada.narrows(k.ID, credential.Scoping{Permissions: may("workflows.run")}))(t); same.Version != 2 {
			t.Errorf("narrowing to what it is makes version %d", same.Version)
		}
		_, err := call(a.ada, credential.UpdateKey, credential.UpdateKeyInput{KeyInput: a.ada.named(k.ID), Name: new("late")}, op.IfMatch(op.VersionTag(1)))
		a.Refused("a change of what was read before", err, "stale")
		a.Must(a.ada.revokes(k.ID))
		a.Refused("renaming a revoked key", a.ada.renames(k.ID, "late"), "key_ended")
	})
}

func TestWhoMayDoWhatWithWhoseKey(t *testing.T) {
	for _, row := range []struct{ charter, kind, role, owner, rename, narrow, rotate, revoke string }{
		{"automation", "personal", "owner", "others", "", "", "above_your_level", ""},
		{"automation", "personal", "editor", "others", "denied", "denied", "denied", "denied"},
		{"automation", "personal", "editor", "own", "", "", "", ""},
		{"automation", "personal", "viewer", "own", "denied", "denied", "denied", "denied"},
		{"gateway", "personal", "admin", "others", "", "", "above_your_level", ""},
		{"gateway", "personal", "developer", "own", "", "", "", ""},
		{"gateway", "organization", "developer", "own", "denied", "denied", "denied", "denied"},
		{"gateway", "organization", "admin", "others", "", "", "", ""},
		{"documents", "organization", "admin", "others", "", "", "", ""},
		{"documents", "organization", "member", "own", "denied", "denied", "denied", "denied"},
	} {
		t.Run(fmt.Sprintf("%s of %s with %s %s key", row.role, row.charter, row.owner, row.kind), func(t *testing.T) {
			inAcme(t, row.charter, func(t testing.TB, a *acme) {
				bo, by := a.joins("bo", "owner"), a.ada
				if row.owner == "own" {
					by = bo
				}
				key := func() string {
					return has(by.creates(credential.CreateKeyInput{Kind: charter.KeyKind(row.kind)}))(a.T).ID
				}
				one, two := key(), key()
				a.becomes(bo, row.role)
				a.expects("rename", row.rename, bo.renames(one, "new"))
				_, err := bo.narrows(one, credential.Scoping{ExpiresAt: "1d"})
				a.expects("narrow", row.narrow, err)
				_, err = bo.rotates(one, "")
				a.expects("rotate", row.rotate, err)
				a.expects("revoke", row.revoke, bo.revokes(two))
			})
		})
	}
}

// expects fails the test unless the error has the code; empty: unless there is none.
func (a *acme) expects(what, code string, err error) {
	a.T.Helper()
	if code != "" {
		a.Refused(what, err, code)
	} else if err != nil {
		a.T.Errorf("%s: %v", what, err)
	}
}

// T-042
func TestNobodyRotatesAKeyThatMayWhatTheyMayNot(t *testing.T) {
	inAcme(t, "documents", func(t testing.TB, a *acme) {
		k := a.ada.key("api.call")
		a.Exec(`INSERT INTO organization_roles (id, organization, title, title_folded, description, permissions, version, created_by, created_at, updated_at)
			VALUES ('rol_keys', $1, 'Keys', 'keys', '', 'organization.view keys.create keys.rename keys.revoke', 1, '', 0, 0)`, a.id)
		bo := a.joins("bo", "rol_keys")
		_, err := bo.rotates(k.ID, "1h")
		a.Refused("rotating", err, "above_your_level")
		a.Must(bo.renames(k.ID, "new"))
		shown, err := call(bo, credential.UpdateKey, credential.UpdateKeyInput{KeyInput: bo.named(k.ID), Name: new("newer")})
		if err != nil || shown.Name != "newer" || shown.Display != "" || shown.Creator != nil {
			t.Errorf("renaming shows %+v (%v) to whoever may not inspect", shown, err)
		}
	})
}

// T-049
func TestBothKeysWorkUntilTheOverlapIsOver(t *testing.T) {
	for overlap, after := range map[string]time.Duration{"": 0, "0s": 0, "1h": time.Hour, "24h": day, "7d": 7 * day} {
		t.Run("overlap "+overlap, func(t *testing.T) {
			inAcme(t, "automation", func(t testing.TB, a *acme) {
				old := has(a.ada.creates(credential.CreateKeyInput{Name: "nightly", Scoping: credential.Scoping{Permissions: may("workflows.run", "tokens.create"),
					Resources: []string{"workflow:wf_1"}, ExpiresAt: "30d"}}))(t)
				token := has(a.ada.derives(credential.CreateTokenInput{Parent: old.ID, Scoping: credential.Scoping{ExpiresAt: "8d"}}))(t)
				a.After(day)
				a.Fenced()
				fresh := has(a.ada.rotates(old.ID, overlap))(t)
				a.fences(op.Fence{Kind: op.FenceKey, ID: old.ID})
				if fresh.Secret == old.Secret || fresh.RotatedFrom != old.ID || fresh.Name != "nightly" || !fresh.ExpiresAt.Equal(a.Now().Add(30*day)) {
					t.Errorf("rotated to %+v", fresh)
				}
				if was := has(a.ada.gets(old.ID))(t); was.RotatedTo != fresh.ID {
					t.Errorf("the old key was rotated to %q, want %q", was.RotatedTo, fresh.ID)
				}
				a.allows(fresh.Secret, "workflows.run", "workflow:wf_1")
				a.denies(fresh.Secret, "workflows.run", "workflow:wf_2", decide.OtherResource)
				if after > 0 {
					_, err := a.ada.rotates(old.ID, "")
					if e := a.Refused("rotating it again", err, "rotated"); e.Refers["key"] != fresh.ID {
						t.Errorf("refers to %v, want the key in its place", e.Refers)
					}
					a.After(after - time.Microsecond)
					a.allows(old.Secret, "workflows.run", "workflow:wf_1")
					a.allows(token.Secret, "workflows.run", "workflow:wf_1")
					a.After(time.Microsecond)
				}
				a.Dead("the old key after the overlap", old.Secret)
				a.Dead("its token", token.Secret)
				a.allows(fresh.Secret, "workflows.run", "workflow:wf_1")
			})
		})
	}
}

func TestAnOverlapEndsWithTheOldKeyItself(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		old := has(a.ada.creates(credential.CreateKeyInput{Scoping: credential.Scoping{ExpiresAt: "1h"}}))(t)
		has(a.ada.rotates(old.ID, "7d"))(t)
		a.After(time.Hour)
		a.Dead("the old key past its own end", old.Secret)
		_, err := a.ada.rotates(a.ada.key("usage.view").ID, "2h")
		a.Refused("an overlap that there is not", err, "invalid")
		_, err = a.ada.rotates(old.ID, "")
		a.Refused("rotating an expired key", err, "key_ended")
	})
	inAcmeOf(t, with(t, "automation", "after_creator_leaves: revoke", "after_creator_leaves: revoke\n    max_age: 48h"), func(t testing.TB, a *acme) {
		old := a.ada.key("usage.view")
		a.After(day)
		if fresh := has(a.ada.rotates(old.ID, ""))(t); !fresh.ExpiresAt.Equal(a.Now().Add(2 * day)) {
			t.Errorf("the new key ends %v, want within the longest life", fresh.ExpiresAt)
		}
	})
}

// T-038
func TestARevokedKeyIsNobodysAtTheVeryNextCall(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		k, other := a.ada.key("workflows.run", "tokens.create"), a.ada.key("workflows.run")
		token := a.holding(k.Secret).token()
		a.Fenced()
		revoke := credential.RevokeKeyInput{KeyInput: a.ada.named(k.ID), Reason: "it was in a log"}
		gone := has(call(a.ada, credential.RevokeKey, revoke))(t)
		if gone.State != "revoked" || gone.RevokedBy != a.ada.user || gone.RevokedReason != "it was in a log" || !gone.RevokedAt.Equal(a.Now()) {
			t.Errorf("revoked %+v", gone)
		}
		a.fences(op.Fence{Kind: op.FenceKey, ID: k.ID})
		a.Dead("the key", k.Secret)
		a.Dead("its token", token.Secret)
		a.allows(other.Secret, "workflows.run", "")
		revoke.Reason = "again"
		if again := has(call(a.ada, credential.RevokeKey, revoke))(t); again.RevokedReason != "it was in a log" || again.Version != gone.Version {
			t.Errorf("revoking again makes %+v", again)
		}
		if n := a.Number("SELECT count(*) FROM audit_rows WHERE action = 'keys.revoke' AND outcome = 'unchanged'"); n != 1 {
			t.Errorf("%d rows say that nothing changed, want 1", n)
		}
		for _, tk := range a.ada.tokens() {
			if tk.ID == token.ID && tk.State != "revoked" {
				t.Errorf("the token of a revoked key is listed as %s", tk.State)
			}
		}
	})
}

// T-040
func TestKeysOfACreatorWhoLeaves(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) { // revoke
		bo := a.joins("bo", "editor")
		k := bo.key("workflows.run")
		a.is(bo, "removed")
		a.Dead("the key of a removed creator", k.Secret)
		seen := has(a.ada.gets(k.ID))(t)
		if seen.State != "revoked" || seen.RevokedReason != "creator left" || seen.Creator.Status != "removed" {
			t.Errorf("listed as %s (%s) of a creator who is %s", seen.State, seen.RevokedReason, seen.Creator.Status)
		}
	})
	inAcme(t, "gateway", func(t testing.TB, a *acme) { // keep
		bo := a.joins("bo", "developer")
		k := bo.key("prompts.edit", "tokens.create", "keys.create_own")
		a.leaves(bo)
		a.allows(k.Secret, "prompts.edit", "")
		a.denies(k.Secret, "members.invite", "", decide.NoPermission)
		if seen := has(a.ada.gets(k.ID))(t); seen.State != "left_behind" || !seen.LeftAt.Equal(a.Now()) {
			t.Errorf("listed as %s since %v", seen.State, seen.LeftAt)
		}
		_, err := a.holding(k.Secret).creates(credential.CreateKeyInput{})
		a.Refused("a key left behind makes a key", err, "left_behind")
		_, err = a.holding(k.Secret).rotates(k.ID, "")
		a.Refused("a key left behind rotates itself", err, "left_behind")
		_, err = a.ada.rotates(k.ID, "")
		a.Refused("rotating a key left behind", err, "left_behind")
		has(a.ada.narrows(k.ID, credential.Scoping{Permissions: may("prompts.edit")}))(t)
		a.allows(k.Secret, "prompts.edit", "")
		a.Must(a.ada.revokes(k.ID))
		a.Dead("the key that was left behind", k.Secret)
	})
	inAcme(t, "documents", func(t testing.TB, a *acme) { // an organization key
		bo := a.joins("bo", "admin")
		k := bo.key("api.call")
		for _, status := range []string{"suspended", "removed"} {
			a.is(bo, status)
			a.allows(k.Secret, "api.call", "")
		}
		if seen := has(a.ada.gets(k.ID))(t); seen.State != "active" || seen.Member != "" {
			t.Errorf("listed as %s of member %q", seen.State, seen.Member)
		}
	})
}

func TestAnOrganizationKeyMayWhatTheCharterLists(t *testing.T) {
	inAcme(t, "documents", func(t testing.TB, a *acme) {
		k := has(a.ada.creates(credential.CreateKeyInput{}))(t)
		if want := may("usage.view", "pipelines.use", "processors.use", "files.use", "api.call"); !slices.Equal(k.Permissions, want) {
			t.Errorf("without scopes it may %v, want %v", k.Permissions, want)
		}
		_, err := a.ada.creates(credential.CreateKeyInput{Scoping: credential.Scoping{Permissions: may("api.call", "members.view")}})
		e := a.Refused("what is not for organization keys", err, "invalid")
		if !strings.Contains(e.Text, "members.view is not for organization keys, which may have usage.view") {
			t.Errorf("told %q", e.Text)
		}
		if made := has(a.operator().creates(credential.CreateKeyInput{}))(t); made.Creator != nil {
			t.Errorf("the operator's key is made by %+v", made.Creator)
		}
	})
}

// T-109
func TestKeysOlderThanARestoreAreDead(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		k := a.ada.key("usage.view")
		a.Exec("UPDATE instance SET recovery_epoch = recovery_epoch + 1")
		a.Dead("the key of before", k.Secret)
		ada := a.holding(a.signsIn("ada@acme.test", "").Secret)
		if seen := has(ada.gets(k.ID))(t); seen.State != "revoked" || seen.RevokedReason == "" {
			t.Errorf("listed as %s (%s)", seen.State, seen.RevokedReason)
		}
	})
}

// T-001
func TestKeysAndTokensOfAnotherOrganizationAreNotFound(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		globex, gus := a.Found("globex", "gus@globex.test")
		foreign := caller{a: &acme{hall: a.hall, id: globex}, secret: gus.Token}
		k := foreign.key("usage.view", "tokens.create")
		token := foreign.token("usage.view")
		_, err := a.ada.gets(k.ID)
		a.Refused("reading it", err, "not_found")
		a.Refused("revoking it", a.ada.revokes(k.ID), "not_found")
		a.Refused("revoking a token", a.ada.endsToken(token.ID), "not_found")
		_, err = a.ada.derives(credential.CreateTokenInput{Parent: k.ID})
		a.Refused("deriving from it", err, "invalid")
		_, err = a.holding(k.Secret).derives(credential.CreateTokenInput{})
		a.Refused("using it here", err, "not_found")
	})
}
