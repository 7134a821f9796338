package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// sentences say what an operation did. {actor}, {invitation}, {member} and so on stand for the actor and for the targets
// of a type, {was:role} and {role} for a field before and after. A part in brackets is left out when something in it is
// not known; a sentence that lacks something outside of brackets is not used.
var sentences = map[string]string{
	"organizations.create":    "{actor} created the organization {organization}",
	"organizations.provision": "{actor} created the organization {organization}[ for {member}]",
	"organizations.update":    "{actor} changed the settings of {organization}[: {fields}]",
	"organizations.delete":    "{actor} scheduled {organization} for deletion",
	"organizations.restore":   "{actor} restored {organization}",
	"members.add":             "{actor} added {member}[ as {role}]",
	"members.update":          "{actor} changed {member}[ from {was:role} to {role}][, who is now a member until {ends_at}]",
	"members.suspend":         "{actor} suspended {member}",
	"members.reactivate":      "{actor} reactivated {member}",
	"members.remove":          "{actor} removed {member}",
	"members.leave":           "{actor} left the organization",
	"users.upsert":            "{actor} saved the user {user}",
	"users.delete":            "{actor} deleted the user {user}",
	"roles.create":            "{actor} made the role {role}",
	"roles.update":            "{actor} changed the role {role}[: {fields}]",
	"roles.delete":            "{actor} deleted the role {role}",
	"ownership.transfer":      "{actor} handed the ownership to {first:member}",
	"ownership.accept":        "{actor} accepted the ownership",
	"ownership.cancel":        "{actor} cancelled the transfer of the ownership",
	"invitations.create":      "{actor} invited {invitation}[ as {role}]",
	"invitations.create_many": "{actor} invited {invitation}[ as {role}]",
	"invitations.update":      "{actor} changed the invitation of {invitation}[ from {was:role} to {role}]",
	"invitations.resend":      "{actor} sent the invitation of {invitation} again",
	"invitations.link":        "{actor} made a link for the invitation of {invitation}",
	"invitations.reapprove":   "{actor} approved the invitation of {invitation} again",
	"invitations.cancel":      "{actor} cancelled the invitation of {invitation}",
	"invitations.accept":      "{actor} accepted the invitation of {invitation}",
	"invitations.decline":     "The invitation of {invitation} was declined",
	"me.update":               "{actor} changed their profile",
	"sessions.revoke":         "{actor} ended a session[ on {session}]",
	"sessions.revoke_all":     "{actor} ended their other sessions",
	"sessions.handoff":        "{actor} went on to the product, signed in",
	"sessions.exchange":       "{actor} exchanged a sign-in for a session[ of {user}]",
	"keys.create":             "{actor} made the key {key}",
	"keys.update":             "{actor} changed the key {key}[: {fields}]",
	"keys.rotate":             "{actor} rotated the key {first:key}",
	"keys.revoke":             "{actor} revoked the key {key}",
	"tokens.create":           "{actor} made the token {token}",
	"tokens.revoke":           "{actor} revoked the token {token}",
	"service_accounts.create": "{actor} made the service account {service_account}[ as {role}]",
	"service_accounts.update": "{actor} changed the service account {service_account}[ from {was:role} to {role}]",
	"service_accounts.delete": "{actor} deleted the service account {service_account}",
	"service_keys.create":     "{actor} made the service key {service_key}",
	"service_keys.rotate":     "{actor} rotated the service key {first:service_key}",
	"service_keys.revoke":     "{actor} revoked the service key {service_key}",
	"service_keys.delete":     "{actor} took the service key {service_key} off the list",
	"findings.dismiss":        "{actor} dismissed the finding about {finding}[ until {dismissed_until}]",
	"findings.restore":        "{actor} took the dismissal of the finding about {finding} back",
	"reviews.start":           "{actor} started the review {review}",
	"reviews.repeat":          "{actor} started the next review of {first:review}",
	"reviews.decide":          "{actor} decided to {decision}[ {member}][ the service account {service_account}][ the key {key}] in the review {review}",
	"reviews.decide_many":     "{actor} kept rows of the review {review}",
	"reviews.complete":        "{actor} completed the review {review}[: {member}][, the service account {service_account}][, the key {key}]",
	"reviews.cancel":          "{actor} cancelled the review {review}",
	"reviews.remind":          "{actor} reminded of the review {review}",
	"reviews.report":          "{actor} exported the review[ {review}]",
	"signin.begin":            "A sign-in was begun[ for {challenge}]",
	"signin.complete":         "[{user} signed in by {method}][{user} proved their address, and a second factor was {second_factor}]",
	"signin.second_factor":    "{user} signed in by {method}",
	"signin.verify_totp":      "{actor} verified with a code that it is them",
	"totp.begin":              "{actor} began to set up an authenticator app",
	"totp.create":             "{actor} set up an authenticator app",
	"totp.delete":             "{actor} removed their authenticator app",
	"totp.recovery_codes":     "{actor} made new recovery codes",
	"signin.verify":           "{actor} verified that it is them",
	"signin.passkey":          "{user} signed in with a passkey",
	"signin.verify_passkey":   "{actor} verified with a passkey that it is them",
	"passkeys.create":         "{actor} added a passkey to their account",
	"passkeys.update":         "{actor} renamed a passkey of theirs",
	"passkeys.delete":         "{actor} removed a passkey from their account",
	"subscription.change":     "{actor} changed the plan[ from {was:plan} to {plan}][: {scheduled_plan} from {scheduled_at} on]",
	"subscription.cancel":     "{actor} cancelled the plan {subscription}, which ends with its period",
	"subscription.resume":     "{actor} took back what waited for the end of the period",
	"subscription.portal":     "{actor} opened the payment provider's pages",
	"billing.update":          "{actor} changed who pays[: {fields}]",
	"invoices.close":          "{actor} closed a month[ and issued {invoice}][, and the plan {was:plan} became {plan}]",
	"invoices.remind":         "{actor} looked after overdue invoices[, and the plan {was:plan} became {plan}]",
	"invoices.pay":            "{actor} noted that the invoice {invoice} was paid",
	"invoices.void":           "{actor} made the invoice {invoice} void",
	"invoices.pdf":            "{actor} downloaded an invoice",
	"subscription.sync":       "{actor} read back from the payment provider how it stands[: {fields}]",
	"artifacts.put":           "{actor} stored the file {artifact}",
	"artifacts.update":        "{actor} changed the file {artifact}[: {fields}]",
	"artifacts.delete":        "{actor} deleted the file {artifact}",
	"artifacts.link":          "{actor} made a link to the file {artifact}",
	"holds.create":            "{actor} put files under the legal hold {hold}",
	"holds.release":           "{actor} released the legal hold {hold}",
	"retention.sweep":         "{actor} deleted {artifacts}, which were over their time",
	"retention.acknowledge":   "{actor} said that it deleted its own files of {organization} that were due",
	"domains.add":             "{actor} named the domain {domain}",
	"domains.verify":          "{actor} asked DNS about the domain {domain}[, which was {was:state} and is {state} now]",
	"domains.update":          "{actor} changed who may join by the domain {domain}[ from {was:joining} to {joining}][ as {role}]",
	"domains.remove":          "{actor} took the domain {domain} away",
	"domains.join":            "{actor} came by the domain {domain}[ and joined as {member}][ and asked to join: {join_request}]",
	"join_requests.decide":    "{actor} decided about {join_request}, who asked to join: {state}",
	"login_policy.update":     "{actor} changed the sign-in policy[: {fields}]",
	"connections.create":      "{actor} named the identity provider {connection}",
	"connections.update":      "{actor} changed the identity provider {connection}[: {fields}][, which is {state} now]",
	"connections.create_saml": "{actor} named the identity provider {connection}, which speaks SAML",
	"connections.update_saml": "{actor} changed the identity provider {connection}[: {fields}]",
	"connections.remind_saml": "{actor} reminded whoever manages connections that the certificates of {connection} end",
	"connections.test":        "{actor} began a test of the identity provider {connection}",
	"connections.delete":      "{actor} deleted the identity provider {connection}",
	"setup_links.create":      "{actor} made a set-up link[ for the identity provider {connection}]",
	"setup_links.revoke":      "{actor} revoked a set-up link",
	"setup.configure":         "The set-up link[ of {user}] named the identity provider {connection}",
	"setup.configure_saml":    "The set-up link[ of {user}] named the identity provider {connection}, which speaks SAML",
	"setup.map":               "The set-up link[ of {user}] said what {connection} means by its answers[: {mapping}]",
	"setup.test":              "The set-up link[ of {user}] began a test of the identity provider {connection}",
	"signin.federated_begin":  "A sign-in was begun[ at {connection}]",
	"signin.federated":        "{actor} came back from {connection}[ and is {role} now]",
	"signin.social_begin":     "A sign-in was begun with {provider}",
	"signin.social":           "[{user} signed in with {provider}, by {method}][{user} came back from {provider}, and a second factor was {second_factor}]",
	"identities.begin":        "{actor} began to link an account at {provider}",
	"identities.create":       "{actor} linked an account at {provider}, which signs them in now",
	"identities.delete":       "{actor} unlinked an account[ at {was:provider}]",
	"signin.saml":             "{actor} came back from {connection}",
	"feedback.record":         "{actor} said whether the page {page} helped",
	"limits.set":              "{actor} set a limit[ of {member}][ of the key {key}]",
	"limits.delete":           "{actor} took a limit[ of {member}][ of the key {key}] away",
	"budgets.create":          "{actor} made the budget {budget}",
	"budgets.update":          "{actor} changed the budget {budget}[: {fields}]",
	"budgets.delete":          "{actor} deleted the budget {budget}",
	"budgets.fire":            "Limits or budgets were reached[: {fields}]",
	"usage.export":            "{actor} exported usage",
	"usage.export_query":      "{actor} exported usage over time",
	"audit.list":              "{actor} looked at the audit log",
	"audit.get":               "{actor} looked at an event of the audit log",
	"audit.export":            "{actor} exported the audit log",

	// Companies' directories.
	"directories.create":       "{actor} connected the directory {directory}",
	"directories.update":       "{actor} changed the directory {directory}[: {fields}]",
	"directories.rotate_token": "{actor} gave the directory {directory} a new token",
	"directories.delete":       "{actor} deleted the directory {directory}",
	"scim_users.create":        "{actor} told of {directory_user}",
	"scim_users.replace":       "{actor} changed {directory_user}[: {fields}]",
	"scim_users.patch":         "{actor} changed {directory_user}[: {fields}]",
	"scim_users.delete":        "{actor} deleted {directory_user}",
	"scim_groups.create":       "{actor} told of the group {directory_group}",
	"scim_groups.replace":      "{actor} changed the group {directory_group}[: {fields}]",
	"scim_groups.patch":        "{actor} changed the group {directory_group}[: {fields}]",
	"scim_groups.delete":       "{actor} deleted the group {directory_group}",

	// The life cycle of organizations.
	"organizations.recover_owner":     "{actor} began to make {recovery} the owner of {organization}",
	"organizations.cancel_recovery":   "{actor} kept {recovery} from becoming the owner",
	"organizations.complete_recovery": "{actor} ended the wait in which {recovery} was to become the owner",
	"organizations.purge":             "{actor} ended a piece of the organization[: {fields}]",

	"signin.saml_logout":        "{connection} signed somebody out[, and {ended} sessions ended]",
	"signin.backchannel_logout": "{connection} signed somebody out[, and {ended} sessions ended]",
	"connections.create_google": "{actor} let the people of a Google Workspace sign in by {connection}, once it is switched on",
	"connections.create_github": "{actor} let the members of an organization at GitHub sign in by {connection}, once it is switched on",
}

