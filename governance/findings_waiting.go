package governance

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/guildhall/guildhall/decide"
)

// atTransfers finds a hand-over of ownership that waits long.
func (l *look) atTransfers(ctx context.Context) error {
	type transfer struct {
		id, name, email string
		created         int64
	}
	rows, err := l.Query(ctx, `SELECT t.id, u.name, u.email, t.created_at FROM transfers t
		JOIN members m ON m.organization = t.organization AND m.id = t.to_member JOIN users u ON u.id = m.user_id
		WHERE t.organization = $1 AND t.state = 'pending' AND t.expires_at > $2 AND t.created_at <= $3`,
		l.Organization(), l.Micros(), l.Now.Add(-WaitsLong).UnixMicro())
	all, err := rowsOf(rows, err, func(rows *sql.Rows) (t transfer, err error) {
		err = rows.Scan(&t.id, &t.name, &t.email, &t.created)
		return t, err
	})
	for _, t := range all {
		who := nameOf(t.name, t.email)
		l.add(WaitingTransfer, Subject{Type: "transfer", ID: t.id, Name: who}, t.created,
			fmt.Sprintf("Ownership was offered to %s %s, and waits", who, l.ago(t.created)),
			remedy("ownership.cancel", "Cancel the hand-over", map[string]string{}, l.May("organization.transfer")))
	}
	return err
}

// atInvitations finds invitations that wait for somebody to approve them again.
func (l *look) atInvitations(ctx context.Context) error {
	if err := l.readRoles(ctx); err != nil {
		return err
	}
	type invitation struct {
		id, email, role string
		created         int64
	}
	rows, err := l.Query(ctx, `SELECT i.id, i.email, i.role, i.created_at FROM invitations i
		WHERE i.organization = $1 AND i.state = 'pending' AND i.needs_approval AND i.expires_at > $2 AND i.created_at <= $3 ORDER BY i.id LIMIT $4`,
		l.Organization(), l.Micros(), l.Now.Add(-WaitsLong).UnixMicro(), mostLooked)
	all, err := rowsOf(rows, err, func(rows *sql.Rows) (i invitation, err error) {
		err = rows.Scan(&i.id, &i.email, &i.role, &i.created)
		return i, err
	})
	for _, i := range all {
		role := l.role(i.role)
		l.add(WaitingInvitation, Subject{Type: "invitation", ID: i.id, Name: i.email}, i.created,
			fmt.Sprintf("The invitation of %s as %s waits for somebody to approve it again", i.email, role.Title),
			remedy("invitations.reapprove", "Approve the invitation of "+i.email, map[string]string{"invitation": i.id},
				l.May("members.invite"), decide.Grant(l.Charter, &l.Actor.Principal, role)))
	}
	return err
}
