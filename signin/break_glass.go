package signin

import (
	"context"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/notice"
	"github.com/guildhall/guildhall/op"
)

// Some owners may enter an organization by passkey although it takes sign-ins by its identity provider only, so that a
// provider that fails locks nobody out. Whoever does is seen: in the organization's log, and by every owner.

// keepWayIn refuses to delete the last passkey by which an organization could be entered. The organizations' logs are locked
// by it, so two owners do not delete theirs at the same time.
func keepWayIn(ctx context.Context, tx *op.Tx, p passkeyRow) error {
	seats, err := directory.BreakGlassOf(ctx, tx.Reader, p.user)
	if err != nil || len(seats) == 0 {
		return err
	}
	var others int
	me := directory.User{Name: tx.Actor.Name, Email: tx.Actor.Email}
	for _, s := range seats {
		if err := tx.AlsoIn(ctx, s.Organization, "member", s.Member, me.Label()); err != nil {
			return err
		}
	}
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM passkeys WHERE user_id = $1 AND id <> $2", p.user, p.id).Scan(&others); err != nil || others > 0 {
		return err
	}
	if seats, err = directory.BreakGlassOf(ctx, tx.Reader, p.user); err != nil {
		return err
	}
	for _, s := range seats {
		if s.Others == 0 {
			return directory.LastWayIn(me.Label())
		}
	}
	return nil
}

// alarm tells the organizations that somebody signed in who may enter them whatever their sign-in policy says.
func alarm(ctx context.Context, tx *op.Tx, user directory.User) error {
	seats, err := directory.BreakGlassOf(ctx, tx.Reader, user.ID)
	if err != nil {
		return err
	}
	for _, s := range seats {
		if err := tx.AlsoIn(ctx, s.Organization, "member", s.Member, user.Label()); err != nil {
			return err
		}
		tx.ChangedIn(s.Organization, "break_glass", nil, "signed_in")
		err := notice.TellOwnersOf(ctx, tx, s.Organization, notice.Notice{Always: true, Path: "/audit", Subject: mail.Line(user.Label()) + " signed in past single sign-on",
			Text: mail.Line(user.Label()) + " signed in with a passkey, which may enter this organization although it takes sign-ins by its identity provider only.\n" +
				"If the identity provider works, ask why."})
		if err != nil {
			return err
		}
	}
	return nil
}
