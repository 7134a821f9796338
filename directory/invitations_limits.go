package directory

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/guildhall/guildhall/op"
)

// capacity is what an organization has left for invitations at one moment.
type capacity struct {
	organizationName string
	seats            int64 // 0: no limit
	members, pending int64
	hour, day        int64 // invitation mails: of the inviter within an hour, of the organization today
}

// readCapacity reads an organization's seats and mails. Within a write it is exact: the organization is locked. The
// hour's mails are counted high for an invitation that was sent earlier today as well.
func readCapacity(ctx context.Context, r *op.Reader, organization, inviter string) (capacity, error) {
	var c capacity
	err := r.QueryRow(ctx, `SELECT o.name, o.seats,
			(SELECT COUNT(*) FROM members m WHERE m.organization = $1 AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $2)),
			(SELECT COUNT(*) FROM invitations i WHERE i.organization = $1 AND i.state = 'pending' AND i.expires_at > $2),
			(SELECT COALESCE(SUM(i.sends_today), 0) FROM invitations i WHERE i.organization = $1 AND i.invited_by = $3 AND i.sent_at > $4),
			(SELECT COALESCE(SUM(i.sends_today), 0) FROM invitations i WHERE i.organization = $1 AND i.sent_at >= $5)
		FROM organizations o WHERE o.id = $1`,
		organization, r.Micros(), inviter, r.Now.Add(-time.Hour).UnixMicro(), today(r)).Scan(
		&c.organizationName, &c.seats, &c.members, &c.pending, &c.hour, &c.day)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	return c, err
}

// seat takes a seat for one more pending invitation.
func (c *capacity) seat() error {
	if c.seats > 0 && c.members+c.pending >= c.seats {
		return noSeat(c.seats)
	}
	c.pending++
	return nil
}

func noSeat(seats int64) error {
	return op.Errorf(op.Conflict, codeNoSeat, "all %d seats are taken, by members and pending invitations", seats)
}

// fullHouse reports whether the call's organization has as many members as seats, or more: then its invitations are frozen.
func fullHouse(ctx context.Context, r *op.Reader) (bool, error) {
	var full int
	err := r.QueryRow(ctx, `SELECT CASE WHEN o.seats > 0 AND o.seats <= (SELECT COUNT(*) FROM members m
			WHERE m.organization = $1 AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $2)) THEN 1 ELSE 0 END
		FROM organizations o WHERE o.id = $1`, r.Organization(), r.Micros()).Scan(&full)
	return full == 1, err
}

// mail takes one mail of the inviter and of the organization.
func (c *capacity) mail(r *op.Reader) error {
	if most := int64(r.Settings.InviterHour); most > 0 && c.hour >= most {
		return limited(time.Hour, "%d invitations were sent within an hour, which is the most for one person: try again later", most)
	}
	if most := int64(r.Settings.TenantDay); most > 0 && c.day >= most {
		return limited(untilTomorrow(r), "%d invitations were sent today, which is the most for one organization: try again tomorrow", most)
	}
	c.hour++
	c.day++
	return nil
}

// today is when the day of the limits began: at midnight UTC.
func today(r *op.Reader) int64 { return r.Now.UTC().Truncate(24 * time.Hour).UnixMicro() }

func untilTomorrow(r *op.Reader) time.Duration {
	return r.Now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(r.Now)
}

func limited(wait time.Duration, format string, args ...any) error {
	e := op.Errorf(op.Limited, "", format, args...)
	e.RetryAfter = wait
	return e
}

// resendable takes one mail for an invitation that was sent before.
func (i invitationRow) resendable(r *op.Reader, c *capacity) error {
	if c.seats > 0 && c.members >= c.seats {
		return noSeat(c.seats)
	}
	most := int64(r.Settings.ResendsPerDay)
	if i.createdAt >= today(r) {
		most++ // the first mail is no re-send
	}
	if r.Settings.ResendsPerDay > 0 && i.sentToday(r) >= most {
		return limited(untilTomorrow(r), "this invitation was re-sent %d times today: try again tomorrow", r.Settings.ResendsPerDay)
	}
	return c.mail(r)
}

func (i invitationRow) sentToday(r *op.Reader) int64 {
	if i.sentAt < today(r) {
		return 0
	}
	return i.sends
}
