package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// call is an operation's call as HTTP says it, ready to be sent more than once.
type call struct {
	method, url string
	body        []byte
	token       string
	agent       string
	key         string // the Idempotency-Key
	ifMatch     string
	question    bool        // it changes nothing, whatever its method
	content     *op.Content // the bytes of an upload; they are sent once
}

// callOf writes a request as path, query, headers and body.
func (c *Client) callOf(info op.Info, r op.Request) (*call, error) {
	in, err := inputOf(r)
	if err != nil {
		return nil, err
	}
	path, err := in.path(info)
	if err != nil {
		return nil, err
	}
	call := &call{method: info.Method, token: c.token, agent: c.agent, key: r.IdempotencyKey, ifMatch: r.IfMatch}
	if r.Caller.Credential != "" {
		call.token = r.Caller.Credential
	}
	if r.Caller.Agent != "" {
		call.agent = r.Caller.Agent
	}
	query := url.Values{}
	switch {
	case info.Method == http.MethodGet:
		query = in.query()
	case info.Upload:
		query, call.content = in.query(), cmp.Or(r.Content, &op.Content{Body: strings.NewReader("")})
	case len(in) > 0:
		if call.body, err = json.Marshal(in, json.Deterministic(true)); err != nil {
			return nil, op.Errorf(op.Malformed, "", "the input is no JSON")
		}
	}
	if r.DryRun {
		query.Set("dry_run", "true")
	}
	if call.key == "" && info.Method == http.MethodPost {
		call.key = rand.Text()
	}
	call.url = c.base + path
	if len(query) > 0 {
		call.url += "?" + query.Encode()
	}
	return call, nil
}

// request makes the request of one try.
func (c *call) request(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	if c.body != nil {
		body = bytes.NewReader(c.body)
	}
	if c.content != nil {
		body = c.content.Body
	}
	request, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"User-Agent": c.agent, "Idempotency-Key": c.key, "If-Match": c.ifMatch} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.content != nil {
		c.describe(request)
	}
	return request, nil
}

// describe says of an upload what is known of it.
func (c *call) describe(request *http.Request) {
	request.ContentLength = -1
	if c.content.Size > 0 {
		request.ContentLength = c.content.Size
	}
	request.Header.Set("Content-Type", cmp.Or(c.content.MediaType, "application/octet-stream"))
	if c.content.SHA256 != nil {
		request.Header.Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(c.content.SHA256)+":")
	}
}

// input is an operation's input by field.
type input map[string]jsontext.Value

// inputOf gathers what a request says, as a value or in parts.
func inputOf(r op.Request) (input, error) {
	raw, in := []byte(r.Body), input{}
	if r.Input != nil {
		var err error
		if raw, err = json.Marshal(r.Input); err != nil {
			return nil, op.Errorf(op.Malformed, "", "the input is no JSON: %v", err)
		}
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, op.Errorf(op.Malformed, "", "the input is no JSON object")
		}
	}
	for name, value := range r.Path {
		in[name] = text(value)
	}
	for name, values := range r.Query {
		in[name] = text(strings.Join(values, ","))
	}
	return in, nil
}

func text(value string) jsontext.Value {
	quoted, _ := jsontext.AppendQuote(nil, value) // what is no UTF-8 is replaced
	return quoted
}

// path fills the route's braces, and takes those fields out of the input.
func (in input) path(info op.Info) (string, error) {
	path := info.Path
	for _, name := range info.PathFields() {
		value := plain(in[name])
		if value == "" {
			return "", op.InvalidField(name, "required", "%s is required", name)
		}
		path = strings.Replace(path, "{"+name+"}", url.PathEscape(value), 1)
		delete(in, name)
	}
	return path, nil
}

// query writes the input as a query; null is not said at all.
func (in input) query() url.Values {
	query := url.Values{}
	for name, value := range in {
		var list []jsontext.Value
		switch {
		case value.Kind() == 'n':
		case value.Kind() == '[' && json.Unmarshal(value, &list) == nil:
			for _, item := range list {
				query.Add(name, plain(item))
			}
		default:
			query.Set(name, plain(value))
		}
	}
	return query
}

// plain is a JSON value as text: a string without its quotes.
func plain(value jsontext.Value) string {
	if value.Kind() != '"' {
		return string(value)
	}
	unquoted, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return ""
	}
	return string(unquoted)
}

// problem is an error as the server tells it (RFC 9457).
type problem struct {
	Type    string            `json:"type"`
	Detail  string            `json:"detail"`
	Code    string            `json:"code"`
	Errors  []op.FieldError   `json:"errors"`
	Needs   string            `json:"needs"`
	Reason  string            `json:"reason"`
	Holders []op.Holder       `json:"holders"`
	FixURL  string            `json:"fix_url"`
	Refers  map[string]string `json:"refers"`
	Current jsontext.Value    `json:"current"`
}

// maxProblem bounds an error's body.
const maxProblem = 1 << 20

// kinds are the kinds of error by their status.
var kinds = func() map[int]op.ErrorKind {
	all := map[int]op.ErrorKind{}
	for kind := op.Internal; kind <= op.Unavailable; kind++ {
		all[kind.Status()] = kind
	}
	return all
}()

// errorOf reads the error of an answer. One that Guildhall did not write, such as a proxy's, says no more than its
// status.
func errorOf(response *http.Response) *op.Error {
	kind, known := kinds[response.StatusCode]
	if !known && response.StatusCode > 500 {
		kind = op.Unavailable
	}
	e := &op.Error{Kind: kind, RetryAfter: retryAfter(response.Header), RequestID: response.Header.Get("Request-Id"),
		Text: fmt.Sprintf("the server answered %d: is the address right?", response.StatusCode)}
	var p problem
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxProblem))
	kindOfBody, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	if kindOfBody != "application/problem+json" || json.Unmarshal(body, &p) != nil {
		return e
	}
	p.fill(e)
	return e
}

// fill puts what the server said into the error.
func (p *problem) fill(e *op.Error) {
	e.Code, e.Text, e.Docs, e.Fields, e.Holders, e.FixURL, e.Refers = p.Code, p.Detail, p.Type, p.Errors, p.Holders, p.FixURL, p.Refers
	e.Needs, e.Reason = charter.Permission(p.Needs), decide.Reason(p.Reason)
	if len(p.Current) > 0 {
		e.Current = slices.Clone(p.Current)
	}
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
