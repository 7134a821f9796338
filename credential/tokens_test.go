package credential_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

func TestATokenOfASession(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		bo := a.joins("bo", "editor")
		token := bo.token()
		if !token.ExpiresAt.Equal(a.Now().Add(time.Hour)) || token.Display[:8] != "gld_tok_" || token.Session == "" || token.Key != "" {
			t.Errorf("made %+v", token)
		}
		if slices.Contains(token.Permissions, "keys.create") {
			t.Error("it administers, and nobody named that")
		}
		a.allows(token.Secret, "workflows.run", "")
		a.becomes(bo, "viewer")
		a.denies(token.Secret, "workflows.run", "", decide.NoPermission)
		a.becomes(bo, "editor")
		a.is(bo, "suspended")
		a.denies(token.Secret, "workflows.run", "", decide.IsSuspended)
		a.is(bo, "active")
		has(call(bo, credential.RevokeSession, credential.RevokeSessionInput{Session: "current"}))(t)
		a.Dead("the token of a session that was ended", token.Secret)
	})
}

func TestATokenIsForWhatItIsLimitedTo(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		reads := has(a.ada.derives(credential.CreateTokenInput{ReadOnly: true}))(t)
		a.allows(reads.Secret, "workflows.view", "")
		a.denies(reads.Secret, "workflows.run", "", decide.OutOfScope)
		named := has(a.ada.derives(credential.CreateTokenInput{Scoping: credential.Scoping{Resources: []string{"workflow:wf_1"}, Networks: []string{"203.0.113.7"}}}))(t)
		a.allows(named.Secret, "workflows.run", "workflow:wf_1")
		a.denies(named.Secret, "workflows.run", "workflow:wf_2", decide.OtherResource)
		if a.reaches(named.Secret, "203.0.113.8") || !a.reaches(named.Secret, "203.0.113.7") {
			t.Error("it is for other addresses than were said")
		}
		for end, code := range map[string]string{"30d": "", "31d": "invalid", "never": "invalid", "0h": "invalid"} {
			_, err := a.ada.derives(credential.CreateTokenInput{Scoping: credential.Scoping{ExpiresAt: end}})
			a.expects("a token until "+end, code, err)
		}
		short := has(a.ada.derives(credential.CreateTokenInput{Scoping: credential.Scoping{ExpiresAt: "1h"}}))(t)
		a.After(time.Hour - time.Microsecond)
		a.allows(short.Secret, "workflows.run", "")
		a.After(time.Microsecond)
		a.Dead("the token at its end", short.Secret)
	})
}

// T-041
func TestATokenIsWithinItsParent(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		k := has(a.ada.creates(credential.CreateKeyInput{Scoping: credential.Scoping{Permissions: may("workflows.view", "workflows.run", "tokens.create"),
			Networks: []string{"203.0.113.0/24"}, ExpiresAt: "10d"}}))(t)
		first := has(a.holding(k.Secret).derives(credential.CreateTokenInput{ReadOnly: true, Scoping: credential.Scoping{ExpiresAt: "2d", Networks: []string{"203.0.113.0/28"}}}))(t)
		if !slices.Equal(first.Permissions, k.Permissions) || first.Key != k.ID {
			t.Errorf("unsaid it has %v of %s", first.Permissions, first.Key)
		}
		_, err := a.holding(first.Secret).derives(credential.CreateTokenInput{})
		a.Refused("a child of what cannot write tokens", err, "out_of_scope")
		writes := has(a.holding(k.Secret).derives(credential.CreateTokenInput{Scoping: credential.Scoping{Permissions: may("workflows.run", "tokens.create"), ExpiresAt: "2d", Networks: []string{"203.0.113.0/28"}}}))(t)
		for _, row := range []struct {
			name string
			by   string
			in   credential.Scoping
			want string
		}{
			{"a permission outside of the key", k.Secret, credential.Scoping{Permissions: may("workflows.edit")}, "out_of_scope"},
			{"a permission outside of the token", writes.Secret, credential.Scoping{Permissions: may("workflows.view")}, "out_of_scope"},
			{"a network outside of the key", k.Secret, credential.Scoping{Networks: []string{"198.51.100.1"}}, "invalid"},
			{"a network outside of the token", writes.Secret, credential.Scoping{Networks: []string{"203.0.113.17"}}, "invalid"},
			{"a longer life than the token", writes.Secret, credential.Scoping{ExpiresAt: "3d"}, "invalid"},
		} {
			_, err := a.holding(row.by).derives(credential.CreateTokenInput{Scoping: row.in})
			a.Refused(row.name, err, row.want)
		}
		child := has(a.holding(writes.Secret).derives(credential.CreateTokenInput{}))(t)
		if child.Parent != writes.ID || !slices.Equal(child.Networks, writes.Networks) || child.ExpiresAt.After(writes.ExpiresAt) {
			t.Errorf("the child is %+v", child)
		}
		has(a.ada.narrows(k.ID, credential.Scoping{Permissions: may("workflows.view")}))(t)
		a.denies(child.Secret, "workflows.run", "", decide.OutOfScope)
		a.denies(writes.Secret, "workflows.run", "", decide.OutOfScope)
	})
}

