package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func loginPolicyPages() []page {
	return []page{
		{"GET /o/{slug}/settings/sso/policy", member, showLoginPolicy},
		{"GET /o/{slug}/settings/sso/policy/review", member, askLoginPolicy},
		{"POST /o/{slug}/settings/sso/policy/review", member, saveLoginPolicy},
	}
}

// policyFields are the fields of the form, by their names.
var policyFields = []string{"sso", "break_glass", "mfa", "mfa_from", "methods", "session_life", "session_idle", "networks"}

// loginPolicyPage is what the organization asks of sign-ins.
type loginPolicyPage struct {
	visit  *visit
	policy federation.LoginPolicy
}

func (v *visit) loginPolicy() (federation.LoginPolicy, error) {
	return federation.GetLoginPolicy.Call(v.ctx, v.Service, federation.GetLoginPolicyInput{InOrganization: v.inOrg()})
}

func showLoginPolicy(v *visit) error {
	policy, err := v.loginPolicy()
	if err != nil {
		return err
	}
	p := loginPolicyPage{v, policy}
	return v.page(ui.PageProps{Title: ui.T("Sign-in policy"), Lede: ui.T("What is asked of everybody who enters %s. It holds from the moment that you save it, for sessions that are open too.", v.organization.Name),
		Crumb: v.ssoCrumb(), Ways: v.same(federation.UpdateLoginPolicy, "sso", policy.SSO)}, p.show())
}

// sent reports whether the form came back, with what was typed.
func (p loginPolicyPage) sent() bool { return p.visit.form.values.Has("sso") }

// chosen reports whether one of several choices is ticked: as it was typed, else as it is.
func (p loginPolicyPage) chosen(field, value string, now []string) bool {
	if p.sent() {
		now = p.visit.form.values[field]
	}
	return slices.Contains(now, value)
}

func (p loginPolicyPage) field(name, label, hint string) ui.FieldProps {
	return ui.FieldProps{Name: name, Label: label, Hint: hint, Error: p.visit.form.error(name)}
}

func (p loginPolicyPage) sso() ui.ChoicesProps {
	f := ui.ChoicesProps{FieldProps: p.field("sso", ui.T("Single sign-on"), ""), Value: p.visit.form.or("sso", p.policy.SSO), Options: []ui.Option{
		{Value: "optional", Text: ui.T("Optional"), Hint: ui.T("People choose between your identity provider and the other ways.")},
		{Value: "enforced", Text: ui.T("Enforced"), Hint: ui.T("Only your identity provider gives access. Sessions that began another way give none any more.")}}}
	return f
}

// glass is the choice of an owner who comes in when the identity provider fails.
func (p loginPolicyPage) glass(o federation.PolicyOwner) ui.CheckboxProps {
	c := ui.CheckboxProps{FieldProps: ui.FieldProps{Name: "break_glass", ID: "f-break-glass-" + o.Member, Label: o.Name}, Value: o.Member, Checked: p.chosen("break_glass", o.Member, p.policy.BreakGlass)}
	if o.Passkeys == 0 {
		c.Refused = ui.T("%s has no passkey. They add one under Your account.", o.Name)
	}
	return c
}

func (p loginPolicyPage) mfa() ui.ChoicesProps {
	now := "off"
	if p.policy.MFARequired {
		now = "on"
	}
	return ui.ChoicesProps{FieldProps: p.field("mfa", ui.T("Second factor"), ""), Value: p.visit.form.or("mfa", now), Options: []ui.Option{
		{Value: "off", Text: ui.T("Left to each person")},
		{Value: "on", Text: ui.T("Required"), Hint: ui.T("A passkey, or a mail and an authenticator app. Your identity provider asks for its own.")}}}
}

