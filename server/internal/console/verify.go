package console

import (
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/signin"
)

func verifyPages() []page {
	return []page{
		{"GET /verify", signedIn, showVerify},
		{"POST /verify", signedIn, beginVerify},
		{"GET /verify/code", signedIn, showVerifyCode},
		{"POST /verify/code", signedIn, verifyByCode},
		{"GET /verify/link", signedIn, showVerifyLink},
		{"POST /verify/link", signedIn, verifyByLink},
	}
}

func verifyProof() proofPages {
	return proofPages{path: "/verify", purpose: "verify", title: ui.T("Verify that it is you"), verb: ui.T("Verify")}
}

func showVerify(v *visit) error {
	lede := ui.T("What you are about to do needs a sign-in within the last 10 minutes. You come back to where you were.")
	ways, err := v.waysToVerify()
	if err != nil {
		return err
	}
	return v.hosted(ui.HostedProps{Title: ui.T("Verify that it is you"), Lede: lede}, verifyForm(v, ways))
}

func beginVerify(v *visit) error {
	return v.beginProof(verifyProof(), func() error { return showVerify(v) })
}

func showVerifyCode(v *visit) error { return v.showCode(verifyProof()) }

func verifyByCode(v *visit) error {
	p := verifyProof()
	var c challenge
	if !v.kept(p.purpose, &c) {
		return v.away(v.href(p.path))
	}
	return v.proofAgain(p, v.completeVerify(signin.Proof{Challenge: c.ID, Code: v.form.value("code")}))
}

func showVerifyLink(v *visit) error { return v.showLink(verifyProof()) }

func verifyByLink(v *visit) error {
	return v.linkAgain(verifyProof(), v.completeVerify(signin.Proof{Token: v.form.value("token")}))
}

// completeVerify makes the sign-in fresh with a proof, and leads back to what was being done.
func (v *visit) completeVerify(proof signin.Proof) error {
	answer, err := v.Service.Invoke(v.ctx, signin.Verify, op.Request{Caller: v.caller, Input: signin.VerifyInput{Proof: proof}})
	if err != nil {
		return err
	}
	return v.verified(answer)
}