// erasedName stands for somebody whose name was erased.
const erasedName = "erased"

// Sentence says an event in a sentence. Names are those of that time; whoever was erased is called "erased".
func Sentence(c *charter.Charter, e Event) string {
	w := wording{c, e}
	switch e.Outcome {
	case op.OutcomeDenied:
		return w.refused()
	case op.OutcomeFailed:
		return w.tried() + ", which failed"
	case op.OutcomeUnchanged:
		return w.done() + ", which changed nothing"
	}
	return w.done()
}

// wording finds the words for an event.
type wording struct {
	charter *charter.Charter
	event   Event
}

func (w wording) done() string {
	if s, ok := w.fill(sentences[w.event.Action]); ok {
		return s
	}
	s := fmt.Sprintf("%s did %s", w.actor(), w.event.Action)
	if t := w.event.Targets; len(t) > 0 {
		s += " on " + w.name(t[0].Type)
	}
	return s
}

func (w wording) tried() string { return fmt.Sprintf("%s tried %s", w.actor(), w.event.Action) }

func (w wording) refused() string {
	s := fmt.Sprintf("%s was refused %s", w.actor(), w.event.Action)
	if w.event.Count > 1 {
		s += fmt.Sprintf(" %d times", w.event.Count)
	}
	if w.event.Reason != "" {
		s += ": " + strings.ReplaceAll(w.event.Reason, "_", " ")
	}
	return s
}

