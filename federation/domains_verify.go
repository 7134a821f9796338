package federation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

const (
	lookUpTime = 5 * time.Second
	// missesToLapse is how many daily checks in a row have to find a domain without its record until it lapses.
	missesToLapse = 3
	// shownRecords and shownText bound what is told of foreign records.
	shownRecords, shownText = 10, 300
)

// VerifyDomainInput names a domain whose record is looked for.
type VerifyDomainInput struct {
	DomainInput

	seen finding
}

// finding is what DNS answered.
type finding struct {
	value   string // of the record that was looked for
	records []string
	proved  bool
	silent  bool   // nobody answered: this says nothing about the record
	problem string // why it is not proved
}

// VerifyDomain asks DNS for a domain's record. With it the domain is verified, and nobody else's; without it the answer
// says what was found. Guildhall asks again every day by itself.
var VerifyDomain = &op.Op[VerifyDomainInput, Domain]{
	Name:    "domains.verify",
	Route:   "POST /v1/organizations/{organization}/domains/{domain}/verify",
	Summary: "Look for the domain's DNS record; without it the answer says what was found",
	Kind:    op.Write,
	Allow:   op.AnyOf(op.On("sso.configure"), op.ByOperator),
	Feature: feature,
	Target: func(ctx context.Context, r *op.Reader, in VerifyDomainInput) (op.Target, error) {
		return domainTarget(ctx, r, in.DomainInput)
	},
	Prepare: askDNS,
	Do:      verifyDomain,
	Example: VerifyDomainInput{DomainInput: exampleDomain},
}

// askDNS looks for the record, outside any transaction.
func askDNS(ctx context.Context, in VerifyDomainInput) (VerifyDomainInput, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return in, err
	}
	var d domainRow
	err = reach.Read(ctx, func(r *op.Reader) (err error) {
		d, err = domainByID(ctx, r, in.Organization, in.Domain)
		return err
	})
	if err == nil {
		in.seen = reach.lookFor(ctx, d.name(), d.value)
	}
	return in, err
}

// lookFor asks for a TXT record with a value.
func (reach Reach) lookFor(ctx context.Context, name, value string) finding {
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	records, err := reach.Resolver.LookupTXT(ctx, name+".")
	f := finding{value: value}
	for _, record := range records {
		f.proved = f.proved || strings.TrimSpace(record) == value
	}
	var failed *net.DNSError
	switch {
	case f.proved:
	case err != nil && !(errors.As(err, &failed) && failed.IsNotFound):
		f.silent, f.problem = true, "DNS did not answer: try again later"
	case len(records) == 0:
		f.problem = "there is no TXT record at " + name + " yet: DNS can take hours to show a new one"
	default:
		f.records = shown(records)
		f.problem = fmt.Sprintf("a TXT record stands at %s, but with another value", name)
	}
	return f
}

// shown are as many foreign records as people can read, each cut where it is long.
func shown(records []string) []string {
	records = slices.Clone(records[:min(len(records), shownRecords)])
	for i, text := range records {
		if len(text) > shownText {
			text = text[:shownText] + "…"
		}
		if quoted := strconv.Quote(text); quoted != `"`+text+`"` {
			text = quoted
		}
		records[i] = strings.ToValidUTF8(text, "?")
	}
	return records
}

func verifyDomain(ctx context.Context, tx *op.Tx, in VerifyDomainInput) (Domain, error) {
	d := tx.Target().Value.(domainRow)
	was := d
	d.checked, d.problem = tx.Micros(), in.seen.problem
	switch {
	case in.seen.proved && in.seen.value == d.value:
		d.prove(tx)
	case tx.Actor.Kind == op.SystemActor && d.state == Verified && !in.seen.silent:
		if err := d.miss(ctx, tx); err != nil {
			return Domain{}, err
		}
	}
	if d.state != was.state {
		tx.Changed("state", was.state, d.state)
	} else if d.failures == was.failures {
		tx.Unchanged()
	}
	d.version++
	_, err := tx.Exec(ctx, `UPDATE domains SET state = $3, problem = $4, failures = $5, checked_at = $6, verified_at = $7, version = $8
		WHERE organization = $1 AND id = $2`, tx.Organization(), d.id, d.state, d.problem, d.failures, d.checked, d.verified, d.version)
	if _, taken := sqldb.Conflict(err); taken {
		return Domain{}, op.Errorf(op.Conflict, "domain_taken", "another organization has verified %s: it has to remove it first, or ask support", d.domain)
	}
	shown := d.show()
	shown.Found = in.seen.records
	return shown, err
}

