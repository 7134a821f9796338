package credential_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

func (h *hall) makesKey(name string, options ...op.Option) credential.NewServiceKey {
	h.T.Helper()
	key, err := credential.CreateServiceKey.Call(h.Operator(), h.Service, credential.CreateServiceKeyInput{Name: name}, options...)
	if err != nil {
		h.T.Fatalf("make a service key: %v", err)
	}
	return key
}

// T-044
func TestAServiceKeyIsShownOnce(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		key := h.makesKey(" back end ", op.IdempotencyKey("once"))
		if !key.SecretShown || !strings.HasPrefix(key.Secret, "wfa_svc_") && !strings.Contains(key.Secret, "_svc_") || key.Name != "back end" {
			h.T.Fatalf("made %+v", key)
		}
		h.Works("the service key", key.Secret)

		again := h.makesKey(" back end ", op.IdempotencyKey("once"))
		if again.SecretShown || again.Secret != "" || again.ID != key.ID {
			h.T.Errorf("the repeat is answered %+v, want the same key without its secret", again)
		}
		list, err := credential.ListServiceKeys.Call(h.Operator(), h.Service, credential.ListServiceKeysInput{Page: op.Page{Limit: 25}})
		if err != nil || len(list.Data) != 1 || list.Data[0].ID != key.ID || list.Data[0].CreatedBy != "operator" {
			h.T.Fatalf("listed %+v, %v", list, err)
		}
		raw, err := json.Marshal(list)
		if err != nil {
			h.T.Fatal(err)
		}
		for _, text := range []string{h.stored(), string(raw)} {
			if strings.Contains(text, key.Secret) {
				h.T.Errorf("the secret is in %.200s", text)
			}
		}
	})
}

func TestARevokedServiceKeyIsNobodysAtTheVeryNextCall(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		old, kept := h.makesKey("old"), h.makesKey("kept")
		h.After(time.Hour)
		in := credential.RevokeServiceKeyInput{Key: old.ID, Reason: "replaced"}
		revoked, err := credential.RevokeServiceKey.Call(h.Operator(), h.Service, in)
		if err != nil || !revoked.RevokedAt.Equal(h.Now()) || revoked.RevokedReason != "replaced" {
			h.T.Fatalf("revoked %+v, %v", revoked, err)
		}
		h.Dead("the revoked key", old.Secret)
		h.Works("the other key", kept.Secret)
		if got, want := h.Fenced(), []op.Fence{{Kind: op.FenceServiceKey, ID: old.ID}}; !slices.Equal(got, want) {
			h.T.Errorf("fenced %v, want %v", got, want)
		}
		in.Reason = "again"
		again, err := credential.RevokeServiceKey.Call(h.Operator(), h.Service, in)
		if err != nil || again.RevokedReason != "replaced" {
			h.T.Errorf("revoking again answers %+v, %v; want the first reason", again, err)
		}
		_, err = credential.RevokeServiceKey.Call(h.Operator(), h.Service, credential.RevokeServiceKeyInput{Key: "svc_none"})
		h.Refused("revoking a key that is not there", err, "not_found")
	})
}

func TestOnlyTheOperatorHandlesServiceKeys(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		denied := func(what string, err error) {
			h.T.Helper()
			if e := h.Refused(what, err, "operator_only"); e.Kind != op.Denied {
				h.T.Errorf("%s is refused as %v, want %v", what, e.Kind, op.Denied)
			}
		}
		key := h.makesKey("back end")
		for who, secret := range map[string]string{"a person": h.signsIn("ann@acme.test", "").Secret, "a service key": key.Secret} {
			_, err := credential.CreateServiceKey.Call(h.As(secret), h.Service, credential.CreateServiceKeyInput{Name: "another"})
			denied(who+" making a service key", err)
			_, err = credential.ListServiceKeys.Call(h.As(secret), h.Service, credential.ListServiceKeysInput{Page: op.Page{Limit: 1}})
			denied(who+" listing service keys", err)
			_, err = credential.RevokeServiceKey.Call(h.As(secret), h.Service, credential.RevokeServiceKeyInput{Key: key.ID})
			denied(who+" revoking a service key", err)
		}
		h.Works("the service key", key.Secret)
		for _, name := range []string{" ", "two\nlines", "\u202eturned"} {
			_, err := credential.CreateServiceKey.Call(h.Operator(), h.Service, credential.CreateServiceKeyInput{Name: name})
			h.Refused("the name "+name, err, "invalid")
		}
	})
}

func (h *hall) makes(in credential.CreateServiceKeyInput) (credential.NewServiceKey, error) {
	return credential.CreateServiceKey.Call(h.Operator(), h.Service, in)
}

