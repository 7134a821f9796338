package credential_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/op"
)

func (h *hall) makesKey(name string, options ...op.Option) credential.NewServiceKey {
	h.t.Helper()
	key, err := credential.CreateServiceKey.Call(h.operator(), h.service, credential.CreateServiceKeyInput{Name: name}, options...)
	if err != nil {
		h.t.Fatalf("make a service key: %v", err)
	}
	return key
}

// T-044
func TestAServiceKeyIsShownOnce(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		key := h.makesKey(" back end ", op.IdempotencyKey("once"))
		if !key.SecretShown || !strings.HasPrefix(key.Secret, "wfa_svc_") && !strings.Contains(key.Secret, "_svc_") || key.Name != "back end" {
			h.t.Fatalf("made %+v", key)
		}
		h.works("the service key", key.Secret)

		again := h.makesKey(" back end ", op.IdempotencyKey("once"))
		if again.SecretShown || again.Secret != "" || again.ID != key.ID {
			h.t.Errorf("the repeat is answered %+v, want the same key without its secret", again)
		}
		list, err := credential.ListServiceKeys.Call(h.operator(), h.service, credential.ListServiceKeysInput{Page: op.Page{Limit: 25}})
		if err != nil || len(list.Data) != 1 || list.Data[0].ID != key.ID || list.Data[0].CreatedBy != "operator" {
			h.t.Fatalf("listed %+v, %v", list, err)
		}
		raw, err := json.Marshal(list)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, text := range []string{h.stored(), string(raw)} {
			if strings.Contains(text, key.Secret) {
				h.t.Errorf("the secret is in %.200s", text)
			}
		}
	})
}

func TestARevokedServiceKeyIsNobodysAtTheVeryNextCall(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		old, kept := h.makesKey("old"), h.makesKey("kept")
		h.after(time.Hour)
		in := credential.RevokeServiceKeyInput{Key: old.ID, Reason: "replaced"}
		revoked, err := credential.RevokeServiceKey.Call(h.operator(), h.service, in)
		if err != nil || !revoked.RevokedAt.Equal(h.now) || revoked.RevokedReason != "replaced" {
			h.t.Fatalf("revoked %+v, %v", revoked, err)
		}
		h.dead("the revoked key", old.Secret)
		h.works("the other key", kept.Secret)
		if want := (op.Fence{Kind: op.FenceServiceKey, ID: old.ID}); len(h.fenced) != 1 || h.fenced[0] != want {
			h.t.Errorf("fenced %v, want %v", h.fenced, want)
		}
		in.Reason = "again"
		again, err := credential.RevokeServiceKey.Call(h.operator(), h.service, in)
		if err != nil || again.RevokedReason != "replaced" {
			h.t.Errorf("revoking again answers %+v, %v; want the first reason", again, err)
		}
		_, err = credential.RevokeServiceKey.Call(h.operator(), h.service, credential.RevokeServiceKeyInput{Key: "svc_none"})
		h.refused("revoking a key that is not there", err, op.NotFound)
	})
}

func TestOnlyTheOperatorHandlesServiceKeys(t *testing.T) {
	inHalls(t, op.Settings{}, func(h *hall) {
		key := h.makesKey("back end")
		for who, secret := range map[string]string{"a person": h.signsIn("ann@acme.test", "").Secret, "a service key": key.Secret} {
			_, err := credential.CreateServiceKey.Call(h.as(secret), h.service, credential.CreateServiceKeyInput{Name: "another"})
			h.refused(who+" making a service key", err, op.Denied)
			_, err = credential.ListServiceKeys.Call(h.as(secret), h.service, credential.ListServiceKeysInput{Page: op.Page{Limit: 1}})
			h.refused(who+" listing service keys", err, op.Denied)
			_, err = credential.RevokeServiceKey.Call(h.as(secret), h.service, credential.RevokeServiceKeyInput{Key: key.ID})
			h.refused(who+" revoking a service key", err, op.Denied)
		}
		h.works("the service key", key.Secret)
		for _, name := range []string{" ", "two\nlines", "\u202eturned"} {
			_, err := credential.CreateServiceKey.Call(h.operator(), h.service, credential.CreateServiceKeyInput{Name: name})
			h.refused("the name "+name, err, op.Invalid)
		}
	})
}
