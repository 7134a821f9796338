package credential_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

const day = 24 * time.Hour

func TestAKeyMayWhatItsCreatorMayCutDownByItsScopes(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		bo := a.joins("bo", "editor")
		k := bo.key("workflows.view", "workflows.run")
		if !strings.HasPrefix(k.Secret, "gld_live_") || !k.SecretShown || k.Display != "gld_live_..."+k.Secret[len(k.Secret)-4:] {
			t.Errorf("made %+v", k)
		}
		a.allows(k.Secret, "workflows.run", "")
		a.denies(k.Secret, "workflows.edit", "", decide.OutOfScope)
		a.denies(k.Secret, "billing.manage", "", decide.NoPermission)

		a.becomes(bo, "viewer") // T-039
		a.allows(k.Secret, "workflows.view", "")
		a.denies(k.Secret, "workflows.run", "", decide.NoPermission)
		a.becomes(bo, "editor")
		a.allows(k.Secret, "workflows.run", "")
		a.is(bo, "suspended")
		a.denies(k.Secret, "workflows.run", "", decide.IsSuspended)
		a.is(bo, "active")
		a.allows(k.Secret, "workflows.run", "")
	})
}

// T-042
func TestWithoutScopesAKeyAdministersNothing(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		k := has(a.ada.creates(credential.CreateKeyInput{}))(t)
		a.allows(k.Secret, "workflows.deploy", "")
		for _, p := range may("keys.create", "members.invite", "organization.transfer", "audit.view", "keys.inspect") {
			if slices.Contains(k.Permissions, p) {
				t.Errorf("%s is among the scopes that nobody named", p)
			}
			a.denies(k.Secret, p, "", decide.OutOfScope)
		}
		named := a.ada.key("audit.view")
		a.allows(named.Secret, "audit.view", "")
	})
}

func TestWhoMayMakeWhichKey(t *testing.T) {
	one := credential.Scoping{Permissions: may("usage.view")}
	for _, row := range []struct {
		charter, role string
		kind          charter.KeyKind
		want          string // the error's code; empty: made
		made          charter.KeyKind
	}{
		{"automation", "owner", "", "", charter.PersonalKey},
		{"automation", "editor", "", "", charter.PersonalKey},
		{"automation", "viewer", "", "denied", ""},
		{"automation", "editor", charter.OrganizationKey, "invalid", ""},
		{"gateway", "reader", "", "denied", ""},
		{"gateway", "developer", "", "", charter.PersonalKey},
		{"gateway", "developer", charter.OrganizationKey, "denied", ""},
		{"gateway", "admin", charter.PersonalKey, "", charter.PersonalKey},
		{"documents", "member", "", "denied", ""},
		{"documents", "admin", "", "", charter.OrganizationKey},
		{"documents", "admin", charter.PersonalKey, "invalid", ""},
	} {
		t.Run(fmt.Sprintf("%s of %s makes %q", row.role, row.charter, row.kind), func(t *testing.T) {
			inAcme(t, row.charter, func(t testing.TB, a *acme) {
				k, err := a.joins("bo", row.role).creates(credential.CreateKeyInput{Kind: row.kind, Scoping: one})
				if row.want != "" {
					a.Refused("making the key", err, row.want)
				} else if err != nil || k.Kind != row.made {
					a.T.Errorf("made a %s key (%v), want a %s one", k.Kind, err, row.made)
				}
			})
		})
	}
}

// T-042
func TestNobodyMakesAKeyThatMayWhatTheyMayNot(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		bo := a.joins("bo", "editor")
		_, err := bo.creates(credential.CreateKeyInput{Scoping: credential.Scoping{Permissions: may("workflows.run", "billing.manage")}})
		if e := a.Refused("naming what an editor lacks", err, "denied"); e.Needs != "billing.manage" {
			t.Errorf("needs %q, want billing.manage", e.Needs)
		}
		_, err = bo.creates(credential.CreateKeyInput{Scoping: credential.Scoping{Permissions: may("workflow.run")}})
		if e := a.Refused("a permission that is none", err, "invalid"); !strings.Contains(e.Text, `did you mean "workflows.run"`) {
			t.Errorf("told %q", e.Text)
		}
		_, err = bo.creates(credential.CreateKeyInput{Scoping: credential.Scoping{Permissions: []charter.Permission{}}})
		a.Refused("no permission at all", err, "invalid")
		_, err = a.operator().creates(credential.CreateKeyInput{})
		a.Refused("a personal key of the operator", err, "people_only")
	})
}

