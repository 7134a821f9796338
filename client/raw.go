package client

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/guildhall/guildhall/op"
)

// Raw is a request in HTTP's own words.
type Raw struct {
	Method string
	Path   string // with its query; it begins with a slash
	Body   []byte // JSON; nil: none

	IfMatch        string
	IdempotencyKey string // empty: a new one where the method is POST
}

// Raw sends a request to the server, whatever it is, and gives the body of its answer. Errors are as of Invoke.
func (c *Client) Raw(ctx context.Context, r Raw) ([]byte, error) {
	if !strings.HasPrefix(r.Path, "/") {
		return nil, op.Errorf(op.Malformed, "", "%q is not a path of the server: it begins with a slash", r.Path)
	}
	if r.IdempotencyKey == "" && r.Method == http.MethodPost {
		r.IdempotencyKey = rand.Text()
	}
	response, err := c.deliver(ctx, &call{method: r.Method, url: c.base + r.Path, body: r.Body, token: c.token, agent: c.agent,
		key: r.IdempotencyKey, ifMatch: r.IfMatch})
	if err != nil {
		return nil, err
	}
	return c.read(response)
}
