package access

import "testing"

// TestEveryWordOfAHashIsCompared: a record is found by the SHA-256 of the whole credential, and all words of it are
// looked at whichever differs first, so neither the answer nor its way tells how much of a guess was right. T-045
func TestEveryWordOfAHashIsCompared(t *testing.T) {
	table := newTable[hashKey, life](16, func(uint32) {})
	kept := hashKey{0x0123456789abcdef, 0xfedcba9876543210, 1, 1 << 63}
	value := life{expires: 7}
	table.put(kept, &value, nil)
	_, words := table.record(0)
	if !sameKey(words[1:], kept) {
		t.Fatal("a key is not the same as itself")
	}
	for word := range kept {
		for bit := range 64 {
			guess := kept
			guess[word] ^= 1 << bit
			if sameKey(words[1:], guess) {
				t.Errorf("a key that differs in bit %d of word %d is taken for the other", bit, word)
			}
			if _, found := table.get(guess, &life{}); found {
				t.Errorf("a key that differs in bit %d of word %d is found", bit, word)
			}
		}
	}
	if _, found := table.get(kept, &value); !found || value.expires != 7 {
		t.Errorf("the key itself: found %v, %+v", found, value)
	}
}
