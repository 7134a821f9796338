// Package guildhall gives a B2B product its organizations: members, invitations, roles and permissions, ownership,
// sessions and an audit log, driven by one charter file.
//
// Open assembles a Hall on a database. The same Hall serves the binary's HTTP server and a product that runs it in
// process: Check answers from memory, and every change goes through an operation of Service.
package guildhall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/feedback"
	"github.com/guildhall/guildhall/governance"
	"github.com/guildhall/guildhall/internal/jobs"
	"github.com/guildhall/guildhall/internal/outbound"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	_ "github.com/guildhall/guildhall/internal/sqldb/drivers"
	"github.com/guildhall/guildhall/notice"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/requestlog"
	"github.com/guildhall/guildhall/scim"
	"github.com/guildhall/guildhall/signin"
	"github.com/guildhall/guildhall/usage"
)

// Config says what a Hall is made of.
type Config struct {
	Database   string           // "sqlite:PATH" or "postgres://USER@HOST/NAME"
	SecretFile string           // the instance secret file, made if there is none; never in the database or a backup
	Charter    *charter.Charter // the product's model
	Settings   op.Settings      // see there for what zero values mean
	Limits     op.Limits        // the zero value limits nothing
	Mail       MailSender       // nil: mail is refused and stays in the outbox until it is given up
	// Artifacts is where stored files are: see artifacts.OpenStore. Empty: the folder artifacts beside the secret file.
	// Whoever wants a bucket elsewhere imports its driver of gocloud.dev/blob.
	Artifacts   string
	MaxArtifact int64 // how many bytes a stored file has at most; 0: 5 GiB
	// Demo makes or opens demo data, whose sessions and mail everybody at the machine may see. Without it, demo
	// data is refused.
	Demo bool
	// Resolver looks up the records that prove domains; nil: the system's.
	Resolver federation.Resolver
	// Outbound asks identity providers; nil: it reaches public addresses and no others.
	Outbound *outbound.Client
	Social   federation.Social // clients at Google and GitHub, with which anybody may sign in; the zero value: nobody does
	Peers    Peers             // how the servers on one PostgreSQL reach each other
	Canary   Canary            // tries the promise about revocation all the time; the zero value: nobody does
	Billing  Billing           // who takes the money; the zero value: nobody, invoices are made and paid by hand
	Extra    []op.Any          // further operations of the binary itself; none for products
	Now      func() time.Time  // nil: time.Now
	Log      *slog.Logger      // nil: slog.Default
	Observe  func(op.Observation)
}

// Billing is a payment provider by its name.
type Billing struct {
	Name     string
	Provider billing.Provider
}

// Hall is an open Guildhall. It is safe for concurrent use. Close it.
type Hall struct {
	config    Config
	db        *sqldb.DB
	service   *op.Service
	access    *access.Access
	jobs      *jobs.Jobs
	sightings *credential.Sightings
	budgets   *credential.Budgets
	requests  *requestlog.Log
	store     *artifacts.Store
	artifacts *artifacts.Room
	providers *federation.Providers
	facts     op.InstanceFacts
	peers     *peers // nil: this is the only server
	clocks    clocks
}

// Operations are all operations of Guildhall, in the order of the reference.
func Operations() []op.Any {
	return slices.Concat(
		directory.Operations(),
		[]op.Any{directory.PurgeOrganization(purgeSteps())},
		scim.Operations(),
		access.Operations(),
		credential.Operations(),
		signin.Operations(),
		audit.Operations(),
		artifacts.Operations(),
		governance.Operations(),
		requestlog.Operations(),
		usage.Operations(),
		billing.Operations(),
		feedback.Operations(),
		federation.Operations(),
	)
}

