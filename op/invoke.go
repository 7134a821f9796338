package op

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/sqldb"
)

// call is one run of an operation through the pipeline.
type call struct {
	d       *declared
	request Request
	actor   Actor
	bound   *bound
	tree    fields
	digest  []byte // of operation and input: what an Idempotency-Key stands for
	target  Target
	writing bool
	proved  bool // the input said who the actor is: see ProvedBy

	stream   string
	seq, at  int64
	event    string
	outcome  Outcome
	reason   string
	changes  []Change
	personal map[string][]Change
	also     []subject
	others   []*otherLog // further organizations that the call changes
	fences   []Fence
	fenced   []Fence // whose decisions were dropped before the commit
	outbox   []outboxRow
	session  *NewSession
	failed   *Error // kept: see Keep
	stmts    int
}

// Invoke runs one operation through the pipeline. Errors are *Error.
func (s *Service) Invoke(ctx context.Context, o Any, r Request) (Response, error) {
	return s.invoke(ctx, o, &call{request: r})
}

func (s *Service) invoke(ctx context.Context, o Any, c *call) (Response, error) {
	d, ok := s.table[o.Info().Name]
	if !ok {
		return Response{}, &Error{Kind: Internal, Text: "internal error"}
	}
	c.d = d
	began := time.Now()
	response, err := s.doubted(ctx, c)
	if err == nil {
		s.observe(c, nil, time.Since(began))
		return response, nil
	}
	told := s.told(ctx, c, err)
	s.noteRefusal(c, told)
	s.observe(c, told, time.Since(began))
	return response, told
}

// doubted runs a call, unless there is a doubt that makes every answer wrong.
func (s *Service) doubted(ctx context.Context, c *call) (Response, error) {
	if s.config.Doubt != nil {
		if err := s.config.Doubt(); err != nil {
			return Response{}, err
		}
	}
	return s.run(ctx, c)
}

// told turns any error into what the caller is told, and logs whole what the caller is not.
func (s *Service) told(ctx context.Context, c *call, err error) *Error {
	var known *Error
	switch {
	case errors.As(err, &known):
		if known.Cause != nil {
			s.config.Log.LogAttrs(ctx, slog.LevelInfo, "refused", slog.String("operation", c.d.info.Name), slog.String("request_id", c.request.Caller.RequestID),
				slog.String("code", known.FullCode()), slog.Any("cause", known.Cause))
		}
		return known
	case sqldb.Unavailable(err):
		s.config.Log.LogAttrs(ctx, slog.LevelError, "database", slog.String("operation", c.d.info.Name),
			slog.String("request_id", c.request.Caller.RequestID), slog.Any("error", err))
		if errors.Is(err, sqldb.ErrUnknown) && c.d.info.Changes() {
			return &Error{Kind: Unavailable, Text: "the database did not say whether it was changed: look, or send it again with the same Idempotency-Key", RetryAfter: time.Second}
		}
		return &Error{Kind: Unavailable, Text: "the database does not answer: nothing was changed; try again", RetryAfter: time.Second}
	case ctx.Err() != nil:
		return &Error{Kind: Unavailable, Text: "the request was given up", RetryAfter: time.Second}
	}
	s.config.Log.LogAttrs(ctx, slog.LevelError, "internal error", slog.String("operation", c.d.info.Name),
		slog.String("request_id", c.request.Caller.RequestID), slog.Any("error", err))
	return &Error{Kind: Internal, Text: "internal error"}
}

func (s *Service) observe(c *call, e *Error, took time.Duration) {
	if s.config.Observe == nil {
		return
	}
	s.config.Observe(Observation{Operation: c.d.info.Name, Kind: c.d.info.Kind, Actor: c.actor.Kind, Error: e, Took: took,
		Statements: c.stmts, Changed: c.seq > 0 && e == nil, At: s.config.Now(), By: &c.actor, Caller: c.request.Caller})
}

