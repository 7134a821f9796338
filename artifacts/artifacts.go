// Package artifacts keeps the files that a product's work makes: stored once, shown to those who may see them, and
// deleted when the organization's retention has passed, unless a legal hold keeps them.
//
// The bytes are in a bucket (a folder by default), what is known of them in one row of the database. A row begins before
// the first byte is read and stays, without name and bytes, as the proof that the file is gone: whatever moment a process
// dies at, the row says what is left to do.
package artifacts

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Operations are the operations of this room.
func Operations() []op.Any {
	return []op.Any{Put, List, Get, Content, Link, Open, Update, Delete, CreateHold, ListHolds, ReleaseHold, PreviewRetention, ListDeleted, Sweep,
		ListDue, Acknowledge, ListAcknowledged}
}

// Config says what a Room is made of.
type Config struct {
	Store *Store
	DB    *sqldb.DB
	// MaxSize is how many bytes one file may have; 0: DefaultMaxSize.
	MaxSize int64
	// Meter promises to tell a meter how much of an organization is stored now, in the transaction that changed it. Nil:
	// the charter's meter is nobody's business.
	Meter func(ctx context.Context, tx *op.Tx, organization, meter string, l Level) error
	// Principal is what a person is in an organization now: whoever made a link has to be able to open it. Nil: there
	// are no links.
	Principal func(ctx context.Context, r *op.Reader, organization, user string) (decide.Principal, error)
}

// DefaultMaxSize is how many bytes one file may have where the configuration does not say.
const DefaultMaxSize = 5 << 30

// Room is what the operations of this package stand on beside the tables. It is one of the op.Parts of a service, and
// safe for concurrent use.
type Room struct {
	config Config
	// stops stands for the death of the process at a point; nil but in tests.
	stops func(point string) error
}

// New makes a room.
func New(c Config) *Room {
	if c.MaxSize == 0 {
		c.MaxSize = DefaultMaxSize
	}
	return &Room{config: c}
}

// at is a point at which a process may die.
func (m *Room) at(point string) error {
	if m.stops == nil {
		return nil
	}
	return m.stops(point)
}

// roomOf is the room of a service.
func roomOf(parts op.Parts) (*Room, error) {
	if m := op.Part[*Room](parts); m != nil {
		return m, nil
	}
	return nil, op.Errorf(op.Unavailable, "no_artifacts", "no place for artifacts is configured at this server")
}

// Artifact is a stored file, without its bytes.
type Artifact struct {
	ID        string     `json:"id" doc:"The file's id" example:"art_01k..."`
	Name      string     `json:"name" doc:"What it is saved as" example:"report.pdf"`
	MediaType string     `json:"media_type" doc:"What its maker says it is" example:"application/pdf"`
	Size      int64      `json:"size" doc:"Bytes" example:"48213"`
	SHA256    string     `json:"sha256" cli:"-" doc:"SHA-256 of the bytes, hexadecimal"`
	Resource  string     `json:"resource,omitzero" doc:"The product's own thing that it belongs to" example:"execution:ex_1"`
	Region    string     `json:"region,omitzero" doc:"Where it is stored"`
	CreatedBy string     `json:"created_by" cli:"-" doc:"The member, key or service key that stored it"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitzero" doc:"When retention deletes it; absent: never"`
	Held      bool       `json:"held" doc:"Whether a legal hold keeps it, whatever its age"`
	Version   int64      `json:"version" cli:"-" doc:"Counts the changes; the ETag"`
}

// ETag is the artifact's version.
func (a Artifact) ETag() string { return op.VersionTag(a.Version) }

// columns are those of an artifact; o is its organization.
const columns = `a.id, a.name, a.media_type, a.size, a.sha256, a.resource, a.region, a.created_by, a.created_at, a.version,
	o.retention_days, CASE WHEN ` + held + ` THEN 1 ELSE 0 END`

// from begins every query of stored artifacts of one organization, which is its first parameter.
const from = ` FROM artifacts a JOIN organizations o ON o.id = a.organization WHERE a.organization = $1 AND a.state = 'stored'`

func scan(row interface{ Scan(...any) error }) (Artifact, error) {
	var a Artifact
	var created, days int64
	var kept int
	err := row.Scan(&a.ID, &a.Name, &a.MediaType, &a.Size, &a.SHA256, &a.Resource, &a.Region, &a.CreatedBy, &created, &a.Version, &days, &kept)
	if errors.Is(err, sql.ErrNoRows) {
		return a, op.ErrNotFound
	}
	a.CreatedAt, a.Held = time.UnixMicro(created).UTC(), kept == 1
	if days > 0 {
		expires := a.CreatedAt.Add(time.Duration(days) * day)
		a.ExpiresAt = &expires
	}
	return a, err
}

