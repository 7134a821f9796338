package credential

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// Session is a person's sign-in on one device.
type Session struct {
	ID         string    `json:"id" doc:"The session's id" example:"ses_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Current    bool      `json:"current" doc:"Whether this request was made with it"`
	Device     string    `json:"device" doc:"What it runs on, as the browser says of itself" example:"Firefox on Linux"`
	Address    string    `json:"address" doc:"The client's network address at sign-in" example:"203.0.113.7"`
	Method     string    `json:"method" doc:"How the person proved who they are" example:"mail"`
	CreatedAt  time.Time `json:"created_at" doc:"When the person signed in"`
	SignedInAt time.Time `json:"signed_in_at" doc:"When the person last proved who they are"`
	LastUsedAt time.Time `json:"last_used_at" doc:"When it was last used, to about a minute"`
	ExpiresAt  time.Time `json:"expires_at" doc:"When it ends unless it is used before; being used does not keep it beyond its longest life"`
	EndedAt    time.Time `json:"ended_at,omitzero" doc:"When it was ended; absent while it lives"`

	// Secret is the session's token, where the call made it; empty everywhere else.
	Secret secret.Text `json:"-"`
}

// SessionKind is the kind of a session's token: "gld_ses_...".
const SessionKind = "ses"

const sessionColumns = "id, method, address, agent, created_at, signed_in_at, last_used_at, idle_limit, expires_at, ended_at"

// alive is the condition of a session that still counts; its parameter is the time. At a limit itself it has ended.
const alive = "ended_at = 0 AND expires_at > $2 AND (idle_limit = 0 OR last_used_at + idle_limit > $2)" +
	" AND recovery_epoch = (SELECT recovery_epoch FROM instance WHERE id = 'instance')"

// BeginSession begins a session of the user, on the caller's device, and tells the edge its secret. Method says how the
// person proved who they are: "mail".
func BeginSession(ctx context.Context, tx *op.Tx, user, method string) (Session, error) {
	token := secret.New(nil, tx.Charter.KeyPrefix, SessionKind)
	hash := token.Hash()
	until := tx.Now.Add(tx.Settings.SessionLife)
	idle := max(0, tx.Settings.SessionIdle)
	s := sessionRow{id: tx.NewID("ses"), method: method, address: tx.Caller.Address, agent: tx.Caller.Agent,
		created: tx.Micros(), signedIn: tx.Micros(), lastUsed: tx.Micros(), idle: idle.Microseconds(), expires: until.UnixMicro()}
	_, err := tx.Exec(ctx, `INSERT INTO sessions (id, user_id, hash, method, address, agent, created_at, signed_in_at,
			last_used_at, idle_limit, expires_at, ended_at, recovery_epoch)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $7, $8, $9, 0, (SELECT recovery_epoch FROM instance WHERE id = 'instance'))`,
		s.id, user, hash[:], s.method, s.address, s.agent, s.created, s.idle, s.expires)
	if err != nil {
		return Session{}, err
	}
	return handedOut(tx, s, token), nil
}

// Rotate gives a living session another secret after a new proof of who it is: from the commit on, the old secret is
// nobody's, and the sign-in is fresh. The operation fences the session.
func Rotate(ctx context.Context, tx *op.Tx, session string) (Session, error) {
	token := secret.New(nil, tx.Charter.KeyPrefix, SessionKind)
	hash := token.Hash()
	s, err := scanSession(tx.QueryRow(ctx, `UPDATE sessions SET hash = $3, signed_in_at = $2, last_used_at = $2
		WHERE id = $1 AND `+alive+` RETURNING `+sessionColumns, session, tx.Micros(), hash[:]))
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
	_, err := tx.Exec(ctx, "UPDATE sessions SET ended_at = $2 WHERE id = $1 AND ended_at = 0", session, tx.Micros())
	return err
}

// EndAll ends and fences every session of a user but the one to keep (empty: none is kept), and says how many that
// were.
func EndAll(ctx context.Context, tx *op.Tx, user, keep string) (int, error) {
	rows, err := tx.Query(ctx, "UPDATE sessions SET ended_at = $2 WHERE user_id = $1 AND id <> $3 AND "+alive+" RETURNING id",
		user, tx.Micros(), keep)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	ended := 0
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
		AND (created_at < $3 OR created_at = $3 AND id < $4) ORDER BY created_at DESC, id DESC LIMIT $5`,
		tx.Actor.User, tx.Micros(), before, id, in.Size()+1)
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
	s, err := scanSession(r.QueryRow(ctx, "SELECT "+sessionColumns+" FROM sessions WHERE id = $1 AND user_id = $2", id, r.Actor.User))
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
	ended, err := EndAll(ctx, tx, tx.Actor.User, keep)
	if ended == 0 {
		tx.Unchanged()
	} else {
		tx.Changed("sessions_ended", nil, ended)
	}
	return Revoked{Ended: ended}, err
}

// sessionRow is a session as it is stored.
type sessionRow struct {
	id, method, address, agent                        string
	created, signedIn, lastUsed, idle, expires, ended int64
}

// scanSession reads the columns of sessionColumns. Without a row it is ErrNotFound.
func scanSession(row interface{ Scan(...any) error }) (sessionRow, error) {
	var s sessionRow
	err := row.Scan(&s.id, &s.method, &s.address, &s.agent, &s.created, &s.signedIn, &s.lastUsed, &s.idle, &s.expires, &s.ended)
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
	return Session{ID: s.id, Current: s.id == current, Device: Device(s.agent), Address: s.address, Method: s.method,
		CreatedAt: timeOf(s.created), SignedInAt: timeOf(s.signedIn), LastUsedAt: timeOf(s.lastUsed),
		ExpiresAt: timeOf(until), EndedAt: timeOf(s.ended)}
}
