package usage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// OwnLimit is a limit of one member or key, below what the plan gives the organization.
type OwnLimit struct {
	Subject string    `json:"subject" doc:"The member or API key" example:"mem_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Name    string    `json:"name,omitzero" doc:"What people call them; absent for those who may not see that"`
	Meter   string    `json:"meter" doc:"What is counted" example:"executions"`
	Limit   int64     `json:"limit" doc:"How much there is for them in a period"`
	Used    int64     `json:"used" doc:"What they used in this period"`
	Held    int64     `json:"reserved" doc:"What is held for them"`
	SetBy   string    `json:"set_by" doc:"Who set it"`
	SetAt   time.Time `json:"set_at" doc:"When"`
}

// ListLimitsInput asks for limits of members and keys.
type ListLimitsInput struct {
	op.InOrganization
	op.Page
	Subject string `json:"subject,omitzero" doc:"Only those of this member or key" maxLength:"64" required:"false"`
}

// ListLimits lists the limits of members and keys.
var ListLimits = &op.Op[ListLimitsInput, op.List[OwnLimit]]{
	Name:    "limits.list",
	Route:   "GET /v1/organizations/{organization}/limits",
	Summary: "List the limits of single members and keys, with what they used",
	Kind:    op.Read,
	Allow:   op.AnyOf(op.On("budgets.manage"), op.ByService),
	Do:      listLimits,
	Example: ListLimitsInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func listLimits(ctx context.Context, tx *op.Tx, in ListLimitsInput) (op.List[OwnLimit], error) {
	a, err := accountOf(ctx, tx.Reader, in.Organization, unlocked)
	if err != nil {
		return op.List[OwnLimit]{}, err
	}
	subject, meter := "", ""
	if at := in.After(); len(at) == 2 {
		subject, meter = at[0], at[1]
	}
	rows, err := tx.Query(ctx, `SELECT l.subject, l.meter, l.hard, l.set_by, l.set_at, COALESCE(c.used, 0), COALESCE(c.reserved, 0) FROM usage_limits l
		LEFT JOIN usage_counters c ON c.organization = l.organization AND c.meter = l.meter AND c.start = $2 AND c.subject = l.subject
		WHERE l.organization = $1 AND ($3 = '' OR l.subject = $3) AND (l.subject > $4 OR l.subject = $4 AND l.meter > $5)
		ORDER BY l.subject, l.meter LIMIT $6`, a.organization, a.month(tx.Micros()).Start, in.Subject, subject, meter, in.Size()+1)
	if err != nil {
		return op.List[OwnLimit]{}, err
	}
	defer rows.Close()
	var all []OwnLimit
	for rows.Next() {
		var l OwnLimit
		var at int64
		if err := rows.Scan(&l.Subject, &l.Meter, &l.Limit, &l.SetBy, &at, &l.Used, &l.Held); err != nil {
			return op.List[OwnLimit]{}, err
		}
		l.SetAt = moment(at)
		all = append(all, l)
	}
	if err := rows.Err(); err != nil {
		return op.List[OwnLimit]{}, err
	}
	if err := nameLimits(ctx, tx.Reader, a.organization, all); err != nil {
		return op.List[OwnLimit]{}, err
	}
	return op.Listed(tx.Reader, &in.Page, all, func(l OwnLimit) []string { return []string{l.Subject, l.Meter} }), nil
}

// nameLimits puts names beside the members and keys that limits are about.
func nameLimits(ctx context.Context, r *op.Reader, organization string, all []OwnLimit) error {
	for _, d := range []charter.Dimension{charter.ByMember, charter.ByKey} {
		var ids []string
		for _, l := range all {
			ids = append(ids, l.Subject)
		}
		names, err := namesOf(ctx, r, organization, d, ids)
		if err != nil {
			return err
		}
		for i := range all {
			all[i].Name = cmp.Or(all[i].Name, names[all[i].Subject])
		}
	}
	return nil
}

// SetLimitInput gives a member or key a limit of its own.
type SetLimitInput struct {
	op.InOrganization
	Subject string `json:"subject" doc:"The member or API key" maxLength:"64" example:"mem_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Meter   string `json:"meter" doc:"What is counted: a meter that adds up" maxLength:"64" example:"executions"`
	Limit   int64  `json:"limit" cli:"arg" doc:"How much there is for them in a period" minimum:"0" example:"100"`
}