func (w wording) actor() string {
	a := w.event.Actor
	switch {
	case a.erased:
		return erasedName
	case a.Kind == op.OperatorActor:
		return "The operator"
	case a.Kind == op.SystemActor:
		return "Guildhall"
	case a.Kind == op.NobodyActor:
		return "Somebody"
	}
	return credentials[a.Kind] + cmp.Or(a.Name, a.Email, a.ID)
}

// credentials stand before the names of actors that are no people.
var credentials = map[op.ActorKind]string{op.KeyActor: "The key ", op.TokenActor: "The token ", op.ServiceActor: "The service key ", op.DirectoryActor: "The directory ",
	op.LinkActor: "The set-up link "}

// fill puts the words into a sentence; false: some are not known.
func (w wording) fill(template string) (string, bool) {
	var b strings.Builder
	for template != "" {
		at := strings.IndexAny(template, "[{")
		if at < 0 {
			b.WriteString(template)
			break
		}
		b.WriteString(template[:at])
		end := "}"
		if template[at] == '[' {
			end = "]"
		}
		inner, rest, _ := strings.Cut(template[at+1:], end)
		template = rest
		if end == "]" {
			if part, ok := w.fill(inner); ok {
				b.WriteString(part)
			}
			continue
		}
		word := w.word(inner)
		if word == "" {
			return "", false
		}
		b.WriteString(word)
	}
	return b.String(), b.Len() > 0
}

