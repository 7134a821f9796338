package credential_test

import (
	"strings"
	"testing"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/internal/secret"
)

// statistics makes 100,000 secrets as keys.create does. None comes twice, and over the characters of their random part
// but the first, which 256 bits do not fill, a chi-square of 61 degrees of freedom stays where it is but once in a million
// runs.
func statistics(t *testing.T) {
	const keys, symbols = 100_000, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	seen := make(map[secret.Hash]bool, keys)
	counts := make([]float64, len(symbols))
	total := 0.0
	for range keys {
		token := secret.New(nil, "gld", credential.KeyKind)
		if seen[token.Hash()] {
			t.Fatal("a key came twice")
		}
		seen[token.Hash()] = true
		body := strings.TrimPrefix(token.Reveal(), "gld_live_")
		for _, c := range body[2:43] {
			counts[strings.IndexRune(symbols, c)]++
			total++
		}
	}
	chi, want := 0.0, total/float64(len(symbols))
	for _, n := range counts {
		chi += (n - want) * (n - want) / want
	}
	if chi > 130 {
		t.Errorf("chi-square is %.1f, want at most 130", chi)
	}
}
