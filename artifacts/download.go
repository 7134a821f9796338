package artifacts

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/go-json-experiment/json"
	"gocloud.dev/gcerrors"

	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// Content gives the bytes of an artifact, all or a part of them.
var Content = &op.Download[ArtifactInput]{
	Name:    "artifacts.download",
	Route:   "GET /v1/organizations/{organization}/artifacts/{artifact}/content",
	Summary: "Download an artifact, or a part of it",
	Allow:   viewers,
	Target:  target,
	Find: func(ctx context.Context, r *op.Reader, in ArtifactInput) (*op.File, error) {
		a, err := byID(ctx, r, r.Organization(), in.Artifact)
		if err != nil {
			return nil, err
		}
		return fileOf(r, r.Organization(), a)
	},
	Example: exampleArtifact,
}

// fileOf is the stored file of an artifact.
func fileOf(r *op.Reader, organization string, a Artifact) (*op.File, error) {
	m, err := roomOf(r.Parts)
	if err != nil {
		return nil, err
	}
	p, err := m.config.Store.in(a.Region)
	if err != nil {
		return nil, err
	}
	sum, err := hex.DecodeString(a.SHA256)
	return &op.File{Name: a.Name, MediaType: a.MediaType, Size: a.Size, SHA256: sum, ModifiedAt: a.CreatedAt,
		Open: func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
			body, err := p.read(ctx, key(organization, a.ID), offset, length)
			if gcerrors.Code(err) == gcerrors.NotFound {
				return nil, op.ErrNotFound // deleted since
			}
			return body, err
		}}, err
}

// LinkInput asks for a link to an artifact.
type LinkInput struct {
	ArtifactInput
	ExpiresAt time.Time `json:"expires_at,omitzero" doc:"Until when it opens, at most 7 days from now; left out: a day" required:"false"`
}

// longestLink is how long a link opens at most, and usualLink where nothing is said.
const (
	longestLink = 7 * day
	usualLink   = day
)

// NewLink is a link to an artifact. Whoever has it may download that one file.
type NewLink struct {
	Link        string    `json:"link,omitzero" doc:"The link. It is shown once"`
	SecretShown bool      `json:"secret_shown" doc:"Whether this answer has the link: a repeat has it not; make another one then"`
	Artifact    string    `json:"artifact" doc:"The file that it opens"`
	ExpiresAt   time.Time `json:"expires_at" doc:"Until when"`
}

// WithoutSecret is what a repeat is told: everything but the link.
func (l NewLink) WithoutSecret() any {
	l.Link, l.SecretShown = "", false
	return l
}

// Link makes a link to one artifact, for somebody without an account. It dies with the artifact, with the organization,
// and with the right of the person who made it.
var Link = &op.Op[LinkInput, NewLink]{
	Name:    "artifacts.link",
	Route:   "POST /v1/organizations/{organization}/artifacts/{artifact}/link",
	Summary: "Make a link that opens one artifact without a sign-in",
	Kind:    op.Write,
	Allow:   op.On(view),
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, in LinkInput) (op.Target, error) {
		return target(ctx, r, in.ArtifactInput)
	},
	Do:      link,
	Example: LinkInput{ArtifactInput: exampleArtifact},
}

func link(ctx context.Context, tx *op.Tx, in LinkInput) (NewLink, error) {
	if tx.Actor.Kind != op.UserActor {
		return NewLink{}, tx.Refuse(ctx, decide.Decision{Reason: decide.PeopleOnly})
	}
	until := in.ExpiresAt
	if until.IsZero() {
		until = tx.Now.Add(usualLink)
	}
	if until = until.UTC().Truncate(time.Second); !until.After(tx.Now) || until.Sub(tx.Now) > longestLink {
		return NewLink{}, op.InvalidField("expires_at", "invalid", "expires_at has to be in the future, and at most 7 days away")
	}
	l := linkBody{Artifact: tx.Target().ID, Organization: tx.Organization(), User: tx.Actor.User, Until: until.Unix()}
	tx.Changed("expires_at", nil, until)
	return NewLink{Link: tx.Settings.URL("/v1/artifact-links/" + l.seal(tx.Reader)), SecretShown: true, Artifact: l.Artifact, ExpiresAt: until}, nil
}

// linkBody is what a link says: signed by the instance's secret, and looked up whole at each use.
type linkBody struct {
	Artifact     string `json:"a"`
	Organization string `json:"o"`
	User         string `json:"u"`
	Until        int64  `json:"t"`
}

const (
	linkPurpose = "artifact link"
	linkMAC     = 36 // 4 bytes that name the key and 32 of the HMAC
)

func (l linkBody) seal(r *op.Reader) string {
	body, _ := json.Marshal(l) // text and a number
	return base64.RawURLEncoding.EncodeToString(append(r.Secrets.MAC(linkPurpose, body), body...))
}

// openLink reads a link. What this instance did not make is not found.
func openLink(r *op.Reader, text string) (l linkBody, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < linkMAC || !r.Secrets.Verify(raw[:linkMAC], linkPurpose, raw[linkMAC:]) {
		return l, op.ErrNotFound
	}
	if json.Unmarshal(raw[linkMAC:], &l) != nil {
		return l, op.ErrNotFound
	}
	if r.Now.Unix() >= l.Until {
		return l, op.Errorf(op.Gone, "link_expired", "this link has expired: ask whoever sent it for a new one")
	}
	return l, nil
}

// OpenInput is a link's own part.
type OpenInput struct {
	Link string `json:"link" doc:"The last part of the link's address" example:"AAAAAQ" maxLength:"1024"`
}

// Open gives the bytes that a link opens. The link is the proof; whoever made it has to be able to open it still.
var Open = &op.Download[OpenInput]{
	Name:    "artifacts.open",
	Route:   "GET /v1/artifact-links/{link}",
	Summary: "Download the artifact that a link opens",
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 600, Per: time.Minute},
	Find:    open,
	Example: OpenInput{Link: "AAAAAQ"},
}

func open(ctx context.Context, r *op.Reader, in OpenInput) (*op.File, error) {
	m, err := roomOf(r.Parts)
	if err != nil {
		return nil, err
	}
	l, err := openLink(r, in.Link)
	if err != nil {
		return nil, err
	}
	ended := op.Errorf(op.Gone, "link_ended", "this link opens nothing any more: ask whoever sent it")
	a, err := byID(ctx, r, l.Organization, l.Artifact)
	if errors.Is(err, op.ErrNotFound) || m.config.Principal == nil {
		return nil, ended
	}
	if err != nil {
		return nil, err
	}
	maker, err := m.config.Principal(ctx, r, l.Organization, l.User)
	if err != nil && !errors.Is(err, op.ErrNotFound) {
		return nil, err
	}
	if err != nil || !decide.Decide(&maker, decide.Ask(r.Charter, view, resource(a.ID)), r.Micros()).Allow {
		return nil, ended
	}
	return fileOf(r, l.Organization, a)
}
