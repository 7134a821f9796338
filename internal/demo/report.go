package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// Report says who and what there is in a demo, with secrets: what guildhall demo --json prints.
type Report struct {
	URL           string         `json:"url"`
	Charter       string         `json:"charter"`
	ServiceKey    string         `json:"service_key"`
	MailURL       string         `json:"mail_url"`
	Organizations []Organization `json:"organizations"`
}

// Organization is one organization of the demo.
type Organization struct {
	ID      string   `json:"id"`
	Slug    string   `json:"slug"`
	Members []Member `json:"members"`
	Keys    []Key    `json:"keys"`
	name    string
}

// Member is somebody who can be, with a session of theirs.
type Member struct {
	Role   string `json:"role"`
	Member string `json:"member"`
	User   string `json:"user"`
	Email  string `json:"email"`
	Token  string `json:"token"`
	title  string // of the role
	called string
}

// name is what the person is called.
func (m Member) name() string { return cmp.Or(m.called, m.Email) }

// Key is an API key.
type Key struct {
	ID        string `json:"id"`
	Secret    string `json:"secret"`
	CreatedBy string `json:"created_by"`
}

// makeReport looks at what there is now (people may have changed it since an earlier start) and makes everybody a
// session, and the back end a key.
func (d *Demo) makeReport(ctx context.Context) error {
	base := d.config.BaseURL
	d.report = Report{URL: base, Charter: d.config.Charter.Name, MailURL: base + "/dev/mail"}
	var err error
	if d.report.ServiceKey, err = d.serviceKey(ctx); err != nil {
		return fmt.Errorf("service key: %w", err)
	}
	all, err := directory.ListOrganizations.Call(op.As(ctx, machine), d.hall.Service(), directory.ListOrganizationsInput{Page: op.Page{Limit: 100}})
	if err != nil {
		return err
	}
	for _, o := range all.Data {
		if o.State != "active" {
			continue
		}
		shown, err := d.reportOrganization(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", o.Slug, err)
		}
		d.report.Organizations = append(d.report.Organizations, shown)
	}
	return nil
}

func (d *Demo) reportOrganization(ctx context.Context, o directory.Organization) (Organization, error) {
	shown := Organization{ID: o.ID, Slug: o.Slug, name: o.Name, Members: []Member{}, Keys: []Key{}}
	members, err := directory.ListMembers.Call(op.As(ctx, machine), d.hall.Service(), directory.ListMembersInput{
		InOrganization: op.InOrganization{Organization: o.ID}, Page: op.Page{Limit: 100}, Status: "active"})
	if err != nil {
		return shown, err
	}
	for _, m := range members.Data {
		session, err := d.signIn(ctx, m.Email)
		if err != nil {
			return shown, err
		}
		shown.Members = append(shown.Members, Member{Role: m.Role, Member: m.ID, User: m.User, Email: m.Email, Token: session.Secret, title: m.RoleTitle, called: m.Name})
	}
	slices.SortStableFunc(shown.Members, func(a, b Member) int { return rank(d.config.Charter, b) - rank(d.config.Charter, a) })
	shown.Keys, err = d.keysOf(ctx, o.ID, shown.Members)
	return shown, err
}

func rank(c *charter.Charter, m Member) int {
	return slices.IndexFunc(c.Roles(), func(r *charter.Role) bool { return string(r.ID) == m.Role })
}

// JSON writes the report as one line.
func (r Report) JSON(w io.Writer) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(append(raw, '\n'))
	return err
}

// Print writes the report for people.
func (r Report) Print(w io.Writer) error {
	p := &printer{w: w}
	for i, o := range r.Organizations {
		p.line(first(i, "Console"), fmt.Sprintf("%-42s %s", r.URL+"/o/"+o.Slug, o.name))
	}
	p.line("API", fmt.Sprintf("%-42s service key: %s", r.URL+"/v1", r.ServiceKey))
	p.line("Mail", fmt.Sprintf("%-42s Docs  %s", r.MailURL, r.URL+"/docs"))
	p.line("", "")
	n := 0
	for _, o := range r.Organizations {
		for _, m := range o.Members {
			p.line(first(n, "Sign in"), fmt.Sprintf("%-42s %s", m.Email+" ("+m.title+")", signInURL(r.URL, m.Email)))
			n++
		}
	}
	r.printTries(p)
	p.line("", "Ctrl-C ends it; the data stays. --fresh begins anew.")
	return p.err
}

// printTries writes what can be pasted into a shell at once.
func (r Report) printTries(p *printer) {
	if len(r.Organizations) == 0 || len(r.Organizations[0].Members) == 0 {
		return
	}
	o := r.Organizations[0]
	m := o.Members[0]
	p.line("", "")
	p.line("Shell", "export GUILDHALL_SERVER="+r.URL+" GUILDHALL_TOKEN="+m.Token)
	if len(o.Keys) > 0 {
		p.line("API key", "export GUILDHALL_KEY="+o.Keys[0].Secret)
	}
	p.line("", "")
	p.line("Try", fmt.Sprintf(`curl -sS %s/v1/me -H "Authorization: Bearer %s"`, r.URL, m.Token))
	p.line("", fmt.Sprintf(`curl -sS %s/v1/organizations/%s/members -H "Authorization: Bearer %s"`, r.URL, o.Slug, m.Token))
	p.line("", fmt.Sprintf(`curl -sS %s/access/v1/evaluation -H "Authorization: Bearer %s" -H "Content-Type: application/json" -d '{"subject":{"type":"user","id":"%s"},"action":{"name":"members.invite"},"resource":{"type":"organization","id":"%s"}}'`,
		r.URL, r.ServiceKey, m.User, o.ID))
	p.line("", "")
}

func first(n int, title string) string {
	if n == 0 {
		return title
	}
	return ""
}

// printer writes lines under titles, until one fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(title, text string) {
	if p.err != nil {
		return
	}
	if title+text == "" {
		_, p.err = fmt.Fprintln(p.w)
		return
	}
	_, p.err = fmt.Fprintf(p.w, "  %-9s %s\n", title, text)
}
