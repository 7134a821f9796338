package charter_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/guildhall/guildhall/charter"
)

// bits draws some bits; model is the set that they make in plain Go.
var bits = rapid.SliceOfN(rapid.IntRange(0, charter.MaxPermissions-1), 0, 40)

func setOf(bits []int) (charter.Set, map[int]bool) {
	var s charter.Set
	model := map[int]bool{}
	for _, bit := range bits {
		s = s.With(bit)
		model[bit] = true
	}
	return s, model
}

// TestSetAlgebra compares every operation with the same one on maps, bit by bit.
func TestSetAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, inA := setOf(bits.Draw(t, "a"))
		b, inB := setOf(bits.Draw(t, "b"))
		subset := true
		for bit := range charter.MaxPermissions {
			for what, pair := range map[string][2]bool{
				"has":       {a.Has(bit), inA[bit]},
				"union":     {a.Union(b).Has(bit), inA[bit] || inB[bit]},
				"intersect": {a.Intersect(b).Has(bit), inA[bit] && inB[bit]},
				"minus":     {a.Minus(b).Has(bit), inA[bit] && !inB[bit]},
			} {
				if got, want := pair[0], pair[1]; got != want {
					t.Fatalf("%s: bit %d = %t, want %t", what, bit, got, want)
				}
			}
			subset = subset && (!inA[bit] || inB[bit])
		}
		if got := a.SubsetOf(b); got != subset {
			t.Fatalf("subset = %t, want %t", got, subset)
		}
		if a.Len() != len(inA) || a.Empty() != (len(inA) == 0) {
			t.Fatalf("len %d, empty %t, want %d bits", a.Len(), a.Empty(), len(inA))
		}
		if (a.SubsetOf(b) && b.SubsetOf(a)) != (a == b) {
			t.Fatal("subsets of each other are not equal")
		}
	})
}

func TestASetLeavesOutBitsThatNoPermissionHas(t *testing.T) {
	for _, bit := range []int{-1, -64, charter.MaxPermissions, 1 << 30} {
		if s := (charter.Set{}).With(bit); !s.Empty() || s.Has(bit) {
			t.Errorf("a set with bit %d = %v, want it empty", bit, s)
		}
	}
}

// TestABundleNeedsTheUnionOfItsParts holds for any tree of bundles over the product's permissions.
func TestABundleNeedsTheUnionOfItsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src, parts := bundles(t)
		c, err := charter.Parse("studio.yaml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		for bundle, includes := range parts {
			var want charter.Set
			for _, id := range includes {
				need, ok := c.Need(id)
				if !ok {
					t.Fatalf("%s is not in the charter", id)
				}
				want = want.Union(need)
			}
			if got, ok := c.Need(bundle); !ok || got != want || got.Empty() {
				t.Fatalf("%s needs %v, want %v", bundle, c.IDs(got), c.IDs(want))
			}
		}
	})
}

// bundles draws a charter with bundles b0.all, b1.all, ..., each of permissions and of bundles that may come later.
func bundles(t *rapid.T) (string, map[charter.Permission][]charter.Permission) {
	n := rapid.IntRange(1, 6).Draw(t, "bundles")
	parts := map[charter.Permission][]charter.Permission{}
	src := "product: Studio\nkey_prefix: stu\nroles:\n  guest: {title: Guest, grants: [organization.view]}\n" +
		"  owner: {title: Owner, grants: all}\npermissions:\n  files.view: View\n  files.edit: Edit\n"
	for i := range n {
		among := []charter.Permission{"files.view", "files.edit", "members.view", "keys.view", "logs.view"}
		for later := i + 1; later < n; later++ {
			among = append(among, bundleID(later))
		}
		includes := rapid.SliceOfNDistinct(rapid.SampledFrom(among), 1, 3, rapid.ID[charter.Permission]).Draw(t, "includes")
		parts[bundleID(i)] = includes
		src += "  " + string(bundleID(i)) + ": {title: Bundle, includes: ["
		for _, id := range slices.Backward(includes) {
			src += string(id) + ", "
		}
		src += "]}\n"
	}
	return src, parts
}

func bundleID(i int) charter.Permission {
	return charter.Permission("b" + string(rune('0'+i)) + ".all")
}
