package directory

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// livingKeys says which keys are a member's ($2) own and work now ($3).
const livingKeys = `member = $2 AND kind = 'personal' AND revoked_at = 0 AND left_at = 0
	AND (expires_at = 0 OR expires_at > $3)`

// leaveKeys settles the personal keys of somebody who leaves. Where the charter keeps them, they are frozen with what the
// person holds at this moment, but for those to revoke and for all of a suspended person: these are revoked. Where it
// does not, they are dead with the membership, and nothing is written.
func (l leaver) leaveKeys(ctx context.Context, tx *op.Tx, revoke []string, reason string) (left, ended []Named, err error) {
	if tx.Charter.Rules.Keys.AfterCreatorLeaves == charter.RevokeKeys {
		ended, err = namedRows(tx.Query(ctx, "SELECT id, name FROM api_keys WHERE organization = $1 AND "+livingKeys+" ORDER BY id", l.Organization, l.ID, tx.Micros()))
		left = []Named{}
	} else {
		left, ended, err = l.freezeKeys(ctx, tx, revoke, cmp.Or(reason, "its creator was removed"))
	}
	if err != nil {
		return nil, nil, err
	}
	for i, key := range revoke {
		if !slices.ContainsFunc(ended, func(n Named) bool { return n.ID == key }) {
			return nil, nil, notTheirs(i, key)
		}
	}
	l.noteKeys(tx, "keys_left_behind", left)
	l.noteKeys(tx, "keys_ended", ended)
	return left, ended, mention(ctx, tx, l.Organization, "key", slices.Concat(ended, left))
}

func (l leaver) noteKeys(tx *op.Tx, field string, keys []Named) {
	if len(keys) > 0 {
		tx.ChangedIn(l.Organization, field, nil, len(keys))
	}
}

func notTheirs(i int, key string) error {
	return op.InvalidField("revoke_keys/"+strconv.Itoa(i), "unknown", "%q is no living personal key of this member", key)
}

// settleKeys revokes the keys for which @ends is true, and leaves the others behind.
const settleKeys = `UPDATE api_keys SET version = version + 1,
		frozen = CASE WHEN @ends THEN frozen ELSE $4 END, left_at = CASE WHEN @ends THEN left_at ELSE $3 END,
		revoked_at = CASE WHEN @ends THEN $3 ELSE revoked_at END, revoked_by = CASE WHEN @ends THEN $5 ELSE revoked_by END,
		revoked_reason = CASE WHEN @ends THEN $6 ELSE revoked_reason END
	WHERE organization = $1 AND `

// freezeKeys leaves the keys of a former member behind, or revokes them: one statement for all.
func (l leaver) freezeKeys(ctx context.Context, tx *op.Tx, revoke []string, reason string) (left, ended []Named, err error) {
	ends, args := "1 = 0", []any(nil)
	switch {
	case l.Status == "suspended":
		ends = "1 = 1" // nobody reactivates them any more, and a key that was refused is never revived
	case len(revoke) > 0:
		var in string
		in, args = sqldb.Placeholders(7, revoke)
		ends = "id IN (" + in + ")"
	}
	rows, err := tx.Query(ctx, strings.ReplaceAll(settleKeys, "@ends", ends)+livingKeys+tx.Quiet()+" RETURNING id, name, revoked_at",
		append([]any{l.Organization, l.ID, tx.Micros(), permissionText(tx.Charter, l.principal.Holds), tx.Actor.ID, reason}, args...)...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	left, ended = []Named{}, []Named{}
	for rows.Next() {
		var key Named
		var revoked int64
		if err := rows.Scan(&key.ID, &key.Name, &revoked); err != nil {
			return nil, nil, err
		}
		if revoked != 0 {
			ended = append(ended, key)
		} else {
			left = append(left, key)
		}
	}
	sortNamed(left)
	sortNamed(ended)
	return left, ended, rows.Err()
}

// sortNamed puts things in the order in which they were made.
func sortNamed(all []Named) {
	slices.SortFunc(all, func(a, b Named) int { return cmp.Compare(a.ID, b.ID) })
}

// namedRows reads rows of an id and a name.
func namedRows(rows *sql.Rows, err error) ([]Named, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []Named{}
	for rows.Next() {
		var n Named
		if err := rows.Scan(&n.ID, &n.Name); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	sortNamed(all)
	return all, rows.Err()
}