// word is what stands for a name in braces; empty: not known.
func (w wording) word(name string) string {
	if name == "actor" {
		return w.actor()
	}
	if name == "fields" {
		return w.fields()
	}
	if kind, first := strings.CutPrefix(name, "first:"); first {
		return w.first(kind)
	}
	if found := w.name(name); found != "" {
		return found
	}
	field, was := strings.CutPrefix(name, "was:")
	for _, c := range w.event.Changes {
		if c.Field == field && was {
			return w.value(field, c.Before)
		}
		if c.Field == field {
			return w.value(field, c.After)
		}
	}
	return ""
}

// first says the first target of a type: the one that the call was about.
func (w wording) first(kind string) string {
	one := w
	if i := slices.IndexFunc(w.event.Targets, func(t Target) bool { return t.Type == kind }); i >= 0 {
		one.event.Targets = w.event.Targets[i : i+1]
	}
	return one.name(kind)
}

// name says the targets of a type: one, two, or one and how many more.
func (w wording) name(kind string) string {
	var names []string
	for _, t := range w.event.Targets {
		switch {
		case t.Type != kind:
		case t.erased:
			names = append(names, erasedName)
		default:
			names = append(names, cmp.Or(t.Name, t.ID))
		}
	}
	switch len(names) {
	case 0, 1:
		return strings.Join(names, "")
	case 2:
		return names[0] + " and " + names[1]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

func (w wording) fields() string {
	var names []string
	for _, c := range w.event.Changes {
		names = append(names, strings.ReplaceAll(c.Field, "_", " "))
	}
	return strings.Join(names, ", ")
}

// value says a field's value; roles by their titles, times without the seconds.
func (w wording) value(field string, value any) string {
	text, ok := value.(string)
	if !ok || text == "" {
		return ""
	}
	if field == "role" {
		if role, ok := w.charter.Role(charter.RoleID(text)); ok {
			return role.Title
		}
	}
	if day, _, found := strings.Cut(text, "T"); found && (field == "ends_at" || field == "dismissed_until" || field == "due_at") {
		return day
	}
	return text
}
