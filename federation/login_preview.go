package federation

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// mostPreviewed bounds how many sessions a preview looks at, and mostNamed how many people it names.
const mostPreviewed, mostNamed = 5000, 100

// barTexts say what somebody has to do whose session gives no access any more.
var barTexts = map[decide.BarKind]string{
	decide.BarEnforced: "signs in with the identity provider",
	decide.BarWay:      "signs in another way",
	decide.BarTooLong:  "signs in again",
	decide.BarMFA:      "signs in with a second factor or a passkey",
}

// previewLoginPolicy says whose sessions would give no access any more.
func previewLoginPolicy(ctx context.Context, r *op.Reader, in UpdateLoginPolicyInput) (op.Impact, error) {
	was, err := readLogin(ctx, r)
	if err != nil {
		return op.Impact{}, err
	}
	now, err := in.applied(r, was)
	if err != nil {
		return op.Impact{}, err
	}
	effects, sessions, people, more, err := now.barred(ctx, r, was.policy())
	if err != nil {
		return op.Impact{}, err
	}
	at := ""
	if more {
		at = "at least "
	}
	summary := "Nobody who is signed in has to do anything."
	if sessions > 0 {
		summary = fmt.Sprintf("%s%d sessions of %d people give no access here any more: they sign in as the policy asks.", at, sessions, people)
	}
	return op.Impact{Summary: summary, Effects: effects}, nil
}

// barred finds the living sessions of members that the policy takes no more.
func (l loginRow) barred(ctx context.Context, r *op.Reader, before decide.LoginPolicy) (effects []op.Effect, sessions, people int, more bool, err error) {
	breakGlass := map[string]bool{}
	for _, o := range l.owners {
		breakGlass[o.Member] = o.breakGlass
	}
	rows, err := r.Query(ctx, `SELECT m.id, u.name, u.email, s.way, s.second_factor, s.organization, s.expires_at - s.created_at, s.idle_limit
		FROM members m JOIN users u ON u.id = m.user_id JOIN sessions s ON s.user_id = m.user_id
		WHERE m.organization = $1 AND m.status = 'active' AND s.ended_at = 0 AND s.expires_at > $2 AND (s.idle_limit = 0 OR s.last_used_at + s.idle_limit > $2)
		ORDER BY m.sort_name, m.id LIMIT $3`, l.organization, r.Micros(), mostPreviewed+1)
	if err != nil {
		return nil, 0, 0, false, err
	}
	defer rows.Close()
	last, seen := "", 0
	for rows.Next() {
		var member, begun string
		var u directory.User
		var way int64
		var by decide.SignIn
		if err := rows.Scan(&member, &u.Name, &u.Email, &way, &by.Second, &begun, &by.Life, &by.Idle); err != nil {
			return nil, 0, 0, false, err
		}
		if seen++; seen > mostPreviewed {
			return effects, sessions, people, true, nil
		}
		by.Way, by.Foreign = decide.Way(way), begun != "" && begun != l.organization
		after := l.policy()
		before.BreakGlass, after.BreakGlass = breakGlass[member], breakGlass[member]
		bar := after.Bar(by)
		if bar.Why == decide.NoBar || before.Bar(by) == bar {
			continue
		}
		sessions++
		if member == last {
			continue
		}
		last = member
		if people++; people <= mostNamed {
			effects = append(effects, op.Effect{Type: "member", ID: member, Name: u.Label(), Text: barTexts[bar.Why], Action: "changes"})
		}
	}
	return effects, sessions, people, false, rows.Err()
}
