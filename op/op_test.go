package op

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
)

// T-099: a body is one JSON object, said once, in UTF-8, not too deep and not too long.
func TestParseObjectIsStrict(t *testing.T) {
	deep := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	tests := []struct {
		name, body string
		want       ErrorKind
		ok         bool
	}{
		{"an object", `{"a":1}`, 0, true},
		{"nothing is an empty object", ``, 0, true},
		{"white space is an empty object", " \n", 0, true},
		{"an object at the greatest depth", deep(MaxDepth - 1), 0, true},
		{"one deeper", deep(MaxDepth), Malformed, false},
		{"a hundred thousand deep", deep(100_000), Malformed, false},
		{"a name twice", `{"a":1,"a":2}`, Malformed, false},
		{"a name twice, within", `{"b":{"a":1,"a":2}}`, Malformed, false},
		{"something behind", `{"a":1} x`, Malformed, false},
		{"a second object", `{}{}`, Malformed, false},
		{"a list", `[]`, Malformed, false},
		{"null", `null`, Malformed, false},
		{"text", `"a"`, Malformed, false},
		{"a number too large", `{"a":1e400}`, Malformed, false},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", Malformed, false},
		{"half a surrogate", `{"a":"\ud800"}`, Malformed, false},
		{"a byte order mark", "\ufeff{}", Malformed, false},
		{"a comment", `{/**/}`, Malformed, false},
		{"a trailing comma", `{"a":1,}`, Malformed, false},
		{"single quotes", `{'a':1}`, Malformed, false},
		{"NaN", `{"a":NaN}`, Malformed, false},
		{"over a megabyte", `{"a":"` + strings.Repeat("x", MaxBody) + `"}`, TooLarge, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseObject([]byte(test.body))
			if test.ok != (err == nil) || err != nil && AsError(err).Kind != test.want {
				t.Errorf("got %v, want kind %v", err, test.want)
			}
		})
	}
}

func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,{"b":null}]}`, `{"a":1,"a":2}`, "{\"a\":\"\xff\"}", `[[[[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		tree, err := parseObject(body)
		if (tree == nil) == (err == nil) {
			t.Fatalf("tree %v with error %v", tree, err)
		}
	})
}

func TestEveryErrorKindHasStatusExitAndCode(t *testing.T) {
	seen := map[string]bool{}
	for k := Internal; k <= Unavailable; k++ {
		if k.Status() < 400 || k.Exit() == 0 || k.String() == "" || seen[k.String()] {
			t.Errorf("kind %d: status %d, exit %d, code %q", k, k.Status(), k.Exit(), k.String())
		}
		seen[k.String()] = true
	}
}

func TestBucketsGiveBackEvenly(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	limit := RateLimit{Times: 3, Per: time.Minute}
	var b buckets
	key := bucketKey{"address", "192.0.2.1"}
	for i := range 3 {
		if _, wait := b.take(key, limit, start); wait != 0 {
			t.Fatalf("call %d waits %s", i+1, wait)
		}
	}
	if rate, wait := b.take(key, limit, start); wait != 20*time.Second || rate.Remaining != 0 {
		t.Errorf("the fourth waits %s with %d left, want 20s and 0", wait, rate.Remaining)
	}
	if _, wait := b.take(key, limit, start.Add(20*time.Second-1)); wait == 0 {
		t.Error("it is let in before its time")
	}
	if _, wait := b.take(key, limit, start.Add(20*time.Second)); wait != 0 {
		t.Errorf("after 20 s it waits %s", wait)
	}
	if _, wait := b.take(bucketKey{"address", "192.0.2.2"}, limit, start); wait != 0 {
		t.Error("somebody else waits too")
	}
}

// T-101, as far as addresses go: an IPv6 host owns its whole /64, and an IPv4 address has one spelling.
func TestNetworkFoldsAddresses(t *testing.T) {
	same := [][2]string{{"2001:db8::1", "2001:db8::ffff:1"}, {"::ffff:192.0.2.1", "192.0.2.1"}, {"fe80::1%eth0", "fe80::2"}}
	for _, pair := range same {
		if network(pair[0]) != network(pair[1]) {
			t.Errorf("%s and %s count apart", pair[0], pair[1])
		}
	}
	if network("2001:db8::1") == network("2001:db8:0:1::1") || network("192.0.2.1") == network("192.0.2.2") {
		t.Error("two networks count as one")
	}
}

// row is a row with every field set.
func row() Row {
	return Row{Stream: "org_1", Seq: 7, At: 1_700_000_000_000_000, ID: "evt_1", Action: "members.remove", ActorKind: UserActor,
		Actor: "usr_1", Credential: "ses_1", OnBehalf: "usr_2", Outcome: OutcomeOK, Times: 1, Reason: "left", RequestID: "req_1",
		Detail: `[{"field":"status"}]`, Subjects: []Commitment{{Type: "user", ID: "usr_1", Hash: []byte{1, 2}}}}
}

// A leaf is written down: whoever verifies a log elsewhere computes the same bytes. If this changes, old logs break.
func TestLeafIsStable(t *testing.T) {
	const want = "c73e7141819f7a21c1987e7a4b396c1201aec48b9723e4e69893d866236dbbd4"
	if got := hex.EncodeToString(row().Leaf()); got != want {
		t.Errorf("leaf = %s, want %s", got, want)
	}
}

// T-092, for one row: a change of any field changes the leaf.
func TestLeafCoversEveryField(t *testing.T) {
	base := row().Leaf()
	changes := map[string]func(*Row){
		"stream": func(r *Row) { r.Stream += "x" }, "seq": func(r *Row) { r.Seq++ }, "at": func(r *Row) { r.At++ },
		"id": func(r *Row) { r.ID += "x" }, "action": func(r *Row) { r.Action += "x" }, "actor kind": func(r *Row) { r.ActorKind = SystemActor },
		"actor": func(r *Row) { r.Actor += "x" }, "credential": func(r *Row) { r.Credential += "x" }, "on behalf": func(r *Row) { r.OnBehalf += "x" },
		"outcome": func(r *Row) { r.Outcome = OutcomeDenied }, "times": func(r *Row) { r.Times++ }, "reason": func(r *Row) { r.Reason += "x" },
		"request id": func(r *Row) { r.RequestID += "x" }, "detail": func(r *Row) { r.Detail += " " },
		"subject's hash": func(r *Row) { r.Subjects[0].Hash = []byte{1, 3} }, "subject's id": func(r *Row) { r.Subjects[0].ID = "usr_3" },
		"subject's type": func(r *Row) { r.Subjects[0].Type = "member" }, "a subject less": func(r *Row) { r.Subjects = nil },
	}
	for name, change := range changes {
		r := row()
		r.Subjects = []Commitment{r.Subjects[0]}
		change(&r)
		if bytes.Equal(r.Leaf(), base) {
			t.Errorf("the leaf does not cover %s", name)
		}
	}
}

// Text that runs from one field into the next is another row.
func TestLeafKeepsFieldsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := row(), row()
		joined := rapid.StringN(1, 20, -1).Draw(t, "text")
		i, j := rapid.IntRange(0, len(joined)).Draw(t, "i"), rapid.IntRange(0, len(joined)).Draw(t, "j")
		a.Actor, a.Credential = strings.ToValidUTF8(joined[:i], ""), strings.ToValidUTF8(joined[i:], "")
		b.Actor, b.Credential = strings.ToValidUTF8(joined[:j], ""), strings.ToValidUTF8(joined[j:], "")
		if a.Actor != b.Actor && bytes.Equal(a.Leaf(), b.Leaf()) {
			t.Fatalf("%q|%q and %q|%q have one leaf", a.Actor, a.Credential, b.Actor, b.Credential)
		}
	})
}

