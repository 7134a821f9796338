// Package access answers questions of access from memory: may this person, or whoever sent this credential, do that in
// this organization? It decides with decide.Decide alone, as the operations do, and forgets what it knows about
// somebody before a change of their rights is committed (Fence), so no answer outlives a revocation. The operations on
// top say why somebody may or may not, who may, and what a change would do.
package access

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/replica"
	"github.com/guildhall/guildhall/op"
)

// Config is what an Access is made of.
type Config struct {
	Charter *charter.Charter
	Now     func() time.Time // nil: time.Now
	// Size is how many entries of each kind are remembered: sessions, keys and tokens, memberships, slugs, and
	// credentials that are dead. 0 means 100,000.
	Size int
	// Seen is told that somebody asked about a credential, about once a minute for each; it must not block. Nil: nobody
	// is.
	Seen func(a *op.Actor, c op.Caller, at time.Time)
	// Spend counts one request of each of the scoped tokens, and says whether all of them had one left. Nil: nothing is
	// counted.
	Spend func(ctx context.Context, tokens []string) (bool, error)
	// Count counts what a yes uses up, and says what is left; false: there is not so much left, and nothing was counted.
	// Nil: such questions have no answer.
	Count func(ctx context.Context, by check.Who, on check.Resource, n check.Count) (left *int64, ok bool, err error)
	// Doubt is asked before each answer; an error of it is the answer. Nil: nobody doubts.
	Doubt func() error
	// Peers are the other servers on the database, and the lease by which this one answers from memory among them. Nil:
	// there are none.
	Peers *replica.Replica
	Log   *slog.Logger // nil: slog.Default
}

// Access answers questions. It is safe for concurrent use.
type Access struct {
	config    Config
	questions map[charter.Permission]*question
	service   atomic.Pointer[op.Service]
	fences    fences
	hooks     hooks

	sessions *table[hashKey, session]
	bearers  *table[hashKey, bearer]
	seats    *table[seatKey, member]
	slugs    *table[name, slug]
	dead     *table[hashKey, dead]
	plans    *shared[plan]
	regions  *shared[residence]

	readings atomic.Int64
}

// question is what is asked about a permission, compiled once.
type question struct {
	decide.Question
	types []string // of resources that it is asked about
	fix   string   // where a denial is explained
}

// on is the question about the resource that is asked about. Only a principal that is limited to some cares which.
func (a *question) on(q *check.Request, p *decide.Principal) decide.Question {
	ask := a.Question
	if p.Limits != "" && q.Resource.Type != check.Organization {
		ask.Resource = q.Resource.Type + ":" + q.Resource.ID
	}
	return ask
}

// hooks are called at the points of a reading where something may come in between, and to judge it; tests set them.
type hooks struct {
	afterTicket func()
	afterRead   func()
	current     func(*fences, ticket) bool
}

