package credential

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Session is a person's sign-in on one device.
type Session struct {
	ID      string `json:"id" doc:"The session's id" example:"ses_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Current bool   `json:"current" doc:"Whether this request was made with it"`
	Device  string `json:"device" doc:"What it runs on, as the browser says of itself" example:"Firefox on Linux"`
	Address string `json:"address" doc:"The client's network address at sign-in" example:"203.0.113.7"`
	Method  string `json:"method" doc:"How the person proved who they are" example:"mail"`
	// Organization is set where the session counts in one organization only.
	Organization string    `json:"organization,omitzero" doc:"The organization whose identity provider began the session: it counts there, and nowhere else" example:"org_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	CreatedAt    time.Time `json:"created_at" doc:"When the person signed in"`
	SignedInAt   time.Time `json:"signed_in_at" doc:"When the person last proved who they are"`
	LastUsedAt   time.Time `json:"last_used_at" doc:"When it was last used, to about a minute"`
	ExpiresAt    time.Time `json:"expires_at" doc:"When it ends unless it is used before; being used does not keep it beyond its longest life"`
	EndedAt      time.Time `json:"ended_at,omitzero" doc:"When it was ended; absent while it lives"`

	// Secret is the session's token, where the call made it; empty everywhere else.
	Secret secret.Text `json:"-"`
}

// SessionKind is the kind of a session's token: "gld_ses_...".
const SessionKind = "ses"

const sessionColumns = "id, method, organization, address, agent, created_at, signed_in_at, last_used_at, idle_limit, expires_at, ended_at"

// alive is the condition of a session that still counts; its parameter is the time. At a limit itself it has ended.
const alive = "ended_at = 0 AND expires_at > $2 AND (idle_limit = 0 OR last_used_at + idle_limit > $2)" +
	" AND recovery_epoch = (SELECT recovery_epoch FROM instance WHERE id = 'instance')"

// SignIn is how a person proved who they are.
type SignIn struct {
	Method       string     // as people are shown it: "mail+totp"
	Way          decide.Way // what of it a sign-in policy looks at
	Second       bool       // by two factors
	Organization string     // whose identity provider it was; empty: nobody's, and the session counts everywhere
	Connection   string     // that provider
}

// ByMail is a sign-in by what was mailed to somebody's address, and nothing else.
func ByMail(method string) SignIn { return SignIn{Method: method, Way: decide.ByMail} }

// BeginSession begins a session of the user, on the caller's device, and tells the edge its secret. It lasts no longer than
// the server and every organization allow in which it counts.
func BeginSession(ctx context.Context, tx *op.Tx, user string, by SignIn) (Session, error) {
	token := secret.New(nil, tx.Charter.KeyPrefix, SessionKind)
	hash := token.Hash()
	idle := max(0, tx.Settings.SessionIdle)
	s := sessionRow{id: tx.NewID("ses"), method: by.Method, organization: by.Organization, address: tx.Caller.Address, agent: tx.Caller.Agent,
		created: tx.Micros(), signedIn: tx.Micros(), lastUsed: tx.Micros(), idle: idle.Microseconds()}
	err := tx.QueryRow(ctx, `INSERT INTO sessions (id, user_id, hash, method, address, agent, created_at, signed_in_at,
			last_used_at, idle_limit, expires_at, ended_at, recovery_epoch, way, second_factor, organization, connection)
		SELECT $1, $2, $3, $4, $5, $6, $7, $7, $7, CASE WHEN p.idle > 0 AND (i.idle = 0 OR p.idle < i.idle) THEN p.idle ELSE i.idle END,
			CASE WHEN p.life > 0 AND p.life < i.life THEN $7 + p.life ELSE $7 + i.life END, 0, i.epoch, $10, $11, $12, $13
		FROM (SELECT recovery_epoch AS epoch, CAST($8 AS bigint) AS idle, CAST($9 AS bigint) AS life FROM instance WHERE id = 'instance') i,
			(SELECT COALESCE(min(NULLIF(o.session_life, 0)), 0) AS life, COALESCE(min(NULLIF(o.session_idle, 0)), 0) AS idle
			FROM members m JOIN organizations o ON o.id = m.organization
			WHERE m.user_id = $2 AND m.status <> 'removed' AND (CAST($12 AS text) = '' OR o.id = $12)) p
		RETURNING idle_limit, expires_at`,
		s.id, user, hash[:], s.method, s.address, s.agent, s.created, s.idle, tx.Settings.SessionLife.Microseconds(), int64(by.Way), by.Second,
		by.Organization, by.Connection).Scan(&s.idle, &s.expires)
	if err != nil {
		return Session{}, err
	}
	return handedOut(tx, s, token), nil
}

