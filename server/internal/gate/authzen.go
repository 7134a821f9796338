package gate

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/op"
)

// evaluation is a request of AuthZEN (section 6.1). Fields that it does not know are ignored, as section 10.1 demands:
// what may come later.
type evaluation struct {
	Subject  *subject      `json:"subject"`
	Action   *action       `json:"action"`
	Resource *resource     `json:"resource"`
	Context  *surroundings `json:"context"`
}

type subject struct {
	Type       string        `json:"type"`
	ID         string        `json:"id"`
	Properties *ignoredThing `json:"properties"`
}

type action struct {
	Name       string        `json:"name"`
	Properties *ignoredThing `json:"properties,omitzero"`
}

type resource struct {
	Type       string             `json:"type"`
	ID         string             `json:"id"`
	Properties resourceProperties `json:"properties"`
}

func (s *subject) asked() check.Subject { return check.Subject{Type: s.Type, ID: s.ID} }

func (r *resource) asked() check.Resource {
	return check.Resource{Type: r.Type, ID: r.ID, Organization: r.Properties.Organization}
}

// resourceProperties says whose the resource is: an organization's id or slug.
type resourceProperties struct {
	Organization string `json:"organization"`
}

// surroundings are what of a request's context counts: where the subject's own request came from, for credentials that are
// for some networks only, in which region it would run, and what a yes uses up.
type surroundings struct {
	Address string `json:"address"`
	Region  string `json:"region"`
	Usage   *use   `json:"usage"`
}

// use is what a yes uses up.
type use struct {
	Meter  string `json:"meter"`
	Amount *int64 `json:"amount"`
	ID     string `json:"id"`
}

// count is what is counted. An amount that is there is at least 1.
func (u *use) count() (*check.Count, error) {
	n := &check.Count{Meter: u.Meter, Amount: 1, ID: u.ID}
	if u.Amount != nil {
		n.Amount = *u.Amount
	}
	if n.Amount < 1 {
		return nil, malformed("context.usage.amount is from 1 to %d", int64(check.MaxAmount))
	}
	return n, nil
}

// ignoredThing is an object that has to be one, and decides nothing.
type ignoredThing struct{}

// evaluations is a request for several evaluations (section 7.1). What it says itself is the default of each.
type evaluations struct {
	evaluation
	Evaluations []jsontext.Value `json:"evaluations"`
	Options     struct {
		Semantic string `json:"evaluations_semantic"`
	} `json:"options"`
}

// maxEvaluations bounds the work of one request.
const maxEvaluations = 1000

// metadata is what discovery tells (section 9.1). It lists no capabilities: none are registered.
type metadata struct {
	PolicyDecisionPoint       string `json:"policy_decision_point"`
	AccessEvaluationEndpoint  string `json:"access_evaluation_endpoint"`
	AccessEvaluationsEndpoint string `json:"access_evaluations_endpoint"`
	SearchSubjectEndpoint     string `json:"search_subject_endpoint"`
	SearchResourceEndpoint    string `json:"search_resource_endpoint"`
	SearchActionEndpoint      string `json:"search_action_endpoint"`
}

// parse reads strict JSON: UTF-8, no name twice, nothing after it, no deeper than an operation's body. What does not fit
// is Malformed.
func parse(body []byte, into any) error {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		_, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return malformed("the body is not JSON")
		}
		if d.StackDepth() > op.MaxDepth {
			return malformed("the body is nested deeper than %d", op.MaxDepth)
		}
	}
	if kind := jsontext.Value(body).Kind(); kind != '{' {
		return malformed("the body has to be a JSON object")
	}
	return decode(body, into)
}

func decode(raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	var wrong *json.SemanticError
	if errors.As(err, &wrong) {
		return malformed("%s is not of its type", cmp.Or(string(wrong.JSONPointer), "an evaluation"))
	}
	if err != nil {
		return malformed("the body is not one JSON object")
	}
	return nil
}