func member(c *charter.Charter, role charter.RoleID) Actor {
	r, _ := c.Role(role)
	return Actor{Kind: UserActor, User: "usr_" + string(role), Principal: decide.Principal{User: "usr_" + string(role), Member: "mem_1",
		Organization: "org_1", Role: role, Holds: r.Holds, Owner: r.Owner, Standing: decide.Active}}
}

func TestRules(t *testing.T) {
	c, err := charter.Ready("automation")
	if err != nil {
		t.Fatal(err)
	}
	owner, viewer := member(c, "owner"), member(c, "viewer")
	suspended := member(c, "owner")
	suspended.Principal.Standing = decide.Suspended
	outsider := Actor{Kind: UserActor, User: "usr_x"}
	operator := Actor{Kind: OperatorActor, Principal: decide.Principal{Power: decide.Operator}}
	service := Actor{Kind: ServiceActor, Principal: decide.Principal{Power: decide.Service, Organization: "org_1"}}
	viewers := Target{User: viewer.User}
	tests := []struct {
		name   string
		rule   Rule
		actor  Actor
		target Target
		want   bool
	}{
		{"an owner removes", On("members.remove"), owner, Target{}, true},
		{"a viewer does not", On("members.remove"), viewer, Target{}, false},
		{"a suspended owner does not", On("members.remove"), suspended, Target{}, false},
		{"an outsider does not", On("members.remove"), outsider, Target{}, false},
		{"the operator does", On("members.remove"), operator, Target{}, true},
		{"a service key does not", On("members.remove"), service, Target{}, false},
		{"a service key does what is for service keys", AnyOf(On("members.view"), ByService), service, Target{}, true},
		{"a viewer's own thing is theirs", Own(), viewer, viewers, true},
		{"somebody else's is not", Own(), owner, viewers, false},
		{"nobody owns what has no owner", Own(), operator, Target{}, false},
		{"own with a permission that is lacking", Own("keys.create"), viewer, viewers, false},
		{"own, or by permission", AnyOf(On("members.remove"), Own()), owner, viewers, true},
		{"any member", AnyMember, viewer, Target{}, true},
		{"any member, suspended", AnyMember, suspended, Target{}, false},
		{"signed in", SignedIn, outsider, Target{}, true},
		{"a key is not signed in", SignedIn, service, Target{}, false},
		{"a key asks about itself", ByCredential, Actor{Kind: KeyActor, User: "usr_x"}, Target{}, true},
		{"so does a token", ByCredential, Actor{Kind: TokenActor}, Target{}, true},
		{"a person is no key", ByCredential, owner, Target{}, false},
		{"nor is a service key", ByCredential, service, Target{}, false},
		{"anyone", Anyone, Actor{Kind: NobodyActor}, Target{}, true},
		{"the zero rule allows nobody", Rule{}, operator, Target{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.rule.decide(c, &test.actor, &test.target, 0); got.Allow != test.want {
				t.Errorf("got %+v, want allow %v", got, test.want)
			}
		})
	}
}