func byID(ctx context.Context, r *op.Reader, organization, id string) (Artifact, error) {
	return scan(r.QueryRow(ctx, "SELECT "+columns+from+" AND a.id = $2", organization, id))
}

// ArtifactInput names an artifact.
type ArtifactInput struct {
	op.InOrganization
	Artifact string `json:"artifact" doc:"The file's id" example:"art_01k9v5x0w3m8q6t2c4h7n0r5sz" maxLength:"64"`
}

// target loads the artifact that an input names.
func target(ctx context.Context, r *op.Reader, in ArtifactInput) (op.Target, error) {
	a, err := byID(ctx, r, r.Organization(), in.Artifact)
	if err != nil {
		return op.Target{}, err
	}
	return op.Target{Organization: r.Organization(), Type: "artifact", ID: a.ID, Name: a.Name, Resource: resource(a.ID), Version: a.Version,
		Current: a, Value: a}, nil
}

// resource is the artifact as credentials are limited to it.
func resource(id string) string { return "artifact:" + id }

// viewers may see artifacts: those whose role says so, and the product's back end, which shows them to others.
var viewers = op.AnyOf(op.On("artifacts.view"), op.ByService)

// Get shows what is known of an artifact.
var Get = &op.Op[ArtifactInput, Artifact]{
	Name:    "artifacts.get",
	Route:   "GET /v1/organizations/{organization}/artifacts/{artifact}",
	Summary: "Show what is known of an artifact",
	Allow:   viewers,
	Target:  target,
	Do: func(_ context.Context, tx *op.Tx, _ ArtifactInput) (Artifact, error) {
		return tx.Target().Value.(Artifact), nil
	},
	Example: exampleArtifact,
}

var exampleArtifact = ArtifactInput{InOrganization: op.InOrganization{Organization: "acme"}, Artifact: "art_01k9v5x0w3m8q6t2c4h7n0r5sz"}

const day = 24 * time.Hour

// Level is how many bytes of an organization are stored from a moment on. Of two levels of an organization, the later
// one has the later moment.
type Level struct {
	Bytes int64
	At    time.Time
}

// meter tells the charter's meter how much is stored now.
func (m *Room) meter(ctx context.Context, tx *op.Tx, l Level) error {
	id := m.meterOf(tx)
	if id == "" {
		return nil
	}
	return m.config.Meter(ctx, tx, tx.Organization(), id, l)
}

// meterOf is the meter that is told; empty: none is.
func (m *Room) meterOf(tx *op.Tx) string {
	if m.config.Meter == nil {
		return ""
	}
	return tx.Charter.Artifacts.Meter
}

// moment is the time of a change as the meter is told; 0: it is not.
func (m *Room) moment(tx *op.Tx) int64 {
	if m.meterOf(tx) == "" {
		return 0
	}
	return tx.Micros()
}

// Where clocks go back, or those of two servers differ, the moment of a level is one after the moment of the one before.
const nextMoment = "CASE WHEN $4 > artifact_totals.metered_at THEN $4 WHEN $4 = 0 THEN artifact_totals.metered_at ELSE artifact_totals.metered_at + 1 END"

// added counts a new file of an organization, and tells the meter.
func (m *Room) added(ctx context.Context, tx *op.Tx, bytes int64) error {
	l, err := levelOf(tx.QueryRow(ctx, `INSERT INTO artifact_totals (organization, files, bytes, metered_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (organization) DO UPDATE SET files = artifact_totals.files + $2, bytes = artifact_totals.bytes + $3, metered_at = `+nextMoment+`
		RETURNING bytes, metered_at`, tx.Organization(), 1, bytes, m.moment(tx)))
	if err != nil {
		return err
	}
	return m.meter(ctx, tx, l)
}

// removed counts files that are gone.
func (m *Room) removed(ctx context.Context, tx *op.Tx, files, bytes int64) (Level, error) {
	return levelOf(tx.QueryRow(ctx, `UPDATE artifact_totals SET files = files - $2, bytes = bytes - $3, metered_at = `+nextMoment+`
		WHERE organization = $1 RETURNING bytes, metered_at`, tx.Organization(), files, bytes, m.moment(tx)))
}

func levelOf(row *sql.Row) (l Level, err error) {
	var at int64
	err = row.Scan(&l.Bytes, &at)
	l.At = time.UnixMicro(at).UTC()
	return l, err
}

// view is the permission of whoever opens a link.
const view charter.Permission = "artifacts.view"
