package gate

import (
	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/server/internal/web"
)

// search is a request of AuthZEN's searches (section 8): an evaluation with one part left open, and a page.
type search struct {
	evaluation
	Page page `json:"page"`
}

// page says where to go on, and how many results are wanted.
type page struct {
	Token string `json:"token"`
	Limit int    `json:"limit"`
}

// found are the results of a search, of which those on this page are given.
type found struct {
	Results []any     `json:"results"`
	Page    foundPage `json:"page"`
}

type foundPage struct {
	NextToken string `json:"next_token"` // empty: there are no more
	Count     int    `json:"count"`
}

// entity is a subject or a resource that was found; action is a permission.
type entity struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// The parts of a search.
const (
	needSubject  = "subject needs type and id"
	needAction   = "action needs name"
	needResource = "resource needs type and id"
	needType     = "%s needs type"
)

// parse reads a search, and wants its page to be one.
func (s *search) parse(body []byte) error {
	if err := parse(body, s); err != nil {
		return err
	}
	if s.Page.Limit < 0 || len(s.Page.Token) > maxToken {
		return malformed("page has a limit of 0 or more, and a token of the page before")
	}
	return nil
}

// maxToken is how long a token can be: it is the id after which to go on.
const maxToken = 256

// address is where the subject's own request came from.
func (s *search) address() string {
	if s.Context == nil {
		return ""
	}
	return s.Context.Address
}

// searchSubjects finds the users who may do something on a resource (section 8.4).
func (g *Gate) searchSubjects(x *web.Exchange, body []byte) (any, error) {
	var s search
	if err := s.parse(body); err != nil {
		return nil, err
	}
	switch {
	case s.Subject == nil || s.Subject.Type == "":
		return nil, malformed(needType, "subject")
	case s.Action == nil || s.Action.Name == "":
		return nil, malformed(needAction)
	case s.Resource == nil || s.Resource.Type == "" || s.Resource.ID == "":
		return nil, malformed(needResource)
	case s.Subject.Type != check.User:
		return results(check.User, nil, ""), nil
	}
	ids, next, err := g.config.Access.SearchSubjects(x.Request.Context(), access.SubjectSearch{Permission: charter.Permission(s.Action.Name),
		Resource: s.Resource.asked(), After: s.Page.Token, Limit: s.Page.Limit})
	return results(check.User, ids, next), err
}

// searchResources finds the resources of a type on which a subject may do something (section 8.5).
func (g *Gate) searchResources(x *web.Exchange, body []byte) (any, error) {
	var s search
	if err := s.parse(body); err != nil {
		return nil, err
	}
	switch {
	case s.Subject == nil || s.Subject.Type == "" || s.Subject.ID == "":
		return nil, malformed(needSubject)
	case s.Action == nil || s.Action.Name == "":
		return nil, malformed(needAction)
	case s.Resource == nil || s.Resource.Type == "":
		return nil, malformed(needType, "resource")
	}
	ids, next, err := g.config.Access.SearchResources(x.Request.Context(), access.ResourceSearch{Subject: s.Subject.asked(),
		Permission: charter.Permission(s.Action.Name), Type: s.Resource.Type, Organization: s.Resource.Properties.Organization,
		Address: s.address(), After: s.Page.Token, Limit: s.Page.Limit})
	return results(s.Resource.Type, ids, next), err
}

// searchActions finds what a subject may do on a resource (section 8.6). It is one page: a charter has so many permissions.
func (g *Gate) searchActions(x *web.Exchange, body []byte) (any, error) {
	var s search
	if err := s.parse(body); err != nil {
		return nil, err
	}
	switch {
	case s.Subject == nil || s.Subject.Type == "" || s.Subject.ID == "":
		return nil, malformed(needSubject)
	case s.Resource == nil || s.Resource.Type == "" || s.Resource.ID == "" && !s.ownOrganization():
		return nil, malformed(needResource)
	}
	permissions, err := g.config.Access.SearchActions(x.Request.Context(), access.ActionSearch{Subject: s.Subject.asked(),
		Resource: s.Resource.asked(), Address: s.address()})
	out := found{Results: make([]any, len(permissions)), Page: foundPage{Count: len(permissions)}}
	for i, p := range permissions {
		out.Results[i] = action{Name: string(p)}
	}
	return out, err
}

// results are subjects or resources of a type.
func results(kind string, ids []string, next string) found {
	out := found{Results: make([]any, len(ids)), Page: foundPage{NextToken: next, Count: len(ids)}}
	for i, id := range ids {
		out.Results[i] = entity{kind, id}
	}
	return out
}