func (d *domainRow) prove(tx *op.Tx) {
	d.failures = 0
	if d.state != Verified {
		d.state, d.verified = Verified, tx.Micros()
	}
}

// miss counts a daily check that found nothing. Owners are told at the first one, and when the domain lapses.
func (d *domainRow) miss(ctx context.Context, tx *op.Tx) error {
	d.failures++
	tx.Changed("failures", d.failures-1, d.failures)
	n := directory.Notice{Path: "/settings/sso", Subject: "the DNS record of " + d.domain + " is missing",
		Text: fmt.Sprintf("The record that proves that %s is yours is gone: %s. If it is missing for three days, the domain lapses, and nobody joins by it.", d.domain, d.problem)}
	switch d.failures {
	case 1:
	case missesToLapse:
		d.state = Lapsed
		n.Subject, n.Always = d.domain+" is not verified any more", true
		n.Text = fmt.Sprintf("The record that proves that %s is yours was missing for three days. Nobody joins by this domain now. Set the record again, and press Verify.", d.domain)
	default:
		return nil
	}
	return directory.TellOwners(ctx, tx, n)
}

// Due are the domains whose record is to be looked for now.
type Due struct {
	inputs []DomainInput
	rows   []domainRow
}

// mostDue bounds how many domains are looked at in one go.
const mostDue = 200

// DueNow finds the domains that nobody asked DNS about for a day; of the new ones, for a quarter of an hour.
func DueNow(ctx context.Context, r *op.Reader) (Due, error) {
	var due Due
	rows, err := r.Query(ctx, "SELECT d.organization, "+domainColumns+domainTables+` JOIN organizations o ON o.id = d.organization AND o.state = 'active'
		WHERE d.state = 'verified' AND d.checked_at <= $1 OR d.state = 'pending' AND d.checked_at <= $2 AND d.created_at > $3
		ORDER BY d.checked_at LIMIT $4`, r.Now.Add(-day).UnixMicro(), r.Now.Add(-15*time.Minute).UnixMicro(), r.Now.Add(-3*day).UnixMicro(), mostDue)
	if err != nil {
		return due, err
	}
	defer rows.Close()
	for rows.Next() {
		var in DomainInput
		d, err := scanDomain(r.Charter, ahead{rows, &in.Organization})
		if err != nil {
			return due, err
		}
		in.Domain = d.id
		due.inputs, due.rows = append(due.inputs, in), append(due.rows, d)
	}
	return due, rows.Err()
}

// ahead scans one column before the others.
type ahead struct {
	row   interface{ Scan(...any) error }
	first any
}

func (a ahead) Scan(into ...any) error { return a.row.Scan(append([]any{a.first}, into...)...) }

// Do looks for the record of each domain. What is as it was is only noted as looked at, of all at once; any change is an
// operation's.
func (due Due) Do(ctx context.Context, db *sqldb.DB, b op.Backend, reach Reach, now time.Time) (err error) {
	ctx = op.As(ctx, op.Caller{System: "domains"})
	var looked []string
	for i, d := range due.rows {
		f := reach.lookFor(ctx, d.name(), d.value)
		if f.silent || f.proved == (d.state == Verified) && d.failures == 0 {
			looked = append(looked, d.id)
			continue
		}
		if _, failed := VerifyDomain.Call(ctx, b, VerifyDomainInput{DomainInput: due.inputs[i]}); failed != nil {
			looked, err = append(looked, d.id), errors.Join(err, fmt.Errorf("domain %s: %w", d.id, failed))
		}
	}
	return errors.Join(err, noteChecks(ctx, db, looked, now))
}

// noteChecks notes that domains were looked at. It changes nobody's rights.
func noteChecks(ctx context.Context, db *sqldb.DB, domains []string, now time.Time) error {
	if len(domains) == 0 {
		return nil
	}
	in, args := sqldb.Placeholders(2, domains)
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE domains SET checked_at = $1 WHERE id IN ("+in+")", append([]any{now.UnixMicro()}, args...)...)
		return err
	})
}
