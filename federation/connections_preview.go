package federation

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

const (
	// longestAnswer bounds what is kept of a provider's answer to a test, in bytes of JSON.
	longestAnswer = 16 << 10
	// answerLife is how long it is kept: it speaks of a person.
	answerLife = 30 * day
)

// passwords are what an answer has that proves something to somebody, or is of one moment: they are not kept.
var passwords = []string{"nonce", "at_hash", "c_hash", "s_hash", "jti", "sid", "acr_values", "access_token", "refresh_token", "id_token", "code"}

// keepTest notes what came of a test: why it failed, or what the provider said.
func (a pendingAttempt) keepTest(ctx context.Context, tx *op.Tx, said claims, problem string) error {
	folded, answer := "", ""
	if problem == "" {
		read, _ := a.connection.read(said)
		folded, _ = directory.Fold(read.Email)
		answer = kept(said)
	}
	_, err := tx.Exec(ctx, `INSERT INTO connection_tests (connection, organization, at, problem, email_folded, answer) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (connection) DO UPDATE SET at = $3, problem = $4, email_folded = CASE WHEN $4 = '' THEN $5 ELSE connection_tests.email_folded END,
			answer = CASE WHEN $4 = '' THEN $6 ELSE connection_tests.answer END`,
		a.connection.id, a.connection.organization, tx.Micros(), problem, folded, answer)
	return err
}

// keptAnswer is what is kept of an answer: what the protocol itself says of the person, and everything that the provider says.
type keptAnswer struct {
	Subject string         `json:"subject"`
	Email   string         `json:"email"`
	Name    string         `json:"name"`
	Raw     map[string]any `json:"raw"`
}

func kept(said claims) string {
	text, err := json.Marshal(keptAnswer{said.Subject, said.Email, said.Name, bounded(said.raw)}, json.Deterministic(true))
	if err != nil {
		return ""
	}
	return string(text)
}

// bounded is an answer without what is secret, and without its longest parts where it is too long.
func bounded(raw map[string]any) map[string]any {
	kept := map[string]any{}
	sizes := map[string]int{}
	whole := 0
	for name, v := range raw {
		if text, err := json.Marshal(v); err == nil && !slices.Contains(passwords, name) {
			kept[name], sizes[name] = v, len(name)+len(text)+4
			whole += sizes[name]
		}
	}
	for whole > longestAnswer {
		longest := ""
		for name := range kept {
			if longest == "" || sizes[name] > sizes[longest] || sizes[name] == sizes[longest] && name < longest {
				longest = name
			}
		}
		whole -= sizes[longest]
		delete(kept, longest)
	}
	return kept
}

// PreviewConnectionInput is a mapping as it would be; what is left out is as it is.
type PreviewConnectionInput struct {
	ConnectionInput
	Mapping    *Mapping        `json:"mapping,omitzero" doc:"Which claim or attribute says what, all of it" required:"false"`
	GroupRoles []GroupRole     `json:"group_roles,omitzero" doc:"Which group gives which role, all of it" maxItems:"200" required:"false"`
	Role       *charter.RoleID `json:"role,omitzero" doc:"The role of people whose groups give none" maxLength:"64" required:"false"`
}

// Validate checks the mapping.
func (in PreviewConnectionInput) Validate() []op.FieldError {
	return UpdateConnectionInput{Mapping: in.Mapping, GroupRoles: in.GroupRoles}.Validate()
}

// AnswerRead is what a mapping makes of a provider's last answer.
type AnswerRead struct {
	TestedAt *time.Time     `json:"tested_at,omitzero" doc:"When the provider said it; absent: no test has gone well within 30 days"`
	Answer   map[string]any `json:"answer" doc:"What it said, without what is secret"`
	Subject  string         `json:"subject,omitzero" doc:"Who the person is for good"`
	Address  string         `json:"address,omitzero" doc:"Their address"`
	Name     string         `json:"name,omitzero" doc:"What they are called"`
	Groups   []string       `json:"groups" doc:"Their groups"`
	Problems []string       `json:"problems" doc:"Why this person could not sign in so"`
}

// ConnectionPreview is what would come of the provider's last answer.
type ConnectionPreview struct {
	AnswerRead
	Group     string         `json:"group,omitzero" doc:"The group that gives the role; absent: none does"`
	Role      charter.RoleID `json:"role,omitzero" doc:"The role; absent: they cannot join without an invitation"`
	RoleTitle string         `json:"role_title,omitzero" doc:"What the role is called"`
}

// PreviewConnection says what a mapping makes of what the provider said in the last test. It changes nothing.
var PreviewConnection = &op.Op[PreviewConnectionInput, ConnectionPreview]{
	Name:    "connections.preview",
	Route:   "POST /v1/organizations/{organization}/connections/{connection}/preview",
	Summary: "Say which address, name, groups and role come of the last test, by a mapping as it would be",
	Allow:   op.On("sso.configure"),
	Target: func(ctx context.Context, r *op.Reader, in PreviewConnectionInput) (op.Target, error) {
		return connectionTarget(ctx, r, in.ConnectionInput)
	},
	Do:      previewConnection,
	Example: PreviewConnectionInput{ConnectionInput: exampleConnection, Mapping: &Mapping{Groups: "groups"}},
}

