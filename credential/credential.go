// Package credential keeps what requests prove themselves with: the sessions of people and the service keys of the
// product's back end. Only hashes are stored; a secret is known once, to whoever it is made for.
package credential

import (
	"time"

	"github.com/guildhall/guildhall/op"
)

// Operations are the operations on sessions and service keys.
func Operations() []op.Any {
	return []op.Any{ListSessions, RevokeSession, RevokeSessions, CreateServiceKey, ListServiceKeys, RevokeServiceKey}
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