// Open opens the database, brings its tables up to date and assembles the Hall. It refuses demo data without Demo, and
// a charter that lacks a role which members have.
func Open(ctx context.Context, c Config) (*Hall, error) {
	kept := c.Now == nil
	if kept {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Charter == nil {
		return nil, errors.New("no charter is given")
	}
	ring, err := secret.OpenRing(c.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("instance secret: %w", err)
	}
	db, err := sqldb.Open(ctx, c.Database, sqldb.Options{})
	if err != nil {
		return nil, err
	}
	h := &Hall{config: c, db: db}
	h.clocks.kept = kept
	if err := h.assemble(ctx, ring); err != nil {
		return nil, errors.Join(err, h.peers.close(), db.Close())
	}
	return h, nil
}

// assemble makes the parts, in the order in which each needs the others.
func (h *Hall) assemble(ctx context.Context, ring *secret.Ring) error {
	if err := h.db.Migrate(ctx); err != nil {
		return err
	}
	h.config.Settings.SignInWith = h.config.Social.Names()
	var err error
	if h.facts, err = op.FoundInstance(ctx, h.db, h.config.Demo, h.config.Charter.Name, h.config.Now()); err != nil {
		return err
	}
	if h.facts.Demo != h.config.Demo {
		return demoMismatch(h.facts.Demo)
	}
	if h.clocks.kept {
		h.compareClocks(ctx, h.config.Now)
	}
	h.sightings, h.budgets = credential.NewSightings(), credential.NewBudgets(h.db)
	h.requests = requestlog.New(h.db, h.config.Log)
	if err := h.openPeers(ctx, ring); err != nil {
		return err
	}
	h.access = access.New(access.Config{Charter: h.config.Charter, Now: h.config.Now, Seen: h.sightings.Seen, Spend: h.budgets.Spend,
		Count: h.countUse, Doubt: h.clocks.doubt, Peers: h.peers.among(), Log: h.config.Log})
	if err := h.openArtifacts(ctx); err != nil {
		return err
	}
	if h.service, err = op.New(h.serviceConfig(ring)); err != nil {
		return err
	}
	h.access.Attach(h.service)
	h.providers = federation.NewProviders(cmp.Or(h.config.Outbound, outbound.New(outbound.Config{})), h.config.Now).With(h.config.Social)
	h.jobs = jobs.New(h.db, h.jobsConfig(ring))
	if err := h.refuseForeignCharter(ctx); err != nil {
		return err
	}
	h.peers.run(h.db)
	return nil
}

func demoMismatch(demo bool) error {
	if demo {
		return errors.New("this is demo data, whose sessions everybody may see: it cannot be served for real; begin with an empty data folder")
	}
	return errors.New("this is no demo data: the demo does not touch it; name another data folder")
}

func (h *Hall) serviceConfig(ring *secret.Ring) op.Config {
	c := op.Config{
		DB: h.db, Charter: h.config.Charter, Secrets: ring, Operations: slices.Concat(Operations(), scim.Protocol(), h.config.Extra),
		Load: directory.Load, Fence: h.access.Fence, Holders: directory.Holders, Seen: h.sightings.Seen, Spend: h.budgets.Spend, Outside: h.outside,
		Committed: func() { h.jobs.Wake() }, Doubt: h.clocks.doubt, Observe: h.observe, Limits: h.config.Limits, Settings: h.config.Settings,
		Now: h.config.Now, Log: h.config.Log, Parts: op.Parts{h.artifacts, directory.RetentionEffect(artifacts.Effect)},
	}
	if h.peers != nil {
		c.Share, c.Changed = h.share, h.changed
	}
	return c
}

// refuseForeignCharter refuses a charter that would take the roles of members away without a word.
func (h *Hall) refuseForeignCharter(ctx context.Context) error {
	members, err := h.brokenRules(ctx, directory.UnknownRoles)
	if err != nil {
		return err
	}
	given, err := h.brokenRules(ctx, directory.UnknownGiven)
	broken := append(members, given...)
	if err != nil || len(broken) == 0 {
		return err
	}
	return fmt.Errorf("the charter %s does not fit this data (made with %s): %s", h.config.Charter.Name, h.facts.Charter, strings.Join(broken, "; "))
}

func (h *Hall) brokenRules(ctx context.Context, find func(context.Context, *op.Reader) ([]string, error)) (broken []string, err error) {
	err = h.service.Snapshot(ctx, func(r *op.Reader) error {
		broken, err = find(ctx, r)
		return err
	})
	return broken, err
}

// jobsConfig says what is done in the background, and how often.
func (h *Hall) jobsConfig(ring *secret.Ring) jobs.Config {
	return jobs.Config{
		Now: h.config.Now, Log: h.config.Log,
		Open:     func(kind string, payload []byte) ([]byte, error) { return ring.Open("outbox:"+kind, payload) },
		Handlers: map[string]jobs.Handler{"mail": h.sendMail, notice.Kind: h.sendMail, billing.ErrandKind: h.billingErrand, storedKind: h.meterStored},
		After:    h.afterJob,
		Schedules: append(h.canarySchedule(), []jobs.Schedule{
			{Name: "usage", Every: 5 * time.Second, Do: h.foldUsage},
			{Name: "billing", Every: time.Minute, Do: h.bill},
			{Name: "payment provider", Every: time.Minute, Do: h.reconcile},
			{Name: "ended memberships", Every: time.Minute, Do: h.endMemberships},
			{Name: "access reviews", Every: time.Hour, Do: h.tendReviews},
			{Name: "deletions", Every: time.Minute, Do: h.purgeOrganizations},
			{Name: "owner recoveries", Every: time.Minute, Do: h.recoverOwners},
			{Name: "artifacts", Every: time.Minute, Do: func(ctx context.Context) error { return h.artifacts.SweepAll(ctx, h.service) }},
			{Name: "domains", Every: 5 * time.Minute, Do: h.checkDomains},
			{Name: "saml metadata", Every: 5 * time.Minute, Do: h.tendSAML},
			{Name: "old challenges", Every: time.Hour, Do: func(ctx context.Context) error { return signin.Purge(ctx, h.db, h.config.Now()) }},
			{Name: "old sign-ins at providers", Every: time.Hour, Do: func(ctx context.Context) error { return federation.Purge(ctx, h.db, h.config.Now()) }},
			{Name: "old request log", Every: time.Hour, Do: func(ctx context.Context) error {
				return requestlog.Purge(ctx, h.db, h.config.Charter, h.config.Now())
			}},
			{Name: "old idempotency keys", Every: time.Hour, Do: func(ctx context.Context) error { return op.ForgetRepeats(ctx, h.db, h.config.Now()) }},
		}...),
	}
}

// endMemberships removes the members whose end date has come. Their access ended at that moment already: a check looks
// at the date itself.
func (h *Hall) endMemberships(ctx context.Context) error {
	var ended []directory.MemberInput
	err := h.service.Snapshot(ctx, func(r *op.Reader) (err error) {
		ended, err = directory.Ended(ctx, r)
		return err
	})
	ctx = op.As(ctx, op.Caller{System: "end dates"})
	for _, member := range ended {
		if _, failed := directory.RemoveMember.Call(ctx, h.service, directory.EndMemberInput{MemberInput: member, Reason: "the end date has come"}); failed != nil {
			err = errors.Join(err, fmt.Errorf("member %s: %w", member.Member, failed))
		}
	}
	return err
}

// tendReviews begins the next one of reviews that repeat, and reminds of those that are overdue.
func (h *Hall) tendReviews(ctx context.Context) error {
	var due governance.Due
	err := h.service.Snapshot(ctx, func(r *op.Reader) (err error) {
		due, err = governance.DueNow(ctx, r)
		return err
	})
	ctx = op.As(ctx, op.Caller{System: "access reviews"})
	for _, tend := range []struct {
		reviews []governance.ReviewInput
		by      *op.Op[governance.ReviewInput, governance.Review]
	}{{due.Repeat, governance.RepeatReview}, {due.Remind, governance.RemindReview}} {
		for _, review := range tend.reviews {
			if _, failed := tend.by.Call(ctx, h.service, review); failed != nil {
				err = errors.Join(err, fmt.Errorf("review %s: %w", review.Review, failed))
			}
		}
	}
	return err
}

// bill closes the months that are over and looks after what is overdue.
func (h *Hall) bill(ctx context.Context) error {
	var due billing.Due
	err := h.service.Snapshot(ctx, func(r *op.Reader) (err error) {
		due, err = billing.DueNow(ctx, r)
		return err
	})
	return errors.Join(err, due.Do(ctx, h.service))
}

// outside is what operations find that reach beyond this process: the payment provider, DNS.
func (h *Hall) outside(ctx context.Context) context.Context {
	return federation.At(billing.At(ctx, h.desk()), h.reach())
}

// reach is how federation reaches beyond this process.
func (h *Hall) reach() federation.Reach {
	r := federation.Reach{Resolver: h.config.Resolver, Providers: h.providers, Read: h.service.Snapshot}
	if r.Resolver == nil {
		r.Resolver = net.DefaultResolver
	}
	return r
}

// checkDomains looks for the records of domains that are due.
func (h *Hall) checkDomains(ctx context.Context) error {
	var due federation.Due
	err := h.service.Snapshot(ctx, func(r *op.Reader) (err error) {
		due, err = federation.DueNow(ctx, r)
		return err
	})
	return errors.Join(err, due.Do(ctx, h.db, h.service, h.reach(), h.config.Now()))
}

// tendSAML reads the metadata of providers that is due, and warns of certificates that end.
func (h *Hall) tendSAML(ctx context.Context) error {
	var due federation.SAMLDue
	err := h.service.Snapshot(ctx, func(r *op.Reader) (err error) {
		due, err = federation.SAMLDueNow(ctx, r)
		return err
	})
	return errors.Join(err, due.Do(ctx, h.db, h.service, h.reach(), h.config.Now()))
}

func (h *Hall) desk() billing.Desk {
	return billing.Desk{Name: cmp.Or(h.config.Billing.Name, billing.Builtin), Provider: h.config.Billing.Provider, Read: h.service.Snapshot}
}

// billingErrand tells the payment provider what came about here.
func (h *Hall) billingErrand(ctx context.Context, job jobs.Job) error {
	return h.desk().Run(ctx, job.Payload)
}

// reconcile reads back from the payment provider what no event told.
func (h *Hall) reconcile(ctx context.Context) error {
	var due []string
	err := h.service.Snapshot(ctx, func(r *op.Reader) (err error) {
		due, err = billing.DueSyncs(ctx, r, h.desk().Name)
		return err
	})
	ctx = op.As(ctx, op.Caller{System: "billing"})
	for _, organization := range due {
		in := billing.SyncInput{InOrganization: op.InOrganization{Organization: organization}}
		if failed := billing.Sync(ctx, h.service, in); failed != nil {
			err = errors.Join(err, fmt.Errorf("reading the subscription of %s back: %w", organization, failed))
		}
	}
	return err
}

// Service runs operations.
func (h *Hall) Service() *op.Service { return h.service }

// Access answers checks from memory.
func (h *Hall) Access() *access.Access { return h.access }

// LastUse is the last use of a key of an organization that is not written down yet: see credential.Sightings.
func (h *Hall) LastUse(organization, key string) (credential.Use, bool) {
	return h.sightings.LastUse(organization, key)
}

// Charter is the product's model.
func (h *Hall) Charter() *charter.Charter { return h.config.Charter }

// Empty reports whether nobody had ever signed in when the Hall was opened.
func (h *Hall) Empty() bool { return h.facts.Empty }

// Ready reports whether the database answers and takes changes.
func (h *Hall) Ready(ctx context.Context) error {
	return errors.Join(h.clocks.doubt(), h.db.Ping(ctx))
}

// Run does the background work (mail, end dates, last-used times, gathered refusals, the request log) until ctx ends,
// and then writes what is still gathered. It ends early with an error when the disk lost what the database had written:
// the process has to end then, and a hall of it answers 503 until it does.
func (h *Hall) Run(ctx context.Context) error {
	sound, stop := h.db.WhileSound(ctx)
	defer stop()
	var own sync.WaitGroup
	own.Go(func() { h.requests.Run(sound) })
	own.Go(func() { h.beside(sound) })
	own.Go(func() { h.countTogether(sound) })
	err := h.jobs.Run(sound)
	own.Wait()
	if broken := h.db.Broken(); broken != nil {
		return errors.Join(err, broken)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestFlush)
	defer cancel()
	return errors.Join(err, h.flush(last))
}

func (h *Hall) flush(ctx context.Context) error {
	return errors.Join(h.service.WriteRefusals(ctx), h.sightings.Flush(ctx, h.db), h.requests.Flush(ctx))
}

// RunDue does all work that is due now, and writes what is gathered: for tests, and for a clock that was moved.
func (h *Hall) RunDue(ctx context.Context) error {
	_, err := h.jobs.RunDue(ctx)
	return errors.Join(err, h.flush(ctx))
}

// Doctor reads the whole database and lists every rule that does not hold. An empty list is the only good answer.
func (h *Hall) Doctor(ctx context.Context) ([]string, error) {
	broken, err := h.brokenRules(ctx, directory.Broken)
	if err != nil {
		return nil, err
	}
	for _, find := range []func(context.Context, *op.Reader) ([]string, error){signin.Broken, federation.Broken, governance.Broken, audit.Broken, usage.Broken, artifacts.Broken, billing.Broken, artifacts.BrokenMeters, scim.Broken} {
		more, err := h.brokenRules(ctx, find)
		if err != nil {
			return nil, err
		}
		broken = append(broken, more...)
	}
	return broken, nil
}

// longestFlush is how long the last writing of what is gathered may take: a database that does not answer keeps no process.
const longestFlush = 15 * time.Second

// Close writes what is gathered and closes the database. Run must have returned.
func (h *Hall) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), longestFlush)
	defer cancel()
	err := errors.Join(h.flush(ctx), h.budgets.Flush(ctx), h.peers.close())
	if h.store != nil {
		err = errors.Join(err, h.store.Close())
	}
	return errors.Join(err, h.db.Close())
}

// Stats counts what was asked of the database since the Hall was opened.
func (h *Hall) Stats() sqldb.Stats { return h.db.Stats() }