// run is the pipeline: limit by address, authenticate, limit by credential, decode, load and authorize, validate,
// replay, prepare, and then the transaction. Everything before it happens on one read snapshot and takes no lock.
func (s *Service) run(ctx context.Context, c *call) (Response, error) {
	if err := s.limitAddress(c.d, c.request.Caller); err != nil {
		return Response{}, err
	}
	if rate, err := s.limitEarly(c); err != nil {
		return Response{Rate: rate}, err
	}
	var response Response
	done := false
	err := s.config.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		response, done, err = s.before(ctx, s.reader(tx, c.request.Caller), c)
		return err
	})
	if err != nil {
		return response, err
	}
	if err := s.spend(ctx, &c.actor); err != nil {
		return Response{Rate: response.Rate}, err
	}
	if done {
		return response, nil
	}
	if c.bound.prepare != nil {
		if err := c.bound.prepare(s.outside(ctx)); err != nil {
			return response, err
		}
	}
	if c.reads() {
		return s.readPrepared(ctx, c, response)
	}
	if err := s.take(ctx, c); err != nil {
		return response, err
	}
	out, err := s.write(ctx, c)
	if err != nil || out.Replayed {
		s.discard(ctx, c)
	}
	out.Rate = response.Rate
	return out, err
}

// reads reports whether a call changes nothing and leaves no row.
func (c *call) reads() bool { return c.d.info.Kind == Read && !c.d.info.Recorded }

// readPrepared answers a read that had to reach beyond this process first, on another snapshot: whoever lost the right
// meanwhile is refused.
func (s *Service) readPrepared(ctx context.Context, c *call, response Response) (Response, error) {
	err := s.config.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		r := s.reader(tx, c.request.Caller)
		if c.actor, err = s.load(ctx, r, "", false); err != nil {
			return err
		}
		r.Actor = &c.actor
		if err := s.authorize(ctx, r, c); err != nil {
			return err
		}
		out, err := c.bound.do(ctx, &Tx{Reader: r, call: c})
		response = c.respond(response, out)
		return err
	})
	return response, err
}

// outside is the context of what reaches beyond this process.
func (s *Service) outside(ctx context.Context) context.Context {
	if s.config.Outside == nil {
		return ctx
	}
	return s.config.Outside(ctx)
}

// before is everything up to the transaction. Done means that there is nothing to write: a read, a replay, a dry run.
func (s *Service) before(ctx context.Context, r *Reader, c *call) (response Response, done bool, err error) {
	if c.actor, err = s.load(ctx, r, "", false); err != nil {
		return response, false, err
	}
	if c.actor.Kind == DirectoryActor && !c.d.info.Foreign() {
		return response, false, ErrUnauthenticated // it opens its protocol and nothing else: T-083
	}
	r.Actor = &c.actor
	if response.Rate, err = s.limitCredential(c.request.Caller, c.actor.Credential.ID); err != nil {
		return response, false, err
	}
	if c.actor.Kind == NobodyActor && !c.d.info.Allow.Everyone() {
		return response, false, ErrUnauthenticated
	}
	wrong, err := s.decode(c)
	if err != nil {
		return response, false, err
	}
	if err := s.authorize(ctx, r, c); err != nil {
		return response, false, err
	}
	if err := s.limitOrganization(c); err != nil {
		return response, false, err
	}
	if err := s.validate(r, c, wrong); err != nil {
		return response, false, err
	}
	if s.config.Seen != nil && !c.request.Caller.Passive {
		s.config.Seen(&c.actor, c.request.Caller, r.Now)
	}
	return s.answerEarly(ctx, r, c, response)
}

// spend counts an allowed request of a scoped token that has a number of them. It holds no connection meanwhile: what
// counts may need one.
func (s *Service) spend(ctx context.Context, a *Actor) error {
	if len(a.Credential.Budgets) == 0 || s.config.Spend == nil {
		return nil
	}
	ok, err := s.config.Spend(ctx, a.Credential.Budgets)
	if err != nil || ok {
		return err
	}
	return &Error{Kind: Denied, Code: string(decide.BudgetSpent), Reason: decide.BudgetSpent, Text: "this token has made all of its requests"}
}

