// Package sheet makes texts safe for the programs that open CSV files.
package sheet

import "strings"

// Cell keeps a spreadsheet from taking a cell for a formula (OWASP, CSV injection; ASVS 1.2.10): one that begins as a
// formula does gets an apostrophe in front.
func Cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// Harmless makes every cell of a row safe, in place, and returns the row.
func Harmless(row []string) []string {
	for i := range row {
		row[i] = Cell(row[i])
	}
	return row
}
