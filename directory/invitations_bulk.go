package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Verdict says whether an address of a list can be invited, or was.
type Verdict string

// The verdicts.
const (
	VerdictOK             Verdict = "ok"
	VerdictAlreadyMember  Verdict = "already_member" // told to those who may see members; to others: ok
	VerdictPending        Verdict = "pending"
	VerdictInvalid        Verdict = "invalid"
	VerdictDuplicate      Verdict = "duplicate"
	VerdictWorkEmailOnly  Verdict = "work_email_only"
	VerdictNoSeat         Verdict = "no_seat"
	VerdictRoleAboveYours Verdict = "role_above_yours"
	VerdictLimited        Verdict = "limited" // too many mails for now
)

// CreateInvitationsInput says whom to invite, up to 500 at once.
type CreateInvitationsInput struct {
	op.InOrganization
	Invitations []NewInvitation `json:"invitations" doc:"Whom to invite; the answer keeps this order" minItems:"1" maxItems:"500"`
	Message     string          `json:"message,omitzero" doc:"A few words for the mails; plain text" maxLength:"1000"`
	ExpiresAt   *time.Time      `json:"expires_at,omitzero" doc:"When the invitations expire, at most 30 days from now; left out: what the charter says"`
}

// NewInvitation is one of many to be invited.
type NewInvitation struct {
	Email  string         `json:"email" doc:"The address to invite, alone or as Name <mail>" maxLength:"512" example:"zoe@acme.test"`
	Role   charter.RoleID `json:"role" doc:"The role that the person will have: at or below your own" maxLength:"40" example:"editor"`
	EndsAt *time.Time     `json:"ends_at,omitzero" doc:"When the membership will end, for contractors; needs members.remove"`
}

// Validate checks the message. A wrong address is one item's own result.
func (in CreateInvitationsInput) Validate() []op.FieldError { return checkMessage(in.Message) }

// InvitationResults are what became of each, in the order of the call.
type InvitationResults struct {
	Data    []InvitationResult `json:"data"`
	Invited int                `json:"invited" doc:"How many were invited"`
}

// InvitationResult is what became of one address.
type InvitationResult struct {
	Email      string      `json:"email" doc:"The address as sent"`
	Verdict    Verdict     `json:"verdict" enum:"ok,already_member,pending,invalid,duplicate,work_email_only,no_seat,role_above_yours,limited" doc:"ok: it was invited"`
	Detail     string      `json:"detail,omitzero" doc:"Why it was not invited"`
	Pending    string      `json:"pending,omitzero" doc:"The invitation that the address has already"`
	Invitation *Invitation `json:"invitation,omitzero" doc:"The new invitation"`
}

// CreateInvitations invites many addresses in one transaction. Those that cannot be invited do not stop the others.
var CreateInvitations = &op.Op[CreateInvitationsInput, InvitationResults]{
	Name:    "invitations.create_many",
	Route:   "POST /v1/organizations/{organization}/invitations/batch",
	Summary: "Invite up to 500 addresses at once, with a result for each",
	Kind:    op.Write,
	Allow:   op.On("members.invite"),
	Do:      createInvitations,
	Example: CreateInvitationsInput{Invitations: []NewInvitation{{Email: "zoe@acme.test", Role: "editor"}}},
}

func createInvitations(ctx context.Context, tx *op.Tx, in CreateInvitationsInput) (InvitationResults, error) {
	terms, err := termsOf(tx.Reader, in.Message, in.ExpiresAt)
	if err != nil {
		return InvitationResults{}, err
	}
	candidates, wantsEnd := in.candidates()
	if err := demandEnd(ctx, tx.Reader, wantsEnd); err != nil {
		return InvitationResults{}, err
	}
	desk, err := openDesk(ctx, tx.Reader, candidates)
	if err != nil {
		return InvitationResults{}, err
	}
	results, admitted, err := desk.results(ctx, tx.Reader, candidates)
	if err != nil {
		return InvitationResults{}, err
	}
	for n := range results {
		results[n].Email = in.Invitations[n].Email
	}
	if len(admitted) == 0 {
		tx.Unchanged()
		return InvitationResults{Data: results}, nil
	}
	made, err := desk.invite(ctx, tx, terms, admitted)
	if err != nil {
		return InvitationResults{}, err
	}
	return withInvitations(tx.Reader, results, made), nil
}

// withInvitations puts the invitations that were made beside the results that say so, in the same order.
func withInvitations(r *op.Reader, results []InvitationResult, made []invitationRow) InvitationResults {
	next := 0
	for n := range results {
		if results[n].Verdict == VerdictOK {
			shown := made[next].show(r)
			results[n].Invitation = &shown
			next++
		}
	}
	return InvitationResults{Data: results, Invited: len(made)}
}

// candidates are the items of the call; wantsEnd says whether one has an end date.
func (in CreateInvitationsInput) candidates() (all []candidate, wantsEnd bool) {
	for _, i := range in.Invitations {
		all = append(all, newCandidate(i.Email, i.Role, i.EndsAt))
		wantsEnd = wantsEnd || i.EndsAt != nil
	}
	return all, wantsEnd
}

