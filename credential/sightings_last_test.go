package credential_test

import (
	"testing"
	"time"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

func TestTheLastUseOfAKeyIsKnownBeforeItIsWritten(t *testing.T) {
	s := credential.NewSightings()
	uses := func(key, organization, address string, after time.Duration) {
		s.Seen(&op.Actor{Kind: op.KeyActor, Credential: op.Credential{ID: key}, Principal: decide.Principal{Organization: organization}},
			op.Caller{Address: address, Agent: "curl/8\x00.5"}, testroom.Monday.Add(after))
	}
	uses("key_1", "org_1", "203.0.113.1", time.Minute)
	uses("key_1", "", "203.0.113.2", time.Hour)
	uses("key_2", "org_1", "203.0.113.3", time.Hour)
	uses("key_2", "", "203.0.113.4", time.Minute)
	for _, c := range []struct {
		what, organization, key, address string
		known                            bool
	}{
		{"a use outside of any organization that is later", "org_1", "key_1", "203.0.113.2", true},
		{"a use in the organization that is later", "org_1", "key_2", "203.0.113.3", true},
		{"a key that nobody used", "org_1", "key_3", "", false},
	} {
		got, known := s.LastUse(c.organization, c.key)
		if known != c.known || got.Address != c.address || known && (got.At != testroom.Monday.Add(time.Hour) || got.Agent != "curl/8.5") {
			t.Errorf("%s: got %+v, %v", c.what, got, known)
		}
	}
}