func (p loginPolicyPage) mfaFrom() ui.InputProps {
	day := ""
	if p.policy.MFAFrom != nil {
		day = p.policy.MFAFrom.In(p.visit.zone()).Format(time.DateOnly)
	}
	return ui.InputProps{FieldProps: p.field("mfa_from", ui.T("Required from"), ui.T("The day on which it begins, in the organization's time zone. Empty: now.")), Type: "date", Value: p.visit.form.or("mfa_from", day)}
}

// ways are the ways of signing in by the names of the policy, in the order of the page.
func ways() []ui.Option {
	return []ui.Option{{Value: "mail", Text: ui.T("A mailed link or code")}, {Value: "passkey", Text: ui.T("A passkey")}, {Value: "google", Text: ui.T("Google")},
		{Value: "github", Text: ui.T("GitHub")}, {Value: "sso", Text: ui.T("Your identity provider")}}
}

func (p loginPolicyPage) way(o ui.Option) ui.CheckboxProps {
	return ui.CheckboxProps{FieldProps: ui.FieldProps{Name: "methods", ID: "f-methods-" + o.Value, Label: o.Text}, Value: o.Value, Checked: p.chosen("methods", o.Value, p.policy.Methods)}
}

// length is a choice among lengths of time; one that is not among them is there too.
func (p loginPolicyPage) length(name, label, none string, now int64, choices ...time.Duration) ui.SelectProps {
	s := ui.SelectProps{FieldProps: p.field(name, label, ""), Value: p.visit.form.or(name, strconv.FormatInt(now, 10)), Options: []ui.Option{{Value: "0", Text: none}}}
	if d := time.Duration(now) * time.Second; now != 0 && !slices.Contains(choices, d) {
		choices = append(choices, d)
		slices.Sort(choices)
	}
	for _, d := range choices {
		s.Options = append(s.Options, ui.Option{Value: strconv.FormatInt(int64(d/time.Second), 10), Text: spanText(d)})
	}
	return s
}

const aDay = 24 * time.Hour

func (p loginPolicyPage) life() ui.SelectProps {
	return p.length("session_life", ui.T("A session lasts"), ui.T("%s, as everywhere", spanText(p.visit.settings.SessionLife)), p.policy.SessionLife, time.Hour, 8*time.Hour, 12*time.Hour, aDay, 7*aDay, 14*aDay)
}

func (p loginPolicyPage) idle() ui.SelectProps {
	none := ui.T("No limit")
	if idle := p.visit.settings.SessionIdle; idle > 0 {
		none = ui.T("%s, as everywhere", spanText(idle))
	}
	return p.length("session_idle", ui.T("Unused, it ends after"), none, p.policy.SessionIdle, 15*time.Minute, 30*time.Minute, time.Hour, 4*time.Hour, 8*time.Hour, aDay, 7*aDay)
}

func (p loginPolicyPage) networks() ui.TextareaProps {
	return ui.TextareaProps{FieldProps: p.field("networks", ui.T("Allowed networks"), ui.T("One prefix a line. Requests from elsewhere are refused, by keys and tokens too. Empty: any. Yours is %s.", p.visit.caller.Address)),
		Mono: true, Placeholder: "203.0.113.0/24", Value: p.visit.form.or("networks", strings.Join(p.policy.Networks, "\n"))}
}

// wanted is what the form asks for that is another than it is now.
func (v *visit) wantedPolicy(now federation.LoginPolicy) federation.UpdateLoginPolicyInput {
	in := federation.UpdateLoginPolicyInput{InOrganization: v.inOrg()}
	if sso := v.form.value("sso"); sso != now.SSO {
		in.SSO = &sso
	}
	if glass := v.form.values["break_glass"]; !same(glass, now.BreakGlass) {
		in.BreakGlass = &glass
	}
	v.wantedFactor(&in, now)
	if methods := v.form.values["methods"]; !same(methods, now.Methods) {
		in.Methods = &methods
	}
	if n, ok := v.form.number("session_life"); ok && n != now.SessionLife {
		in.SessionLife = &n
	}
	if n, ok := v.form.number("session_idle"); ok && n != now.SessionIdle {
		in.SessionIdle = &n
	}
	if networks := strings.FieldsFunc(v.form.value("networks"), func(r rune) bool { return r == '\n' || r == '\r' || r == ',' || r == ' ' }); !same(networks, now.Networks) {
		in.Networks = &networks
	}
	return in
}

