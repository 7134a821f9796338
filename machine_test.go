package guildhall_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
)

// machine drives one organization through anything that its people may try, in any order.
type machine struct {
	hall   *guildhalltest.Hall
	acme   *guildhalltest.Organization
	people []*guildhalltest.Person
	sent   map[string]string // pending invitation's address to its token
}

// TestNoReachableStateBreaksARule lets people do whatever comes to their minds and asks the doctor after every step.
// What an operation refuses is refused by a reason, never by an internal error. T-017, T-018, T-020, T-022, T-028.
func TestSoakNoReachableStateBreaksARule(t *testing.T) {
	oneAfterAnother(t)
	if os.Getenv("GUILDHALL_SOAK") == "" {
		if err := flag.Set("rapid.checks", "15"); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range charter.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				m := newMachine(t, name)
				rt.Repeat(map[string]func(*rapid.T){
					"invite": m.invite, "accept": m.accept, "change role": m.changeRole, "suspend": m.suspend,
					"reactivate": m.reactivate, "remove": m.remove, "leave": m.leave, "transfer": m.transfer,
					"end date": m.endDate, "time passes": m.timePasses, "": m.check,
				})
			})
		})
	}
}

func newMachine(t *testing.T, name string) *machine {
	h := guildhalltest.New(t, name, guildhalltest.With(func(c *guildhall.Config) { c.Settings.InviterHour, c.Settings.TenantDay = 1e6, 1e6 }))
	m := &machine{hall: h, acme: h.Organization("acme"), sent: map[string]string{}}
	for _, role := range h.Charter().Roles() {
		m.people = append(m.people, m.acme.People[role.ID])
	}
	return m
}

// check asks the doctor: no rule may be broken in any state.
func (m *machine) check(t *rapid.T) {
	broken, err := m.hall.Doctor(m.hall.Operator())
	if err != nil {
		t.Fatal(err)
	}
	if len(broken) > 0 {
		t.Fatalf("broken: %v", broken)
	}
}

// allowed fails for an error that is no answer.
func (m *machine) allowed(t *rapid.T, err error) bool {
	if err != nil && slices.Contains([]op.ErrorKind{op.Internal, op.Unavailable, op.Malformed}, op.AsError(err).Kind) {
		t.Fatalf("%v (%s)", err, op.AsError(err).FullCode())
	}
	return err == nil
}

func (m *machine) somebody(t *rapid.T, label string) *guildhalltest.Person {
	return rapid.SampledFrom(m.people).Draw(t, label)
}

func (m *machine) role(t *rapid.T) charter.RoleID {
	return rapid.SampledFrom(m.hall.Charter().Roles()).Draw(t, "role").ID
}

func (m *machine) member(p *guildhalltest.Person) directory.MemberInput {
	return directory.MemberInput{InOrganization: m.acme.In(), Member: p.Member}
}

// holds is what somebody's role holds now; nothing for who is no member.
func (m *machine) holds(p *guildhalltest.Person) (set charter.Set, owner bool) {
	var got decide.Principal // of the user: who left and came back is another member by the same session
	err := m.hall.Service().Snapshot(p.Ctx(), func(r *op.Reader) (err error) {
		got, err = directory.PrincipalOf(p.Ctx(), r, m.acme.ID, p.User)
		return err
	})
	if err != nil {
		return set, false
	}
	return got.Holds, got.Owner
}

func (m *machine) invite(t *rapid.T) {
	by, role := m.somebody(t, "by"), m.role(t)
	email := fmt.Sprintf("p%d@acme.test", rapid.IntRange(0, 5).Draw(t, "address"))
	_, err := directory.CreateInvitation.Call(by.Ctx(), m.hall.Service(), directory.CreateInvitationInput{InOrganization: m.acme.In(), Email: email, Role: role})
	if m.allowed(t, err) {
		m.sent[email] = m.hall.MailedToken(email)
		held, _ := m.holds(by)
		if granted, _ := m.hall.Charter().Role(role); !granted.Holds.SubsetOf(held) {
			t.Fatalf("%s invited a %s and holds less", by.Email, role)
		}
	}
}

