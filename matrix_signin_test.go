package guildhall_test

import (
	"slices"
	"strings"

	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// passkeyOf adds a passkey to somebody's account, and takes old ones away before there are as many as there may be.
func (w *world) passkeyOf(p *guildhalltest.Person) string {
	list, err := signin.ListPasskeys.Call(p.Ctx(), w.Service(), signin.ListPasskeysInput{})
	spare := len(list.Data) - 15
	for _, old := range list.Data {
		if spare > 0 && err == nil && !slices.Contains(w.lately, old.ID) { // those are about to be used
			_, err = signin.DeletePasskey.Call(p.Ctx(), w.Service(), signin.PasskeyInput{Passkey: old.ID})
			spare--
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	made, _ := w.registers(p)
	w.lately = append(w.lately[max(0, len(w.lately)-9):], made.ID)
	return made.ID
}

func (w *world) registers(p *guildhalltest.Person) (signin.Passkey, *testroom.Authenticator) {
	device := testroom.NewAuthenticator(w.t, guildhalltest.BaseURL)
	made, err := signin.CreatePasskey.Call(p.Ctx(), w.Service(), signin.CreatePasskeyInput{Credential: device.Creates(w.passkeyOptions(p, ""))})
	if err != nil {
		w.t.Fatal(err)
	}
	return made, device
}

// passkeyOptions are those of a new passkey, or with a purpose those to use one.
func (w *world) passkeyOptions(p *guildhalltest.Person, purpose string) string {
	o, err := signin.BeginPasskey.Call(p.Ctx(), w.Service(), signin.BeginPasskeyInput{})
	if purpose != "" {
		o, err = signin.BeginPasskeySignIn.Call(p.Ctx(), w.Service(), signin.BeginPasskeySignInInput{Purpose: purpose})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return o.Options
}

// credential is what a device answers for an operation, used by a caller. Keys and strangers have none that counts.
func (s *site) credential(info op.Info, by caller) string {
	p := s.person(by)
	if info.Scope == op.Public && p == nil {
		p = s.acme.Owner()
	}
	if p == nil {
		return "{}"
	}
	if info.Name == "passkeys.create" {
		s.passkeyOf(p) // so that there are never too many
		return testroom.NewAuthenticator(s.world.t, guildhalltest.BaseURL).Creates(s.passkeyOptions(p, ""))
	}
	s.passkeyOf(p)
	_, device := s.registers(p)
	purpose := "sign_in"
	if strings.HasPrefix(info.Verb(), "verify") {
		purpose = "verify"
	}
	return device.Signs(s.passkeyOptions(p, purpose))
}
