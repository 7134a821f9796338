package access_test

import (
	"cmp"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/secret"
)

// keyRow is a key as the table keeps it, as far as tests vary it.
type keyRow struct {
	ID, Organization, Kind, Name string
	Creator, Member, Account     string
	Permissions                  []charter.Permission // nil: all
	Resources, Networks          string
	Expires                      int64
	Secret                       string
}

// Key makes a personal key of a member behind the back of the operations; change varies it.
func (h *hall) Key(organization string, p person, change func(*keyRow)) keyRow {
	h.T.Helper()
	token := secret.New(nil, "gld", credential.KeyKind)
	k := keyRow{ID: id.New("key", h.Now()), Organization: organization, Kind: "personal", Name: "CI", Creator: p.User, Member: p.Member,
		Permissions: h.Charter.IDs(h.Charter.All()), Secret: token.Reveal()}
	if change != nil {
		change(&k)
	}
	hash := token.Hash()
	h.Exec(`INSERT INTO api_keys (id, organization, kind, name, hash, prefix, last4, creator, member, service_account, permissions, resources,
			networks, frozen, left_at, rotated_from, rotated_to, created_at, expires_at, last_used_at, last_address, last_agent,
			revoked_at, revoked_by, revoked_reason, version, recovery_epoch)
		VALUES ($1, $2, $3, $4, $5, 'gld_live', 'last', $6, $7, $8, $9, $10, $11, '', 0, '', '', $12, $13, 0, '', '', 0, '', '', 1, 1)`,
		k.ID, k.Organization, k.Kind, k.Name, hash[:], k.Creator, k.Member, k.Account, spaced(k.Permissions), k.Resources, k.Networks,
		h.Now().UnixMicro(), k.Expires)
	return k
}

func spaced(permissions []charter.Permission) string {
	words := make([]string, len(permissions))
	for i, p := range permissions {
		words[i] = string(p)
	}
	return strings.Join(words, " ")
}

// tokenRow is a scoped token as the table keeps it, as far as tests vary it.
type tokenRow struct {
	ID, Organization, Name, Creator, Member string
	Session, Key, Parent                    string // a session or a key is its root
	Permissions                             []charter.Permission
	Resources, Networks                     string
	ReadOnly                                bool
	Budget                                  int64
	Expires                                 int64
	Secret                                  string
}

// Token makes a scoped token of somebody's session behind the back of the operations; change varies it.
func (h *hall) Token(organization string, p person, change func(*tokenRow)) tokenRow {
	h.T.Helper()
	token := secret.New(nil, "gld", credential.TokenKind)
	k := tokenRow{ID: id.New("tok", h.Now()), Organization: organization, Name: "agent", Creator: p.User, Member: p.Member, Session: p.Session,
		Permissions: h.Charter.IDs(h.Charter.All()), Secret: token.Reveal()}
	if change != nil {
		change(&k)
	}
	budgets := ""
	if k.Budget > 0 {
		budgets = k.ID
	}
	above := " "
	if k.Parent != "" {
		above = " " + k.Parent + " "
	}
	hash := token.Hash()
	h.Exec(`INSERT INTO scoped_tokens (id, organization, name, hash, prefix, last4, creator, member, session, api_key, parent, ancestors,
			permissions, resources, networks, read_only, budget, budgets, budget_used, created_at, expires_at, last_used_at,
			revoked_at, revoked_by, revoked_reason, recovery_epoch)
		VALUES ($1, $2, $3, $4, 'gld_tok', 'last', $5, $6, $7, $8, $17, $18, $9, $10, $11, $12, $13, $14, 0, $15, $16, 0, 0, '', '', 1)`,
		k.ID, k.Organization, k.Name, hash[:], k.Creator, k.Member, k.Session, k.Key, spaced(k.Permissions), k.Resources, k.Networks,
		k.ReadOnly, k.Budget, budgets, h.Now().UnixMicro(), cmp.Or(k.Expires, h.Now().Add(1000*time.Hour).UnixMicro()), k.Parent, above)
	return k
}