// T-042
func TestAKeyMakesNoKeyThatIsMoreThanItself(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		plain := a.holding(a.ada.key("workflows.run").Secret)
		_, err := plain.creates(credential.CreateKeyInput{})
		a.Refused("a key without keys.create", err, "out_of_scope")

		maker := has(a.ada.creates(credential.CreateKeyInput{Scoping: credential.Scoping{
			Permissions: may("keys.create", "workflows.view", "workflows.run"), Networks: []string{"203.0.113.0/24"}, ExpiresAt: "10d"}}))(t)
		by := a.holding(maker.Secret)
		for _, row := range []struct {
			name string
			in   credential.Scoping
			want string
		}{
			{"a permission that it lacks", credential.Scoping{Permissions: may("workflows.edit")}, "out_of_scope"},
			{"other addresses", credential.Scoping{Networks: []string{"198.51.100.0/24"}}, "invalid"},
			{"more addresses", credential.Scoping{Networks: []string{"203.0.112.0/23"}}, "invalid"},
			{"any address", credential.Scoping{Networks: []string{}}, "invalid"},
			{"a longer life", credential.Scoping{ExpiresAt: "11d"}, "invalid"},
			{"no end", credential.Scoping{ExpiresAt: "never"}, "invalid"},
		} {
			_, err := by.creates(credential.CreateKeyInput{Scoping: row.in})
			a.Refused(row.name, err, row.want)
		}
		child := has(by.creates(credential.CreateKeyInput{}))(t)
		if !slices.Equal(child.Permissions, may("workflows.view", "workflows.run")) || !slices.Equal(child.Networks, maker.Networks) || !child.ExpiresAt.Equal(maker.ExpiresAt) {
			t.Errorf("the key's key may %v from %v until %v", child.Permissions, child.Networks, child.ExpiresAt)
		}
		if child.Creator == nil || child.Creator.User != a.ada.user || child.Member != a.ada.member {
			t.Errorf("the key's key acts for %+v, want ada", child.Creator)
		}
		wider := a.ada.key("keys.create", "workflows.edit")
		_, err = by.rotates(wider.ID, "")
		a.Refused("rotating a key that may more", err, "above_your_level")
		a.After(day)
		if again := has(by.rotates(maker.ID, "1h"))(t); again.ExpiresAt.After(maker.ExpiresAt) {
			t.Errorf("rotating itself it lives until %v, want at most %v", again.ExpiresAt, maker.ExpiresAt)
		}
	})
}

// T-043
func TestARevokedKeyMakesNoSuccessor(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		k := a.ada.key("keys.create", "workflows.view", "tokens.create")
		by := a.holding(k.Secret)
		has(by.creates(credential.CreateKeyInput{}))(t)
		stop, made := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			for {
				select {
				case <-stop:
					made <- n
					return
				default:
					if _, err := by.creates(credential.CreateKeyInput{}); err == nil {
						n++
					}
				}
			}
		}()
		a.Must(a.ada.revokes(k.ID))
		before := a.Number("SELECT count(*) FROM api_keys WHERE organization = $1", a.id)
		_, err := by.creates(credential.CreateKeyInput{})
		a.Refused("making a key with a revoked one", err, "unauthenticated")
		_, err = by.derives(credential.CreateTokenInput{})
		a.Refused("deriving from a revoked one", err, "unauthenticated")
		_, err = by.rotates(k.ID, "7d")
		a.Refused("rotating a revoked one", err, "unauthenticated")
		close(stop)
		during := <-made
		if after := a.Number("SELECT count(*) FROM api_keys WHERE organization = $1", a.id); after != before {
			t.Errorf("%d keys after the revocation, %d then (%d made while it ran)", after, before, during)
		}
	})
}