func previewConnection(ctx context.Context, tx *op.Tx, in PreviewConnectionInput) (out ConnectionPreview, err error) {
	c := tx.Target().Value.(shownConnection)
	if in.Mapping != nil {
		c.mapping = *in.Mapping
	}
	if in.Role != nil {
		c.role = string(*in.Role)
	}
	var said *claims
	if out.AnswerRead, said, err = c.lastAnswer(ctx, tx.Reader, ""); err != nil || said == nil {
		return out, err
	}
	mapping := in.GroupRoles
	if mapping == nil {
		if mapping, err = c.groupRoles(ctx, tx.Reader); err != nil {
			return out, err
		}
	}
	out.read(c, *said)
	g := gives(mapping, out.Groups, c.roleID())
	out.Role, out.Group = g.role, g.group
	if err := out.judge(ctx, tx.Reader, c); err != nil {
		return out, err
	}
	return out, out.judgeRole(ctx, tx.Reader)
}

// lastAnswer is what the provider said in the last test that went well; nil: nothing is kept of one. Of a set-up link only a test
// counts that it began.
func (c shownConnection) lastAnswer(ctx context.Context, r *op.Reader, link string) (out AnswerRead, said *claims, err error) {
	out = AnswerRead{Answer: map[string]any{}, Groups: []string{}, Problems: []string{}}
	var text string
	var at int64
	err = r.QueryRow(ctx, `SELECT t.answer, t.at FROM connection_tests t WHERE t.organization = $1 AND t.connection = $2 AND t.answer <> '' AND (CAST($3 AS text) = '' OR t.problem = ''
		AND EXISTS (SELECT 1 FROM federated_attempts a WHERE a.organization = $1 AND a.connection = $2 AND a.link = $3 AND a.used_at = t.at))`, c.organization, c.id, link).Scan(&text, &at)
	if errors.Is(err, sql.ErrNoRows) {
		out.Problems = append(out.Problems, "no test has gone well yet: there is nothing that a mapping could be tried on")
		return out, nil, nil
	}
	var answer keptAnswer
	if err == nil {
		err = json.Unmarshal([]byte(text), &answer)
	}
	if err != nil {
		return out, nil, err
	}
	out.TestedAt, out.Answer = when(at), answer.Raw
	return out, &claims{Subject: answer.Subject, Email: answer.Email, Name: answer.Name, raw: answer.Raw}, nil
}

// read says what an answer says by the connection's mapping.
func (out *AnswerRead) read(c shownConnection, said claims) {
	read, groups := c.read(said)
	out.Subject, out.Address, out.Name, out.Groups = read.Subject, read.Email, read.Name, append(out.Groups, groups...)
}

// judge says why the provider's word is not enough to know somebody.
func (out *AnswerRead) judge(ctx context.Context, r *op.Reader, c shownConnection) error {
	if out.Subject == "" || len(out.Subject) > longestSubject {
		out.Problems = append(out.Problems, "nothing says for good who the person is")
	}
	if _, err := directory.ParseAddress(out.Address); err != nil {
		out.Problems = append(out.Problems, "nothing says the person's address")
		return nil
	}
	covers, err := c.covers(ctx, r, out.Address)
	if err == nil && !covers {
		out.Problems = append(out.Problems, "the address is at no verified domain of this connection")
	}
	return err
}

// judgeRole says why somebody has no role.
func (out *ConnectionPreview) judgeRole(ctx context.Context, r *op.Reader) error {
	if out.Role == "" {
		out.Problems = append(out.Problems, "no group gives a role, and the connection gives none: only the invited come in")
		return nil
	}
	role, err := directory.RoleOf(ctx, r, string(out.Role))
	if errors.Is(err, op.ErrNotFound) {
		out.Problems = append(out.Problems, "the role does not exist")
		return nil
	}
	if err == nil {
		out.RoleTitle = role.Title
	}
	return err
}

// ofConnection is the condition for the domains of a connection ($2) of an organization ($1): those that it names, or, if it
// names none, those that no other one does.
const ofConnection = `(EXISTS (SELECT 1 FROM connection_domains n WHERE n.organization = $1 AND n.domain = d.id AND n.connection = $2)
	OR NOT EXISTS (SELECT 1 FROM connection_domains n WHERE n.organization = $1 AND (n.domain = d.id OR n.connection = $2)))`

// covers reports whether an address is at one of the connection's domains.
func (c connectionRow) covers(ctx context.Context, r *op.Reader, address string) (bool, error) {
	var n int64
	err := r.QueryRow(ctx, "SELECT count(*) FROM domains d WHERE d.organization = $1 AND d.state = 'verified' AND d.domain = $3 AND "+ofConnection,
		c.organization, c.id, directory.DomainOf(address)).Scan(&n)
	return n > 0, err
}

// purgeAnswers forgets what providers said in tests long ago.
func purgeAnswers(ctx context.Context, tx *sqldb.Tx, now time.Time) error {
	_, err := tx.Exec(ctx, "UPDATE connection_tests SET answer = '', email_folded = '' WHERE at <= $1 AND answer <> ''", now.Add(-answerLife).UnixMicro())
	return err
}
