package op

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/replica"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
)

// FreshFor is how long a sign-in counts as fresh for dangerous operations.
const FreshFor = 10 * time.Minute

// Config is what a Service is made of.
type Config struct {
	DB         *sqldb.DB
	Charter    *charter.Charter
	Secrets    *secret.Ring
	Operations []Any
	Load       Load
	// Fence drops the cached decisions about the principals and keeps new ones from being cached until release is
	// called, after the transaction has ended. Nil: nothing is cached.
	Fence func(ctx context.Context, principals []Fence) (release func(), err error)
	// Share makes a change known to every other server that may remember something about the principals, in the change's
	// transaction, before its commit and after Fence. Nil: there is no other server.
	Share func(ctx context.Context, tx *sqldb.Tx, principals []Fence) error
	// Changed is told of principals and audit streams after a change of them was committed. Nil: nobody is.
	Changed func(ctx context.Context, principals []Fence, streams []string)
	// Holders says who holds a permission in the reader's organization, for refusals. Nil: nobody is named.
	Holders func(ctx context.Context, r *Reader, p charter.Permission) ([]Holder, error)
	// Seen is told of every authenticated call, on the hot path: it must not block. Nil: nobody is.
	Seen func(a *Actor, c Caller, at time.Time)
	// Spend counts one request of each of the scoped tokens, and says whether all of them had one left. Nil: nothing is
	// counted.
	Spend func(ctx context.Context, tokens []string) (bool, error)
	// Outside gives the functions that reach beyond this process (see Op.Prepare) what they do it with, in their context.
	// Nil: nothing.
	Outside func(ctx context.Context) context.Context
	// Parts are what rooms keep beside the database.
	Parts Parts
	// Committed is called after a transaction that put something into the outbox. Nil: nobody is.
	Committed func()
	// Doubt is asked before each call; an error of it is the answer. Nil: nobody doubts.
	Doubt func() error
	// Observe is told how each call went. Nil: nobody is.
	Observe  func(Observation)
	Limits   Limits
	Settings Settings
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: slog.Default
}

// Observation is how a call went.
type Observation struct {
	Operation  string
	Kind       Kind
	Actor      ActorKind
	Error      *Error // nil: it went well
	Took       time.Duration
	Statements int // inside the writing transaction, beside BEGIN and COMMIT
	Changed    bool
	At         time.Time // the service's clock when it ended
	By         *Actor    // who called, as far as it is known; not to be kept or changed
	Caller     Caller
}

// Service runs operations on a database. It is safe for concurrent use.
type Service struct {
	config   Config
	table    map[string]*declared
	order    []*declared
	registry huma.Registry
	buckets  buckets
	turned   turned
	crowds   crowds
	watches  watches
	refusals struct {
		sync.Mutex
		held map[refusalKey]*refusal
		lost int
	}
}

// strictCasing tells huma, for the whole process, that names are as they are written. Services may be made at any time.
var strictCasing = sync.OnceFunc(func() { huma.ValidateStrictCasing = true })

// New makes a service for a table of operations. It refuses a table with a mistake in it: an operation that allows
// nobody, that changes access and fences nothing, whose route names no field of its input, or that stands there twice.
func New(config Config) (*Service, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Log == nil {
		config.Log = slog.Default()
	}
	config.Settings = config.Settings.WithDefaults()
	strictCasing()
	s := &Service{config: config, table: map[string]*declared{}, registry: NewRegistry()}
	if config.Share != nil {
		s.buckets.common = commonName(config.Secrets)
	}
	for _, o := range config.Operations {
		d, err := s.declare(o)
		if err != nil {
			return nil, fmt.Errorf("operation %s: %w", o.Info().Name, err)
		}
		s.table[d.info.Name] = d
		s.order = append(s.order, d)
	}
	return s, nil
}

// NewRegistry makes the registry of schemas that inputs are validated with, and that OpenAPI shows.
func NewRegistry() huma.Registry {
	return huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
}

func (s *Service) declare(o Any) (*declared, error) {
	info := o.Info()
	if err := s.check(info); err != nil {
		return nil, err
	}
	schema := huma.SchemaFromType(s.registry, info.In)
	schema.PrecomputeMessages()
	d := &declared{op: o, info: info, schema: schema, own: reflect.PointerTo(info.In).Implements(bodyReader)}
	for name := range schema.Properties {
		d.names = append(d.names, name)
	}
	slices.Sort(d.names)
	for _, field := range info.PathFields() {
		if !slices.Contains(d.names, field) {
			return nil, fmt.Errorf("the route's {%s} is no field of %s", field, info.In)
		}
	}
	return d, nil
}

