package governance

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/guildhall/guildhall/decide"
)

// livingKey is a key that works, as findings see one.
type livingKey struct {
	id, name, account            string
	creator, email               string // of the person who made it; both empty: nobody in particular
	created, expires, used, left int64
}

func (k livingKey) subject() Subject { return Subject{Type: "key", ID: k.id, Name: k.name} }

// readKeys reads the keys that work: those that are refused are no risk.
func (l *look) readKeys(ctx context.Context) ([]livingKey, error) {
	rows, err := l.Query(ctx, `SELECT k.id, k.name, k.service_account, COALESCE(u.name, ''), COALESCE(u.email, ''), k.created_at, k.expires_at,
			k.last_used_at, k.left_at
		FROM api_keys k JOIN instance i ON i.recovery_epoch = k.recovery_epoch LEFT JOIN users u ON u.id = k.creator
		LEFT JOIN members m ON m.organization = k.organization AND m.id = k.member
		WHERE k.organization = $1 AND k.revoked_at = 0 AND (k.expires_at = 0 OR k.expires_at > $2)
			AND (k.left_at <> 0 OR m.id IS NULL OR m.status <> 'removed') ORDER BY k.id LIMIT $3`, l.Organization(), l.Micros(), mostLooked)
	return rowsOf(rows, err, func(rows *sql.Rows) (k livingKey, err error) {
		err = rows.Scan(&k.id, &k.name, &k.account, &k.creator, &k.email, &k.created, &k.expires, &k.used, &k.left)
		return k, err
	})
}

// atKeys finds keys that were left behind, that nobody uses, that never end, or that do not say whose they are. Of a
// key that was left behind it is enough to say that.
func (l *look) atKeys(ctx context.Context) error {
	keys, err := l.readKeys(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.left != 0 {
			l.add(LeftKey, k.subject(), k.left, fmt.Sprintf("Key %s was left behind by %s %s, and still works", k.name, nameOf(k.creator, k.email), l.ago(k.left)),
				l.revoke(k))
			continue
		}
		if seen := cmp.Or(k.used, k.created); l.before(seen, UnusedAfter) {
			l.add(UnusedKey, k.subject(), seen, l.unusedKeyText(k), l.revoke(k))
		}
		if k.expires == 0 {
			ends := l.Now.Add(KeyLife).Truncate(time.Second).UTC()
			l.add(UnexpiringKey, k.subject(), k.created, fmt.Sprintf("Key %s never ends", k.name), remedy("keys.update",
				fmt.Sprintf("Let it end on %s", ends.Format("2 Jan 2006")), map[string]string{"key": k.id, "expires_at": ends.Format(time.RFC3339)}, l.May("keys.revoke")))
		}
		if l.namesNobody(k) {
			name := l.namedAfter(k)
			l.add(UnnamedKey, k.subject(), k.created, fmt.Sprintf("Key %s does not say whose it is: %s made it", k.name, k.creator),
				remedy("keys.update", "Call it "+name, map[string]string{"key": k.id, "name": name}, l.May("keys.rename")))
		}
	}
	return nil
}

func (l *look) unusedKeyText(k livingKey) string {
	if k.used == 0 {
		return fmt.Sprintf("Key %s was made %s and never used", k.name, l.ago(k.created))
	}
	return fmt.Sprintf("Key %s was last used %s", k.name, l.ago(k.used))
}

func (l *look) revoke(k livingKey) *Remedy {
	return remedy("keys.revoke", "Revoke "+k.name, map[string]string{"key": k.id}, l.May("keys.revoke"))
}

// namesNobody reports whether the charter wants a key's name to name its owner, and this one does not. A service
// account's key is the account's.
func (l *look) namesNobody(k livingKey) bool {
	return strings.Contains(l.Charter.Rules.Keys.NameTemplate, "{person}") && k.account == "" && k.creator != "" &&
		!strings.Contains(strings.ToLower(k.name), strings.ToLower(k.creator))
}

// namedAfter is a key's name in the charter's form, at most as long as names are.
func (l *look) namedAfter(k livingKey) string {
	name := []rune(strings.NewReplacer("{person}", k.creator, "{purpose}", k.name).Replace(l.Charter.Rules.Keys.NameTemplate))
	return strings.TrimSpace(string(name[:min(len(name), 100)]))
}

// atAccounts finds service accounts that nobody looks after.
func (l *look) atAccounts(ctx context.Context) error {
	if err := l.readRoles(ctx); err != nil {
		return err
	}
	type account struct {
		id, name, role string
		created        int64
	}
	rows, err := l.Query(ctx, `SELECT a.id, a.name, a.role, a.created_at FROM service_accounts a
		LEFT JOIN members m ON m.organization = a.organization AND m.id = a.manager AND m.status = 'active'
		WHERE a.organization = $1 AND a.deleted_at = 0 AND m.id IS NULL ORDER BY a.id LIMIT $2`, l.Organization(), mostLooked)
	all, err := rowsOf(rows, err, func(rows *sql.Rows) (a account, err error) {
		err = rows.Scan(&a.id, &a.name, &a.role, &a.created)
		return a, err
	})
	for _, a := range all {
		l.add(UnmanagedAccount, Subject{Type: "service_account", ID: a.id, Name: a.name}, 0,
			fmt.Sprintf("Nobody looks after the service account %s", a.name), l.adopt(a.id, a.name, a.role))
	}
	return err
}

// adopt proposes that the caller looks after a service account. A caller who is no member cannot.
func (l *look) adopt(id, name, role string) *Remedy {
	self := l.Actor.Principal.Member
	if self == "" {
		return nil
	}
	held := l.role(role)
	return remedy("service_accounts.update", fmt.Sprintf("Look after %s yourself", name), map[string]string{"service_account": id, "manager": self},
		l.May("service_accounts.manage"), decide.ActOn(&l.Actor.Principal, &decide.Principal{Holds: held.Holds}),
		decide.Grant(l.Charter, &l.Actor.Principal, held))
}
