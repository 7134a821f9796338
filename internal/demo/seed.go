package demo

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// tenant is an organization of the demo before it is made.
type tenant struct {
	name, slug string
	people     []string // the owner first, then one for each role, downwards
	invited    string
	cancelled  string
}

var tenants = []tenant{
	{"Acme", "acme", []string{"Ada", "Bo", "Cy", "Dee", "Eli", "Fay"}, "Max", "Moe"},
	{"Globex", "globex", []string{"Gus", "Hana", "Ivo", "Joy", "Kim", "Lea"}, "Nia", "Ned"},
}

// email is the address of one of its people.
func (t tenant) email(name string) string { return strings.ToLower(name) + "@" + t.slug + ".test" }

// person names whoever has the nth role from the top.
func (t tenant) person(n int) string {
	if n < len(t.people) {
		return t.people[n]
	}
	return fmt.Sprintf("Person%d", n+1)
}

// populate makes the organizations unless they are there, and signs everybody in.
func (d *Demo) populate(ctx context.Context) error {
	if !d.clock.populated || d.hall.Empty() {
		for _, t := range tenants {
			s := seeding{demo: d, tenant: t}
			if err := s.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
		if err := d.clock.markPopulated(); err != nil {
			return err
		}
	}
	return d.makeReport(ctx)
}

// seeding makes one organization. Every step bears that it was done before: an earlier start may have been interrupted.
type seeding struct {
	demo   *Demo
	tenant tenant
	id     string // of the organization
	owner  string // the owner's credential
}

func (s *seeding) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{s.found, s.signInOwner, s.hire, s.promote, s.settings, s.invite, s.refusal, s.use, s.store} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return s.demo.runDue(ctx)
}

// rolesDown are the charter's roles, the owner role first.
func rolesDown(c *charter.Charter) []*charter.Role {
	roles := c.Roles()
	slices.Reverse(roles)
	return roles
}

func (s *seeding) in() op.InOrganization { return op.InOrganization{Organization: s.id} }

func (s *seeding) provision(ctx context.Context) error {
	ctx = op.As(ctx, machine)
	service := s.demo.hall.Service()
	o, err := directory.GetOrganization.Call(ctx, service, directory.GetOrganizationInput{InOrganization: op.InOrganization{Organization: s.tenant.slug}})
	if errors.Is(err, op.ErrNotFound) {
		owner := s.tenant.person(0)
		o, err = directory.ProvisionOrganization.Call(ctx, service, directory.ProvisionOrganizationInput{
			CreateOrganizationInput: directory.CreateOrganizationInput{Name: s.tenant.name, Slug: s.tenant.slug},
			Owner:                   s.tenant.email(owner), OwnerName: owner})
	}
	s.id = o.ID
	return err
}

func (s *seeding) signInOwner(ctx context.Context) error {
	session, err := s.demo.signIn(ctx, s.tenant.email(s.tenant.person(0)))
	s.owner = session.Secret
	return err
}

// hire invites somebody for each role below the owner's, and lets them accept by the link in their mail. Where there are
// several, the first begins with the lowest one.
func (s *seeding) hire(ctx context.Context) error {
	roles := rolesDown(s.demo.config.Charter)
	for n, role := range roles {
		if n == 0 {
			continue
		}
		if n == 1 {
			role = roles[len(roles)-1]
		}
		if err := s.join(ctx, s.tenant.person(n), role.ID); err != nil {
			return fmt.Errorf("%s: %w", s.tenant.person(n), err)
		}
	}
	return nil
}