// check finds the mistakes of a declaration that would be holes. T-005.
func (s *Service) check(i Info) error {
	switch _, twice := s.table[i.Name]; {
	case twice:
		return fmt.Errorf("declared twice")
	case i.Noun() == "" || i.Verb() == "":
		return fmt.Errorf("the name has to be noun.verb")
	case i.Allow.kind == ruleNone:
		return fmt.Errorf("allows nobody: say op.Anyone or op.SignedIn aloud")
	case i.Kind == Access && !i.fenced:
		return fmt.Errorf("changes access and fences nobody")
	case i.Kind != Access && i.fenced:
		return fmt.Errorf("fences somebody and does not change access")
	case i.Kind == Read && i.Method != "GET" && i.Method != "POST":
		return fmt.Errorf("reads by %s", i.Method)
	case i.Kind != Read && i.Method == "GET":
		return fmt.Errorf("changes something by GET")
	case i.Scope == Organization && !i.Foreign() && !slices.Contains(i.PathFields(), "organization"):
		return fmt.Errorf("is about an organization and its route names none")
	case i.In.Kind() != reflect.Struct || i.Out.Kind() != reflect.Struct:
		return fmt.Errorf("input and output have to be structs")
	}
	for _, p := range i.Allow.Permissions() {
		if _, ok := s.config.Charter.Info(p); !ok && !slices.Contains(s.config.Charter.Absent(), p) {
			return fmt.Errorf("permission %s is not one of Guildhall's", p)
		}
	}
	return nil
}

// Operations are the operations of the table, in its order.
func (s *Service) Operations() []Any {
	all := make([]Any, len(s.order))
	for i, d := range s.order {
		all[i] = d.op
	}
	return all
}

// Charter is the service's charter.
func (s *Service) Charter() *charter.Charter { return s.config.Charter }

// Now is the service's clock.
func (s *Service) Now() time.Time { return s.config.Now() }

// Find gives the operation with a name.
func (s *Service) Find(name string) (Any, bool) {
	d, ok := s.table[name]
	if !ok {
		return nil, false
	}
	return d.op, true
}

// View runs fn on a read snapshot as the caller, within an organization (id or slug; empty for none): for checks and
// explanations, which are no operations. It authenticates, and authorizes nothing.
func (s *Service) View(ctx context.Context, c Caller, organization string, fn func(r *Reader) error) error {
	return s.config.DB.Read(ctx, func(tx *sqldb.Tx) error {
		r := s.reader(tx, c)
		actor, err := s.load(ctx, r, organization, false)
		if err != nil {
			return err
		}
		r.Actor = &actor
		return fn(r)
	})
}

func (s *Service) reader(tx *sqldb.Tx, c Caller) *Reader {
	return &Reader{Actor: &Actor{Kind: NobodyActor}, Caller: c, Charter: s.config.Charter, Now: s.config.Now().UTC(),
		Secrets: s.config.Secrets, Settings: s.config.Settings, Parts: s.config.Parts, sql: tx, service: s}
}

// load finds who a caller is. A cookie that is no longer good is nobody's; a bearer token that is not good is an error.
func (s *Service) load(ctx context.Context, r *Reader, organization string, lock bool) (Actor, error) {
	who := Who{Organization: organization, Now: r.Micros(), Lock: lock}
	switch {
	case r.Caller.Machine:
		who.Kind = "operator"
	case r.Caller.System != "":
		who.Kind = "system"
	case r.Caller.Credential == "":
		return Actor{Kind: NobodyActor}, nil
	default:
		token, err := secret.Parse(r.Caller.Credential)
		if err != nil {
			return nobodyOr(r.Caller, ErrUnauthenticated)
		}
		who.Hash, who.Kind = token.Hash(), token.Kind()
	}
	actor, err := s.config.Load(ctx, r, who)
	if err != nil {
		return nobodyOr(r.Caller, err)
	}
	actor.Credential.Cookie = r.Caller.Cookie
	return actor, nil
}

func nobodyOr(c Caller, err error) (Actor, error) {
	if c.Cookie && err == ErrUnauthenticated {
		return Actor{Kind: NobodyActor}, nil
	}
	return Actor{}, err
}

