package guildhall

import (
	"context"
	"net/http"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
)

var _ check.Checker = (*Hall)(nil)

// Check answers one question from memory. What is unknown is answered no, with the reason; an error is no answer, and
// means no.
func (h *Hall) Check(ctx context.Context, r check.Request) (check.Decision, error) {
	return h.access.Check(ctx, r)
}

// Require makes middleware that lets a request through if its credential holds a permission on the resource that on
// names: see check.Require. Refusals lead to this hall's own pages.
func (h *Hall) Require(p charter.Permission, on func(*http.Request) check.Resource, options ...check.Option) func(http.Handler) http.Handler {
	own := []check.Option{check.WithServer(h.config.Settings.BaseURL)}
	return check.Require(h, p, on, append(own, options...)...)
}