// New makes an Access. Its Fence is for the configuration of the service, which Attach gives it once that is made.
func New(c Config) *Access {
	if c.Size == 0 {
		c.Size = 100_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	a := &Access{config: c, questions: compile(c.Charter), fences: newFences(),
		hooks: hooks{afterTicket: func() {}, afterRead: func() {}, current: (*fences).current}}
	a.sessions = newTable[hashKey, session](c.Size, a.untie(ofSessions))
	a.bearers = newTable[hashKey, bearer](c.Size, a.untie(ofBearers))
	a.seats = newTable[seatKey, member](c.Size, a.untie(ofSeats))
	a.slugs = newTable[name, slug](c.Size, func(uint32) {})
	a.dead = newTable[hashKey, dead](c.Size, func(uint32) {})
	a.fences.remember[ofSessions], a.fences.remember[ofBearers], a.fences.remember[ofSeats] = a.sessions, a.bearers, a.seats
	a.plans = newShared(func(id string) plan { return planOf(c.Charter, id) })
	a.regions = newShared(residenceOf)
	a.plans.number("") // number 0 is of whoever is in no organization
	a.regions.number("")
	return a
}

func (a *Access) untie(table uint32) func(record uint32) {
	return func(record uint32) { a.fences.untie(table, record) }
}

// compile makes the questions about all permissions of a charter.
func compile(c *charter.Charter) map[charter.Permission]*question {
	questions := map[charter.Permission]*question{}
	for _, info := range c.Permissions() {
		questions[info.ID] = &question{decide.Ask(c, info.ID, ""), c.ResourceTypes(info.ID), fixOf(info.ID)}
	}
	return questions
}

// fixOf is where a permission is explained.
func fixOf(p charter.Permission) string {
	return "/docs/permissions#" + strings.ReplaceAll(string(p), ".", "-")
}

// Attach gives the service whose data the answers are about. Until then there are none.
func (a *Access) Attach(s *op.Service) { a.service.Store(s) }

// Reset forgets everything: after an import or a restore, even a dead credential may be alive.
func (a *Access) Reset() {
	a.fences.Lock()
	defer a.fences.Unlock()
	a.fences.clear()
	a.sessions.clear()
	a.bearers.clear()
	a.seats.clear()
	a.slugs.clear()
	a.dead.clear()
}

// Readings counts how often the database was asked, since memory had no answer or might not give it.
func (a *Access) Readings() int64 { return a.readings.Load() }

var (
	errNotReady   = &op.Error{Kind: op.Unavailable, Text: "the server is starting", RetryAfter: time.Second}
	errNoDatabase = &op.Error{Kind: op.Unavailable, Text: "the database does not answer: nothing is allowed; try again", RetryAfter: time.Second}
)

// Check answers one question. What is unknown is answered no, with the reason; an error is no answer, and means no.
func (a *Access) Check(ctx context.Context, q check.Request) (check.Decision, error) {
	var v Verdict
	if err := a.judge(ctx, &q, a.config.Now(), &v); err != nil {
		return check.Decision{}, err
	}
	a.tell(&v)
	return v.Decision, nil
}

// JudgeAll answers questions in their order, all at one moment of the clock, until one is answered for which stop (nil:
// none) returns true.
func (a *Access) JudgeAll(ctx context.Context, questions []check.Request, stop func(check.Decision) bool) ([]Verdict, error) {
	now := a.config.Now()
	answers := make([]Verdict, 0, len(questions))
	for i := range questions {
		answers = append(answers, Verdict{})
		v := &answers[i]
		if err := a.judge(ctx, &questions[i], now, v); err != nil {
			return nil, err
		}
		if stop != nil && stop(v.Decision) {
			break
		}
	}
	return answers, nil
}

// Verdict is the answer to a question, with whom it is about.
type Verdict struct {
	check.Decision       // its Who is left empty: see Name
	party          party // also of an answer no, as far as it is known
}

// party is who asks: in one organization, with what a credential adds.
type party struct {
	bearer
	kind op.ActorKind
	more *more
	read bool // the database was asked
}

// judge resolves subject and organization, from memory where they are known, and decides.
func (a *Access) judge(ctx context.Context, q *check.Request, now time.Time, v *Verdict) error {
	if err := a.doubt(); err != nil {
		return err
	}
	if err := a.countable(q); err != nil {
		return err
	}
	about, reason := a.asked(q)
	if reason != "" {
		refuse(&v.Decision, reason, q.Permission, about)
		return nil
	}
	if err := a.resolve(ctx, q, now, &v.party); err != nil {
		return a.nobody(err, about, q, v)
	}
	return a.decide(ctx, about, q, q.Address, now, v)
}

// doubt is what makes every answer wrong.
func (a *Access) doubt() error {
	if a.config.Doubt == nil {
		return nil
	}
	return a.config.Doubt()
}

// nobody answers for a subject that there is not.
func (a *Access) nobody(err error, about *question, q *check.Request, v *Verdict) error {
	if err != errUnknown {
		return err
	}
	refuse(&v.Decision, decide.UnknownSubject, q.Permission, about)
	return nil
}

// decide answers for whoever was found.
func (a *Access) decide(ctx context.Context, about *question, q *check.Request, address string, now time.Time, v *Verdict) error {
	var principal decide.Principal
	a.principal(&v.party, address, &principal)
	decided := decide.Decide(&principal, about.on(q, &principal), now.UnixMicro())
	if !decided.Allow {
		refuse(&v.Decision, decided.Reason, decided.Needs, about)
		return nil
	}
	if q.Region != "" && !a.regions.at(v.party.region).allows(q.Region) {
		refuse(&v.Decision, decide.RegionNotAllowed, q.Permission, about)
		return nil
	}
	left, err := a.spend(ctx, v.party.more)
	if !left {
		refuse(&v.Decision, decide.BudgetSpent, q.Permission, about)
		return err
	}
	if q.Count != nil {
		if left, err = a.count(ctx, q, v); !left {
			refuse(&v.Decision, decide.QuotaExceeded, q.Permission, about)
			return err
		}
	}
	v.Allow, v.Reason = true, decided.Reason
	return nil
}

// countable says what is wrong with what a question would count.
func (a *Access) countable(q *check.Request) error {
	if q.Count == nil {
		return nil
	}
	if wrong := q.Count.Wrong(a.config.Charter); wrong != "" {
		return &op.Error{Kind: op.Malformed, Text: wrong}
	}
	return nil
}

// count counts what an answer yes uses up, and says whether there was so much left.
func (a *Access) count(ctx context.Context, q *check.Request, v *Verdict) (left bool, err error) {
	if a.config.Count == nil {
		return false, op.Errorf(op.Unavailable, "", "nothing is counted here")
	}
	var by check.Who
	a.name(&v.party, &by)
	if v.Remaining, left, err = a.config.Count(ctx, by, q.Resource, *q.Count); err != nil {
		return false, a.unavailable(ctx, err)
	}
	return left, nil
}

// tell says in an answer yes for whom it is.
func (a *Access) tell(v *Verdict) {
	if v.Allow {
		a.name(&v.party, &v.Who)
	}
}

// spend counts a request of a scoped token that has a number of them, and says whether there was one left.
func (a *Access) spend(ctx context.Context, m *more) (left bool, err error) {
	if m == nil || len(m.budgets) == 0 || a.config.Spend == nil {
		return true, nil
	}
	if left, err = a.config.Spend(ctx, m.budgets); err != nil {
		return false, a.unavailable(ctx, err)
	}
	return left, nil
}

// asked finds what a question is about, and says what is wrong with one that nobody is allowed: a permission that the
// charter does not have, or a type of resource that it does not have or not with this permission.
func (a *Access) asked(q *check.Request) (*question, decide.Reason) {
	found, known := a.questions[q.Permission]
	switch {
	case !known:
		return nil, decide.UnknownPermission
	case q.Resource.Type != check.Organization && !slices.Contains(found.types, q.Resource.Type):
		return found, decide.UnknownResource
	}
	return found, ""
}

// refuse makes the answer no. What is asked about may be unknown.
func refuse(d *check.Decision, why decide.Reason, needs charter.Permission, about *question) {
	d.Reason, d.Needs, d.FixURL = why, needs, "/docs/permissions"
	switch {
	case why == decide.OutOfScope:
		d.FixURL = "/docs/keys#scopes"
	case why == decide.QuotaExceeded:
		d.FixURL = "/docs/usage#quotas"
	case why == decide.RegionNotAllowed:
		d.FixURL = "/docs/artifacts#regions"
	case about != nil:
		d.FixURL = about.fix
	}
}

// principal is what Decide looks at. It has no names: nothing is decided by them.
func (a *Access) principal(p *party, address string, to *decide.Principal) {
	to.Holds, to.Beyond, to.Locked = p.holds, p.beyond, a.plans.at(p.plan).locked
	to.Standing, to.EndsAt, to.Closed, to.Bar = p.standing, p.endsAt, p.closed, p.bar
	if p.more != nil {
		to.Limits, to.Elsewhere = p.more.limits, !directory.Allows(p.more.networks, address)
	}
}

// name says who the subject of an answer is.
func (a *Access) name(p *party, w *check.Who) {
	plan := a.plans.at(p.plan)
	w.Kind, w.Region, w.Plan, w.Features = string(p.kind), a.regions.at(p.region).home(), plan.id, plan.features
	w.User, w.Member, w.Organization, w.Role, w.Credential = p.user, p.member, p.organization, p.role, p.credential
}

// unavailable tells of an error that is not the asker's: it is logged whole, and never answered yes.
func (a *Access) unavailable(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		a.config.Log.LogAttrs(ctx, slog.LevelError, "check without an answer", slog.Any("error", err))
	}
	return errNoDatabase
}
