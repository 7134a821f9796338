package saml

import (
	"strings"
	"time"
)

const bearer = "urn:oasis:names:tc:SAML:2.0:cm:bearer"

// longestSubject is how long a name may be (SAML Core 2.0, section 8.3.7).
const longestSubject = 256

// remembered is how long at most an assertion has to be remembered: the request that it answers is over by then.
const remembered = 24 * time.Hour

// believe checks what an answer says, by the rules of the Web Browser SSO profile (SAML Profiles 2.0, section 4.1.4). T-078,
// T-079
func (e Expectations) believe(s shape) (Assertion, error) {
	a := Assertion{ID: s.assertion.attr("ID"), Attributes: map[string][]string{}}
	for _, check := range []func(shape, *Assertion) error{e.issuer, e.addressed, e.issued, e.conditions, e.subject, e.statements, attributes} {
		if err := check(s, &a); err != nil {
			return Assertion{}, err
		}
	}
	return a, nil
}

// issuer checks who speaks. The response may leave it out where it is not signed.
func (e Expectations) issuer(s shape, _ *Assertion) error {
	for _, n := range []*node{s.response, s.assertion} {
		said, ok := n.one(assertionSpace, "Issuer").value()
		if n == s.response && len(n.all(assertionSpace, "Issuer")) == 0 {
			continue
		}
		if !ok || said != e.Issuer {
			return refuse(OtherIssuer, "the issuer of the %s is %.200q, and the connection's is %.200q", n.local, said, e.Issuer)
		}
	}
	return nil
}

// addressed checks where the answer was sent to, and which request it answers. One that nobody asked for is refused.
func (e Expectations) addressed(s shape, _ *Assertion) error {
	to := s.response.attr("Destination")
	if to != e.ACS && (to != "" || s.responseSignature != nil) {
		return refuse(OtherAddress, "the answer's destination is %.200q, and ours is %.200q", to, e.ACS)
	}
	return e.answered(s.response.attr("InResponseTo"))
}

func (e Expectations) answered(request string) error {
	switch {
	case request == "":
		return refuse(Unsolicited, "the answer names no request: sign in here first, since a sign-in that begins at the provider is not accepted")
	case request != e.Request || e.Request == "":
		return refuse(OtherRequest, "the answer is to another request")
	}
	return nil
}

// issued refuses what was made in the future.
func (e Expectations) issued(s shape, _ *Assertion) error {
	for _, n := range []*node{s.response, s.assertion} {
		at, err := moment(n, "IssueInstant")
		switch {
		case err != nil:
			return err
		case at.IsZero():
			return refuse(UnreadableValue, "the %s does not say when it was made", n.local)
		case at.After(e.Now.Add(Skew)):
			return refuse(TooEarly, "the %s was made at %s, and here it is %s: is a clock wrong?", n.local, at.Format(time.RFC3339), e.Now.Format(time.RFC3339))
		}
	}
	return nil
}

// moment is the time of an attribute; zero where there is none.
func moment(n *node, name string) (time.Time, error) {
	text := n.attr(name)
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || len(text) > 64 {
		return at, refuse(UnreadableValue, "%s of the %s is no time: %.64q", name, n.local, text)
	}
	return at.UTC(), nil
}

// during refuses what is over, or has not begun. It gives the end.
func (e Expectations) during(n *node) (time.Time, error) {
	from, err := moment(n, "NotBefore")
	if err != nil {
		return from, err
	}
	until, err := moment(n, "NotOnOrAfter")
	switch {
	case err != nil:
		return until, err
	case !from.IsZero() && e.Now.Before(from.Add(-Skew)):
		return until, refuse(TooEarly, "the %s begin to hold at %s, and here it is %s: is a clock wrong?", n.local, from.Format(time.RFC3339), e.Now.Format(time.RFC3339))
	case !until.IsZero() && !e.Now.Before(until.Add(Skew)):
		return until, refuse(TooLate, "the %s held until %s, and here it is %s", n.local, until.Format(time.RFC3339), e.Now.Format(time.RFC3339))
	}
	return until, nil
}

// conditions checks for whom the assertion is, and when. A condition that is not known is one that does not hold (SAML Core
// 2.0, section 2.5.1.1).
func (e Expectations) conditions(s shape, _ *Assertion) error {
	c := s.assertion.one(assertionSpace, "Conditions")
	if c == nil {
		return refuse(OtherAudience, "the assertion has no Conditions, and so says not for whom it is")
	}
	if _, err := e.during(c); err != nil {
		return err
	}
	restricted := false
	for _, one := range c.children {
		switch one.local {
		case "AudienceRestriction":
			if !one.holds(e.EntityID) {
				return refuse(OtherAudience, "the assertion is for %.200q, and we are %.200q", one.firstValue(), e.EntityID)
			}
			restricted = true
		case "OneTimeUse", "ProxyRestriction":
		default:
			return refuse(OddCondition, "the assertion has a condition that is not known: %.40q", one.local)
		}
	}
	if !restricted {
		return refuse(OtherAudience, "the assertion does not say for whom it is: the audience has to be %.200q", e.EntityID)
	}
	return nil
}

// holds reports whether an AudienceRestriction names an audience.
func (n *node) holds(audience string) bool {
	for _, one := range n.all(assertionSpace, "Audience") {
		if said, ok := one.value(); ok && said == audience {
			return true
		}
	}
	return false
}

func (n *node) firstValue() string {
	if len(n.children) == 0 {
		return ""
	}
	text, _ := n.children[0].value()
	return text
}

