package op

import (
	"context"
	"io"
	"reflect"
	"strings"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// Stream declares something that is read as a stream of bytes: an export. It is authorized, limited and recorded like
// an operation, and stands in the same table; its answer is not JSON.
type Stream[In any] struct {
	Name      string
	Route     string // always GET
	Summary   string
	Scope     Scope
	Allow     Rule
	MediaType string // "text/csv; charset=utf-8"
	FileName  string // what a browser saves it as
	// Target loads what the stream is about, as that of an operation. Nil: the organization, the person or the instance.
	Target func(ctx context.Context, r *Reader, in In) (Target, error)
	// Write writes it all, from one snapshot. What was written before an error has been sent.
	Write   func(ctx context.Context, r *Reader, in In, w io.Writer) error
	Example In
}

// nothing is the output of the operation that a stream begins with.
type nothing struct{}

// Info describes the stream as an operation.
func (s *Stream[In]) Info() Info {
	method, path, _ := strings.Cut(s.Route, " ")
	return Info{Name: s.Name, Method: method, Path: path, Summary: s.Summary, Kind: Read, Scope: s.Scope, Allow: s.Allow,
		Recorded: true, MediaType: s.MediaType, FileName: s.FileName, In: reflect.TypeFor[In](), Out: reflect.TypeFor[nothing](),
		Example: s.Example, targeted: s.Target != nil}
}

func (s *Stream[In]) bind(fields []byte) (*bound, error) {
	o := Op[In, nothing]{Target: s.Target, Do: func(context.Context, *Tx, In) (nothing, error) { return nothing{}, nil }}
	b, err := o.bind(fields)
	if err != nil {
		return b, err
	}
	in, _ := b.in.(*In)
	b.stream = func(ctx context.Context, r *Reader, w io.Writer) error { return s.Write(ctx, r, *in, w) }
	return b, nil
}

// Stream authorizes and records a stream, and then writes it. begin is called once, when nothing can be refused any
// more, and gives the writer. Errors before that are *Error.
func (s *Service) Stream(ctx context.Context, o Any, r Request, begin func(Info) io.Writer) error {
	c := &call{request: r}
	response, err := s.invoke(ctx, o, c)
	if err != nil {
		return err
	}
	if file, ok := response.File(); ok {
		return copyFile(ctx, file, begin(c.d.info))
	}
	return s.config.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if err := tx.Stands(ctx); err != nil {
			return err
		}
		reader := s.reader(tx, r.Caller)
		reader.Actor = &c.actor
		return c.bound.stream(ctx, reader, begin(c.d.info))
	})
}
