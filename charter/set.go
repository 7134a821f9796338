package charter

import "math/bits"

// MaxPermissions is how many permissions one charter may have, bundles not counted.
const MaxPermissions = 256

// Set is a set of permissions of one charter, one bit each; Info.Bit says which.
// It is a value: comparable with ==, free of pointers, and its zero value is empty.
// Sets of two charters have nothing to do with each other.
type Set [MaxPermissions / 64]uint64

// Has reports whether the bit is in the set; a bit outside 0 to 255, such as a bundle's -1, never is.
func (s Set) Has(bit int) bool {
	if bit < 0 || bit >= MaxPermissions {
		return false
	}
	return s[bit/64]&(1<<(bit%64)) != 0
}

// With returns the set and the bit; a bit outside 0 to 255 adds nothing.
func (s Set) With(bit int) Set {
	if bit < 0 || bit >= MaxPermissions {
		return s
	}
	s[bit/64] |= 1 << (bit % 64)
	return s
}

// Union returns what is in either set.
func (s Set) Union(t Set) Set {
	for i := range s {
		s[i] |= t[i]
	}
	return s
}

// Intersect returns what is in both sets.
func (s Set) Intersect(t Set) Set {
	for i := range s {
		s[i] &= t[i]
	}
	return s
}

// Minus returns what is in s and not in t.
func (s Set) Minus(t Set) Set {
	for i := range s {
		s[i] &^= t[i]
	}
	return s
}

// SubsetOf reports whether everything in s is in t; equal sets are subsets of each other.
func (s Set) SubsetOf(t Set) bool {
	return s.Minus(t).Empty()
}

// Empty reports whether nothing is in the set.
func (s Set) Empty() bool {
	return s == Set{}
}

// Len returns how many permissions are in the set.
func (s Set) Len() int {
	n := 0
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}
