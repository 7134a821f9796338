package federation

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/op"
)

// MapSetupInput says what the answers of a link's provider mean.
type MapSetupInput struct {
	ByLink
	Mapping Mapping `json:"mapping" doc:"Which claim or attribute says what, all of it"`
}

// Validate checks the mapping.
func (in MapSetupInput) Validate() []op.FieldError { return in.Mapping.check() }

// MapSetup says what the answers of the link's provider mean. Which group gives which role is for the organization to say.
var MapSetup = &op.Op[MapSetupInput, Setup]{
	Name:    "setup.map",
	Route:   "POST /v1/setup/map",
	Summary: "By a set-up link: say which claim or attribute says the address, the name, the groups and who somebody is for good",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 60, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in MapSetupInput) (op.Target, error) {
		return linkTarget(ctx, r, in.ByLink)
	},
	Do:      mapSetup,
	Example: MapSetupInput{ByLink: exampleLink, Mapping: Mapping{Groups: "groups"}},
}

func mapSetup(ctx context.Context, tx *op.Tx, in MapSetupInput) (Setup, error) {
	l, err := using(ctx, tx)
	if err == nil && l.connection == "" {
		err = errNotConfigured
	}
	if err != nil {
		return Setup{}, err
	}
	c := l.shown.connectionRow
	if err := c.remap(ctx, tx, in.Mapping); err != nil {
		return Setup{}, err
	}
	m := c.mapping
	_, err = tx.Exec(ctx, `UPDATE connections SET state = $3, version = version + 1, map_address = $4, map_name = $5, map_subject = $6, map_groups = $7 WHERE organization = $1 AND id = $2`,
		l.organization, c.id, c.state, m.Address, m.Name, m.Subject, m.Groups)
	if err != nil {
		return Setup{}, err
	}
	if err := l.used(ctx, tx, c.id); err != nil {
		return Setup{}, err
	}
	return l.setup(ctx, tx.Reader)
}

// PreviewSetupInput is a mapping as it would be.
type PreviewSetupInput struct {
	ByLink
	Mapping *Mapping `json:"mapping,omitzero" doc:"Which claim or attribute says what, all of it; left out: as it is" required:"false"`
}

// Validate checks the mapping.
func (in PreviewSetupInput) Validate() []op.FieldError {
	return PreviewConnectionInput{Mapping: in.Mapping}.Validate()
}

// PreviewSetup says what a mapping makes of what the provider said in the last test, if the link began it: what others were told is
// not for whoever has it. It changes nothing.
var PreviewSetup = &op.Op[PreviewSetupInput, AnswerRead]{
	Name:    "setup.preview",
	Route:   "POST /v1/setup/preview",
	Summary: "By a set-up link: say which address, name and groups come of its last test, by a mapping as it would be",
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 600, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in PreviewSetupInput) (op.Target, error) {
		return linkTarget(ctx, r, in.ByLink)
	},
	Do:      previewSetup,
	Example: PreviewSetupInput{ByLink: exampleLink, Mapping: &Mapping{Groups: "groups"}},
}

func previewSetup(ctx context.Context, tx *op.Tx, in PreviewSetupInput) (AnswerRead, error) {
	l := tx.Target().Value.(usedLink)
	if l.connection == "" {
		return AnswerRead{}, errNotConfigured
	}
	c, err := readConnection(ctx, tx.Reader, l.connection)
	if err != nil {
		return AnswerRead{}, err
	}
	if in.Mapping != nil {
		c.mapping = *in.Mapping
	}
	out, said, err := c.lastAnswer(ctx, tx.Reader, l.id)
	if err != nil || said == nil {
		return out, err
	}
	out.read(c, *said)
	return out, out.judge(ctx, tx.Reader, c)
}