// T-044
func TestAKeysSecretIsInOneAnswerOnly(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		in := credential.CreateKeyInput{Name: "nightly"}
		k := has(a.ada.creates(in, op.IdempotencyKey("once")))(t)
		again := has(a.ada.creates(in, op.IdempotencyKey("once")))(t)
		if again.Secret != "" || again.SecretShown || again.ID != k.ID {
			t.Errorf("the repeat is answered %+v", again)
		}
		token := has(call(a.ada, credential.CreateToken, credential.CreateTokenInput{InOrganization: a.ada.in()}, op.IdempotencyKey("twice")))(t)
		repeat := has(call(a.ada, credential.CreateToken, credential.CreateTokenInput{InOrganization: a.ada.in()}, op.IdempotencyKey("twice")))(t)
		if repeat.Secret != "" || repeat.SecretShown || repeat.ID != token.ID {
			t.Errorf("the repeat is answered %+v", repeat)
		}
		fresh := has(a.ada.rotates(k.ID, "1h"))(t)
		answers := has(json.Marshal([]any{again, repeat, a.ada.lists(credential.ListKeysInput{}), a.ada.tokens(), has(a.ada.gets(k.ID))(t)}))(t)
		for _, text := range []string{a.stored(), string(answers)} {
			for _, s := range []string{k.Secret, token.Secret, fresh.Secret} {
				if strings.Contains(text, s) || strings.Contains(text, s[9:40]) {
					t.Errorf("a secret is in %.200s", text)
				}
			}
		}
		if !strings.Contains(a.stored(), "nightly") {
			t.Error("the search found nothing that is stored")
		}
	})
}

// T-046
func TestKeysDoNotRepeatAndAreEven(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 keys")
	}
	statistics(t)
}

func TestOfOthersKeysThoseWhoViewSeeNameAndTimes(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		bo := a.joins("bo", "editor")
		has(a.ada.creates(credential.CreateKeyInput{Name: "ada's", Scoping: credential.Scoping{ExpiresAt: "30d"}}))(t)
		a.After(time.Minute)
		own := has(bo.creates(credential.CreateKeyInput{Name: "bo's"}))(t)
		seen := bo.lists(credential.ListKeysInput{})
		if len(seen) != 2 || seen[0].ID != own.ID || seen[0].Display == "" {
			t.Fatalf("bo sees %+v", seen)
		}
		raw := string(has(json.Marshal(seen[1]))(t))
		want := `{"name":"ada's","created_at":"2026-11-02T09:00:00Z","expires_at":"2026-12-02T09:00:00Z"}`
		if raw != want {
			t.Errorf("of ada's key bo sees %s, want %s", raw, want)
		}
		if full := a.ada.lists(credential.ListKeysInput{}); len(full) != 2 || full[0].Creator == nil || full[0].Creator.Name != "Bo" && full[0].Creator.Name != "bo@acme.test" {
			t.Errorf("ada sees %+v", full)
		}
		for _, in := range []credential.ListKeysInput{{State: "active"}, {Kind: "personal"}, {Owner: a.ada.member}, {Unused: "30s"}} {
			for _, k := range bo.lists(in) {
				if k.ID != own.ID {
					t.Errorf("asking for %+v tells bo of %+v", in, k)
				}
			}
		}
		if hits := bo.lists(credential.ListKeysInput{Query: "ADA"}); len(hits) != 1 || hits[0].Name != "ada's" || hits[0].ID != "" {
			t.Errorf("searching for a name bo sees %+v", hits)
		}
		others := a.ada.key("workflows.view")
		_, err := bo.gets(others.ID)
		_, none := bo.gets("key_00000000000000000000000000")
		if a.Refused("another's key by its id", err, "denied").Text != a.Refused("no key", none, "denied").Text {
			t.Error("the answer tells whether there is such a key")
		}
		a.Must(a.ada.revokes(others.ID))
		if n := len(bo.lists(credential.ListKeysInput{})); n != 2 {
			t.Errorf("bo sees %d keys, want 2: the revoked one is nothing to whoever sees no more than names", n)
		}
	})
}

