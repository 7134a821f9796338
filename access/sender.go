package access

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// Sender is who sent a credential. Find looks them up once; what they may is then decided without looking again. It is
// for one request, since it says what held when it was found. The zero value is nobody.
type Sender struct {
	sent    presented
	at      time.Time
	session session // of a session or a service key
	party   party   // of a key or token it is all, and of a session what does not depend on the organization
	found   bool
}

// SentBy reads a credential that came from an address. It looks nothing up.
func SentBy(text, address string) (s Sender) {
	s.sent, _ = sentAs(text, address)
	return s
}

// Mark tells a credential from others to whoever remembers some: it is a part of its hash. One that cannot be a
// credential has none.
func (s *Sender) Mark() (mark uint64, ok bool) { return s.sent.key[0], s.sent.kind != "" }

// Find finds who sent the credential. For one that is malformed, unknown, ended or expired, or whose creator has no access
// now, it returns op.ErrUnauthenticated. A key or token may be limited to networks: CheckSender heeds that.
func (a *Access) Find(ctx context.Context, s *Sender) error {
	if err := a.doubt(); err != nil {
		return err
	}
	s.at = a.config.Now()
	err := a.find(ctx, &s.sent, s.at, &s.session, &s.party)
	if err == nil && s.derived() && !s.party.open(s.at) {
		err = errUnknown
	}
	if err == errUnknown {
		return op.ErrUnauthenticated
	}
	s.found = err == nil
	return err
}

// find looks up a credential that is alive: a key or token, or a session or service key.
func (a *Access) find(ctx context.Context, c *presented, now time.Time, s *session, p *party) (err error) {
	switch c.kind {
	case credential.KeyKind, credential.TokenKind:
		if p.more, err = a.bearer(ctx, c, now, &p.bearer, &p.read); err == nil {
			p.kind = p.bearer.kind()
		}
		return err
	case credential.SessionKind, credential.ServiceKeyKind:
		if p.more, err = a.session(ctx, c, now, s, &p.read); err == nil && !s.service {
			p.kind, p.credential = op.UserActor, s.id
		}
		return err
	}
	return errUnknown
}

// open reports whether the membership behind a key or token gives access at a moment. Of an organization that is scheduled
// for deletion they are still who they say: what they ask for is refused, not who they are (RFC 9110, section 15.5.4).
func (b *bearer) open(at time.Time) bool {
	p := decide.Principal{Standing: b.standing, EndsAt: b.endsAt}
	_, ok := p.Access(at.UnixMicro())
	return ok
}

// derived reports whether the credential is a key or a token.
func (s *Sender) derived() bool {
	return s.sent.kind == credential.KeyKind || s.sent.kind == credential.TokenKind
}

// Kind is what kind of credential was found: op.UserActor of a session, op.KeyActor, op.TokenActor or op.ServiceActor.
func (s *Sender) Kind() op.ActorKind {
	if s.session.service {
		return op.ServiceActor
	}
	return s.party.kind
}

func (b *bearer) kind() op.ActorKind {
	if b.token {
		return op.TokenActor
	}
	return op.KeyActor
}

// ID is the id of the session, key, token or service key.
func (s *Sender) ID() string {
	if s.derived() {
		return s.party.credential.String()
	}
	return s.session.id.String()
}

// User is the id of the user of a session, or on whose behalf a key or token acts.
func (s *Sender) User() string {
	switch {
	case s.derived():
		return s.party.user.String()
	case s.session.service:
		return ""
	}
	return s.session.user.String()
}

// BegunBy is the organization whose identity provider began a session, the only one in which it counts; empty for any other.
func (s *Sender) BegunBy() string { return s.session.begun.String() }

// ServiceKey is the service key that was sent; nil if it was none.
func (s *Sender) ServiceKey() *op.Credential {
	if s.Kind() != op.ServiceActor || s.party.more == nil {
		return nil
	}
	return &s.party.more.service
}

// in finds what somebody who was found is in an organization. A key or token is in its own where none is named, and a
// stranger in every other; a service key is no member anywhere.
func (a *Access) in(ctx context.Context, organization string, s *session, p *party) error {
	switch {
	case s.service:
		return nil
	case p.kind == op.UserActor:
		return a.sit(ctx, organization, s, p)
	}
	return a.within(ctx, organization, p)
}

// sit finds the seat of a session's user, and what the organization makes of the sign-in behind the session.
func (a *Access) sit(ctx context.Context, organization string, s *session, p *party) error {
	var m member
	kept, err := a.seat(ctx, organization, s.user, "", &m, &p.read)
	p.seat = m.seat
	if err != nil {
		return err
	}
	by := s.signIn(m.organization)
	if p.bar, p.more = m.login.Bar(by), kept; m.login.Exempt(by) {
		p.more = nil // networks bind nobody who comes in this way
	}
	return nil
}

// Judge answers a question as Check does, and leaves it to Name for whom the answer is.
func (a *Access) Judge(ctx context.Context, q *check.Request, v *Verdict) error {
	return a.judge(ctx, q, a.config.Now(), v)
}

// JudgeSender answers a question about a sender that Find has found: its Subject and Address are not looked at.
func (a *Access) JudgeSender(ctx context.Context, s *Sender, q *check.Request, v *Verdict) error {
	about, reason := a.asked(q)
	if reason != "" {
		refuse(&v.Decision, reason, q.Permission, about)
		return nil
	}
	v.party = s.party
	if err := a.in(ctx, organizationOf(q), &s.session, &v.party); err != nil {
		return a.nobody(err, about, q, v)
	}
	return a.decide(ctx, about, q, s.sent.address, s.at, v)
}

// FromMemory reports whether an answer was given without a question to the database.
func (v *Verdict) FromMemory() bool { return !v.party.read }

// FromMemory reports whether a sender was found, or not, without a question to the database.
func (s *Sender) FromMemory() bool { return !s.party.read }

// Name says whom an answer is about, also of one that is no: as far as it is known.
func (a *Access) Name(v *Verdict, w *check.Who) {
	if v.party.kind != "" {
		a.name(&v.party, w)
	}
}

// NameSender says who a sender is whom Find has found, where nothing was decided about them; of anybody else nothing.
func (a *Access) NameSender(s *Sender, w *check.Who) {
	switch {
	case !s.found:
	case s.derived():
		a.name(&s.party, w)
	case !s.session.service:
		w.Kind, w.User, w.Credential = string(op.UserActor), check.MakeID(s.session.user.String()), s.session.id
	}
}