// T-042
func TestAServiceKeyMayWhatItsScopesSay(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		provisions := func(secret, slug string) error {
			_, err := directory.ProvisionOrganization.Call(h.As(secret), h.Service, directory.ProvisionOrganizationInput{
				CreateOrganizationInput: directory.CreateOrganizationInput{Name: slug, Slug: slug}, Owner: "ann@acme.test"})
			return err
		}
		for i, row := range []struct {
			scopes []string
			want   string
		}{
			{nil, ""},
			{[]string{"checks", "organizations.provision"}, ""},
			{[]string{"organizations.*"}, ""},
			{[]string{"checks"}, "out_of_scope"},
			{[]string{"organizations.get", "members.*"}, "out_of_scope"},
		} {
			key, err := h.makes(credential.CreateServiceKeyInput{Name: "back end", Scopes: row.scopes})
			if err != nil || !slices.Equal(key.Scopes, row.scopes) {
				h.T.Fatalf("made %+v, %v", key, err)
			}
			err = provisions(key.Secret, fmt.Sprintf("acme-%d", i))
			if row.want != "" {
				h.Refused(strings.Join(row.scopes, " "), err, row.want)
			} else if err != nil {
				h.T.Errorf("%v: %v", row.scopes, err)
			}
		}
		for _, scope := range []string{"users", "users.", "*", "users.*.get", "Users.get", "check", ""} {
			_, err := h.makes(credential.CreateServiceKeyInput{Name: "back end", Scopes: []string{scope}})
			h.Refused("scope "+scope, err, "invalid")
		}
		_, err := h.makes(credential.CreateServiceKeyInput{Name: "back end", Scopes: []string{}})
		h.Refused("no scope at all", err, "invalid")
	})
}

func TestAServiceKeyEnds(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		key, err := h.makes(credential.CreateServiceKeyInput{Name: "back end", ExpiresAt: "1h"})
		if err != nil || !key.ExpiresAt.Equal(h.Now().Add(time.Hour)) {
			h.T.Fatalf("made %+v, %v", key, err)
		}
		h.After(time.Hour - time.Microsecond)
		h.Works("the key just before its end", key.Secret)
		h.After(time.Microsecond)
		h.Dead("the key at its end", key.Secret)
		_, err = h.makes(credential.CreateServiceKeyInput{Name: "back end", ExpiresAt: "2020-01-01T00:00:00Z"})
		h.Refused("an end in the past", err, "invalid")
		_, err = credential.RotateServiceKey.Call(h.Operator(), h.Service, credential.RotateServiceKeyInput{Key: key.ID})
		h.Refused("rotating a key that has ended", err, "key_ended")
	})
}

// T-049
func TestBothServiceKeysWorkUntilTheOverlapIsOver(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		old, err := h.makes(credential.CreateServiceKeyInput{Name: "back end", Scopes: []string{"checks"}, ExpiresAt: "90d"})
		if err != nil {
			h.T.Fatal(err)
		}
		h.After(24 * time.Hour)
		h.Fenced()
		fresh, err := credential.RotateServiceKey.Call(h.Operator(), h.Service, credential.RotateServiceKeyInput{Key: old.ID, Overlap: "24h"})
		if err != nil || fresh.Name != "back end" || !slices.Equal(fresh.Scopes, old.Scopes) || !fresh.ExpiresAt.Equal(h.Now().Add(90*24*time.Hour)) {
			h.T.Fatalf("rotated to %+v, %v", fresh, err)
		}
		if got, want := h.Fenced(), []op.Fence{{Kind: op.FenceServiceKey, ID: old.ID}}; !slices.Equal(got, want) {
			h.T.Errorf("fenced %v, want %v", got, want)
		}
		alive := func(secret string) {
			_, err := directory.GetMe.Call(h.As(secret), h.Service, directory.GetMeInput{})
			h.Refused("a living key asks for what its scopes leave out", err, "people_only")
		}
		h.After(24*time.Hour - time.Microsecond)
		alive(old.Secret)
		alive(fresh.Secret)
		h.After(time.Microsecond)
		h.Dead("the old key after the overlap", old.Secret)
		alive(fresh.Secret)
	})
}

func TestAServiceKeyThatWorksStaysOnTheList(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		revoked, kept := h.makesKey("revoked"), h.makesKey("kept")
		short, err := credential.CreateServiceKey.Call(h.Operator(), h.Service, credential.CreateServiceKeyInput{Name: "short", ExpiresAt: "1h"})
		if err != nil {
			h.T.Fatal(err)
		}
		deletes := func(key, want string) {
			h.T.Helper()
			_, err := credential.DeleteServiceKey.Call(h.Operator(), h.Service, credential.ServiceKeyInput{Key: key})
			if got := codeOf(err); got != want {
				h.T.Errorf("got %q, want %q", got, want)
			}
		}
		for _, key := range []string{revoked.ID, kept.ID, short.ID} {
			deletes(key, "key_works")
		}
		if _, err := credential.RevokeServiceKey.Call(h.Operator(), h.Service, credential.RevokeServiceKeyInput{Key: revoked.ID}); err != nil {
			h.T.Fatal(err)
		}
		h.After(time.Hour)
		deletes(revoked.ID, "")
		deletes(revoked.ID, "not_found")
		deletes(short.ID, "")
		deletes(kept.ID, "key_works")
		list, err := credential.ListServiceKeys.Call(h.Operator(), h.Service, credential.ListServiceKeysInput{Page: op.Page{Limit: 25}})
		if err != nil || len(list.Data) != 1 || list.Data[0].ID != kept.ID {
			h.T.Errorf("listed %+v, %v", list, err)
		}
		h.Works("the one that is kept", kept.Secret)
	})
}

// codeOf is the code of an error; empty for none.
func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return op.AsError(err).FullCode()
}
