package artifacts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// PutInput describes a new file. Its bytes are the body, and its media type is the body's.
type PutInput struct {
	op.InOrganization
	Name     string `json:"name" doc:"What it is saved as" example:"report.pdf" minLength:"1" maxLength:"255"`
	Resource string `json:"resource,omitzero" doc:"The product's own thing that it belongs to: a type and an id" example:"execution:ex_1" maxLength:"200" required:"false"`
	Region   string `json:"region,omitzero" doc:"One of the organization's regions; left out: its default" maxLength:"64" required:"false"`

	taken *taken
}

// taken is what the upload of the bytes came to.
type taken struct {
	id, mediaType, sha256, region, by string
	size                              int64
}

// Validate checks the name and the resource.
func (in *PutInput) Validate() []op.FieldError {
	wrong := checkName(in.Name)
	if in.Resource != "" && !resourceForm.MatchString(in.Resource) {
		wrong = append(wrong, op.FieldError{Pointer: "/resource", Code: "invalid",
			Detail: fmt.Sprintf("resource %q is not a type and an id, such as execution:ex_1", in.Resource)})
	}
	return wrong
}

var resourceForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}:[^\s\pC]{1,160}$`)

// checkName refuses what is no name of a file: parts of a path, and characters that do not show.
func checkName(name string) []op.FieldError {
	unseen := func(r rune) bool {
		return unicode.IsControl(r) || r == '/' || r == '\\' || unicode.Is(unicode.Bidi_Control, r)
	}
	if utf8.ValidString(name) && strings.TrimSpace(name) != "" && !strings.ContainsFunc(name, unseen) && name != "." && name != ".." {
		return nil
	}
	return []op.FieldError{{Pointer: "/name", Code: "invalid", Detail: fmt.Sprintf("name %q is not the name of a file: no slashes and no invisible characters", name)}}
}

// Put stores a file. Who may is decided before its first byte is read; its row is written when its bytes are durable.
var Put = &op.Upload[PutInput, Artifact]{
	Name:    "artifacts.put",
	Route:   "POST /v1/organizations/{organization}/artifacts",
	Summary: "Store a file: its bytes are the body",
	Allow:   op.AnyOf(op.On("artifacts.manage"), op.ByService),
	Target: func(ctx context.Context, r *op.Reader, in PutInput) (op.Target, error) {
		s, err := settingsOf(ctx, r, r.Organization())
		return op.Target{Organization: r.Organization(), Type: "artifact", Value: s}, err
	},
	Take:    take,
	Do:      put,
	Discard: discard,
	Example: PutInput{InOrganization: op.InOrganization{Organization: "acme"}, Name: "report.pdf", Resource: "execution:ex_1"},
}

// take writes the stream to the store, counting and hashing on the way. After an error nothing of it is left.
func take(ctx context.Context, c op.Taking, in PutInput) (PutInput, error) {
	m, err := roomOf(c.Parts)
	if err != nil {
		return in, err
	}
	t := &taken{id: id.New("art", c.Now), by: whoStored(c.Actor)}
	if t.region, err = c.Target.Value.(settings).regionFor(in.Region); err != nil {
		return in, err
	}
	if t.mediaType, err = mediaTypeOf(c.MediaType); err != nil {
		return in, err
	}
	if c.Size > m.config.MaxSize {
		return in, m.tooLarge()
	}
	in.taken = t
	if err := m.begin(ctx, in, c.Now); err != nil {
		return in, err
	}
	if err := errors.Join(m.at("begun"), m.store(ctx, c, in)); err != nil {
		m.abandon(context.WithoutCancel(ctx), in.Organization, t)
		return in, err
	}
	return in, m.at("stored")
}

// whoStored is a member's id, or that of a key.
func whoStored(a op.Actor) string {
	if a.Kind == op.UserActor {
		return a.Principal.Member
	}
	return a.ID
}

// mediaTypeOf reads a media type; nothing is a stream of octets.
func mediaTypeOf(text string) (string, error) {
	if text == "" {
		return octets, nil
	}
	kind, parameters, err := mime.ParseMediaType(text)
	if formatted := mime.FormatMediaType(kind, parameters); err == nil && formatted != "" && len(formatted) <= 200 {
		return formatted, nil
	}
	return "", op.Errorf(op.WrongMediaType, "", "%q is not a media type, such as application/pdf", text)
}

func (m *Room) tooLarge() error {
	return op.Errorf(op.TooLarge, "artifact_too_large", "a file has at most %d bytes here", m.config.MaxSize)
}

// longest is how long an upload may take. What has not ended long after is swept.
const longest = 12 * time.Hour

// begin writes down that an upload begins, so that whatever becomes of this process, what it leaves in the store is found.
func (m *Room) begin(ctx context.Context, in PutInput, now time.Time) error {
	t := in.taken
	return m.config.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO artifacts (id, organization, state, name, folded, media_type, size, sha256, resource, region,
			created_by, created_at, version, deleted_at, deleted_by, gone_at) VALUES ($1, $2, 'uploading', $3, $4, $5, 0, '', $6, $7, $8, $9, 1, 0, '', 0)`,
			t.id, in.Organization, in.Name, fold(in.Name), t.mediaType, in.Resource, t.region, t.by, now.UnixMicro())
		return err
	})
}