// results judges candidates in their order, and gives those that may be invited.
func (d *desk) results(ctx context.Context, r *op.Reader, candidates []candidate) (results []InvitationResult, admitted []candidate, err error) {
	results = make([]InvitationResult, len(candidates))
	for n, c := range candidates {
		if results[n], err = d.result(ctx, r, c); err != nil {
			return nil, nil, err
		}
		if results[n].Verdict == VerdictOK {
			admitted = append(admitted, c)
		}
	}
	return results, admitted, nil
}

// result judges a candidate and tells a refusal as a verdict. Its error is one of the whole call.
func (d *desk) result(ctx context.Context, r *op.Reader, c candidate) (InvitationResult, error) {
	err := d.judge(ctx, r, c)
	if err == nil {
		return InvitationResult{Verdict: VerdictOK}, nil
	}
	var e *op.Error
	if !errors.As(err, &e) {
		return InvitationResult{}, err
	}
	return InvitationResult{Verdict: verdictOf(e), Detail: e.Text, Pending: e.Refers["invitation"]}, nil
}

func verdictOf(e *op.Error) Verdict {
	switch {
	case e.Code == codeAlreadyInvited:
		return VerdictPending
	case e.Kind == op.Limited:
		return VerdictLimited
	case e.Kind == op.Denied:
		return VerdictRoleAboveYours
	case e.Code != "":
		return Verdict(e.Code)
	}
	return VerdictInvalid
}

// PreviewInvitationsInput is a pasted list.
type PreviewInvitationsInput struct {
	op.InOrganization
	Text string         `json:"text" doc:"Addresses in any form: between commas, semicolons or lines, as Name <mail>, as CSV with a header; up to 500" minLength:"1" maxLength:"200000" example:"zoe@acme.test, Max <max@acme.test>"`
	Role charter.RoleID `json:"role" doc:"The role that they would have" minLength:"1" maxLength:"40" example:"editor"`
}

// InvitationPreview is a verdict for each entry of a pasted list, in its order.
type InvitationPreview struct {
	Data      []PreviewedAddress `json:"data"`
	OK        int                `json:"ok" doc:"How many can be invited"`
	SeatsLeft *int64             `json:"seats_left,omitzero" doc:"Seats that are free now; absent: no limit"`
}

// PreviewedAddress is the verdict about one entry.
type PreviewedAddress struct {
	Line       int     `json:"line" doc:"The line that it stands in, from 1"`
	Text       string  `json:"text" doc:"The entry as pasted"`
	Email      string  `json:"email,omitzero" doc:"The address that was understood"`
	Name       string  `json:"name,omitzero" doc:"The name beside it"`
	Verdict    Verdict `json:"verdict" enum:"ok,already_member,pending,invalid,duplicate,work_email_only,no_seat,role_above_yours,limited"`
	Detail     string  `json:"detail,omitzero" doc:"Why it cannot be invited"`
	Invitation string  `json:"invitation,omitzero" doc:"The invitation that is pending already"`
}

// PreviewInvitations says of each entry of a pasted list whether it could be invited now. It sends nothing. Nothing is
// ever said about whether an address has an account elsewhere.
var PreviewInvitations = &op.Op[PreviewInvitationsInput, InvitationPreview]{
	Name:    "invitations.preview",
	Route:   "POST /v1/organizations/{organization}/invitations/preview",
	Summary: "Judge a pasted list of addresses before anything is sent",
	Allow:   op.On("members.invite"),
	Do:      previewInvitations,
	Example: PreviewInvitationsInput{Text: "zoe@acme.test", Role: "editor"},
}

func previewInvitations(ctx context.Context, tx *op.Tx, in PreviewInvitationsInput) (InvitationPreview, error) {
	lines := ParseAddresses(in.Text)
	if len(lines) > MaxAddresses {
		return InvitationPreview{}, op.InvalidField("text", "too_many", "the list has more than %d addresses", MaxAddresses)
	}
	candidates := make([]candidate, len(lines))
	for n, line := range lines {
		candidates[n] = candidate{address: line.Address, problem: line.Err, role: in.Role}
	}
	desk, err := openDesk(ctx, tx.Reader, candidates)
	if err != nil {
		return InvitationPreview{}, err
	}
	preview := InvitationPreview{Data: make([]PreviewedAddress, len(lines)), SeatsLeft: desk.seatsLeft()}
	results, admitted, err := desk.results(ctx, tx.Reader, candidates)
	if err != nil {
		return InvitationPreview{}, err
	}
	for n, line := range lines {
		preview.Data[n] = PreviewedAddress{Line: line.Line, Text: cut(line.Text, 300), Email: line.Address.Email, Name: line.Address.Name,
			Verdict: results[n].Verdict, Detail: results[n].Detail, Invitation: results[n].Pending}
	}
	preview.OK = len(admitted)
	return preview, nil
}

// seatsLeft is how many seats are free; nil without a limit.
func (c capacity) seatsLeft() *int64 {
	if c.seats == 0 {
		return nil
	}
	left := max(0, c.seats-c.members-c.pending)
	return &left
}

// cut shortens a text to n bytes of whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return fmt.Sprintf("%s...", strings.ToValidUTF8(s[:n-3], ""))
}
