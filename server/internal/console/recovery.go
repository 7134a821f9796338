package console

import (
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func recoveryPages() []page {
	return []page{
		{"GET /o/{slug}/settings/recovery", member, showRecovery},
		{"POST /o/{slug}/settings/recovery", member, cancelRecovery},
	}
}

// waitingRecovery is the recovery of an owner that waits in the organization; nil: none does.
func (v *visit) waitingRecovery() (*directory.Recovery, error) {
	w, err := directory.GetRecovery.Call(v.ctx, v.Service, directory.RecoveryInput{InOrganization: v.inOrg()})
	if err != nil && op.AsError(err).Kind == op.NotFound {
		return nil, nil
	}
	return &w, err
}

// showRecovery tells every member who is to be the owner and when, and lets whoever may hand ownership over cancel it.
func showRecovery(v *visit) error {
	w, err := v.waitingRecovery()
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Recovery of an owner"), Crumb: v.settingsCrumb(), Ways: v.same(directory.CancelRecovery)}, v.recoveryPage(w))
}

func cancelRecovery(v *visit) error {
	_, err := directory.CancelRecovery.Call(v.ctx, v.Service, directory.RecoveryInput{InOrganization: v.inOrg()}, v.form.options()...)
	if v.again(err) {
		return showRecovery(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.org("/settings"), done(ui.T("The recovery is cancelled. Nothing has changed, and every member is told.")))
}