func (s *seeding) join(ctx context.Context, name string, role charter.RoleID) error {
	email := s.tenant.email(name)
	service := s.demo.hall.Service()
	_, err := directory.CreateInvitation.Call(op.As(ctx, as(s.owner)), service,
		directory.CreateInvitationInput{InOrganization: s.in(), Email: email, Role: role})
	if refers(err, "member") {
		return nil // joined at an earlier start
	}
	if pending := op.AsError(err).Refers["invitation"]; err != nil && pending != "" {
		_, err = directory.ResendInvitation.Call(op.As(ctx, as(s.owner)), service,
			directory.InvitationInput{InOrganization: s.in(), Invitation: pending})
	}
	if err != nil {
		return err
	}
	if err := s.demo.runDue(ctx); err != nil {
		return err
	}
	token := path.Base(s.demo.lastLink(email))
	_, err = directory.AcceptInvitation.Call(op.As(ctx, as("")), service,
		directory.AcceptInvitationInput{TokenInput: directory.TokenInput{Token: token}, Name: name})
	return err
}

// refers reports whether an error is about something of a kind.
func refers(err error, kind string) bool { return err != nil && op.AsError(err).Refers[kind] != "" }

// lastLink is the first link of the newest mail to an address.
func (d *Demo) lastLink(email string) string {
	messages := d.mails.Messages()
	for _, m := range slices.Backward(messages) {
		if m.To == email && len(m.Links) > 0 {
			return m.Links[0]
		}
	}
	return ""
}

// promote gives the first who was hired the role right below the owner's.
func (s *seeding) promote(ctx context.Context) error {
	roles := rolesDown(s.demo.config.Charter)
	if len(roles) < 3 {
		return nil
	}
	ctx = op.As(ctx, as(s.owner))
	service := s.demo.hall.Service()
	found, err := directory.ListMembers.Call(ctx, service, directory.ListMembersInput{InOrganization: s.in(), Query: s.tenant.email(s.tenant.person(1))})
	if err != nil || len(found.Data) == 0 {
		return err
	}
	role := string(roles[1].ID)
	_, err = directory.UpdateMember.Call(ctx, service, directory.UpdateMemberInput{Role: &role, Reason: "grew into it",
		MemberInput: directory.MemberInput{InOrganization: s.in(), Member: found.Data[0].ID}})
	return err
}

func (s *seeding) settings(ctx context.Context) error {
	zone := "Europe/Berlin"
	_, err := directory.UpdateOrganization.Call(op.As(ctx, as(s.owner)), s.demo.hall.Service(),
		directory.UpdateOrganizationInput{InOrganization: s.in(), TimeZone: &zone})
	return err
}

// invite leaves one invitation pending and cancels another.
func (s *seeding) invite(ctx context.Context) error {
	role := s.demo.config.Charter.Roles()[0]
	ctx = op.As(ctx, as(s.owner))
	service := s.demo.hall.Service()
	for _, name := range []string{s.tenant.invited, s.tenant.cancelled} {
		made, err := directory.CreateInvitation.Call(ctx, service,
			directory.CreateInvitationInput{InOrganization: s.in(), Email: s.tenant.email(name), Role: role.ID})
		if refers(err, "invitation") {
			continue
		}
		if err != nil {
			return err
		}
		if name != s.tenant.cancelled {
			continue
		}
		if _, err := directory.CancelInvitation.Call(ctx, service, directory.InvitationInput{InOrganization: s.in(), Invitation: made.ID}); err != nil {
			return err
		}
	}
	return nil
}

// refusal lets whoever has the lowest role try what they may not, so that the audit log shows what that looks like.
func (s *seeding) refusal(ctx context.Context) error {
	last := len(s.demo.config.Charter.Roles()) - 1
	session, err := s.demo.signIn(ctx, s.tenant.email(s.tenant.person(last)))
	if err != nil {
		return err
	}
	name := s.tenant.name + " of mine"
	_, err = directory.UpdateOrganization.Call(op.As(ctx, as(session.Secret)), s.demo.hall.Service(),
		directory.UpdateOrganizationInput{InOrganization: s.in(), Name: &name})
	if err != nil && op.AsError(err).Kind == op.Denied {
		return nil
	}
	return err
}