// refuse makes the error of a denial.
func (s *Service) refuse(ctx context.Context, r *Reader, d decide.Decision) error {
	if d.Reason == decide.PlanRequired {
		info, _ := r.Charter.Info(d.Needs)
		return r.planRequired(info.Feature, d.Needs)
	}
	e := &Error{Kind: Denied, Code: string(d.Reason), Reason: d.Reason, Needs: d.Needs, Text: denialText(r, d)}
	if d.Reason == decide.NoPermission {
		e.Code = "denied"
	}
	if d.Needs != "" {
		e.FixURL = "/docs/permissions#" + strings.ReplaceAll(string(d.Needs), ".", "-")
	}
	if d.Reason == decide.OutOfScope {
		e.FixURL = "/docs/keys#scopes"
	}
	if _, ok := signInText[d.Reason]; ok {
		e.FixURL, e.Needs = "/docs/sign-in#policy", ""
	}
	if d.Needs == "" || s.config.Holders == nil || !r.May("members.view").Allow {
		return e
	}
	holders, err := s.config.Holders(ctx, r, d.Needs)
	if err != nil {
		return err
	}
	e.Holders = holders
	return e
}

// denialText says in words why not.
func denialText(r *Reader, d decide.Decision) string {
	switch d.Reason {
	case decide.NoPermission:
		return noPermissionText(r, d.Needs)
	case decide.OutOfScope:
		return "the scopes of this credential leave out " + string(d.Needs)
	case decide.OtherResource:
		return "this credential is limited to other resources: " + string(r.Actor.Principal.Limits)
	case decide.WrongAddress:
		if !r.Actor.derived() {
			return "this organization takes no requests from your network address"
		}
		return "this credential is not for requests from your address"
	case decide.SignedInElsewhere:
		if r.Actor.Principal.Organization == "" {
			return "an organization's identity provider began this session, and it is for that organization only: sign in by mail or passkey"
		}
		return signInText[d.Reason]
	case decide.SSORequired, decide.WayNotAllowed, decide.MFARequired, decide.SignInAgain:
		return signInText[d.Reason]
	case decide.IsSuspended:
		return "your membership in this organization is suspended"
	case decide.HasEnded:
		return "your membership in this organization has ended"
	case decide.AboveYourLevel:
		return "that person or role holds permissions that you do not hold"
	case decide.OwnersOnly:
		return "only owners make, change or remove owners"
	case decide.ByTransferOnly:
		return "this product has one owner: ownership moves by transfer only"
	case decide.UnknownPermission:
		return "this product has no permission " + string(d.Needs)
	case decide.PeopleOnly:
		return "this is for signed-in people: a key or the operator has no such things"
	case decide.ServiceOnly:
		return "this is for the product's back end, by a service key"
	case decide.DirectoryOnly:
		return "this is for a company's directory, by its own token"
	case decide.OperatorOnly:
		return "this is for the operator at the machine that holds the data"
	case decide.NotMember:
		return "this needs a member of the organization with " + string(d.Needs)
	case decide.OrganizationGone:
		return "this organization is scheduled for deletion"
	}
	return "you may not do this"
}

// signInText says what an organization does not take of a sign-in, and what it would take.
var signInText = map[decide.Reason]string{
	decide.SignedInElsewhere: "you signed in with the identity provider of another organization, which gives no access here: sign in by mail or passkey, or with this organization's own provider",
	decide.SSORequired:       "this organization takes sign-ins by its own identity provider only: sign in there",
	decide.WayNotAllowed:     "this organization does not take the way in which you signed in: sign in another way",
	decide.MFARequired:       "this organization asks for a second factor: sign in with a passkey, or with the code of an authenticator app",
	decide.SignInAgain:       "this organization wants shorter sessions than yours: sign in again",
}

func noPermissionText(r *Reader, needs charter.Permission) string {
	if needs == "" {
		return "you may not do this"
	}
	if r.Actor.derived() {
		return "this credential lacks " + string(needs)
	}
	if role, ok := r.Charter.Role(r.Actor.Principal.Role); ok {
		return fmt.Sprintf("role %s lacks %s", role.Title, needs)
	}
	return "you lack " + string(needs)
}

// Snapshot runs fn on a read snapshot without any caller: for the rooms that fill caches and prove invariants. Nothing
// that a caller asked may be answered from it without a decision of its own.
func (s *Service) Snapshot(ctx context.Context, fn func(r *Reader) error) error {
	return s.config.DB.Read(ctx, func(tx *sqldb.Tx) error { return fn(s.reader(tx, Caller{})) })
}

// Committed runs fn as Snapshot does, but each statement sees what was committed when it began.
func (s *Service) Committed(ctx context.Context, fn func(r *Reader) error) error {
	return s.config.DB.ReadCommitted(ctx, func(tx *sqldb.Tx) error { return fn(s.reader(tx, Caller{})) })
}

// Share tries to keep changes of principals out until the reader's transaction ends: see replica.Share.
func (r *Reader) Share(ctx context.Context, principals []Fence) (bool, replica.Timeline, error) {
	return replica.Share(ctx, r.sql, ScopesOf(principals))
}
