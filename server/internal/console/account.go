package console

import (
	"strings"

	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func accountPages() []page {
	return []page{
		{"GET /account", signedIn, showAccount},
		{"POST /account", signedIn, updateAccount},
		{"GET /account/sessions", signedIn, showSessions},
		{"GET /account/sessions/end", signedIn, askEndSessions},
		{"POST /account/sessions/end", signedIn, endSessions},
		{"POST /account/sessions/{session}/revoke", signedIn, endOneSession},
		{"GET /account/activity", signedIn, showActivity},
	}
}

// accountPage shows one of the pages of the person's account.
func (v *visit) accountPage(p ui.PageProps, content component) error {
	return v.page(p, join(accountTabs(v), content))
}

func accountTabs(v *visit) component {
	tabs := []ui.Tab{{Text: ui.T("Profile"), Href: v.href("/account")}, {Text: ui.T("Ways to sign in"), Href: v.href("/account/passkeys")},
		{Text: ui.T("Sessions"), Href: v.href("/account/sessions")}, {Text: ui.T("Activity"), Href: v.href("/account/activity")}}
	for n := range tabs {
		tabs[n].Current = v.r.URL.Path == tabs[n].Href
	}
	if strings.HasPrefix(v.r.URL.Path, v.href("/account/totp")) || strings.HasPrefix(v.r.URL.Path, v.href("/account/passkeys")) || strings.HasPrefix(v.r.URL.Path, v.href("/account/identities")) {
		tabs[1].Current = true
	}
	return ui.Tabs(ui.TabsProps{Label: ui.T("Your account"), Tabs: tabs})
}

func showAccount(v *visit) error {
	me, err := directory.GetMe.Call(v.ctx, v.Service, directory.GetMeInput{})
	if err != nil {
		return err
	}
	return v.accountPage(ui.PageProps{Title: ui.T("Your account"), Ways: v.way("GET /v1/me", "guildhall me get")}, profile(v, me))
}

func updateAccount(v *visit) error {
	name, zone := v.form.value("name"), v.form.value("time_zone")
	_, err := directory.UpdateMe.Call(v.ctx, v.Service, directory.UpdateMeInput{Name: &name, TimeZone: &zone}, v.form.options()...)
	if err != nil {
		if v.form.refuse(err) {
			return showAccount(v)
		}
		return err
	}
	return v.redirect(v.href("/account"), done(ui.T("Your profile is saved.")))
}

func showSessions(v *visit) error {
	list, err := credential.ListSessions.Call(v.ctx, v.Service, credential.ListSessionsInput{Page: op.Page{Limit: 50, Cursor: v.form.value("cursor")}})
	if err != nil {
		return err
	}
	return v.accountPage(ui.PageProps{
		Title:   ui.T("Sessions"),
		Lede:    ui.T("Every device on which you are signed in. Ending one refuses its next request."),
		Actions: ui.Button(ui.ButtonProps{Text: ui.T("End all others"), Kind: ui.Danger, Href: v.href("/account/sessions/end"), Dialog: true}),
		Ways:    v.way("GET /v1/me/sessions", "guildhall sessions list"),
	}, sessionTable(v, list))
}

func endOneSession(v *visit) error {
	s, err := credential.RevokeSession.Call(v.ctx, v.Service, credential.RevokeSessionInput{Session: v.r.PathValue("session")}, v.form.options()...)
	if err != nil {
		return err
	}
	return v.redirect(v.href("/account/sessions"), done(ui.T("The session on %s has ended.", s.Device)))
}

func askEndSessions(v *visit) error {
	return v.dialog(ui.DialogProps{
		Title:      ui.T("End all other sessions"),
		CancelHref: v.href("/account/sessions"),
		Form:       &ui.FormProps{Action: v.href("/account/sessions/end"), Hidden: append(v.hidden(""), ui.Hidden{Name: "keep_current", Value: "true"})},
		Submit:     []ui.ButtonProps{{Text: ui.T("End all others"), Kind: ui.Danger}},
	}, ui.Text(ui.T("Every other device is signed out at once. This one stays signed in.")))
}

func endSessions(v *visit) error {
	ended, err := credential.RevokeSessions.Call(v.ctx, v.Service,
		credential.RevokeSessionsInput{KeepCurrent: v.form.checked("keep_current")}, v.form.options()...)
	if err != nil {
		return err
	}
	return v.redirect(v.href("/account/sessions"), done(ui.N(ended.Ended, "One other session has ended.", "%d other sessions have ended.")))
}

func showActivity(v *visit) error {
	list, err := audit.MyActivity.Call(v.ctx, v.Service, audit.MyActivityInput{Page: op.Page{Limit: 50, Cursor: v.form.value("cursor")}})
	if err != nil {
		return err
	}
	return v.accountPage(ui.PageProps{
		Title: ui.T("Activity"),
		Lede:  ui.T("What you did, in every organization, the newest first."),
		Ways:  v.way("GET /v1/me/activity", "guildhall me activity"),
	}, activityList(v, list))
}

// next is the address of the page of a list after this one; empty: there is none.
func (v *visit) next(cursor string) string {
	if cursor == "" {
		return ""
	}
	query := v.r.URL.Query()
	query.Set("cursor", cursor)
	return v.r.URL.Path + "?" + query.Encode()
}

// organizationName is what an organization of the person's is called; for any other one, empty.
func (v *visit) organizationName(id string) string {
	for _, o := range v.organizations {
		if o.ID == id {
			return o.Name
		}
	}
	return ""
}
