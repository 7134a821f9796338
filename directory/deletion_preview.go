package directory

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/op"
)

// endingQuery counts and names what ends with an organization, up to 20 of each kind; $2 is the time.
const endingQuery = `SELECT kind, id, name, n FROM (
	SELECT * FROM (SELECT 1 AS place, 'member' AS kind, m.id AS id, CASE u.name WHEN '' THEN u.email ELSE u.name END AS name, m.sort_name AS sort,
			COUNT(*) OVER () AS n FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.organization = $1 AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $2) ORDER BY m.sort_name, m.id LIMIT 20) AS members_of
	UNION ALL SELECT * FROM (SELECT 2, 'key', k.id, k.name, k.name_folded, COUNT(*) OVER () FROM api_keys k
		LEFT JOIN members m ON m.organization = k.organization AND m.id = k.member
		WHERE k.organization = $1 AND k.revoked_at = 0 AND (k.expires_at = 0 OR k.expires_at > $2) AND (k.left_at <> 0 OR m.status IS NULL OR m.status <> 'removed')
		ORDER BY k.name_folded, k.id LIMIT 20) AS keys_of
	UNION ALL SELECT * FROM (SELECT 3, 'token', t.id, t.name, t.name, COUNT(*) OVER () FROM scoped_tokens t
		WHERE t.organization = $1 AND t.revoked_at = 0 AND (t.expires_at = 0 OR t.expires_at > $2) ORDER BY t.name, t.id LIMIT 20) AS tokens_of
	UNION ALL SELECT * FROM (SELECT 4, 'service_account', a.id, a.name, a.name_folded, COUNT(*) OVER () FROM service_accounts a
		WHERE a.organization = $1 AND a.deleted_at = 0 ORDER BY a.name_folded, a.id LIMIT 20) AS accounts_of
	UNION ALL SELECT * FROM (SELECT 5, 'invitation', i.id, i.email, i.email_folded, COUNT(*) OVER () FROM invitations i
		WHERE i.organization = $1 AND i.state = 'pending' AND i.expires_at > $2 ORDER BY i.email_folded, i.id LIMIT 20) AS invitations_of
	) AS ending ORDER BY place, sort, id`

// endings say what becomes of a thing of a kind, and how more of them than are named are counted.
var endings = map[string]struct{ text, one, many string }{ // without the number
	"member":          {"loses access", "member more loses access", "members more lose access"},
	"key":             {"is refused", "key more is refused", "keys more are refused"},
	"token":           {"is refused", "token more is refused", "tokens more are refused"},
	"service_account": {"can do nothing any more", "service account more", "service accounts more"},
	"invitation":      {"cannot be accepted", "invitation more cannot be accepted", "invitations more cannot be accepted"},
}

// impactOfDeletion is the dry run of a deletion: what ends at once, by name, and what is kept until when.
func impactOfDeletion(ctx context.Context, r *op.Reader) (op.Impact, error) {
	o, err := organizationByID(ctx, r, r.Organization())
	if err != nil {
		return op.Impact{}, err
	}
	until := mail.Moment(r.Now.Add(r.Charter.Rules.DeletionGrace))
	impact := op.Impact{Summary: fmt.Sprintf("%s is deleted: access ends at once, and everything is gone for good after %s", o.Name, until)}
	if impact.Effects, err = effectsOfDeletion(ctx, r); err != nil {
		return impact, err
	}
	impact.Effects = append(impact.Effects,
		op.Effect{Type: "session", Action: actionEnds, Text: "no session reaches this organization any more; people stay signed in elsewhere"},
		op.Effect{Type: "organization", ID: o.ID, Name: o.Name, Action: actionStays, Text: "is kept, and can be restored as it was, until " + until},
		op.Effect{Type: "slug", Name: o.Slug, Action: actionStays, Text: "stays reserved for ever: nobody else gets it"},
		op.Effect{Type: "audit_log", Action: actionStays, Text: "stays; names and addresses in it are erased after " + until})
	return impact, nil
}

func effectsOfDeletion(ctx context.Context, r *op.Reader) (all []op.Effect, err error) {
	rows, err := r.Query(ctx, endingQuery, r.Organization(), r.Micros())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	left := 0 // of the kind before
	more := func(kind string) {
		if left > 0 {
			all = append(all, op.Effect{Type: kind, Text: plural(left, endings[kind].one, endings[kind].many), Action: actionEnds})
		}
	}
	last := ""
	for rows.Next() {
		e := op.Effect{Action: actionEnds}
		var n int
		if err := rows.Scan(&e.Type, &e.ID, &e.Name, &n); err != nil {
			return nil, err
		}
		if e.Type != last {
			more(last)
			last, left = e.Type, n
		}
		e.Text = endings[e.Type].text
		left--
		all = append(all, e)
	}
	more(last)
	return all, rows.Err()
}
