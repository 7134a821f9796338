package access

import (
	"time"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
)

// Ticket is what a fill shows when its result is to be remembered.
type Ticket = ticket

// SetHooks puts something between the steps of every fill.
func (a *Access) SetHooks(afterTicket, afterRead func(), beforeKeep func(*Ticket)) {
	a.hooks = hooks{afterTicket, afterRead, beforeKeep}
}

// WithoutSequence is the mutant of a guard that looks only at whether somebody changes the principal just now.
func WithoutSequence(a *Access, t *Ticket) {
	now := a.fences.ticket(t.scopes)
	t.seq = now.seq
}

// WithoutHold is the mutant of a guard that looks only at whether somebody fenced the principal since.
func WithoutHold(_ *Access, t *Ticket) { t.open = true }

// Remembered is how many entries there are of each kind.
func (a *Access) Remembered() (credentials, members, users, dead, dependents int) {
	a.fences.Lock()
	defer a.fences.Unlock()
	return a.credentials.len(), a.members.len(), a.users.len(), a.dead.len(), len(a.fences.dependents)
}

// DecideOn decides on a resolved principal.
func DecideOn(p *decide.Principal, q decide.Question, at time.Time) check.Decision {
	return decideOn(p, q, at.UnixMicro())
}

// SameMember reports whether two pairs of names share a key.
func SameMember(a, b [2]string) bool { return memberKey{a[0], a[1]} == memberKey{b[0], b[1]} }
