package op

import (
	"context"
	"io"
	"reflect"
	"strings"
	"time"
)

// Download declares a read whose answer is a stored file. It is authorized and limited like an operation; an edge serves
// the whole file or a part of it. It is not recorded.
type Download[In any] struct {
	Name    string
	Route   string // always GET
	Summary string
	Scope   Scope
	Allow   Rule
	Target  func(ctx context.Context, r *Reader, in In) (Target, error)
	Limit   RateLimit
	// Find finds the file, and opens nothing yet.
	Find    func(ctx context.Context, r *Reader, in In) (*File, error)
	Example In
}

// File is a stored file. It does not change.
type File struct {
	Name       string // what a browser saves it as
	MediaType  string // as its maker called it: nobody else believes it
	Size       int64
	SHA256     []byte
	ModifiedAt time.Time
	// Open gives the bytes from offset on, at most length of them; a negative length means all. Errors are *Error where
	// a caller should know.
	Open func(ctx context.Context, offset, length int64) (io.ReadCloser, error)
}

// Info describes the download as an operation.
func (d *Download[In]) Info() Info {
	method, path, _ := strings.Cut(d.Route, " ")
	return Info{Name: d.Name, Method: method, Path: path, Summary: d.Summary, Kind: Read, Scope: d.Scope, Allow: d.Allow, Limit: d.Limit,
		MediaType: "application/octet-stream", File: true, In: reflect.TypeFor[In](), Out: reflect.TypeFor[nothing](), Example: d.Example,
		targeted: d.Target != nil}
}

func (d *Download[In]) bind(fields []byte) (*bound, error) {
	o := Op[In, nothing]{Target: d.Target}
	b, err := o.bind(fields)
	in, ok := b.in.(*In)
	if !ok {
		return b, err
	}
	b.do = func(ctx context.Context, tx *Tx) (any, error) { return d.Find(ctx, tx.Reader, *in) }
	return b, err
}

// File is the stored file that a Download answered with.
func (r Response) File() (*File, bool) {
	f, ok := r.Output.(*File)
	return f, ok
}

// copyFile writes a whole file.
func copyFile(ctx context.Context, f *File, w io.Writer) error {
	body, err := f.Open(ctx, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return err
}