func malformed(format string, args ...any) *op.Error {
	return &op.Error{Kind: op.Malformed, Text: fmt.Sprintf(format, args...)}
}

// question is what is asked, if everything that is needed is there.
func (e evaluation) question() (check.Request, error) {
	switch {
	case e.Subject == nil || e.Subject.Type == "" || e.Subject.ID == "":
		return check.Request{}, malformed(needSubject)
	case e.Action == nil || e.Action.Name == "":
		return check.Request{}, malformed(needAction)
	case e.Resource == nil || e.Resource.Type == "" || e.Resource.ID == "" && !e.ownOrganization():
		return check.Request{}, malformed(needResource)
	}
	q := check.Request{
		Subject:    e.Subject.asked(),
		Permission: charter.Permission(e.Action.Name),
		Resource:   e.Resource.asked(),
	}
	if e.Context != nil {
		q.Address, q.Region = e.Context.Address, e.Context.Region
		if e.Context.Usage != nil {
			var err error
			q.Count, err = e.Context.Usage.count()
			return q, err
		}
	}
	return q, nil
}

// ownOrganization reports whether the question is about the organization that a credential is for, which it need not name.
func (e evaluation) ownOrganization() bool {
	return e.Subject.Type == check.Credential && e.Resource.Type == check.Organization
}

// semantic says after which answer to stop (section 7.1.2).
func (b evaluations) semantic() (func(check.Decision) bool, error) {
	switch b.Options.Semantic {
	case "", "execute_all":
		return nil, nil
	case "deny_on_first_deny":
		return func(d check.Decision) bool { return !d.Allow }, nil
	case "permit_on_first_permit":
		return func(d check.Decision) bool { return d.Allow }, nil
	}
	return nil, malformed("evaluations_semantic is execute_all, deny_on_first_deny or permit_on_first_permit, not %q", b.Options.Semantic)
}

// questions are the questions in their order, and what is wrong with those that are not well-formed: asked as they
// stand, these are answered no.
func (b evaluations) questions(c *charter.Charter) ([]check.Request, []*op.Error, error) {
	if len(b.Evaluations) > maxEvaluations {
		return nil, nil, malformed("%d evaluations are asked at once, and %d is the most", len(b.Evaluations), maxEvaluations)
	}
	questions, wrong := make([]check.Request, len(b.Evaluations)), make([]*op.Error, len(b.Evaluations))
	for i, raw := range b.Evaluations {
		var e evaluation
		err := decode(raw, &e)
		if err == nil {
			questions[i], err = e.withDefaults(b.evaluation).question()
		}
		if n := questions[i].Count; err == nil && n != nil {
			if text := n.Wrong(c); text != "" {
				err = malformed("context.%s", text)
			}
		}
		if err != nil {
			questions[i], wrong[i] = check.Request{}, op.AsError(err)
		}
	}
	return questions, wrong, nil
}

// withDefaults fills in what an evaluation leaves out. What it says replaces the default as a whole; only a type, id or
// name that is missing is the default's, since without it there would be no question.
func (e evaluation) withDefaults(d evaluation) evaluation {
	if e.Subject == nil {
		e.Subject = d.Subject
	} else if d.Subject != nil {
		e.Subject.Type, e.Subject.ID = cmp.Or(e.Subject.Type, d.Subject.Type), cmp.Or(e.Subject.ID, d.Subject.ID)
	}
	if e.Action == nil {
		e.Action = d.Action
	} else if d.Action != nil {
		e.Action.Name = cmp.Or(e.Action.Name, d.Action.Name)
	}
	if e.Resource == nil {
		e.Resource = d.Resource
	} else if d.Resource != nil {
		e.Resource.Type, e.Resource.ID = cmp.Or(e.Resource.Type, d.Resource.Type), cmp.Or(e.Resource.ID, d.Resource.ID)
	}
	e.Context = cmp.Or(e.Context, d.Context)
	return e
}
