package guildhall_test

import (
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// TestAMailedLinkIsNoWayAroundASecondFactor: an invitation's link proves an address, and signs nobody in who has an
// authenticator app. When the person is erased, so is everything that they signed in with.
func TestAMailedLinkIsNoWayAroundASecondFactor(t *testing.T) {
	w := newWorld(t, "automation")
	zoe := w.SignIn("zoe@acme.test")
	w.registers(zoe)
	setup, err := signin.BeginTotp.Call(zoe.Ctx(), w.Service(), signin.TotpInput{})
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(setup.Secret, w.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signin.CreateTotp.Call(zoe.Ctx(), w.Service(), signin.CodeInput{Code: code}); err != nil {
		t.Fatal(err)
	}
	for _, email := range []string{"zoe@acme.test", "new@acme.test"} {
		_, err := directory.CreateInvitation.Call(w.Operator(), w.Service(), directory.CreateInvitationInput{
			InOrganization: w.acme.In(), Email: email, Role: w.Charter().Roles()[0].ID})
		if err != nil {
			t.Fatal(err)
		}
		joined, err := directory.AcceptInvitation.Call(w.Nobody(), w.Service(), directory.AcceptInvitationInput{
			TokenInput: directory.TokenInput{Token: w.MailedToken(email)}, Name: "Zoe"})
		if err != nil || joined.Member == "" {
			t.Fatalf("%s joins: %+v, %v", email, joined, err)
		}
		if signedIn := email == "new@acme.test"; joined.SignedIn != signedIn || (joined.Secret != "") != signedIn {
			t.Errorf("the link of %s signs in: %v", email, joined.SignedIn)
		}
	}
	if _, err := directory.DeleteUser.Call(w.Operator(), w.Service(), directory.DeleteUserInput{UserInput: directory.UserInput{User: zoe.User}}); err != nil {
		t.Fatal(err)
	}
	w.Sound()
	w.Clock.Advance(time.Hour)
	if again := w.SignIn("zoe@acme.test"); again.User == zoe.User {
		t.Error("an erased person signs in again")
	}
	_, err = signin.GetTotp.Call(zoe.Ctx(), w.Service(), signin.TotpInput{})
	if op.AsError(err).Kind != op.Unauthenticated {
		t.Errorf("the erased person's session: %v", err)
	}
}
