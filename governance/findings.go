package governance

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// FindingKind says what kind of thing was found. The values are part of the API.
type FindingKind string

// The kinds of findings.
const (
	SingleOwner       FindingKind = "single_owner"       // one owner, where the charter allows several
	SingleAdmin       FindingKind = "single_admin"       // one person assigns roles, where the charter has one owner
	UnusedMember      FindingKind = "unused_member"      // nobody saw the member for UnusedAfter
	WideRole          FindingKind = "wide_role"          // a lower role would have done for LookedBack
	OutsideMember     FindingKind = "outside_member"     // an address of another domain, without an end date
	UnusedKey         FindingKind = "unused_key"         // nobody used the key for UnusedAfter
	UnexpiringKey     FindingKind = "unexpiring_key"     // the key never ends
	LeftKey           FindingKind = "left_key"           // the key was left behind by somebody who is gone
	UnnamedKey        FindingKind = "unnamed_key"        // the key does not say whose it is, and the charter asks for it
	UnmanagedAccount  FindingKind = "unmanaged_account"  // nobody looks after the service account
	WaitingTransfer   FindingKind = "waiting_transfer"   // a hand-over of ownership waits longer than WaitsLong
	WaitingInvitation FindingKind = "waiting_invitation" // an invitation waits for re-approval longer than WaitsLong
)

// Severity says how much a finding matters.
type Severity string

// The severities, the gravest first.
const (
	High   Severity = "high"
	Medium Severity = "medium"
	Low    Severity = "low"
)

// The thresholds of findings.
const (
	UnusedAfter = 90 * day // a member whom nobody saw, or a key that nobody used, for so long is unused
	LookedBack  = 90 * day // how far back the audit log is looked through for what a role was used for
	WaitsLong   = 2 * day  // what waits for somebody's answer longer than that waits long
	KeyLife     = 90 * day // the life that is proposed for a key without end
	GuestStay   = 90 * day // the stay that is proposed for an outside address without an end date
)

// mostLooked bounds how many members and keys of an organization are looked at.
const mostLooked = 5000

// kinds are the kinds in the order of the list, each with its severity.
var kinds = []struct {
	kind     FindingKind
	severity Severity
}{
	{SingleOwner, High}, {SingleAdmin, High}, {LeftKey, High},
	{UnusedMember, Medium}, {OutsideMember, Medium}, {WideRole, Medium}, {UnusedKey, Medium}, {UnexpiringKey, Medium},
	{UnmanagedAccount, Low}, {UnnamedKey, Low}, {WaitingTransfer, Low}, {WaitingInvitation, Low},
}

// rank is the place of a kind in the list.
func (k FindingKind) rank() int {
	for i, known := range kinds {
		if known.kind == k {
			return i
		}
	}
	return len(kinds)
}

func (k FindingKind) severity() Severity {
	if i := k.rank(); i < len(kinds) {
		return kinds[i].severity
	}
	return Low
}

// Finding is something that good practice would change.
type Finding struct {
	ID        string      `json:"id" doc:"Kind and subject; the same as long as the finding stands" example:"unused_member:mem_01k..."`
	Kind      FindingKind `json:"kind" enum:"single_owner,single_admin,unused_member,wide_role,outside_member,unused_key,unexpiring_key,left_key,unnamed_key,unmanaged_account,waiting_transfer,waiting_invitation"`
	Severity  Severity    `json:"severity" enum:"high,medium,low"`
	Text      string      `json:"text" doc:"What was found, in a sentence"`
	Subject   Subject     `json:"subject" cli:"-" doc:"What it is about"`
	Since     *time.Time  `json:"since,omitzero" doc:"Since when it is so, where that is known"`
	Remedy    *Remedy     `json:"remedy,omitzero" cli:"-" doc:"What mends it; absent where nobody can with one operation"`
	Dismissal *Dismissal  `json:"dismissal,omitzero" cli:"-" doc:"Who said that it is as it should be, and until when"`
}

// Subject is what a finding or a row of a review is about.
type Subject struct {
	Type string `json:"type" enum:"member,key,service_account,transfer,invitation"`
	ID   string `json:"id"`
	Name string `json:"name" doc:"What it is called now"`
}

// Remedy is the operation that mends a finding, with its input filled in.
type Remedy struct {
	Operation string            `json:"operation" doc:"The operation's name" example:"members.remove"`
	Input     map[string]string `json:"input" doc:"Its input, without the organization"`
	Text      string            `json:"text" doc:"What it does, beginning with a verb" example:"Remove Bo"`
	Address   string            `json:"address" doc:"The console's page that asks, and does it"`
	Allowed   bool              `json:"allowed" doc:"Whether the caller may do it"`
	Why       string            `json:"why,omitzero" doc:"If not, why" example:"above_your_level"`
}

// ListFindingsInput says which findings.
type ListFindingsInput struct {
	op.InOrganization
	op.Page
	Kind      FindingKind `json:"kind,omitzero" doc:"Only those of this kind" enum:"single_owner,single_admin,unused_member,wide_role,outside_member,unused_key,unexpiring_key,left_key,unnamed_key,unmanaged_account,waiting_transfer,waiting_invitation" required:"false"`
	Severity  Severity    `json:"severity,omitzero" doc:"Only those of this severity" enum:"high,medium,low" required:"false"`
	Finding   string      `json:"finding,omitzero" doc:"Only the one with this id" maxLength:"128" required:"false"`
	Dismissed bool        `json:"dismissed,omitzero" doc:"Those that were dismissed, instead of the others" required:"false"`
}