// SetLimit gives a member or key a limit of its own, or changes it. What they used in this period counts from the start.
var SetLimit = &op.Op[SetLimitInput, OwnLimit]{
	Name:    "limits.set",
	Route:   "PUT /v1/organizations/{organization}/limits/{subject}/{meter}",
	Summary: "Give a member or key a limit of its own on a meter, or change it",
	Kind:    op.Write,
	Allow:   op.AnyOf(op.On("budgets.manage"), op.ByService),
	Target: func(ctx context.Context, r *op.Reader, in SetLimitInput) (op.Target, error) {
		return subjectTarget(ctx, r, in.Organization, in.Subject)
	},
	Do:      setLimit,
	Example: SetLimitInput{InOrganization: op.InOrganization{Organization: "acme"}, Subject: "mem_01k9v5x0w3m8q6t2c4h7n0r5sz", Meter: "executions", Limit: 100},
}

// subjectTarget finds a member or key of the organization.
func subjectTarget(ctx context.Context, r *op.Reader, organization, subject string) (op.Target, error) {
	t := op.Target{Organization: organization, Type: "member", ID: subject}
	query := `SELECT COALESCE(NULLIF(u.name, ''), u.email) FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.organization = $1 AND m.id = $2 AND m.status <> 'removed'`
	if strings.HasPrefix(subject, "key_") {
		t.Type, query = "key", "SELECT name FROM api_keys WHERE organization = $1 AND id = $2 AND revoked_at = 0"
	}
	err := r.QueryRow(ctx, query, organization, subject).Scan(&t.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return t, op.ErrNotFound
	}
	return t, err
}

func setLimit(ctx context.Context, tx *op.Tx, in SetLimitInput) (OwnLimit, error) {
	m, err := addingMeter(tx.Charter, in.Meter)
	if err != nil {
		return OwnLimit{}, err
	}
	a := account{organization: in.Organization}
	var before sql.NullInt64
	var anchor int64
	var history string
	if err := tx.QueryRow(ctx, "SELECT "+anchors+`, l.hard FROM organizations o
		LEFT JOIN usage_limits l ON l.organization = o.id AND l.subject = $2 AND l.meter = $3 WHERE o.id = $1`+aloneOn(tx.Reader, "o"),
		in.Organization, in.Subject, m.ID).Scan(&anchor, &history, &before); err != nil {
		return OwnLimit{}, err
	}
	if a.months, err = monthsOf(anchor, history); err != nil {
		return OwnLimit{}, err
	}
	noteLimit(tx, m.ID, before, in.Limit)
	out := OwnLimit{Subject: in.Subject, Meter: m.ID, Limit: in.Limit, SetBy: tx.Actor.ID, SetAt: tx.Now.UTC().Truncate(time.Microsecond)}
	if _, err := tx.Exec(ctx, `INSERT INTO usage_limits (organization, subject, meter, hard, set_by, set_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (organization, subject, meter) DO UPDATE SET hard = excluded.hard, set_by = excluded.set_by, set_at = excluded.set_at`,
		in.Organization, in.Subject, m.ID, in.Limit, out.SetBy, tx.Micros()); err != nil {
		return out, err
	}
	out.Used, out.Held, err = a.recount(ctx, tx, in.Subject, m.ID)
	return out, err
}

