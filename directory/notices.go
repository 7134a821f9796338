package directory

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/notice"
	"github.com/guildhall/guildhall/op"
)

// Notice is what owners are told by mail: see notice.Notice.
type Notice = notice.Notice

// TellOwners mails a notice to every active owner of the call's organization, as they are after what the call has
// changed until now. Whatever changes who owns an organization, its existence or its security calls it.
func TellOwners(ctx context.Context, tx *op.Tx, n Notice) error { return notice.TellOwners(ctx, tx, n) }

// tellOfOwner tells the owners that somebody became one of them, and how: "by accepting an invitation".
func tellOfOwner(ctx context.Context, tx *op.Tx, name, how string) error {
	name = mail.Line(name)
	return TellOwners(ctx, tx, Notice{Subject: name + " is an owner now", Path: "/settings/admins", Always: true,
		Text: fmt.Sprintf("%s became %s %s, and holds every permission there is.", name, tx.Charter.OwnerRole().Title, how)})
}

// tellOfFormerOwner tells the owners, and the person, that somebody is none of them any more.
func tellOfFormerOwner(ctx context.Context, tx *op.Tx, m Member) error {
	folded, _ := Fold(m.Email) // a stored address always folds
	return TellOwners(ctx, tx, Notice{Subject: mail.Line(m.Label()) + " is no owner any more", Path: "/settings/admins", Always: true,
		Text: fmt.Sprintf("The role of %s is %s now.", mail.Line(m.Label()), mail.Line(m.RoleTitle)), Also: []notice.Person{{Email: m.Email, Folded: folded}}})
}
