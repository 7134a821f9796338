package access

import (
	"context"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// SearchLimit is how many a search gives at most at once, and if it is not told.
const SearchLimit = 100

// SubjectSearch asks which users may do something on a resource.
type SubjectSearch struct {
	Permission charter.Permission
	Resource   check.Resource // in an organization, by id or slug
	After      string         // where to go on: next of the page before; empty: at the beginning
	Limit      int            // 0 means SearchLimit
}

// SearchSubjects gives the ids of the users who may, in the order of the ids, and where to go on; next is empty at the
// end. Users are limited to no single resources: whoever may on one of a type may on all of it. What is unknown nobody
// may.
func (a *Access) SearchSubjects(ctx context.Context, s SubjectSearch) (ids []string, next string, err error) {
	q := check.Request{Permission: s.Permission, Resource: s.Resource}
	if _, reason := a.asked(&q); reason != "" {
		return nil, "", nil
	}
	named := s.Resource.Organization
	if s.Resource.Type == check.Organization {
		named = s.Resource.ID
	}
	organization, known, err := a.organization(ctx, named)
	if err != nil || !known || organization == "" {
		return nil, "", err
	}
	q.Resource = check.Whole(organization)
	return a.pages(ctx, s.After, s.Limit, `SELECT m.user_id FROM members m WHERE m.organization = $1 AND m.status = 'active'
		AND m.user_id > $2 AND (m.ends_at = 0 OR m.ends_at > $4) ORDER BY m.user_id LIMIT $3`, organization, func(user string) (bool, error) {
		q.Subject = check.ByUser(user)
		return a.may(ctx, &q)
	})
}

// pages goes through what a query gives, and keeps what may. Its parameters are what it is about, where to begin, how
// many to give, and the time. A page is full, or the last one.
func (a *Access) pages(ctx context.Context, after string, limit int, query, about string, may func(id string) (bool, error)) (ids []string, next string, err error) {
	if limit <= 0 || limit > SearchLimit {
		limit = SearchLimit
	}
	for {
		page, err := a.page(ctx, query, about, after, limit+1, a.config.Now().UnixMicro())
		if err != nil {
			return nil, "", err
		}
		for _, id := range page {
			if len(ids) == limit {
				return ids, after, nil
			}
			ok, err := may(id)
			if err != nil {
				return nil, "", err
			}
			if after = id; ok {
				ids = append(ids, id)
			}
		}
		if len(page) <= limit {
			return ids, "", nil
		}
	}
}

// page reads one column.
func (a *Access) page(ctx context.Context, query string, args ...any) (page []string, err error) {
	t := a.begin()
	err = a.read(ctx, &t, nil, func(r *op.Reader) error {
		rows, err := r.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			page = append(page, id)
		}
		return rows.Err()
	})
	return page, err
}

// may answers a question without counting it as a request of a scoped token.
func (a *Access) may(ctx context.Context, q *check.Request) (bool, error) {
	about, reason := a.asked(q)
	if reason != "" {
		return false, nil
	}
	now := a.config.Now()
	var p party
	if err := a.resolve(ctx, q, now, &p); err == errUnknown {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return a.allows(&p, q, about, now.UnixMicro()), nil
}

// allows decides for a party that is resolved.
func (a *Access) allows(p *party, q *check.Request, about *question, now int64) bool {
	var principal decide.Principal
	a.principal(p, q.Address, &principal)
	return decide.Decide(&principal, about.on(q, &principal), now).Allow
}

// ActionSearch asks what somebody may do on a resource.
type ActionSearch struct {
	Subject  check.Subject
	Resource check.Resource
	Address  string // where the subject's own request came from
}

// SearchActions gives all permissions, bundles among them, that the subject has on the resource, in the charter's order.
// An unknown subject has none.
func (a *Access) SearchActions(ctx context.Context, s ActionSearch) (permissions []charter.Permission, err error) {
	q := check.Request{Subject: s.Subject, Resource: s.Resource, Address: s.Address}
	now := a.config.Now()
	var p party
	if err := a.resolve(ctx, &q, now, &p); err == errUnknown {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	for _, info := range a.config.Charter.Permissions() {
		q.Permission = info.ID
		if about, reason := a.asked(&q); reason == "" && a.allows(&p, &q, about, now.UnixMicro()) {
			permissions = append(permissions, info.ID)
		}
	}
	return permissions, nil
}

// ResourceSearch asks on which resources of a type somebody may do something.
type ResourceSearch struct {
	Subject      check.Subject
	Permission   charter.Permission
	Type         string // check.Organization, or a type of the charter
	Organization string // of another type than that: in which; may be empty for a key or token
	Address      string // where the subject's own request came from
	After        string // as of SubjectSearch
	Limit        int
}

// AnyResource stands for all resources of a type: Guildhall does not know the product's.
const AnyResource = "*"

// SearchResources gives the ids of the resources. Of organizations these are all in which the subject may. Of another
// type it is AnyResource where the subject may on all of it, and otherwise the single ones that a limited key or token
// names. Next is as of SearchSubjects.
func (a *Access) SearchResources(ctx context.Context, s ResourceSearch) (ids []string, next string, err error) {
	q := check.Request{Subject: s.Subject, Permission: s.Permission, Resource: check.On(s.Type, AnyResource).In(s.Organization), Address: s.Address}
	if s.Type == check.Organization {
		q.Resource = check.Whole("")
	}
	about, reason := a.asked(&q)
	if reason != "" {
		return nil, "", nil
	}
	now := a.config.Now()
	var p party
	if err := a.resolve(ctx, &q, now, &p); err == errUnknown {
		return nil, "", nil
	} else if err != nil {
		return nil, "", err
	}
	switch {
	case s.Type == check.Organization && p.kind == op.UserActor:
		return a.organizationsOf(ctx, p.user.String(), &s)
	case s.Type == check.Organization:
		if a.allows(&p, &q, about, now.UnixMicro()) {
			ids = []string{p.organization.String()}
		}
		return ids, "", nil
	case a.allows(&p, &q, about, now.UnixMicro()):
		return []string{AnyResource}, "", nil
	}
	return a.singles(&p, &q, about, now.UnixMicro()), "", nil
}

// organizationsOf gives those in which a user may.
func (a *Access) organizationsOf(ctx context.Context, user string, s *ResourceSearch) (ids []string, next string, err error) {
	q := check.Request{Subject: check.ByUser(user), Permission: s.Permission, Address: s.Address}
	return a.pages(ctx, s.After, s.Limit, `SELECT m.organization FROM members m
		WHERE m.user_id = $1 AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $4) AND m.organization > $2
		ORDER BY m.organization LIMIT $3`, user, func(organization string) (bool, error) {
		q.Resource = check.Whole(organization)
		return a.may(ctx, &q)
	})
}

// singles gives the resources of a type that a limited key or token names, and on which it may.
func (a *Access) singles(p *party, q *check.Request, about *question, now int64) (ids []string) {
	if p.more == nil {
		return nil
	}
	for _, one := range p.more.limits.Resources() {
		kind, id, _ := strings.Cut(one, ":")
		if q.Resource.ID = id; kind == q.Resource.Type && a.allows(p, q, about, now) {
			ids = append(ids, id)
		}
	}
	return ids
}