// Rotate gives a living session another secret after a new proof of who it is, which may have been a second factor: from the
// commit on, the old secret is nobody's, and the sign-in is fresh. The operation fences the session.
func Rotate(ctx context.Context, tx *op.Tx, session string, second bool) (Session, error) {
	token := secret.New(nil, tx.Charter.KeyPrefix, SessionKind)
	hash := token.Hash()
	s, err := scanSession(tx.QueryRow(ctx, `UPDATE sessions SET hash = $3, signed_in_at = $2, last_used_at = $2,
			second_factor = second_factor OR $4
		WHERE id = $1 AND `+alive+tx.Quiet()+` RETURNING `+sessionColumns, session, tx.Micros(), hash[:], second))
	if err != nil {
		return Session{}, err
	}
	return handedOut(tx, s, token), nil
}

// handedOut shows a session together with its new secret.
func handedOut(tx *op.Tx, s sessionRow, token secret.Token) Session {
	tx.Session(token.Reveal(), timeOf(s.expires))
	shown := s.show("")
	shown.Secret = secret.Hide(token.Reveal())
	return shown
}

// EndSession ends a session: every request sent after the commit is refused. The operation fences the session.
func EndSession(ctx context.Context, tx *op.Tx, session string) error {
	_, err := tx.Exec(ctx, "UPDATE sessions SET ended_at = $2 WHERE id = $1 AND ended_at = 0"+tx.Quiet(), session, tx.Micros())
	return err
}

// within is the condition of a session that its organization's provider began; of an empty one, of any. Whoever signed in by
// a provider sees and ends no other sessions: the provider speaks for its organization alone. T-065
func within(parameter string) string {
	return "(CAST(" + parameter + " AS text) = '' OR organization = " + parameter + ")"
}

// EndAll ends and fences every session of a user but the one to keep (empty: none is kept), and says how many that
// were. With an organization it ends those alone that its provider began.
func EndAll(ctx context.Context, tx *op.Tx, user, keep, organization string) (int, error) {
	rows, err := tx.Query(ctx, "UPDATE sessions SET ended_at = $2 WHERE user_id = $1 AND id <> $3 AND "+alive+" AND "+within("$4")+tx.Quiet()+" RETURNING id",
		user, tx.Micros(), keep, organization)
	if err != nil {
		return 0, err
	}
	return endedOf(tx, rows)
}

// EndBegunBy ends and fences every session that one identity provider of an organization began, and says how many.
func EndBegunBy(ctx context.Context, tx *op.Tx, organization, connection string) (int, error) {
	rows, err := tx.Query(ctx, "UPDATE sessions SET ended_at = $3 WHERE organization = $1 AND connection = $2 AND ended_at = 0"+tx.Quiet()+" RETURNING id",
		organization, connection, tx.Micros())
	if err != nil {
		return 0, err
	}
	return endedOf(tx, rows)
}