func (v *visit) wantedFactor(in *federation.UpdateLoginPolicyInput, now federation.LoginPolicy) {
	required, day := v.form.value("mfa") == "on", v.form.value("mfa_from")
	was := ""
	if now.MFAFrom != nil {
		was = now.MFAFrom.In(v.zone()).Format(time.DateOnly)
	}
	if required == now.MFARequired && (!required || day == was) {
		return
	}
	in.MFARequired = &required
	if from, err := time.ParseInLocation(time.DateOnly, day, v.zone()); required && err == nil {
		in.MFAFrom = &from
	}
}

// same reports whether two lists hold the same, in any order.
func same(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// askLoginPolicy says who is affected, by name.
func askLoginPolicy(v *visit) error {
	policy, err := v.loginPolicy()
	if err != nil {
		return err
	}
	in := v.wantedPolicy(policy)
	impact, err := v.dryRun(federation.UpdateLoginPolicy, in)
	if v.again(err) {
		return showLoginPolicy(v)
	}
	if err != nil {
		return err
	}
	fields := url.Values{}
	for _, name := range policyFields {
		fields[name] = v.form.values[name]
	}
	c := confirmation{id: "login-policy", title: ui.T("Change the sign-in policy"), version: policy.ETag(), cancel: v.ssoHref("/policy"), text: []string{impact.Summary},
		submit: ui.ButtonProps{Text: ui.T("Change the policy"), Kind: ui.Primary}, fields: ui.HiddenFields(hiddenOf(fields)), ways: v.same(federation.UpdateLoginPolicy, "sso", v.form.value("sso"))}
	for _, e := range impact.Effects {
		c.affected = append(c.affected, ui.Fact{Name: e.Name, Value: ui.Text(e.Text)})
	}
	if in.SSO != nil && *in.SSO == "enforced" {
		c.text, c.submit.Kind = append(c.text, ui.T("Invited people sign in there too. Owners who come in when the provider fails are told of by mail when they do.")), ui.Danger
	}
	return v.ask(c)
}

func hiddenOf(values url.Values) (all []ui.Hidden) {
	for _, name := range policyFields {
		for _, value := range values[name] {
			all = append(all, ui.Hidden{Name: name, Value: value})
		}
	}
	return all
}

func saveLoginPolicy(v *visit) error {
	policy, err := v.loginPolicy()
	if err != nil {
		return err
	}
	_, err = federation.UpdateLoginPolicy.Call(v.ctx, v.Service, v.wantedPolicy(policy), v.form.options()...)
	if v.again(err) {
		return showLoginPolicy(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.ssoHref("/policy"), done(ui.T("The sign-in policy holds now.")))
}

// policyText says in a line what the policy asks.
func policyText(p federation.LoginPolicy) string {
	var parts []string
	if p.SSO == "enforced" {
		parts = append(parts, ui.T("single sign-on only"))
	}
	if p.MFARequired {
		parts = append(parts, ui.T("a second factor"))
	}
	if len(p.Methods) < len(ways()) {
		parts = append(parts, ui.N(len(p.Methods), "1 way of signing in", "%d ways of signing in"))
	}
	if p.SessionLife+p.SessionIdle > 0 {
		parts = append(parts, ui.T("shorter sessions"))
	}
	if len(p.Networks) > 0 {
		parts = append(parts, ui.N(len(p.Networks), "1 network", "%d networks"))
	}
	if len(parts) == 0 {
		return ui.T("Nothing beyond what every organization here asks.")
	}
	return capitalised(fmt.Sprintf("%s.", strings.Join(parts, ", ")))
}
