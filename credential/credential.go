// Package credential keeps what requests prove themselves with: the sessions of people, API keys, the tokens derived
// from both, and the service keys of the product's back end. Only hashes are stored; a secret is known once, to whoever
// it is made for.
package credential

import (
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/guildhall/guildhall/op"
)

// Operations are the operations on sessions, keys, service accounts, scoped tokens and service keys.
func Operations() []op.Any {
	return []op.Any{
		ListSessions, RevokeSession, RevokeSessions,
		CreateKey, ListKeys, GetKey, UpdateKey, RotateKey, RevokeKey,
		CreateServiceAccount, ListServiceAccounts, UpdateServiceAccount, DeleteServiceAccount,
		CreateToken, ListTokens, RevokeToken,
		CreateServiceKey, ListServiceKeys, RotateServiceKey, RevokeServiceKey, DeleteServiceKey,
	}
}

// The kinds of the secrets of keys ("gld_live_...") and scoped tokens ("gld_tok_...").
const (
	KeyKind   = "live"
	TokenKind = "tok"
)

// timeOf reads a stored time; 0 is the zero time.
func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// sooner is the earlier of two ends; 0 is none.
func sooner(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// row is what one line of an answer is scanned from.
type row interface{ Scan(...any) error }

// found is the error of a scan, ErrNotFound for none.
func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return op.ErrNotFound
	}
	return err
}

// checkName says what is wrong with a name: people have to be able to read it on one line.
func checkName(name string) []op.FieldError {
	if name = strings.TrimSpace(name); name == "" || printable(name, len(name)) != name {
		return []op.FieldError{{Pointer: "/name", Code: "invalid", Detail: "name needs letters that can be seen, on one line"}}
	}
	return nil
}