func noteLimit(tx *op.Tx, meter string, before sql.NullInt64, after int64) {
	if !before.Valid {
		tx.Changed(meter, nil, after)
		return
	}
	tx.Changed(meter, before.Int64, after)
}

// recount sets the counter of a member or key to what the events of this period say, and to what is held. Nobody records
// meanwhile: see alone.
func (a account) recount(ctx context.Context, tx *op.Tx, subject, meter string) (used, reserved int64, err error) {
	p := a.month(tx.Micros())
	err = tx.QueryRow(ctx, `INSERT INTO usage_counters (organization, meter, start, subject, used, reserved)
		SELECT CAST($1 AS text), CAST($2 AS text), CAST($3 AS bigint), CAST($5 AS text),
			CAST(COALESCE((SELECT SUM(value) FROM usage_events WHERE organization = $1 AND meter = $2 AND at >= $3 AND at < $4
				AND replace($6 || series || $6, $7, '') <> $6 || series || $6), 0) AS bigint),
			CAST(COALESCE((SELECT SUM(amount) FROM usage_reservations WHERE organization = $1 AND meter = $2 AND start = $3
				AND replace(' ' || subjects || ' ', $8, '') <> ' ' || subjects || ' '), 0) AS bigint)
		WHERE true
		ON CONFLICT (organization, meter, start, subject) DO UPDATE SET used = excluded.used, reserved = excluded.reserved RETURNING used, reserved`,
		a.organization, meter, p.Start, p.End, subject, "\t", "\t"+subject+"\t", " "+subject+" ").Scan(&used, &reserved)
	return used, reserved, err
}

// DeleteLimitInput names a limit of a member or key.
type DeleteLimitInput struct {
	op.InOrganization
	Subject string `json:"subject" doc:"The member or API key" maxLength:"64" example:"mem_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Meter   string `json:"meter" doc:"What is counted" maxLength:"64" example:"executions"`
}

// DeleteLimit takes a limit of a member or key away: what the plan gives the organization is theirs too.
var DeleteLimit = &op.Op[DeleteLimitInput, OwnLimit]{
	Name:    "limits.delete",
	Route:   "DELETE /v1/organizations/{organization}/limits/{subject}/{meter}",
	Summary: "Take a limit of a member or key away",
	Kind:    op.Write,
	Allow:   op.AnyOf(op.On("budgets.manage"), op.ByService),
	Target:  limitTarget,
	Do:      deleteLimit,
	Example: DeleteLimitInput{InOrganization: op.InOrganization{Organization: "acme"}, Subject: "mem_01k9v5x0w3m8q6t2c4h7n0r5sz", Meter: "executions"},
}

// limitTarget finds a limit, also of somebody who is gone.
func limitTarget(ctx context.Context, r *op.Reader, in DeleteLimitInput) (op.Target, error) {
	l := OwnLimit{Subject: in.Subject, Meter: in.Meter}
	var at int64
	err := r.QueryRow(ctx, "SELECT hard, set_by, set_at FROM usage_limits WHERE organization = $1 AND subject = $2 AND meter = $3",
		in.Organization, in.Subject, in.Meter).Scan(&l.Limit, &l.SetBy, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return op.Target{}, op.ErrNotFound
	}
	if err != nil {
		return op.Target{}, err
	}
	l.SetAt = moment(at)
	t, err := subjectTarget(ctx, r, in.Organization, in.Subject)
	if errors.Is(err, op.ErrNotFound) {
		err = nil
	}
	t.Organization, t.Value = in.Organization, l
	return t, err
}

func deleteLimit(ctx context.Context, tx *op.Tx, in DeleteLimitInput) (OwnLimit, error) {
	l, _ := tx.Target().Value.(OwnLimit)
	tx.Changed(in.Meter, l.Limit, nil)
	_, err := tx.Exec(ctx, "DELETE FROM usage_limits WHERE organization = $1 AND subject = $2 AND meter = $3", in.Organization, in.Subject, in.Meter)
	return l, err
}
