package federation

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/saml"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/notice"
	"github.com/guildhall/guildhall/op"
)

const (
	// spread is by how much a daily reading comes sooner, another while for each connection: not all on the same minute.
	spread = 2 * time.Hour
	// mostSAML bounds how many connections are looked after in one go: each may take as long as a provider takes to answer.
	mostSAML = 50
)

// warnings are how long before the end of the last certificate people are warned, once each.
var warnings = []time.Duration{30 * day, 7 * day, day}

// nextReading is when a provider's metadata is read again.
func nextReading(connection string, now time.Time) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(connection))
	return now.Add(-time.Duration(h.Sum32()) % spread).Add(day).UnixMicro()
}

// nextWarning is when people are warned next of an end; 0: never again.
func nextWarning(ends int64, now time.Time) int64 {
	for _, before := range warnings {
		if at := time.UnixMicro(ends).Add(-before); at.After(now) {
			return at.UnixMicro()
		}
	}
	return 0
}

// RemindSAML mails those who may manage connections that the last certificate of a provider is about to end. It is done by
// itself 30 days before, 7 days before and a day before, once each; at other times it is refused.
var RemindSAML = &op.Op[ConnectionInput, SAMLSettings]{
	Name:    "connections.remind_saml",
	Route:   "POST /v1/organizations/{organization}/connections/{connection}/saml/remind",
	Summary: "Mail those who manage connections that the provider's last certificate is about to end, where that is due",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Confirm: op.L1,
	Target:  samlTarget,
	Do:      remindSAML,
	Example: exampleConnection,
}

func remindSAML(ctx context.Context, tx *op.Tx, _ ConnectionInput) (SAMLSettings, error) {
	c := tx.Target().Value.(samlRow)
	if c.state != On || c.saml.warn == 0 || c.saml.warn > tx.Micros() {
		return SAMLSettings{}, op.Errorf(op.Conflict, "not_due", "nobody has to be reminded of these certificates now")
	}
	told, err := c.tellEnd(ctx, tx)
	if err != nil {
		return SAMLSettings{}, err
	}
	tx.Changed("reminded", nil, told)
	c.saml.warn = nextWarning(c.saml.ends, tx.Now)
	_, err = tx.Exec(ctx, "UPDATE saml_settings SET warn_next = $3 WHERE organization = $1 AND connection = $2", c.organization, c.id, c.saml.warn)
	if err != nil {
		return SAMLSettings{}, err
	}
	return c.show(tx.Reader)
}

// tellEnd mails that nobody signs in there soon.
func (c samlRow) tellEnd(ctx context.Context, tx *op.Tx) (int, error) {
	roles, err := directory.RolesHolding(ctx, tx.Reader, "sso.configure")
	if err != nil || len(roles) == 0 {
		return 0, err
	}
	end := time.UnixMicro(c.saml.ends)
	n := notice.Notice{Subject: "the certificate of " + mail.Line(c.name) + " " + endsIn(end.Sub(tx.Now)), Path: "/settings/sso/connections/" + c.id + "/saml", Always: true,
		Text: fmt.Sprintf("The last certificate by which the identity provider “%s” signs counts until %s. After that nobody can sign in there. Add the provider's new certificate, or its new metadata.", mail.Line(c.name), mail.Moment(end))}
	return notice.TellRoles(ctx, tx, roles, n)
}

// endsIn says how long something lasts, in whole days.
func endsIn(left time.Duration) string {
	switch days := int((left + day - 1) / day); {
	case left <= 0:
		return "has ended"
	case days == 1:
		return "ends within a day"
	default:
		return fmt.Sprintf("ends in %d days", days)
	}
}

// SAMLDue are the connections that speak SAML and are to be looked after now.
type SAMLDue struct {
	read []samlRow         // whose metadata is to be read again
	warn []ConnectionInput // of whose end people are to be warned
	bare []ConnectionInput // that have nothing to sign by: they were made before there was such a key
}

// SAMLDueNow finds up to 50 connections whose metadata was not read for a day, or whose certificates end soon, and as many that
// have nothing to sign by.
func SAMLDueNow(ctx context.Context, r *op.Reader) (due SAMLDue, err error) {
	rows, err := r.Query(ctx, "SELECT "+connectionColumns+", "+samlColumns+`, s.warn_next <> 0 AND s.warn_next <= $1 AND c.state = 'on', s.metadata_url <> '' AND s.read_next <= $1
		FROM saml_settings s JOIN connections c ON c.id = s.connection
		LEFT JOIN saml_keys k ON k.organization = s.organization AND k.connection = s.connection JOIN organizations o ON o.id = s.organization AND o.state = 'active'
		WHERE s.metadata_url <> '' AND s.read_next <= $1 OR s.warn_next <> 0 AND s.warn_next <= $1 AND c.state = 'on' ORDER BY s.read_next, s.connection LIMIT $2`, r.Micros(), mostSAML)
	if err != nil {
		return due, err
	}
	defer rows.Close()
	for rows.Next() {
		var c samlRow
		var warn, read bool
		if err := rows.Scan(append(append(c.connectionRow.fields(), c.saml.fields()...), &warn, &read)...); err != nil {
			return due, err
		}
		if read {
			due.read = append(due.read, c)
		}
		if warn {
			due.warn = append(due.warn, c.named())
		}
	}
	if err := rows.Err(); err != nil {
		return due, err
	}
	due.bare, err = samlWithoutKey(ctx, r)
	return due, err
}