func TestATokenOfAKeyThatIsNamed(t *testing.T) {
	inAcme(t, "gateway", func(t testing.TB, a *acme) {
		dev := a.joins("dev", "developer")
		own := has(dev.creates(credential.CreateKeyInput{Scoping: credential.Scoping{Permissions: may("prompts.edit"), Resources: []string{"prompt:p_1"}}}))(t)
		other, shared := a.ada.key("prompts.edit"), has(a.ada.creates(credential.CreateKeyInput{Kind: "organization"}))(t)
		token := has(dev.derives(credential.CreateTokenInput{Parent: own.ID}))(t)
		a.allows(token.Secret, "prompts.edit", "prompt:p_1")
		a.denies(token.Secret, "prompts.edit", "prompt:p_2", decide.OtherResource)
		_, err := dev.derives(credential.CreateTokenInput{Parent: own.ID, Scoping: credential.Scoping{Permissions: may("prompts.view")}})
		a.Refused("a permission outside of the key", err, "out_of_scope")
		_, err = dev.derives(credential.CreateTokenInput{Parent: own.ID, Scoping: credential.Scoping{Resources: []string{"prompt:p_2"}}})
		a.Refused("a resource outside of the key", err, "invalid")
		for name, id := range map[string]string{"another's key": other.ID, "the organization's key": shared.ID, "no key": "key_none"} {
			_, err := dev.derives(credential.CreateTokenInput{Parent: id})
			a.Refused(name, err, "invalid")
		}
		a.allows(has(a.ada.derives(credential.CreateTokenInput{Parent: shared.ID}))(t).Secret, "endpoints.call", "")
		_, err = a.holding(dev.token("tokens.create").Secret).derives(credential.CreateTokenInput{Parent: own.ID})
		a.Refused("a token derives from another credential", err, "people_only")
		a.Must(dev.revokes(own.ID))
		a.Dead("the token of a revoked key", token.Secret)
		_, err = dev.derives(credential.CreateTokenInput{Parent: own.ID})
		a.Refused("deriving from a revoked key", err, "key_ended")
	})
}

func TestRevokingATokenEndsAllBelowIt(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		line := []credential.NewToken{a.ada.token("workflows.run", "tokens.create")}
		for len(line) < 8 {
			line = append(line, a.holding(line[len(line)-1].Secret).token())
		}
		_, err := a.holding(line[7].Secret).derives(credential.CreateTokenInput{})
		a.Refused("a ninth in the line", err, "too_deep")
		beside := a.holding(line[1].Secret).token()
		a.Fenced()
		a.Must(a.ada.endsToken(line[2].ID))
		var want []op.Fence
		for _, below := range line[2:] {
			want = append(want, op.Fence{Kind: op.FenceToken, ID: below.ID})
		}
		a.fences(want...)
		for i, token := range line {
			if i < 2 {
				a.allows(token.Secret, "workflows.run", "")
			} else {
				a.Dead(fmt.Sprintf("token %d", i), token.Secret)
			}
		}
		a.allows(beside.Secret, "workflows.run", "")
		a.Must(a.ada.endsToken(line[2].ID))
	})
}

func TestWhoSeesAndRevokesWhoseTokens(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		bo, cy := a.joins("bo", "editor"), a.joins("cy", "editor")
		mine, theirs := bo.token(), cy.token()
		if seen := bo.tokens(); len(seen) != 1 || seen[0].ID != mine.ID {
			t.Errorf("bo sees %+v", seen)
		}
		if seen := a.ada.tokens(); len(seen) != 2 || seen[0].Creator == nil {
			t.Errorf("ada sees %+v", seen)
		}
		a.Refused("revoking another's token", bo.endsToken(theirs.ID), "denied")
		a.Refused("a token without tokens.create revokes its creator's", a.holding(bo.token("usage.view").Secret).endsToken(mine.ID), "denied")
		a.becomes(bo, "viewer")
		a.Must(bo.endsToken(mine.ID))
		a.Must(a.ada.endsToken(theirs.ID))
		a.Dead("bo's token", mine.Secret)
		a.Dead("cy's token", theirs.Secret)
		_, err := bo.derives(credential.CreateTokenInput{})
		a.Refused("a viewer derives a token", err, "denied")
	})
}

// T-042
func TestATokenMakesNoKeyThatOutlivesItsLimits(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		token := a.ada.token("keys.create", "usage.view")
		k := has(a.holding(token.Secret).creates(credential.CreateKeyInput{}))(t)
		if !k.ExpiresAt.Equal(token.ExpiresAt) || !slices.Equal(k.Permissions, may("usage.view")) {
			t.Errorf("a token's key may %v until %v", k.Permissions, k.ExpiresAt)
		}
		counted := has(a.ada.derives(credential.CreateTokenInput{Budget: 5, Scoping: credential.Scoping{Permissions: may("keys.create", "usage.view")}}))(t)
		_, err := a.holding(counted.Secret).creates(credential.CreateKeyInput{})
		a.Refused("a token with a number of requests makes a key", err, "out_of_scope")
	})
}
