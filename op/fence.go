package op

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/replica"
	"github.com/guildhall/guildhall/internal/sqldb"
)

// Fence names a principal whose cached decisions must not outlive a change.
type Fence struct {
	Kind FenceKind
	ID   string
}

// FenceKind says what kind of thing a fence is about.
type FenceKind uint8

// The kinds of fences.
const (
	FenceUser FenceKind = iota
	FenceSession
	FenceServiceKey
	FenceOrganization // only where a change concerns all of it
	FenceKey
	FenceToken
)

// Scope is the fence as other servers are told of it.
func (f Fence) Scope() replica.Scope { return replica.Scope(strconv.Itoa(int(f.Kind)) + " " + f.ID) }

// FenceOf reads a Scope. What is none names nobody.
func FenceOf(s replica.Scope) Fence {
	kind, id, _ := strings.Cut(string(s), " ")
	n, err := strconv.ParseUint(kind, 10, 8)
	if err != nil {
		return Fence{}
	}
	return Fence{FenceKind(n), id}
}

// ScopesOf are the Scopes of fences.
func ScopesOf(all []Fence) []replica.Scope {
	scopes := make([]replica.Scope, len(all))
	for i, f := range all {
		scopes[i] = f.Scope()
	}
	return scopes
}

// fence has this server, and the others on the database, forget what a call is about to change. It is called in the call's
// transaction; release is called after that has ended.
func (s *Service) fence(ctx context.Context, c *call, tx *sqldb.Tx) (release func(), err error) {
	if c.bound.fences == nil && len(c.fences) == 0 {
		return func() {}, nil
	}
	c.fenced = append(c.fences, c.target.Fences...)
	if c.bound.fences != nil {
		c.fenced = append(c.fenced, c.bound.fences(c.target)...)
	}
	if s.config.Fence == nil {
		return func() {}, nil
	}
	release, err = s.config.Fence(ctx, c.fenced)
	if err == nil && s.config.Share != nil {
		if err = s.config.Share(ctx, tx, c.fenced); err != nil {
			release()
		}
	}
	switch {
	case sqldb.Retryable(err):
		return func() {}, err
	case err != nil:
		s.config.Log.LogAttrs(ctx, slog.LevelError, "fence", slog.String("operation", c.d.info.Name), slog.Any("error", err))
		return func() {}, &Error{Kind: Unavailable, Text: "the change could not be made known to every server: nothing was changed", RetryAfter: time.Second}
	}
	return release, nil
}

// noticeWatches ends the watches that rest on what a call has changed, and tells the others of it, here and at other
// servers. Whether a commit that failed was made after all nobody knows, so it ends them too.
func (s *Service) noticeWatches(ctx context.Context, c *call, err error) {
	var streams []string
	if err == nil {
		streams = append(streams, c.stream)
		for _, o := range c.others {
			streams = append(streams, o.stream)
		}
	}
	if s.config.Changed != nil && len(c.fenced)+len(streams) > 0 {
		s.config.Changed(ctx, c.fenced, streams)
	}
	s.NoticeWatches(c.fenced, streams)
}

// NoticeWatches ends the watches of this server that rest on principals, and tells those of the streams' organizations
// that something is new.
func (s *Service) NoticeWatches(principals []Fence, streams []string) {
	s.endWatches(s.watches.of(principals))
	for _, stream := range streams {
		s.watches.tell(stream)
	}
}