// answerEarly answers what needs no transaction.
func (s *Service) answerEarly(ctx context.Context, r *Reader, c *call, response Response) (Response, bool, error) {
	if c.request.DryRun {
		impact, err := s.dryRun(ctx, r, c)
		response.Output = impact
		return response, true, err
	}
	if c.reads() {
		if c.bound.prepare != nil {
			return response, false, nil // and then it is answered: see readPrepared
		}
		out, err := c.bound.do(ctx, &Tx{Reader: r, call: c})
		return c.respond(response, out), true, err
	}
	if output, ok, err := s.replay(ctx, r, c); err != nil || ok {
		response.Output, response.Replayed = output, ok
		return response, ok, err
	}
	return response, false, nil
}

func (s *Service) dryRun(ctx context.Context, r *Reader, c *call) (any, error) {
	if c.bound.preview == nil {
		return nil, InvalidField("dry_run", "unknown", "%s has no dry run", c.d.info.Name)
	}
	impact, err := c.bound.preview(ctx, r)
	impact.DryRun = true
	return impact, err
}

func (c *call) respond(response Response, out any) Response {
	response.Output, response.Session = out, c.session
	if v, ok := out.(Versioned); ok {
		response.ETag = v.ETag()
	}
	return response
}

// decode reads the input. Only what is no JSON object at all is an error here; whatever else is wrong with it is told
// after authorizing.
func (s *Service) decode(c *call) (wrong []FieldError, err error) {
	if c.d.own {
		return s.decodeOwn(c)
	}
	if c.tree, wrong, err = c.d.assemble(&c.request); err != nil {
		return nil, err
	}
	if wrong = append(wrong, c.d.validate(s.registry, c.tree)...); len(wrong) == 0 {
		if err := s.bind(c, c.tree); err == nil {
			return nil, nil
		}
		wrong = []FieldError{{"", "invalid", "the input does not fit its types"}}
	}
	if err := s.bind(c, c.d.sound(c.tree, wrong)); err == nil {
		return wrong, nil
	}
	return wrong, s.bind(c, c.d.pathOnly(c.tree))
}

func (s *Service) bind(c *call, tree fields) error {
	raw, err := json.Marshal(tree, json.Deterministic(true))
	if err != nil {
		return err
	}
	sum := sha256.New()
	sum.Write([]byte(c.d.info.Name + "\x00"))
	sum.Write(raw)
	if content := c.request.Content; content != nil {
		sum.Write(content.SHA256)
	}
	c.digest = sum.Sum(nil)
	c.bound, err = c.d.op.bind(raw)
	return err
}

// authorize loads the actor's membership and the target, and asks the operation's rule. What a stranger may not see is
// not found, and so is what is missing.
func (s *Service) authorize(ctx context.Context, r *Reader, c *call) error {
	if err := s.enter(ctx, r, c); err != nil {
		return err
	}
	c.target = Target{Organization: r.Organization()}
	missing := false
	if c.bound.target != nil {
		t, err := c.bound.target(ctx, r)
		if missing = errors.Is(err, ErrNotFound); err != nil && !missing {
			return err
		}
		if !missing {
			c.target, r.about = t, t.Organization
		}
	}
	d := c.d.info.Allow.decide(s.config.Charter, &c.actor, &c.target, r.Micros())
	switch {
	case c.actor.Principal.Elsewhere:
		d = decide.Decision{Reason: decide.WrongAddress}
	case d.Allow && !c.actor.Credential.allows(c.d.info.Name):
		d = decide.Decision{Reason: decide.OutOfScope}
	case d.Allow && c.d.info.Account && c.actor.Credential.Organization != "":
		d = decide.Decision{Reason: decide.SignedInElsewhere}
	}
	if !d.Allow {
		return s.denied(ctx, r, c, d)
	}
	if missing {
		return ErrNotFound
	}
	if c.target.Principal != nil {
		if err := r.MayActOn(ctx, c.target.Principal); err != nil && c.d.info.Changes() {
			return err
		}
	}
	if err := r.DemandFeature(c.d.info.Feature); err != nil {
		return err
	}
	return s.fresh(r, c)
}

