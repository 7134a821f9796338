package access_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/testdb"
)

// stand is a hall with a question of every kind that is answered yes from memory.
type stand struct {
	*hall
	questions map[string]check.Request
}

func newStand(t testing.TB) stand {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, _ := h.Found("acme", "ada@acme.test")
	bob := h.Join(acme, "bob@acme.test", "editor")
	whole := check.Whole(acme)
	key, token := h.Key(acme, bob, nil), h.Token(acme, bob, nil)
	limited := h.Token(acme, bob, func(k *tokenRow) { k.Resources = "workflow:wf_1 workflow:wf_2" })
	s := stand{h, map[string]check.Request{}}
	for name, r := range map[string]struct {
		subject  check.Subject
		resource check.Resource
	}{
		"user":           {user(bob.User), whole},
		"user by slug":   {user("ext-bob"), check.Whole("acme")},
		"session":        {sent(bob.Token), whole},
		"key":            {sent(key.Secret), whole},
		"key's own":      {sent(key.Secret), check.Whole("")},
		"token":          {sent(token.Secret), whole},
		"limited":        {sent(limited.Secret), check.On("workflow", "wf_2").In(acme)},
		"on a workflow":  {sent(key.Secret), check.On("workflow", "wf_1").In(acme)},
		"limited to one": {sent(h.Key(acme, bob, func(k *keyRow) { k.Resources = "workflow:*" }).Secret), whole},
	} {
		s.questions[name] = check.Request{Subject: r.subject, Permission: "workflows.run", Resource: r.resource}
	}
	return s
}

func (s stand) check(t testing.TB, q check.Request) {
	if d, err := s.Access.Check(s.T.Context(), q); err != nil || !d.Allow {
		t.Fatal(d, err)
	}
}

func TestARememberedAnswerAllocatesNothing(t *testing.T) {
	s := newStand(t)
	for name, q := range s.questions {
		s.check(t, q)
		before := s.DB.Stats()
		most := 0.0
		if name == "limited" {
			most = 1 // the resource as text, to compare it with the limits
		}
		if n := testing.AllocsPerRun(1000, func() { s.check(t, q) }); n > most {
			t.Errorf("%s: an answer from memory allocates %v times", name, n)
		}
		if after := s.DB.Stats(); after != before {
			t.Errorf("%s: answers from memory asked the database: %+v, was %+v", name, after, before)
		}
		q.Permission = "billing.manage"
		if n := testing.AllocsPerRun(1000, func() {
			if d, err := s.Access.Check(t.Context(), q); err != nil || d.Allow || d.FixURL == "" {
				t.Fatal(d, err)
			}
		}); n != 0 {
			t.Errorf("%s: a denial from memory allocates %v times", name, n)
		}
	}
}

func BenchmarkCheckUser(b *testing.B)    { benchmarkCheck(b, "user") }
func BenchmarkCheckSession(b *testing.B) { benchmarkCheck(b, "session") }
func BenchmarkCheckKey(b *testing.B)     { benchmarkCheck(b, "key") }
func BenchmarkCheckToken(b *testing.B)   { benchmarkCheck(b, "token") }

func benchmarkCheck(b *testing.B, kind string) {
	s := newStand(b)
	q := s.questions[kind]
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.check(b, q)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				s.check(b, q)
			}
		})
	})
}

// BenchmarkDecide is a decision whose subject is resolved.
func BenchmarkDecide(b *testing.B) {
	s := newStand(b)
	for _, kind := range []string{"user", "key"} {
		b.Run(kind, func(b *testing.B) {
			decide, err := s.Access.DecideOn(b.Context(), s.questions[kind], s.Now())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if !decide().Allow {
					b.Fatal("refused")
				}
			}
		})
	}
}

// BenchmarkBound is what no check of a key can do without: a SHA-256 of its text, one look-up among as many, and one bit.
// BenchmarkKeys is the check, among as many.
func BenchmarkBound(b *testing.B) {
	for _, keys := range []int{1, 10_000, 100_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			all, texts := map[[sha256.Size]byte]charter.Set{}, make([]string, keys)
			for i := range texts {
				texts[i] = secret.New(nil, "gld", "live").Reveal()
				all[sha256.Sum256([]byte(texts[i]))] = charter.Set{}.With(i % 100)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				set, ok := all[secret.HashOf(texts[i%keys])]
				if !ok || !set.Has(i%keys%100) {
					b.Fatal("refused")
				}
				i += 7919
			}
		})
	}
}

// BenchmarkKeys asks about one key after the other.
func BenchmarkKeys(b *testing.B) {
	s := newStand(b)
	acme, bob := s.questions["key"].Resource.ID, s.Join(s.questions["key"].Resource.ID, "bo@acme.test", "editor")
	s.Access = access.New(access.Config{Charter: s.Charter, Now: s.Now, Size: 200_000})
	s.Access.Attach(s.Service)
	first := s.Key(acme, bob, nil)
	for _, keys := range []int{1, 10_000, 100_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			s.Access.Reset()
			s.check(b, check.Request{Subject: sent(first.Secret), Permission: "workflows.run", Resource: check.Whole("")})
			texts := s.Access.Multiply(first.Secret, keys)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s.check(b, check.Request{Subject: sent(texts[i%keys]), Permission: "workflows.run", Resource: check.Whole("")})
				i += 7919
			}
		})
	}
}