func TestWithoutAPermissionToViewOneSeesOnesOwn(t *testing.T) {
	inAcme(t, "gateway", func(t testing.TB, a *acme) {
		dev, reader := a.joins("dev", "developer"), a.joins("rea", "reader")
		has(a.ada.creates(credential.CreateKeyInput{}))(t)
		own := dev.key("prompts.view")
		if seen := dev.lists(credential.ListKeysInput{}); len(seen) != 1 || seen[0].ID != own.ID {
			t.Errorf("a developer sees %+v, want their own key", seen)
		}
		has(dev.gets(own.ID))(t)
		_, err := call(reader, credential.ListKeys, credential.ListKeysInput{InOrganization: reader.in()})
		a.Refused("a reader lists keys", err, "denied")
	})
}

func TestListsOfKeysAreFilteredAndPaged(t *testing.T) {
	inAcme(t, "gateway", func(t testing.TB, a *acme) {
		dev := a.joins("dev", "developer")
		old := dev.key("prompts.view")
		a.After(100 * day)
		used := has(a.ada.creates(credential.CreateKeyInput{Name: "100%_sure", Kind: charter.OrganizationKey}))(t)
		gone, short := a.ada.key("prompts.view"), has(a.ada.creates(credential.CreateKeyInput{Scoping: credential.Scoping{ExpiresAt: "1h"}}))(t)
		a.Must(a.ada.revokes(gone.ID))
		a.After(time.Hour)
		left := a.joins("lea", "developer")
		behind := left.key("prompts.view")
		a.leaves(left)
		for _, row := range []struct {
			name string
			in   credential.ListKeysInput
			want []string
		}{
			{"all", credential.ListKeysInput{}, []string{behind.ID, short.ID, gone.ID, used.ID, old.ID}},
			{"active", credential.ListKeysInput{State: "active"}, []string{used.ID, old.ID}},
			{"expired", credential.ListKeysInput{State: "expired"}, []string{short.ID}},
			{"revoked", credential.ListKeysInput{State: "revoked"}, []string{gone.ID}},
			{"left behind", credential.ListKeysInput{State: "left_behind"}, []string{behind.ID}},
			{"of the organization", credential.ListKeysInput{Kind: "organization"}, []string{used.ID}},
			{"of a member", credential.ListKeysInput{Owner: dev.member}, []string{old.ID}},
			{"of a user", credential.ListKeysInput{Owner: dev.user}, []string{old.ID}},
			{"unused", credential.ListKeysInput{Unused: "90d"}, []string{old.ID}},
			{"by a name with signs", credential.ListKeysInput{Query: "%_S"}, []string{used.ID}},
		} {
			if got := ids(a.ada.lists(row.in)); !slices.Equal(got, row.want) {
				t.Errorf("%s: got %v, want %v", row.name, got, row.want)
			}
		}
		in := credential.ListKeysInput{InOrganization: a.ada.in(), Page: op.Page{Limit: 2}}
		var paged []string
		for {
			page := has(call(a.ada, credential.ListKeys, in))(t)
			paged = append(paged, ids(page.Data)...)
			if in.Cursor = page.NextCursor; !page.HasMore {
				break
			}
		}
		if want := ids(a.ada.lists(credential.ListKeysInput{})); !slices.Equal(paged, want) {
			t.Errorf("in pages %v, want %v", paged, want)
		}
	})
}

func ids(keys []credential.Key) (all []string) {
	for _, k := range keys {
		all = append(all, k.ID)
	}
	return all
}

