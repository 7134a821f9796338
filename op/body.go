package op

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// BodyReader is an input that reads its body itself: a batch of so many things that reading it as any other input would
// take longer than storing it. What the path says is in the input already. ReadBody returns a Malformed error for what is
// no JSON, and the wrong fields of what is; the input's methods have pointer receivers.
type BodyReader interface {
	ReadBody(body []byte) ([]FieldError, error)
	// BodyTypes are the content types that it reads beside application/json.
	BodyTypes() []string
}

var bodyReader = reflect.TypeFor[BodyReader]()

// bodyTypes are the further content types of an input's body.
func bodyTypes(in reflect.Type) []string {
	if in == nil || !reflect.PointerTo(in).Implements(bodyReader) {
		return nil
	}
	return reflect.New(in).Interface().(BodyReader).BodyTypes()
}

// MalformedJSON makes the error of a body that is no strict JSON.
func MalformedJSON(err error) error { return malformed(err) }

// decodeOwn reads the input of an operation whose input reads its body itself.
func (s *Service) decodeOwn(c *call) ([]FieldError, error) {
	c.tree = fields{}
	for name, value := range c.request.Path {
		c.tree[name] = value
	}
	if err := s.bind(c, c.tree); err != nil {
		return nil, err
	}
	for name := range c.request.Query {
		return []FieldError{c.d.unknownField(name, "unknown query parameter")}, nil
	}
	if c.request.Input != nil && c.bound.give(c.request.Input) {
		return nil, nil
	}
	body, err := c.request.body()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(slices.Concat(c.digest, body))
	c.digest = sum[:]
	return c.bound.read(body)
}

// body is the request's body, or its input as one.
func (r *Request) body() ([]byte, error) {
	body := r.Body
	if r.Input != nil {
		raw, err := json.Marshal(r.Input)
		if err != nil {
			return nil, fmt.Errorf("input: %w", err)
		}
		body = raw
	}
	if len(body) > MaxBody {
		return nil, &Error{Kind: TooLarge, Text: fmt.Sprintf("the body has more than %d bytes", MaxBody)}
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return []byte("{}"), nil
	}
	return body, nil
}

// InsertRows inserts any number of rows in one statement: see sqldb.Tx.InsertRows. Like Exec it refuses to write for a
// read operation.
func (tx *Tx) InsertRows(ctx context.Context, into sqldb.Rows, rows []byte, same ...any) (*sql.Rows, error) {
	if tx.call == nil || !tx.call.writing {
		return nil, errReadOnly
	}
	return tx.sql.InsertRows(ctx, into, rows, same...)
}
