package console

import (
	"strings"
	"time"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func invitationPages() []page {
	return []page{
		{"GET /i", anybody, showKeptInvitation},
		{"GET /i/{token}", anybody, showInvitation},
		{"GET /i/{token}/decline", anybody, askDecline},
		{"POST /i/accept", anybody, acceptInvitation},
		{"POST /i/decline", anybody, declineInvitation},
		{"POST /i/switch", anybody, switchAccount},
		{"GET /i/declined", anybody, showDeclined},
	}
}

// invitationKept names the cookie that keeps an invitation's token while its person signs in: an address to return to
// is stored, and a token must not be.
const invitationKept = "invitation"

func showInvitation(v *visit) error { return v.showInvitation(v.r.PathValue("token")) }

func showKeptInvitation(v *visit) error {
	var token string
	if !v.kept(invitationKept, &token) {
		return v.away(v.href("/orgs"))
	}
	return v.showInvitation(token)
}

// showInvitation shows what a link offers. Everything on the page, and what its forms send, is of this one token. T-031
func (v *visit) showInvitation(token string) error {
	v.private = true
	i, err := directory.OpenInvitation.Call(v.ctx, v.Service, directory.TokenInput{Token: token})
	if err != nil {
		return v.noInvitation(err)
	}
	p := ui.HostedProps{Title: ui.T("Join %s", i.Organization)}
	if why := invitationOver(i); why != "" && !i.Member {
		v.form.status = op.Gone.Status()
		return v.hosted(ui.HostedProps{Title: ui.T("This invitation is over")}, invitationEnded(v, why))
	}
	p.Lede = ui.T("%s invited %s to %s, as %s.", i.InvitedBy, i.Email, i.Organization, i.RoleTitle)
	return v.hosted(p, invitationOffer(v, token, i))
}

// noInvitation answers a token that leads nowhere.
func (v *visit) noInvitation(err error) error {
	e := op.AsError(err)
	if e.Kind != op.NotFound && e.Kind != op.Invalid {
		return err
	}
	v.form.status = op.NotFound.Status()
	why := ui.T("The link was not copied whole, or a newer mail replaced it. Open the link of the last mail, or ask whoever invited you to send it again.")
	return v.hosted(ui.HostedProps{Title: ui.T("This link leads nowhere")}, invitationEnded(v, why))
}

// invitationOver says why an invitation cannot be answered any more, and what to do; empty: it can.
func invitationOver(i directory.OpenedInvitation) string {
	switch i.State {
	case directory.Expired:
		return ui.T("It expired on %s. Ask %s to send it again.", day(i.ExpiresAt), i.InvitedBy)
	case directory.Cancelled:
		return ui.T("It was cancelled. Ask %s if you still need it.", i.InvitedBy)
	case directory.Declined:
		return ui.T("It was declined. Ask %s for another one if you changed your mind.", i.InvitedBy)
	case directory.Accepted:
		return ui.T("It was accepted already. Sign in to open %s.", i.Organization)
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006") }

func acceptInvitation(v *visit) error {
	in := directory.AcceptInvitationInput{TokenInput: directory.TokenInput{Token: v.form.value("token")}, Name: v.form.value("name")}
	answer, err := v.Service.Invoke(v.ctx, directory.AcceptInvitation, op.Request{Caller: v.caller, Input: in})
	if err != nil {
		return v.notAccepted(in.Token, op.AsError(err))
	}
	v.begin(answer.Session)
	v.drop(invitationKept)
	joined, ok := answer.Output.(directory.Joined)
	if !ok {
		return v.away(v.href("/"))
	}
	v.actor.User = joined.User
	return v.redirect(v.href("/o/"+joined.Slug), done(ui.T("Welcome. You are a member of %s now, as %s.", joined.Name, joined.RoleTitle)))
}

// notAccepted shows the invitation again, with why it could not be accepted; a member goes in.
func (v *visit) notAccepted(token string, e *op.Error) error {
	if e.Kind == op.Conflict && strings.HasPrefix(e.FixURL, "/o/") {
		return v.redirect(v.href(e.FixURL), done(sentence(e.Text)))
	}
	if e.Kind == op.Denied {
		v.form.status, v.form.whole = e.Kind.Status(), sentence(e.Text)
		return v.showInvitation(token)
	}
	if v.form.refuse(e) || e.Kind == op.Gone || e.Kind == op.NotFound {
		return v.showInvitation(token)
	}
	return e
}

func askDecline(v *visit) error {
	v.private = true
	token := v.r.PathValue("token")
	i, err := directory.OpenInvitation.Call(v.ctx, v.Service, directory.TokenInput{Token: token})
	if err != nil {
		return v.noInvitation(err)
	}
	return v.hosted(ui.HostedProps{Title: ui.T("Decline the invitation"), OwnHeading: true}, declineDialog(v, token, i))
}

func declineInvitation(v *visit) error {
	token := v.form.value("token")
	if _, err := directory.DeclineInvitation.Call(v.ctx, v.Service, directory.TokenInput{Token: token}); err != nil {
		return v.notAccepted(token, op.AsError(err))
	}
	v.drop(invitationKept)
	return v.away(v.href("/i/declined"))
}

func showDeclined(v *visit) error {
	why := ui.T("Nobody joins by this invitation any more. If it was a mistake, ask for another one.")
	return v.hosted(ui.HostedProps{Title: ui.T("You declined the invitation")}, invitationEnded(v, why))
}

// switchAccount leads to the sign-in with the invited address, and from there back to the invitation.
func switchAccount(v *visit) error {
	v.keep(invitationKept, v.form.value("token"), time.Hour)
	if err := v.endSession(); err != nil {
		return err
	}
	return v.away(v.href("/login") + "?return_to=" + v.href("/i"))
}

// offered groups what a role may do, as the page lists it.
func offered(permissions []directory.OfferedPermission) (facts []ui.Fact) {
	var titles []string
	for n, p := range permissions {
		titles = append(titles, p.Title)
		if n+1 == len(permissions) || permissions[n+1].Group != p.Group {
			facts = append(facts, ui.Fact{Name: p.Group, Value: ui.Text(strings.Join(titles, "; "))})
			titles = nil
		}
	}
	return facts
}
