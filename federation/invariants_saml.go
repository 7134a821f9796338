package federation

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"github.com/guildhall/guildhall/internal/saml"
	"github.com/guildhall/guildhall/op"
)

// brokenSAML are connections that speak SAML without what they need for it, rows that are of another organization than their
// connection, and sessions at providers that are not those of the session.
func brokenSAML(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT 'connection ' || c.id || ' speaks SAML and has no settings for it' FROM connections c
			LEFT JOIN saml_settings s ON s.connection = c.id WHERE c.kind = 'saml' AND s.connection IS NULL
		UNION ALL SELECT 'connection ' || c.id || ' has settings of SAML, which it does not speak' FROM connections c JOIN saml_settings s ON s.connection = c.id WHERE c.kind <> 'saml'
		UNION ALL SELECT 'connection ' || c.id || ' has settings of SAML of another organization' FROM connections c JOIN saml_settings s ON s.connection = c.id WHERE s.organization <> c.organization
		UNION ALL SELECT 'connection ' || c.id || ' has a key of another organization' FROM connections c JOIN saml_keys k ON k.connection = c.id WHERE k.organization <> c.organization
		UNION ALL SELECT 'connection ' || c.id || ' has taken answers of another organization' FROM connections c JOIN saml_assertions a ON a.connection = c.id WHERE a.organization <> c.organization
		UNION ALL SELECT 'session ' || s.id || ' is at a provider that has not begun it, or of somebody else there' FROM connection_sessions p JOIN sessions s ON s.id = p.session
			WHERE s.user_id <> p.user_id OR s.connection <> p.connection OR s.organization <> p.organization`)
	if err != nil {
		return nil, err
	}
	broken, err := texts(rows)
	if err != nil {
		return nil, err
	}
	return brokenCertificates(ctx, r, broken)
}

// brokenCertificates adds the connections whose certificates cannot be read, or end at another time than is stored, and those
// whose own key is not that of the certificate.
func brokenCertificates(ctx context.Context, r *op.Reader, broken []string) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT c.id, `+samlColumns+` FROM connections c `+samlTables+` WHERE c.kind = 'saml' ORDER BY c.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var s samlSettings
		if err := rows.Scan(append([]any{&id}, s.fields()...)...); err != nil {
			return nil, err
		}
		known, err := saml.ParseCertificates(s.certificates)
		if err != nil || len(known) == 0 || saml.Latest(known).UnixMicro() != s.ends {
			broken = append(broken, fmt.Sprintf("connection %s has certificates that cannot be read, or that end at another time than is stored", id))
		}
		if len(s.sealedKey) > 0 && !s.keyFits(r, id) {
			broken = append(broken, fmt.Sprintf("connection %s has a key that is not its certificate's", id))
		}
	}
	return broken, rows.Err()
}

// keyFits reports whether our certificate is that of our key.
func (s samlSettings) keyFits(r *op.Reader, connection string) bool {
	key, err := s.key(r, connection)
	if err != nil {
		return false
	}
	c, err := x509.ParseCertificate(s.ownCertificate)
	if err != nil {
		return false
	}
	public, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && public.Equal(key.Public())
}
