package op

import (
	"context"
	"log/slog"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/secret"
)

// Caller is what a request says of itself: a credential, and where it came from. Only edges make one, and no header or
// body field sets Machine or System.
type Caller struct {
	Credential string // the secret as sent; empty for nobody
	Cookie     bool   // it came as a browser's cookie
	Address    string // the client's address, as far as trusted proxies tell
	Agent      string // its user agent, cut to 512 bytes
	RequestID  string
	Passive    bool   // nobody did anything for it, such as a page that keeps itself up to date: it is no use of the session
	Machine    bool   // the operator at the machine that holds the data
	System     string // scheduled work of this process, by name
}

type callerKey struct{}

// As gives a context whose calls are made by the caller.
func As(ctx context.Context, c Caller) context.Context { return context.WithValue(ctx, callerKey{}, c) }

// CallerOf gives the caller of a context; the zero Caller is nobody.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// ActorKind says what kind of actor did something; the audit log shows it.
type ActorKind string

// The kinds of actor.
const (
	NobodyActor   ActorKind = "anonymous"
	UserActor     ActorKind = "user"
	KeyActor      ActorKind = "key"
	TokenActor    ActorKind = "token"
	ServiceActor  ActorKind = "service_key"
	OperatorActor ActorKind = "operator"
	SystemActor   ActorKind = "system"
	// DirectoryActor is a company's own directory, which tells us of its people by SCIM.
	DirectoryActor ActorKind = "directory"
	// LinkActor is a link by which somebody without an account sets one thing up.
	LinkActor ActorKind = "setup_link"
)

// Actor is who a call is made by, as the database says at this moment.
type Actor struct {
	Kind       ActorKind
	ID         string // of the user, key, token or service key; "operator", or the name of the scheduled work
	Name       string // for people and keys; kept apart from the audit row
	Email      string
	User       string // the person: whoever is signed in, or on whose behalf a personal key or a token acts
	Credential Credential
	Principal  decide.Principal // in the organization of the call
}

// derived reports whether the actor is a key or a token: it acts for somebody, within its scopes and never beyond.
func (a *Actor) derived() bool { return a.Kind == KeyActor || a.Kind == TokenActor }

// onBehalf is the person for whom a key or token acts; empty for everybody who acts for themselves.
func (a *Actor) onBehalf() string {
	if !a.derived() {
		return ""
	}
	return a.User
}

// Credential is the session or key that a call was made with, without its secret.
type Credential struct {
	ID         string
	SignedInAt int64 // Unix microseconds of the last proof of who it is
	ExpiresAt  int64
	Cookie     bool
	// Organization is of a session that an organization's identity provider began: it is for that organization only.
	Organization string
	Operations   string   // what a service key is limited to, with spaces between: "users.upsert members.*"; empty: nothing
	Budgets      []string // the scoped tokens whose requests are counted: this one, and those above it
}

// allows reports whether the credential may be used for an operation, or for "checks".
func (c Credential) allows(operation string) bool {
	noun, _, _ := strings.Cut(operation, ".")
	for rest := c.Operations; rest != ""; {
		var one string
		if one, rest, _ = strings.Cut(rest, " "); one == operation || one == noun+".*" {
			return true
		}
	}
	return c.Operations == ""
}

// AllowsChecks reports whether the credential may be used to ask checks.
func (c Credential) AllowsChecks() bool { return c.allows("checks") }

// Who is what Load is asked for. With a hash, the credential and its owner; with an organization (id or slug) the
// membership there too.
type Who struct {
	Hash         secret.Hash
	Kind         string // of the token: "ses", "live", "tok", "svc" or "scim"; or "operator", "system"
	Organization string
	Now          int64 // Unix microseconds
	Lock         bool  // hold the rows until the transaction ends
}

// Load reads who stands behind a credential. It returns ErrUnauthenticated for a credential that is unknown, ended or
// expired; a person who is no member of the organization gets a Principal without one, and an organization that does
// not exist looks the same.
type Load func(ctx context.Context, r *Reader, w Who) (Actor, error)

// LogValue keeps the credential out of logs.
func (c Caller) LogValue() slog.Value {
	return slog.GroupValue(slog.String("address", c.Address), slog.String("request_id", c.RequestID))
}

// Target is what an operation touches, as loaded: enough to authorize, to lock, to compare versions and to name it in
// the audit log.
type Target struct {
	Organization string // whose it is; empty: the organization of the route, or none
	Type         string // "member"
	ID           string
	Name         string // as people know it, at this time; kept apart from the audit row
	User         string // whom it belongs to: see Own
	Resource     string // for permissions on one resource
	Stream       string // the audit stream, where it is neither the organization's nor the actor's own; NewStream
	Version      int64  // compared with If-Match; 0 has no version
	Current      any    // shown when If-Match is stale
	// Principal is what a member or role that is acted on holds now: nobody acts on what holds more. Nil for
	// anything else.
	Principal *decide.Principal
	Fences    []Fence // further ones that loading found, such as the other member of a transfer
	Value     any     // whatever Target loaded and Do uses again
}

// NewStream as Target.Stream says that Do founds the stream it is written to.
const NewStream = "new"

// Impact is what an operation would do, the answer to dry_run.
type Impact struct {
	DryRun  bool                 `json:"dry_run" doc:"Always true: nothing was changed"`
	Summary string               `json:"summary" doc:"The effect in one sentence"`
	Gains   []charter.Permission `json:"gains" doc:"Permissions that would be gained"`
	Loses   []charter.Permission `json:"loses" doc:"Permissions that would be lost"`
	Effects []Effect             `json:"effects" doc:"What else would happen, one by one"`
}

// Effect is one thing that would happen.
type Effect struct {
	Type string `json:"type" doc:"What is affected" example:"session"`
	ID   string `json:"id,omitzero"`
	Name string `json:"name,omitzero"`
	Text string `json:"text" doc:"What would happen to it" example:"ends"`
	// Action is Text for programs, where there is a choice or several outcomes.
	Action string `json:"action,omitzero" enum:"ends,stays,left_behind,changes" doc:"The same in one word, for programs"`
}
