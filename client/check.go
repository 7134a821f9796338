package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

var _ check.Checker = (*Client)(nil)

// The paths of AuthZEN (OpenID Authorization API 1.0, sections 6 and 7).
const (
	evaluationPath  = "/access/v1/evaluation"
	evaluationsPath = "/access/v1/evaluations"
)

// maxQuestions is how many questions one request may have.
const maxQuestions = 1000

// Check asks one question, with the client's service key. An error is no answer, and means no; it is an *op.Error.
func (c *Client) Check(ctx context.Context, r check.Request) (check.Decision, error) {
	var a answer
	if err := c.ask(ctx, evaluationPath, questionOf(r), &a); err != nil {
		return check.Decision{}, err
	}
	return c.decisionOf(a)
}

// CheckAll asks questions and gives the answers in their order. Each thousand of them is one request, and answered at one
// moment. A question that is not well-formed is answered no.
func (c *Client) CheckAll(ctx context.Context, questions []check.Request) ([]check.Decision, error) {
	decisions := make([]check.Decision, 0, len(questions))
	for some := range slices.Chunk(questions, maxQuestions) {
		answers, err := c.askAll(ctx, some)
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			d, err := c.decisionOf(a)
			if err != nil {
				return nil, err
			}
			decisions = append(decisions, d)
		}
	}
	return decisions, nil
}

// askAll asks as many questions as go into one request.
func (c *Client) askAll(ctx context.Context, questions []check.Request) ([]answer, error) {
	var batch struct {
		Evaluations []question `json:"evaluations"`
	}
	for _, r := range questions {
		batch.Evaluations = append(batch.Evaluations, questionOf(r))
	}
	var out struct {
		Evaluations []answer `json:"evaluations"`
	}
	if err := c.ask(ctx, evaluationsPath, batch, &out); err != nil {
		return nil, err
	}
	if len(out.Evaluations) != len(questions) {
		return nil, c.noDecision()
	}
	return out.Evaluations, nil
}

// ask sends a question, again if the server is busy, and reads its answer.
func (c *Client) ask(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return op.Errorf(op.Malformed, "", "the question is no JSON")
	}
	response, err := c.deliver(ctx, &call{method: http.MethodPost, url: c.base + path, body: body, token: c.token, agent: c.agent, question: true})
	if err != nil {
		return err
	}
	if body, err = c.read(response); err != nil {
		return err
	}
	if json.Unmarshal(body, out) != nil {
		return c.noDecision()
	}
	return nil
}

func (c *Client) noDecision() *op.Error {
	return op.Errorf(op.Unavailable, noAnswer, "no decision from %s: is the address right?", c.base)
}

// question is a request of AuthZEN (section 6.1).
type question struct {
	Subject struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	} `json:"subject"`
	Action struct {
		Name charter.Permission `json:"name"`
	} `json:"action"`
	Resource struct {
		Type       string      `json:"type"`
		ID         string      `json:"id"`
		Properties *properties `json:"properties,omitzero"`
	} `json:"resource"`
	Context *surroundings `json:"context,omitzero"`
}

type properties struct {
	Organization string `json:"organization"`
}

type surroundings struct {
	Address string `json:"address,omitzero"`
	Region  string `json:"region,omitzero"`
	Usage   *use   `json:"usage,omitzero"`
}

type use struct {
	Meter  string `json:"meter"`
	Amount int64  `json:"amount,omitzero"`
	ID     string `json:"id"`
}

func questionOf(r check.Request) (q question) {
	q.Subject.Type, q.Subject.ID = r.Subject.Type, r.Subject.ID
	q.Action.Name = r.Permission
	q.Resource.Type, q.Resource.ID = r.Resource.Type, r.Resource.ID
	if r.Resource.Organization != "" {
		q.Resource.Properties = &properties{r.Resource.Organization}
	}
	if r.Address != "" || r.Region != "" || r.Count != nil {
		q.Context = &surroundings{Address: r.Address, Region: r.Region}
	}
	if n := r.Count; n != nil {
		// A question may be sent again: with an id it counts once all the same.
		q.Context.Usage = &use{n.Meter, n.Amount, cmp.Or(n.ID, "chk_"+rand.Text())}
	}
	return q
}

// answer is an answer of AuthZEN (section 6.2); its context is ours.
type answer struct {
	Decision *bool `json:"decision"`
	Context  struct {
		Reason       decide.Reason      `json:"reason"`
		Needs        charter.Permission `json:"needs"`
		FixURL       string             `json:"fix_url"`
		Holders      []check.Holder     `json:"holders"`
		Kind         string             `json:"kind"`
		User         string             `json:"user"`
		Member       string             `json:"member"`
		Organization string             `json:"organization"`
		Role         string             `json:"role"`
		Credential   string             `json:"credential"`
		Region       string             `json:"region"`
		Plan         string             `json:"plan"`
		Features     []string           `json:"features"`
		Remaining    *int64             `json:"remaining"`
	} `json:"context"`
}

// decisionOf reads an answer. Only one that says so is a yes.
func (c *Client) decisionOf(a answer) (check.Decision, error) {
	if a.Decision == nil {
		return check.Decision{}, c.noDecision()
	}
	told := a.Context
	if strings.HasPrefix(told.FixURL, "/") {
		told.FixURL = c.base + told.FixURL
	}
	return check.Decision{Allow: *a.Decision, Reason: told.Reason, Needs: told.Needs, FixURL: told.FixURL, Holders: told.Holders, Remaining: told.Remaining,
		Who: check.Who{Kind: told.Kind, User: check.MakeID(told.User), Member: check.MakeID(told.Member),
			Organization: check.MakeID(told.Organization), Role: check.MakeID(told.Role), Credential: check.MakeID(told.Credential),
			Region: told.Region, Plan: told.Plan, Features: told.Features}}, nil
}