// enter loads the actor's principal in the organization that the call names. Whoever does not belong there is told that
// it does not exist.
func (s *Service) enter(ctx context.Context, r *Reader, c *call) error {
	if c.d.info.Scope != Organization || c.bound.organization == nil {
		return nil
	}
	named := *c.bound.organization
	if named == "" {
		named = c.actor.Principal.Organization // of a credential that is of one organization and need not name it
	}
	actor, err := s.load(ctx, r, named, c.writing)
	if err != nil {
		return err
	}
	if c.d.info.Kind == Read && actor.Principal.Power != decide.Person {
		actor.Principal.Closed = false // the back end and the operator look at what is about to be deleted
	}
	c.actor = actor
	r.Actor = &c.actor
	if actor.Principal.Organization == "" || named == "" {
		return ErrNotFound
	}
	*c.bound.organization = actor.Principal.Organization
	return nil
}

// denied tells a denial. About one's own things there is only "not found"; nobody is asked to sign in.
func (s *Service) denied(ctx context.Context, r *Reader, c *call, d decide.Decision) error {
	switch {
	case c.actor.Kind == NobodyActor:
		return ErrUnauthenticated
	case c.d.info.Scope == Self && c.d.info.targeted && c.actor.Kind == UserActor:
		return ErrNotFound
	case c.d.info.Scope == Self && c.actor.Kind != UserActor && d.Reason != decide.OrganizationGone:
		d.Reason = decide.PeopleOnly
	}
	return s.refuse(ctx, r, d)
}

// fresh asks for a recent proof of who the caller is where the operation always wants one.
func (s *Service) fresh(r *Reader, c *call) error {
	if !c.d.info.Fresh || c.request.DryRun {
		return nil
	}
	return r.DemandFresh()
}

func (s *Service) validate(r *Reader, c *call, wrong []FieldError) error {
	if len(wrong) == 0 {
		wrong = c.bound.validate()
	}
	if len(wrong) > 0 {
		return &Error{Kind: Invalid, Text: wrong[0].Detail, Fields: wrong}
	}
	if c.bound.page == nil {
		return nil
	}
	r.page = c.bound.page
	return s.openCursor(c.bound.page, c.cursorBinding())
}

// cursorBinding is what a cursor is good for: the operation, the organization and every filter.
func (c *call) cursorBinding() []byte {
	filters := fields{}
	for name, value := range c.tree {
		if name != "cursor" && name != "limit" && name != "organization" {
			filters[name] = value
		}
	}
	raw, _ := json.Marshal([]any{c.d.info.Name, c.actor.Principal.Organization, c.actor.ID, filters}, json.Deterministic(true))
	return raw
}

// write runs the transaction: lock, reload, authorize again, do, audit, outbox, fence, commit. It does not wait without
// end: what has no answer in time may have been done or not. T-106
func (s *Service) write(whole context.Context, c *call) (Response, error) {
	ctx, cancel := context.WithTimeout(whole, or(s.config.Limits.Longest, 30*time.Second))
	defer cancel()
	leave, err := s.crowds.join(ctx, c.about())
	if err != nil {
		return Response{}, err
	}
	defer leave()
	var response Response
	release := func() {}
	again := *c
	err = s.config.DB.Write(ctx, func(tx *sqldb.Tx) error {
		release() // of an attempt before this one
		release = func() {}
		*c = again
		c.writing = true
		r := s.reader(tx, c.request.Caller)
		r.Actor = &c.actor
		if c.bound.page != nil {
			r.page = c.bound.page
		}
		out, err := s.transact(ctx, &Tx{Reader: r, call: c})
		if err != nil {
			return err
		}
		response = c.respond(Response{}, out)
		release, err = s.fence(ctx, c, tx)
		return err
	})
	release()
	s.noticeWatches(ctx, c, err)
	if err == nil && len(c.outbox) > 0 && s.config.Committed != nil {
		s.config.Committed()
	}
	if c.request.IdempotencyKey != "" && mayBeOwn(err) {
		return s.replayLost(whole, c, err)
	}
	if err == nil && c.failed != nil {
		return response, c.failed
	}
	return response, err
}

