package signin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/guildhall/guildhall/op"
)

// howManyCodes is how many recovery codes a person gets.
const howManyCodes = 10

// recoveryAlphabet has no characters that are taken for another: 32 of them, so each is five bits.
const recoveryAlphabet = "23456789abcdefghjkmnpqrstuvwxyz0"

// newRecoveryCode makes a code of 50 random bits: "7k2mq-x4t9c".
func newRecoveryCode() string {
	random := make([]byte, 10)
	rand.Read(random) // never fails
	for i, b := range random {
		random[i] = recoveryAlphabet[b%32]
	}
	return string(random[:5]) + "-" + string(random[5:])
}

// plain is a code without what people put between its characters.
func plain(code string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(code))
}

// newRecoveryCodes makes recovery codes for the actor, who has none.
func newRecoveryCodes(ctx context.Context, tx *op.Tx) (RecoveryCodes, error) {
	out := RecoveryCodes{SecretShown: true}
	var rows []string
	args := []any{tx.Actor.User, tx.Micros()}
	for range howManyCodes {
		code := newRecoveryCode()
		out.Codes = append(out.Codes, code)
		args = append(args, tx.NewID("rcv"), recoveryMAC(tx.Reader, tx.Actor.User, plain(code)))
		rows = append(rows, fmt.Sprintf("($%d, $1, $%d, 0, $2)", len(args)-1, len(args)))
	}
	tx.Changed("recovery_codes", nil, howManyCodes)
	_, err := tx.Exec(ctx, "INSERT INTO recovery_codes (id, user_id, hash, used_at, created_at) VALUES "+strings.Join(rows, ", "), args...)
	return out, err
}

// recoveryMAC is what is stored of a recovery code: keyed with a secret of the instance that stays when its ring is
// rotated, and bound to its person.
func recoveryMAC(r *op.Reader, user, code string) []byte {
	h := hmac.New(sha256.New, r.Secrets.Derive("recovery code"))
	h.Write([]byte(user + "\x00" + code))
	return h.Sum(nil)
}

// recover takes a recovery code: once. It is mailed, since whoever uses one has lost their app, or is somebody else.
func (t totpRow) recover(ctx context.Context, tx *op.Tx, email, code string) error {
	n, err := tx.Exec(ctx, "UPDATE recovery_codes SET used_at = $3 WHERE user_id = $1 AND hash = $2 AND used_at = 0",
		t.user, recoveryMAC(tx.Reader, t.user, code), tx.Micros())
	if err != nil {
		return err
	}
	if n != 1 {
		return wrongCode("the recovery code is wrong, or was used")
	}
	tx.Changed("recovery_codes_left", t.codesLeft, t.codesLeft-1)
	return noticeLetter(tx, "A recovery code was used at "+tx.Charter.Product,
		fmt.Sprintf("One of your recovery codes was used in place of your authenticator app. You have %d left.", t.codesLeft-1)).send(tx, email)
}