// fold is text as it is searched.
func fold(text string) string { return strings.ToLower(text) }

// store streams the bytes and takes their measure.
func (m *Room) store(ctx context.Context, c op.Taking, in PutInput) error {
	ctx, done := context.WithTimeout(ctx, longest)
	defer done()
	p, err := m.config.Store.in(in.taken.region)
	if err != nil {
		return err
	}
	body := &measured{body: c.Body, sum: sha256.New(), most: m.config.MaxSize}
	if err := p.write(ctx, key(in.Organization, in.taken.id), body); err != nil {
		return m.broken(body, err)
	}
	in.taken.size, in.taken.sha256 = body.n, hex.EncodeToString(body.sum.Sum(nil))
	switch {
	case c.Size > 0 && c.Size != body.n:
		return op.Errorf(op.Malformed, "incomplete", "%d bytes were announced and %d came", c.Size, body.n)
	case c.SHA256 != nil && !bytes.Equal(c.SHA256, body.sum.Sum(nil)):
		return op.Errorf(op.Malformed, "digest_mismatch", "what came has another SHA-256 than was announced: send it again")
	}
	return nil
}

// broken says why a stream did not come to its end.
func (m *Room) broken(body *measured, err error) error {
	switch {
	case errors.Is(body.failed, errTooMuch):
		return m.tooLarge()
	case body.failed != nil:
		return op.Errorf(op.Malformed, "incomplete", "the body ended early")
	}
	return err
}

var errTooMuch = errors.New("too much")

// measured counts and hashes what is read through it, and ends with an error what is too long.
type measured struct {
	body   io.Reader
	sum    hash.Hash
	n      int64
	most   int64
	failed error
}

// Read reads on.
func (b *measured) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.n += int64(n)
	b.sum.Write(p[:n])
	if b.n > b.most {
		err = errTooMuch
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed = err
	}
	return n, err
}

// put makes the upload a stored file. An upload that was swept in the meantime is none any more.
func put(ctx context.Context, tx *op.Tx, in PutInput) (Artifact, error) {
	m, err := roomOf(tx.Parts)
	if err != nil {
		return Artifact{}, err
	}
	s, t := tx.Target().Value.(settings), in.taken
	if _, err := s.regionFor(t.region); err != nil {
		return Artifact{}, err
	}
	n, err := tx.Exec(ctx, `UPDATE artifacts SET state = 'stored', size = $3, sha256 = $4, created_at = $5
		WHERE organization = $1 AND id = $2 AND state = 'uploading'`, tx.Organization(), t.id, t.size, t.sha256, tx.Micros())
	if err != nil {
		return Artifact{}, err
	}
	if n == 0 {
		return Artifact{}, op.Errorf(op.Gone, "upload_expired", "the upload took too long: send it again")
	}
	tx.Also("artifact", t.id, in.Name)
	tx.Changed("size", nil, t.size)
	tx.Changed("sha256", nil, t.sha256)
	if err := m.added(ctx, tx, t.size); err != nil {
		return Artifact{}, err
	}
	a := Artifact{ID: t.id, Name: in.Name, MediaType: t.mediaType, Size: t.size, SHA256: t.sha256, Resource: in.Resource, Region: t.region,
		CreatedBy: t.by, CreatedAt: tx.Now, Version: 1, ExpiresAt: s.expires(tx.Now)}
	return a, m.at("written")
}

// discard forgets an upload whose row was not written.
func discard(ctx context.Context, c op.Taking, in PutInput) {
	if m, err := roomOf(c.Parts); err == nil && in.taken != nil {
		m.abandon(ctx, in.Organization, in.taken)
	}
}

// abandon gives an upload up, unless it came to its end after all, and removes what there is of it. What fails here is
// done by the sweeper.
func (m *Room) abandon(ctx context.Context, organization string, t *taken) {
	if m.at("abandoning") != nil {
		return
	}
	abandoned := false
	err := m.config.DB.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, "UPDATE artifacts SET state = 'abandoned' WHERE organization = $1 AND id = $2 AND state = 'uploading'", organization, t.id)
		abandoned = n == 1
		return err
	})
	if err == nil && abandoned {
		_ = m.clear(ctx, unfinished{organization: organization, id: t.id, region: t.region})
	}
}

// unfinished is an upload that was given up.
type unfinished struct{ organization, id, region string }

// clear removes the bytes of an upload that was given up, and then its row.
func (m *Room) clear(ctx context.Context, u unfinished) error {
	p, err := m.config.Store.in(u.region)
	if err != nil {
		return err
	}
	if err := p.dropUnfinished(ctx, key(u.organization, u.id)); err != nil {
		return err
	}
	if err := m.at("cleared"); err != nil {
		return err
	}
	return m.config.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM artifacts WHERE organization = $1 AND id = $2 AND state = 'abandoned'", u.organization, u.id)
		return err
	})
}