// transact does everything inside the transaction but the commit.
func (s *Service) transact(ctx context.Context, tx *Tx) (any, error) {
	c := tx.call
	c.outcome = OutcomeOK
	if err := tx.lock(ctx); err != nil {
		return nil, err
	}
	if err := s.reload(ctx, tx); err != nil {
		return nil, err
	}
	if c.stream != c.about() {
		return nil, errMoved // what Do would change is not what is locked
	}
	out, err := c.bound.do(ctx, tx)
	if err := c.settle(err); err != nil {
		return nil, err
	}
	if c.d.info.Kind == Count {
		return out, tx.writeOutbox(ctx)
	}
	if err := tx.writeAudit(ctx); err != nil {
		return nil, err
	}
	if err := tx.writeOutbox(ctx); err != nil {
		return nil, err
	}
	c.stmts = tx.sql.Statements()
	return out, s.remember(ctx, tx, out)
}

// errMoved answers a call whose target became another one's between loading and locking: a user who signs in for the
// first time twice at once.
var errMoved = &Error{Kind: Unavailable, Text: "it was changed at the same moment: nothing was changed; try again", RetryAfter: time.Second}

// settle keeps an error that has to be committed for after the commit.
func (c *call) settle(err error) error {
	var e *Error
	if errors.As(err, &e) && e.keep {
		c.failed, c.outcome = e, OutcomeFailed
		return nil
	}
	return err
}

// reload reads actor and target again, now that nothing can change under the call, and asks everything again.
func (s *Service) reload(ctx context.Context, tx *Tx) error {
	c := tx.call
	if c.d.info.Scope != Organization || c.bound.organization == nil {
		actor, err := s.load(ctx, tx.Reader, "", true)
		if err != nil {
			return err
		}
		c.actor = actor
	}
	if err := s.authorize(ctx, tx.Reader, c); err != nil {
		return err
	}
	if want := c.request.IfMatch; want != "" && want != "*" && c.target.Version != 0 && want != VersionTag(c.target.Version) {
		return &Error{Kind: Stale, Text: "it was changed in the meantime: read it again, and decide again", Current: c.target.Current}
	}
	return nil
}

// lock takes the stream's lock and its next sequence number, in one statement.
func (tx *Tx) lock(ctx context.Context) error {
	if tx.call.stream = tx.call.about(); tx.call.stream == "" || !tx.call.d.info.Changes() {
		return nil
	}
	var err error
	tx.call.seq, tx.call.at, err = tx.next(ctx, tx.call.stream)
	return err
}

// about is the stream that the call is written to: the organization's, else the one that the target names, else the
// actor's own, else the instance's. It is empty where Do founds it.
func (c *call) about() string {
	switch {
	case c.target.Stream == NewStream:
		return ""
	case c.target.Stream != "":
		return c.target.Stream
	case c.target.Organization != "":
		return c.target.Organization
	case c.d.info.Scope != Instance && c.actor.User != "":
		return c.actor.User
	}
	return InstanceStream
}

// next counts a stream's sequence up. Times within a stream never run backwards.
func (tx *Tx) next(ctx context.Context, stream string) (seq, at int64, err error) {
	query := `UPDATE streams SET seq = seq + 1, at = CASE WHEN at < $2 THEN $2 ELSE at END WHERE id = $1 RETURNING seq, at`
	if strings.HasPrefix(stream, "usr_") {
		query = firstOrNext
	}
	err = tx.QueryRow(ctx, query, stream, tx.Micros()).Scan(&seq, &at)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return seq, at, err
}

// firstOrNext is next for a person's stream, which begins with the first row in it: whoever only joined an organization
// has done nothing of their own yet.
const firstOrNext = `INSERT INTO streams (id, seq, at) VALUES ($1, 1, $2)
	ON CONFLICT (id) DO UPDATE SET seq = streams.seq + 1, at = CASE WHEN streams.at < $2 THEN $2 ELSE streams.at END
	RETURNING seq, at`

// writeRefusal writes one gathered refusal as a row of its stream.
func (s *Service) writeRefusal(ctx context.Context, held *refusal) error {
	return s.config.DB.Write(ctx, func(sqltx *sqldb.Tx) error {
		c := &call{writing: true, stream: held.row.Stream}
		tx := &Tx{Reader: s.reader(sqltx, Caller{}), call: c}
		row := held.row
		var err error
		if row.Seq, row.At, err = tx.next(ctx, row.Stream); err != nil {
			return err
		}
		return tx.insertRows(ctx, logged{row, []subject{held.subject}})
	})
}
