package federation

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/op"
)

// exampleLink is the secret of no link.
var exampleLink = ByLink{"gld_setup_0000000000000000000000000000000000000000000000000"}

// ConfigureSAMLInput says what an identity provider that speaks SAML is, by a set-up link.
type ConfigureSAMLInput struct {
	ByLink
	Name string `json:"name" doc:"What people call it" minLength:"1" maxLength:"80" example:"Okta"`
	SAMLProvider
}

// ConfigureSAML names the link's connection as one that speaks SAML, or changes it while it is not on. As by setup.configure it
// has to be tested again, gives nobody a role, and signs nobody in until somebody of the organization switches it on.
var ConfigureSAML = &op.Op[ConfigureSAMLInput, Setup]{
	Name:    "setup.configure_saml",
	Route:   "POST /v1/setup/configure_saml",
	Summary: "By a set-up link: say what the identity provider is that speaks SAML 2.0; it signs nobody in yet",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 60, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in ConfigureSAMLInput) (op.Target, error) {
		return linkTarget(ctx, r, in.ByLink)
	},
	Prepare: func(ctx context.Context, in ConfigureSAMLInput) (ConfigureSAMLInput, error) {
		err := in.SAMLProvider.prepare(ctx)
		return in, err
	},
	Do:      configureSAML,
	Example: ConfigureSAMLInput{ByLink: exampleLink, Name: "Okta", SAMLProvider: SAMLProvider{Metadata: exampleMetadata}},
}

func configureSAML(ctx context.Context, tx *op.Tx, in ConfigureSAMLInput) (Setup, error) {
	l, err := using(ctx, tx)
	if err != nil {
		return Setup{}, err
	}
	var c samlRow
	if l.shown.kind == samlKind {
		c, err = samlConnection(ctx, tx.Reader, l.organization, l.connection)
	} else {
		c.connectionRow, err = l.named(ctx, tx, samlKind)
	}
	if err != nil {
		return Setup{}, err
	}
	if err := in.names(tx, &c, in.Name); err != nil {
		return Setup{}, err
	}
	c.clientID, c.sealed = "", tx.Secrets.Seal(sealPurpose+c.id, nil)
	if err := l.store(ctx, tx, c.connectionRow); err != nil {
		return Setup{}, err
	}
	if err := c.insertSettings(ctx, tx); err != nil {
		return Setup{}, err
	}
	l.connection = c.id
	return l.setup(ctx, tx.Reader)
}

// forgetSAML deletes what only those have that speak SAML.
func (c connectionRow) forgetSAML(ctx context.Context, tx *op.Tx) error {
	for _, statement := range []string{"DELETE FROM saml_settings WHERE organization = $1 AND connection = $2", "DELETE FROM saml_keys WHERE organization = $1 AND connection = $2"} {
		if _, err := tx.Exec(ctx, statement, c.organization, c.id); err != nil {
			return err
		}
	}
	return nil
}