func TestAKeysNameAndEndFollowTheCharter(t *testing.T) {
	aged := with(t, "gateway", `name_template: "{person} - {purpose}"`, `max_age: 8760h
    name_template: "{person} - {purpose}"`)
	inAcmeOf(t, aged, func(t testing.TB, a *acme) {
		dev := a.joins("dev", "developer")
		k := has(call(dev, credential.CreateKey, credential.CreateKeyInput{InOrganization: dev.in()}))(t)
		if k.Name != "Dev - key" {
			t.Errorf("the template makes %q", k.Name)
		}
		if !k.ExpiresAt.Equal(a.Now().Add(8760 * time.Hour)) {
			t.Errorf("it ends %v, want after the longest life of the charter", k.ExpiresAt)
		}
		for _, end := range []string{"366d", "never", "2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "soon", "-1h", "0d"} {
			_, err := dev.creates(credential.CreateKeyInput{Scoping: credential.Scoping{ExpiresAt: end}})
			a.Refused("an end at "+end, err, "invalid")
		}
		for end, want := range map[string]time.Time{"30d": a.Now().Add(30 * day), "12h": a.Now().Add(12 * time.Hour), "2027-01-01T00:00:00Z": time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)} {
			if k := has(dev.creates(credential.CreateKeyInput{Scoping: credential.Scoping{ExpiresAt: end}}))(t); !k.ExpiresAt.Equal(want) {
				t.Errorf("%s is %v, want %v", end, k.ExpiresAt, want)
			}
		}
	})
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		_, err := call(a.ada, credential.CreateKey, credential.CreateKeyInput{InOrganization: a.ada.in()})
		a.Refused("no name and no template", err, "invalid")
		for _, name := range []string{" ", "two\nlines", "a\u202eb"} {
			_, err := a.ada.creates(credential.CreateKeyInput{Name: name})
			a.Refused("a name that nobody can read", err, "invalid")
		}
		k := has(a.ada.creates(credential.CreateKeyInput{Scoping: credential.Scoping{ExpiresAt: "1h"}}))(t)
		a.After(time.Hour - time.Microsecond)
		a.allows(k.Secret, "workflows.run", "")
		a.After(time.Microsecond)
		a.Dead("the key at its end", k.Secret)
	})
}

func TestAKeyIsForNamedResourcesOnly(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		k := has(a.ada.creates(credential.CreateKeyInput{Scoping: credential.Scoping{
			Permissions: may("workflows.run", "artifacts.view", "usage.view"), Resources: []string{"workflow:wf_1", "artifact:*"}}}))(t)
		a.allows(k.Secret, "workflows.run", "workflow:wf_1")
		a.denies(k.Secret, "workflows.run", "workflow:wf_2", decide.OtherResource)
		a.denies(k.Secret, "workflows.run", "", decide.OtherResource)
		a.allows(k.Secret, "artifacts.view", "artifact:a_7")
		a.denies(k.Secret, "usage.view", "", decide.OtherResource)
		for resource, want := range map[string]string{"workflows:wf_1": `did you mean "workflow"`, "workflow": "a type, a colon", "workflow:": "a type, a colon", "workflow:a b": "a type, a colon", "workflow:wf_*": "a type, a colon"} {
			_, err := a.ada.creates(credential.CreateKeyInput{Scoping: credential.Scoping{Resources: []string{resource}}})
			if e := a.Refused(resource, err, "invalid"); !strings.Contains(e.Text, want) {
				t.Errorf("%s: told %q", resource, e.Text)
			}
		}
	})
}

func TestAKeyIsForItsNetworksOnly(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		k := has(a.ada.creates(credential.CreateKeyInput{Scoping: credential.Scoping{
			Permissions: may("members.view"), Networks: []string{"2001:db8::/32", "203.0.113.77/24", "198.51.100.9"}}}))(t)
		if want := []string{"198.51.100.9/32", "2001:db8::/32", "203.0.113.0/24"}; !slices.Equal(k.Networks, want) {
			t.Errorf("networks %v, want %v", k.Networks, want)
		}
		looks := func(from string) error {
			_, err := call(a.holding(k.Secret).at(from), credential.ListKeys, credential.ListKeysInput{InOrganization: a.ada.in()})
			return err
		}
		if e := a.Refused("from within", looks("203.0.113.7"), "out_of_scope"); e.Needs == "" {
			t.Error("within its networks the answer is about the permission")
		}
		a.Refused("from elsewhere", looks("203.0.114.7"), "wrong_address")
		for _, text := range []string{"203.0.113.0/33", "localhost", "", "fe80::1%eth0", "::ffff:10.0.0.0/104"} {
			_, err := a.ada.creates(credential.CreateKeyInput{Scoping: credential.Scoping{Networks: []string{text}}})
			a.Refused("network "+text, err, "invalid")
		}
	})
}