// EndSessions ends and fences some of the sessions that identity providers of an organization began, and says how many.
func EndSessions(ctx context.Context, tx *op.Tx, organization string, ids []string) (int, error) {
	in, args := sqldb.Placeholders(3, ids)
	rows, err := tx.Query(ctx, "UPDATE sessions SET ended_at = $2 WHERE organization = $1 AND ended_at = 0 AND id IN ("+in+")"+tx.Quiet()+" RETURNING id", append([]any{organization, tx.Micros()}, args...)...)
	if err != nil {
		return 0, err
	}
	return endedOf(tx, rows)
}

// endedOf fences the sessions that a statement ended, and counts them.
func endedOf(tx *op.Tx, rows *sql.Rows) (ended int, err error) {
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return 0, err
		}
		tx.Fence(op.Fence{Kind: op.FenceSession, ID: id})
		ended++
	}
	return ended, rows.Err()
}

// CountSessions says how many living sessions a user has.
func CountSessions(ctx context.Context, r *op.Reader, user string) (int, error) {
	var n int
	err := r.QueryRow(ctx, "SELECT count(*) FROM sessions WHERE user_id = $1 AND "+alive, user, r.Micros()).Scan(&n)
	return n, err
}

// ListSessionsInput asks for the caller's sessions.
type ListSessionsInput struct {
	op.Page
}

// ListSessions lists the living sessions of the caller, the newest first.
var ListSessions = &op.Op[ListSessionsInput, op.List[Session]]{
	Name:    "sessions.list",
	Route:   "GET /v1/me/sessions",
	Summary: "List your sessions: every device on which you are signed in",
	Kind:    op.Read,
	Scope:   op.Self,
	Allow:   op.SignedIn,
	Do:      listSessions,
	Example: ListSessionsInput{Page: op.Page{Limit: 25}},
}

func listSessions(ctx context.Context, tx *op.Tx, in ListSessionsInput) (op.List[Session], error) {
	before, id := in.Page.AfterNewest()
	rows, err := tx.Query(ctx, "SELECT "+sessionColumns+" FROM sessions WHERE user_id = $1 AND "+alive+`
		AND (created_at < $3 OR created_at = $3 AND id < $4) AND `+within("$6")+` ORDER BY created_at DESC, id DESC LIMIT $5`,
		tx.Actor.User, tx.Micros(), before, id, in.Size()+1, tx.Actor.Credential.Organization)
	if err != nil {
		return op.List[Session]{}, err
	}
	defer rows.Close()
	var found []Session
	for rows.Next() {
		s, err := scanSession(rows)
		if err != nil {
			return op.List[Session]{}, err
		}
		found = append(found, s.show(tx.Actor.Credential.ID))
	}
	return op.Listed(tx.Reader, &in.Page, found, func(s Session) []string {
		return op.Newest(s.CreatedAt.UnixMicro(), s.ID)
	}), rows.Err()
}

// RevokeSessionInput names a session of the caller.
type RevokeSessionInput struct {
	Session string `json:"session" doc:"The session's id, or current for the one that this request is made with" example:"current" maxLength:"64"`
}

// RevokeSession ends one of the caller's sessions: signing out is ending the current one. Ending it again changes
// nothing.
var RevokeSession = &op.Op[RevokeSessionInput, Session]{
	Name:    "sessions.revoke",
	Route:   "POST /v1/me/sessions/{session}/revoke",
	Summary: "End one of your sessions, or sign out with current",
	Kind:    op.Access,
	Scope:   op.Self,
	Allow:   op.Own(),
	Target:  sessionTarget,
	Fences: func(_ RevokeSessionInput, t op.Target) []op.Fence {
		return []op.Fence{{Kind: op.FenceSession, ID: t.ID}}
	},
	Do:      revokeSession,
	Example: RevokeSessionInput{Session: "current"},
}