// ListFindings lists what good practice would change, the gravest first. Everything is computed from what is there now:
// a finding is gone when what it says is no longer so. Up to 5,000 members and as many keys are looked at.
var ListFindings = &op.Op[ListFindingsInput, op.List[Finding]]{
	Name:    "findings.list",
	Route:   "GET /v1/organizations/{organization}/findings",
	Summary: "List what good practice would change, each with the operation that mends it",
	Allow:   op.On("reviews.manage"),
	Do:      listFindings,
	Example: ListFindingsInput{InOrganization: op.InOrganization{Organization: "acme"}, Kind: UnusedMember},
}

func listFindings(ctx context.Context, tx *op.Tx, in ListFindingsInput) (op.List[Finding], error) {
	all, err := findingsOf(ctx, tx.Reader, in.kind())
	if err != nil {
		return op.List[Finding]{}, err
	}
	if err := nameAddresses(ctx, tx.Reader, all); err != nil {
		return op.List[Finding]{}, err
	}
	var page []Finding
	for _, f := range all {
		if in.wants(f) && follows(f, in.After()) && len(page) <= in.Size() {
			page = append(page, f)
		}
	}
	return op.Listed(tx.Reader, &in.Page, page, Finding.position), nil
}

// kind is the only kind that the filters leave; empty: any.
func (in ListFindingsInput) kind() FindingKind {
	if kind, _, named := strings.Cut(in.Finding, ":"); named {
		return FindingKind(kind)
	}
	return in.Kind
}

// wants reports whether a finding passes the filters.
func (in ListFindingsInput) wants(f Finding) bool {
	return (in.Kind == "" || f.Kind == in.Kind) && (in.Severity == "" || f.Severity == in.Severity) &&
		(in.Finding == "" || f.ID == in.Finding) && in.Dismissed == (f.Dismissal != nil)
}

// position is a finding's place in the list.
func (f Finding) position() []string { return []string{strconv.Itoa(f.Kind.rank()), f.Subject.ID} }

// follows reports whether a finding stands after a position.
func follows(f Finding, position []string) bool {
	if len(position) != 2 {
		return true
	}
	rank, _ := strconv.Atoi(position[0])
	return f.Kind.rank() > rank || f.Kind.rank() == rank && f.Subject.ID > position[1]
}

// look is one look at an organization. What its parts need is read when the first one asks for it.
type look struct {
	*op.Reader
	roles    []*charter.Role // lowest first
	members  []person        // those who are not removed
	findings []Finding
}

// looks are the parts of a look, each with the kinds that it finds.
var looks = []struct {
	kinds []FindingKind
	at    func(*look, context.Context) error
}{
	{[]FindingKind{SingleOwner, SingleAdmin}, (*look).atOwners},
	{[]FindingKind{UnusedMember, OutsideMember}, (*look).atMembers},
	{[]FindingKind{WideRole}, (*look).atRoles},
	{[]FindingKind{LeftKey, UnusedKey, UnexpiringKey, UnnamedKey}, (*look).atKeys},
	{[]FindingKind{UnmanagedAccount}, (*look).atAccounts},
	{[]FindingKind{WaitingTransfer}, (*look).atTransfers},
	{[]FindingKind{WaitingInvitation}, (*look).atInvitations},
}

// findingsOf computes the findings of the reader's organization, in the order of the list; with a kind at least all of it.
func findingsOf(ctx context.Context, r *op.Reader, kind FindingKind) ([]Finding, error) {
	l := &look{Reader: r}
	for _, part := range looks {
		if kind != "" && !slices.Contains(part.kinds, kind) {
			continue
		}
		if err := part.at(l, ctx); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(l.findings, func(a, b Finding) int {
		return cmp.Or(a.Kind.rank()-b.Kind.rank(), strings.Compare(a.Subject.ID, b.Subject.ID))
	})
	return l.findings, l.readDismissals(ctx)
}

// nameAddresses says where in the console each finding is mended.
func nameAddresses(ctx context.Context, r *op.Reader, all []Finding) error {
	var slug string
	if err := found(r.QueryRow(ctx, "SELECT slug FROM organizations WHERE id = $1", r.Organization()).Scan(&slug)); err != nil {
		return err
	}
	for _, f := range all {
		if f.Remedy != nil {
			f.Remedy.Address = r.Settings.URL("/o/" + slug + "/settings/findings/" + f.ID)
		}
	}
	return nil
}

// add notes a finding.
func (l *look) add(kind FindingKind, about Subject, since int64, text string, remedy *Remedy) {
	l.findings = append(l.findings, Finding{ID: string(kind) + ":" + about.ID, Kind: kind, Severity: kind.severity(), Text: text,
		Subject: about, Since: when(since), Remedy: remedy})
}

// remedy is an operation that the caller may do if every decision allows it.
func remedy(operation, text string, input map[string]string, decisions ...decide.Decision) *Remedy {
	m := &Remedy{Operation: operation, Text: text, Input: input, Allowed: true}
	for _, d := range decisions {
		if !d.Allow {
			m.Allowed, m.Why = false, string(d.Reason)
			return m
		}
	}
	return m
}

// ago says how long ago something was, in days.
func (l *look) ago(micros int64) string {
	days := int(l.Now.Sub(time.UnixMicro(micros)) / day)
	if days == 1 {
		return "1 day ago"
	}
	return strconv.Itoa(days) + " days ago"
}

// before reports whether a time lies further back than d.
func (l *look) before(micros int64, d time.Duration) bool {
	return micros <= l.Now.Add(-d).UnixMicro()
}