func samlWithoutKey(ctx context.Context, r *op.Reader) ([]ConnectionInput, error) {
	rows, err := r.Query(ctx, `SELECT c.organization, c.id
		FROM saml_settings s JOIN connections c ON c.id = s.connection JOIN organizations o ON o.id = s.organization AND o.state = 'active'
		LEFT JOIN saml_keys k ON k.organization = s.organization AND k.connection = s.connection WHERE k.connection IS NULL ORDER BY s.connection LIMIT $1`, mostSAML)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []ConnectionInput
	for rows.Next() {
		var c connectionRow
		if err := rows.Scan(&c.organization, &c.id); err != nil {
			return nil, err
		}
		all = append(all, c.named())
	}
	return all, rows.Err()
}

func (c connectionRow) named() ConnectionInput {
	return ConnectionInput{InOrganization: op.InOrganization{Organization: c.organization}, Connection: c.id}
}

// Do reads the metadata that is due, and warns of what ends. What is as it was is only noted as read, and what cannot be read
// leaves what is there and is noted, too; any change is an operation's.
func (due SAMLDue) Do(ctx context.Context, db *sqldb.DB, b op.Backend, reach Reach, now time.Time) (err error) {
	ctx = op.As(ctx, op.Caller{System: "SAML metadata"})
	problems := map[string]string{}
	for _, c := range due.read {
		problem, failed := c.reread(ctx, b, reach)
		problems[c.id], err = problem, errors.Join(err, failed)
	}
	err = errors.Join(err, noteReadings(ctx, db, due.read, problems, now))
	for _, in := range due.bare {
		if _, failed := UpdateSAML.Call(ctx, b, UpdateSAMLInput{ConnectionInput: in}); failed != nil { // any change makes a key
			err = errors.Join(err, fmt.Errorf("connection %s: a key: %w", in.Connection, failed))
		}
	}
	for _, in := range due.warn {
		_, failed := RemindSAML.Call(ctx, b, in)
		if e := op.AsError(failed); failed != nil && e.Code != "not_due" { // the metadata that was read has a later end
			err = errors.Join(err, fmt.Errorf("connection %s: %w", in.Connection, failed))
		}
	}
	return err
}

// reread reads a provider's metadata, and takes it where it is another. It gives why it could not.
func (c samlRow) reread(ctx context.Context, b op.Backend, reach Reach) (problem string, err error) {
	said, err := reach.readMetadata(ctx, c.saml.metadata)
	if err != nil {
		return clipped(op.AsError(err).Text), nil
	}
	if said.EntityID == c.issuer && c.saml.same(said) {
		return "", nil
	}
	_, err = UpdateSAML.Call(ctx, b, UpdateSAMLInput{ConnectionInput: c.named(), Reread: true})
	switch e := op.AsError(err); {
	case err == nil:
		return "", nil
	case e.Kind == op.Internal:
		return "", fmt.Errorf("connection %s: %w", c.id, err)
	default:
		return clipped(e.Text), nil
	}
}

// same reports whether a provider says of itself what is stored.
func (s samlSettings) same(p saml.Provider) bool {
	was := s
	was.take(p)
	return was.signOn == s.signOn && was.logout == s.logout && was.answer == s.answer && was.wantsSigned == s.wantsSigned && was.certificates == s.certificates
}

// noteReadings notes that metadata was read, or why not. It changes nobody's rights.
func noteReadings(ctx context.Context, db *sqldb.DB, read []samlRow, problems map[string]string, now time.Time) error {
	if len(read) == 0 {
		return nil
	}
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		for _, c := range read {
			_, err := tx.Exec(ctx, `UPDATE saml_settings SET problem = $3, read_next = $4, read_at = CASE WHEN CAST($3 AS text) = '' THEN $5 ELSE read_at END
				WHERE organization = $1 AND connection = $2`, c.organization, c.id, problems[c.id], nextReading(c.id, now), now.UnixMicro())
			if err != nil {
				return err
			}
		}
		return nil
	})
}
