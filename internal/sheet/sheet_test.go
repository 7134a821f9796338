package sheet_test

import (
	"testing"

	"github.com/guildhall/guildhall/internal/sheet"
)

// T-094: no cell begins as a formula does.
func TestACellIsNoFormula(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "Ada": "Ada", "a=b": "a=b", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)",
		"\t=1": "'\t=1", "\r=1": "'\r=1", `=HYPERLINK("http://x")`: `'=HYPERLINK("http://x")`,
	} {
		if got := sheet.Cell(cell); got != want {
			t.Errorf("%q becomes %q, want %q", cell, got, want)
		}
	}
}