func (m *machine) accept(t *rapid.T) {
	if len(m.sent) == 0 {
		t.Skip("nobody is invited")
	}
	emails := make([]string, 0, len(m.sent))
	for email := range m.sent {
		emails = append(emails, email)
	}
	slices.Sort(emails)
	email := rapid.SampledFrom(emails).Draw(t, "address")
	in := directory.AcceptInvitationInput{}
	in.Token = m.sent[email]
	answer, err := m.hall.Service().Invoke(m.hall.Nobody(), directory.AcceptInvitation, op.Request{Caller: op.CallerOf(m.hall.Nobody()), Input: in})
	if m.allowed(t, err) {
		joined := answer.Output.(directory.Joined)
		if answer.Session != nil {
			m.people = append(m.people, guildhalltest.PersonOf(m.hall, email, joined.User, joined.Member, answer.Session.Token))
		}
	}
}

func (m *machine) changeRole(t *rapid.T) {
	by, of, role := m.somebody(t, "by"), m.somebody(t, "of"), string(m.role(t))
	before, _ := m.holds(by)
	_, err := directory.UpdateMember.Call(by.Ctx(), m.hall.Service(), directory.UpdateMemberInput{MemberInput: m.member(of), Role: &role})
	if !m.allowed(t, err) {
		return
	}
	if after, _ := m.holds(of); !after.SubsetOf(before) {
		t.Fatalf("%s gave %s more than they held", by.Email, of.Email)
	}
}

func (m *machine) end(t *rapid.T, o *op.Op[directory.EndMemberInput, directory.Member]) {
	by, of := m.somebody(t, "by"), m.somebody(t, "of")
	_, err := o.Call(by.Ctx(), m.hall.Service(), directory.EndMemberInput{MemberInput: m.member(of)})
	m.allowed(t, err)
}

func (m *machine) suspend(t *rapid.T)    { m.end(t, directory.SuspendMember) }
func (m *machine) reactivate(t *rapid.T) { m.end(t, directory.ReactivateMember) }

func (m *machine) remove(t *rapid.T) {
	by, of := m.somebody(t, "by"), m.somebody(t, "of")
	held, _ := m.holds(by)
	theirs, owner := m.holds(of)
	_, err := directory.RemoveMember.Call(by.Ctx(), m.hall.Service(), directory.EndMemberInput{MemberInput: m.member(of)})
	if m.allowed(t, err) && by.User != of.User && !theirs.SubsetOf(held) {
		t.Fatalf("%s removed %s (owner %v), who held more", by.Email, of.Email, owner)
	}
}

func (m *machine) leave(t *rapid.T) {
	_, err := directory.Leave.Call(m.somebody(t, "who").Ctx(), m.hall.Service(), directory.LeaveInput{InOrganization: m.acme.In()})
	m.allowed(t, err)
}

func (m *machine) transfer(t *rapid.T) {
	by, to := m.somebody(t, "by"), m.somebody(t, "to")
	_, err := directory.TransferOwnership.Call(by.Ctx(), m.hall.Service(), directory.TransferInput{InOrganization: m.acme.In(), Member: to.Member})
	m.allowed(t, err)
}

func (m *machine) endDate(t *rapid.T) {
	by, of := m.somebody(t, "by"), m.somebody(t, "of")
	ends := "never"
	if days := rapid.IntRange(0, 5).Draw(t, "days"); days > 0 {
		ends = m.hall.Clock.Now().AddDate(0, 0, days).Format(time.RFC3339)
	}
	_, err := directory.UpdateMember.Call(by.Ctx(), m.hall.Service(), directory.UpdateMemberInput{MemberInput: m.member(of), EndsAt: &ends})
	m.allowed(t, err)
}

func (m *machine) timePasses(t *rapid.T) {
	m.hall.Clock.Advance(time.Duration(rapid.IntRange(1, 100).Draw(t, "hours")) * time.Hour)
	if err := m.hall.RunDue(m.hall.Operator()); err != nil {
		t.Fatal(err)
	}
}