// subject checks of whom the assertion is, and that it may be brought by a browser.
func (e Expectations) subject(s shape, a *Assertion) error {
	subject := s.assertion.one(assertionSpace, "Subject")
	if subject == nil {
		return refuse(Nameless, "the assertion has no Subject")
	}
	id := subject.one(assertionSpace, "NameID")
	name, ok := id.value()
	if !ok || name == "" || len(name) > longestSubject {
		return refuse(Nameless, "the assertion names nobody: it has to have one NameID")
	}
	a.Name, a.Format, a.Qualifier, a.OurQualifier = name, id.attr("Format"), id.attr("NameQualifier"), id.attr("SPNameQualifier")
	if a.Format == "" {
		a.Format = Unspecified
	}
	return e.confirmed(subject, a)
}

// confirmed looks for one confirmation of a bearer that holds, and otherwise says what is wrong with the last.
func (e Expectations) confirmed(subject *node, a *Assertion) error {
	err := refuse(Unconfirmed, "the assertion has no SubjectConfirmation of a bearer")
	for _, one := range subject.all(assertionSpace, "SubjectConfirmation") {
		if one.attr("Method") != bearer {
			continue
		}
		data := one.one(assertionSpace, "SubjectConfirmationData")
		if data == nil {
			err = refuse(Unconfirmed, "the assertion's SubjectConfirmation has no data")
			continue
		}
		until, wrong := e.confirmation(data)
		if wrong == nil {
			a.Until = until.Add(Skew)
			if latest := e.Now.Add(remembered); a.Until.After(latest) {
				a.Until = latest
			}
			return nil
		}
		err = wrong
	}
	return err
}

func (e Expectations) confirmation(data *node) (time.Time, error) {
	until, err := e.during(data)
	switch {
	case err != nil:
		return until, err
	case until.IsZero():
		return until, refuse(Unconfirmed, "the assertion's SubjectConfirmationData has no NotOnOrAfter")
	case data.attr("Recipient") != e.ACS:
		return until, refuse(OtherRecipient, "the assertion's recipient is %.200q, and ours is %.200q", data.attr("Recipient"), e.ACS)
	}
	return until, e.answered(data.attr("InResponseTo"))
}

// statements checks that the person signed in at the provider, and is still.
func (e Expectations) statements(s shape, a *Assertion) error {
	found := s.assertion.all(assertionSpace, "AuthnStatement")
	if len(found) == 0 {
		return refuse(NoStatement, "the assertion does not say that anybody signed in: it has no AuthnStatement")
	}
	for _, one := range found {
		at, err := moment(one, "AuthnInstant")
		if err != nil {
			return err
		}
		if at.After(e.Now.Add(Skew)) {
			return refuse(TooEarly, "the person signed in at %s, and here it is %s: is a clock wrong?", at.Format(time.RFC3339), e.Now.Format(time.RFC3339))
		}
		until, err := moment(one, "SessionNotOnOrAfter")
		if err != nil {
			return err
		}
		if !until.IsZero() && !e.Now.Before(until.Add(Skew)) {
			return refuse(SessionOver, "the person's session at the provider ended at %s", until.Format(time.RFC3339))
		}
		if a.SessionIndex == "" {
			a.SessionIndex = one.attr("SessionIndex")
		}
	}
	return nil
}

// attributes reads what is said of the person. A value that is not plain text is none.
func attributes(s shape, a *Assertion) error {
	for _, statement := range s.assertion.all(assertionSpace, "AttributeStatement") {
		for _, one := range statement.all(assertionSpace, "Attribute") {
			for _, value := range one.all(assertionSpace, "AttributeValue") {
				if text, ok := value.value(); ok {
					a.Attributes[one.attr("Name")] = append(a.Attributes[one.attr("Name")], text)
				}
			}
		}
	}
	return nil
}

// Subject is who a person is at the provider: the value of an attribute that never changes, if one was chosen, else the
// NameID. A transient NameID names nobody a second time.
func (a Assertion) Subject(attribute string) (string, error) {
	if attribute == "" {
		if a.Format == Transient {
			return "", refuse(TransientName, "the NameID is transient, so nobody would be known the next time: set the provider to persistent or emailAddress, or choose an attribute that never changes")
		}
		return a.Name, nil
	}
	values := a.Attributes[attribute]
	if len(values) != 1 || values[0] == "" || len(values[0]) > longestSubject {
		return "", refuse(Nameless, "the attribute %.100q, by which people are known, has %d values instead of one", attribute, len(values))
	}
	return values[0], nil
}

// addresses are the names under which providers send an e-mail address.
var addresses = []string{"email", "mail", "emailAddress", "urn:oid:0.9.2342.19200300.100.1.3", "urn:oid:1.2.840.113549.1.9.1",
	"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"}

// Email is the address that the provider says: of a usual attribute, else the NameID if that is one; or empty.
func (a Assertion) Email() string {
	for _, name := range addresses {
		if values := a.Attributes[name]; len(values) > 0 && values[0] != "" {
			return values[0]
		}
	}
	if a.Format == Email || a.Format == Unspecified && strings.Contains(a.Name, "@") {
		return a.Name
	}
	return ""
}

// names are the attributes under which providers send a person's whole name.
var names = []string{"displayName", "name", "cn", "urn:oid:2.16.840.1.113730.3.1.241", "http://schemas.microsoft.com/identity/claims/displayname"}

// FullName is what the provider calls the person, or empty.
func (a Assertion) FullName() string {
	for _, name := range names {
		if values := a.Attributes[name]; len(values) > 0 {
			return values[0]
		}
	}
	for _, pair := range [][2]string{{"firstName", "lastName"}, {"first_name", "last_name"}, {"givenName", "sn"}, {"urn:oid:2.5.4.42", "urn:oid:2.5.4.4"},
		{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname"}} {
		if first, last := a.Attributes[pair[0]], a.Attributes[pair[1]]; len(first) > 0 && len(last) > 0 {
			return first[0] + " " + last[0]
		}
	}
	return ""
}