func sessionTarget(ctx context.Context, r *op.Reader, in RevokeSessionInput) (op.Target, error) {
	id := in.Session
	if id == "current" {
		id = r.Actor.Credential.ID
	}
	s, err := scanSession(r.QueryRow(ctx, "SELECT "+sessionColumns+" FROM sessions WHERE id = $1 AND user_id = $2 AND "+within("$3"),
		id, r.Actor.User, r.Actor.Credential.Organization))
	if err != nil {
		return op.Target{}, err
	}
	return op.Target{Type: "session", ID: s.id, Name: Device(s.agent), User: r.Actor.User, Value: s}, nil
}

func revokeSession(ctx context.Context, tx *op.Tx, _ RevokeSessionInput) (Session, error) {
	s, _ := tx.Target().Value.(sessionRow)
	if s.ended != 0 {
		tx.Unchanged()
		return s.show(tx.Actor.Credential.ID), nil
	}
	s.ended = tx.Micros()
	tx.Changed("ended", false, true)
	return s.show(tx.Actor.Credential.ID), EndSession(ctx, tx, s.id)
}

// RevokeSessionsInput says which sessions end.
type RevokeSessionsInput struct {
	KeepCurrent bool `json:"keep_current,omitzero" doc:"Keep the session that this request is made with" required:"false"`
}

// Revoked says how many sessions ended.
type Revoked struct {
	Ended int `json:"ended" doc:"How many sessions ended"`
}

// RevokeSessions ends all sessions of the caller, with the current one or without it.
var RevokeSessions = &op.Op[RevokeSessionsInput, Revoked]{
	Name:    "sessions.revoke_all",
	Route:   "POST /v1/me/sessions/revoke_all",
	Summary: "End all your sessions, or all but this one",
	Kind:    op.Access,
	Scope:   op.Self,
	Allow:   op.Own(),
	Confirm: op.L1,
	Target: func(_ context.Context, r *op.Reader, _ RevokeSessionsInput) (op.Target, error) {
		return op.Target{Type: "user", ID: r.Actor.User, Name: r.Actor.Name, User: r.Actor.User}, nil
	},
	Fences: func(_ RevokeSessionsInput, t op.Target) []op.Fence {
		return []op.Fence{{Kind: op.FenceUser, ID: t.ID}}
	},
	Do:      revokeSessions,
	Example: RevokeSessionsInput{KeepCurrent: true},
}

func revokeSessions(ctx context.Context, tx *op.Tx, in RevokeSessionsInput) (Revoked, error) {
	keep := ""
	if in.KeepCurrent {
		keep = tx.Actor.Credential.ID
	}
	ended, err := EndAll(ctx, tx, tx.Actor.User, keep, tx.Actor.Credential.Organization)
	if ended == 0 {
		tx.Unchanged()
	} else {
		tx.Changed("sessions_ended", nil, ended)
	}
	return Revoked{Ended: ended}, err
}

// sessionRow is a session as it is stored.
type sessionRow struct {
	id, method, organization, address, agent          string
	created, signedIn, lastUsed, idle, expires, ended int64
}

// scanSession reads the columns of sessionColumns. Without a row it is ErrNotFound.
func scanSession(row interface{ Scan(...any) error }) (sessionRow, error) {
	var s sessionRow
	err := row.Scan(&s.id, &s.method, &s.organization, &s.address, &s.agent, &s.created, &s.signedIn, &s.lastUsed, &s.idle, &s.expires, &s.ended)
	if errors.Is(err, sql.ErrNoRows) {
		return s, op.ErrNotFound
	}
	return s, err
}

// show makes the session that its owner sees; current is the id of the one that asks.
func (s sessionRow) show(current string) Session {
	until := s.expires
	if s.idle != 0 {
		until = min(until, s.lastUsed+s.idle)
	}
	return Session{ID: s.id, Current: s.id == current, Device: Device(s.agent), Address: s.address, Method: s.method, Organization: s.organization,
		CreatedAt: timeOf(s.created), SignedInAt: timeOf(s.signedIn), LastUsedAt: timeOf(s.lastUsed),
		ExpiresAt: timeOf(until), EndedAt: timeOf(s.ended)}
}
