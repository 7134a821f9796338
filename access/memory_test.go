package access_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/access"
)

// T-009: keys are fixed words made of each name with its length, so names with delimiters in them cannot meet.
func TestTwoNamesNeverShareAKey(t *testing.T) {
	names := []string{"", "a", "b", "a\x00", "\x00a", "ab", "a:b", ":", "a|b", "|", "a/b"}
	for _, length := range []int{46, 47, 48, 49, 64, 255, 256} { // about where names become hashes
		names = append(names, strings.Repeat("a", length), strings.Repeat("a", length-1)+"b", strings.Repeat("\x00", length))
	}
	for _, a := range names {
		for _, b := range names {
			for _, c := range names {
				for _, d := range names {
					if same := access.SeatKey(a, b) == access.SeatKey(c, d); same != (a == c && b == d) {
						t.Fatalf("(%q, %q) and (%q, %q) share a key", a, b, c, d)
					}
				}
			}
		}
	}
}

// FuzzKeysAreInjective looks for two pairs of names with one key. T-009
func FuzzKeysAreInjective(f *testing.F) {
	f.Add("acme", "bob", "acm", "ebob")
	f.Add("a\x00", "b", "a", "\x00b")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		if same := access.SeatKey(a, b) == access.SeatKey(c, d); same != (a == c && b == d) {
			t.Errorf("(%q, %q) and (%q, %q) share a key", a, b, c, d)
		}
	})
}

func TestTheBulkHasNoPointers(t *testing.T) {
	for _, kept := range access.Kept() {
		if at := pointerIn(kept); at != "" {
			t.Errorf("%s: %s is a pointer, and the garbage collector looks into every record for it", kept, at)
		}
		if kept.Size()%8 != 0 || kept.Size() > 0 && kept.Align() != 8 {
			t.Errorf("%s has %d bytes at multiples of %d: it is not made of words", kept, kept.Size(), kept.Align())
		}
	}
	if pointerIn(reflect.TypeFor[struct{ A [2]struct{ B string } }]()) == "" {
		t.Error("a string in an array is not noticed")
	}
}

func pointerIn(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Array:
		if t.Len() == 0 {
			return ""
		}
		return pointerIn(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if at := pointerIn(t.Field(i).Type); at != "" {
				return t.Field(i).Name + " " + at
			}
		}
		return ""
	case reflect.Pointer, reflect.String, reflect.Slice, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return t.String()
	}
	return ""
}

// TestATableIsAMap does the same with a table and with a map, many times, and compares.
func TestATableIsAMap(t *testing.T) {
	const limit = 700
	random := rand.New(rand.NewPCG(1, 2))
	table, want := access.NewTable(limit), map[uint64]uint64{}
	for i := range 200_000 {
		k := random.Uint64N(limit)
		switch random.IntN(4) {
		case 0, 1:
			table.Put(k, uint64(i))
			want[k] = uint64(i)
		case 2:
			table.Remove(k)
			delete(want, k)
		}
		k = random.Uint64N(limit)
		got, ok := table.Get(k)
		if value, there := want[k]; ok != there || ok && got != value {
			t.Fatalf("after %d steps %d is %d, %v; want %d, %v", i, k, got, ok, value, there)
		}
		if table.Len() != len(want) {
			t.Fatalf("after %d steps %d records, want %d", i, table.Len(), len(want))
		}
		if i%20_000 == 19_999 {
			table.Clear()
			clear(want)
		}
	}
}

// TestAReaderSeesWholeRecords reads while records change places all the time: what is found is the key's, and whole.
func TestAReaderSeesWholeRecords(t *testing.T) {
	const limit, keys = 50, 80
	table := access.NewTable(limit)
	done := make(chan error)
	writing := make(chan struct{})
	for range 3 {
		go func() {
			found := 0
			for i := uint64(0); ; i++ {
				got, ok := table.Get(i % keys)
				if ok {
					found++
				}
				if ok && got%keys != i%keys {
					done <- fmt.Errorf("%d has a record of %d", i%keys, got%keys)
					return
				}
				select {
				case <-writing:
					if found == 0 {
						done <- fmt.Errorf("nothing was found in %d readings", i)
					} else {
						done <- nil
					}
					return
				default:
				}
			}
		}()
	}
	for i := range uint64(100_000) {
		if table.Put(i%keys, i%keys+keys*(i/keys)); i%3 == 0 {
			table.Remove((i * 7) % keys)
		}
	}
	close(writing)
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
