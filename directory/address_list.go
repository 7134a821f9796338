package directory

import (
	"encoding/csv"
	"slices"
	"strings"
)

// MaxAddresses is how many addresses one pasted list may have.
const MaxAddresses = 500

// ParsedLine is one entry of a pasted list.
type ParsedLine struct {
	Line      int     // where it stands, from 1
	Text      string  // the entry as pasted, without spaces around it
	Address   Address // empty with an Err
	Err       error   // what is wrong with it
	Duplicate bool    // an earlier entry has the same address
}

// ParseAddresses reads a pasted list in whatever form: addresses between commas, semicolons, spaces or lines, entries
// such as "Name <mail>", rows of a spreadsheet, or CSV whose header names a column of addresses. The order stays, and
// what cannot be read is an entry too. It stops after MaxAddresses+1 entries: a longer answer is too long a list.
func ParseAddresses(text string) []ParsedLine {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n").Replace(text)
	if entries, ok := fromCSV(text); ok {
		return parseEntries(entries)
	}
	var entries []entry
	for i, line := range strings.Split(text, "\n") {
		for _, piece := range pieces(line) {
			entries = append(entries, entry{line: i + 1, text: piece})
		}
		if len(entries) > MaxAddresses {
			break
		}
	}
	return parseEntries(entries)
}

// entry is one entry of a list before it is read.
type entry struct {
	line int
	text string
	name string // from another column
}

func parseEntries(entries []entry) []ParsedLine {
	if len(entries) > MaxAddresses+1 {
		entries = entries[:MaxAddresses+1]
	}
	seen := map[string]bool{}
	parsed := make([]ParsedLine, 0, len(entries))
	for _, e := range entries {
		p := ParsedLine{Line: e.line, Text: e.text}
		p.Address, p.Err = ParseAddress(strings.TrimPrefix(e.text, "mailto:"))
		if p.Err == nil {
			if p.Address.Name == "" {
				p.Address.Name = cleanName(e.name)
			}
			p.Duplicate = seen[p.Address.Folded]
			seen[p.Address.Folded] = true
		}
		parsed = append(parsed, p)
	}
	return parsed
}

// pieces takes one line apart.
func pieces(line string) []string {
	if columns := strings.Split(line, "\t"); len(columns) > 1 && strings.Count(line, "@") == 1 {
		return []string{fromColumns(columns)}
	}
	var all []string
	for _, part := range splitOutside(line, ";\t") {
		if strings.Count(part, "@") == 1 && strings.HasSuffix(part, ">") {
			all = append(all, part) // "Doe, Ann <ann@acme.test>"
			continue
		}
		for _, piece := range splitOutside(part, ",") {
			all = append(all, bySpaces(piece)...)
		}
	}
	return all
}

// fromColumns makes "Name <mail>" of a spreadsheet's row with one address in it.
func fromColumns(columns []string) string {
	var name []string
	address := ""
	for _, column := range columns {
		column = strings.TrimSpace(column)
		if strings.Contains(column, "@") {
			address = column
		} else if column != "" {
			name = append(name, column)
		}
	}
	if len(name) == 0 || strings.Contains(address, "<") {
		return address
	}
	return strings.Join(name, " ") + " <" + address + ">"
}

// splitOutside cuts s at separators that stand neither in quotes nor in angle brackets, and drops what is empty.
func splitOutside(s, separators string) []string {
	var parts []string
	start, inQuotes, inAngle := 0, false, false
	cut := func(end int) {
		if part := strings.TrimSpace(s[start:end]); part != "" {
			parts = append(parts, part)
		}
		start = end + 1
	}
	balanced := strings.Count(s, `"`)%2 == 0 // a lone quote does not swallow the rest of the line
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' && balanced:
			inQuotes = !inQuotes
		case inQuotes:
		case c == '<':
			inAngle = true
		case c == '>':
			inAngle = false
		case !inAngle && strings.IndexByte(separators, c) >= 0:
			cut(i)
		}
	}
	cut(len(s))
	return parts
}

// bySpaces cuts a piece that is nothing but addresses between spaces.
func bySpaces(piece string) []string {
	fields := strings.Fields(piece)
	lacksAt := func(field string) bool { return !strings.Contains(field, "@") }
	if len(fields) < 2 || strings.ContainsAny(piece, `<>"`) || slices.ContainsFunc(fields, lacksAt) {
		return []string{piece}
	}
	return fields
}

// headers are what a column of addresses is called.
var headers = []string{"email", "e-mail", "mail", "email address", "e-mail address", "email_address", "emailaddress"}

// fromCSV reads CSV whose first line is a header with a column of addresses.
func fromCSV(text string) (entries []entry, ok bool) {
	trimmed := strings.TrimLeft(text, "\n \t")
	header, _, _ := strings.Cut(trimmed, "\n")
	comma := separatorOf(header)
	if strings.Contains(header, "@") || !slices.ContainsFunc(splitOutside(header, string(comma)), isHeader) {
		return nil, false
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.TrimLeadingSpace = comma, -1, true, comma != '\t'
	columns, err := r.Read()
	if err != nil {
		return nil, false
	}
	at := slices.IndexFunc(columns, isHeader)
	for len(entries) <= MaxAddresses {
		row, err := r.Read()
		if err != nil {
			break // the end: with lazy quotes nothing else stops it
		}
		line, _ := r.FieldPos(0)
		if at < 0 || at >= len(row) {
			entries = append(entries, entry{line: line, text: strings.TrimSpace(strings.Join(row, string(comma)))})
			continue
		}
		entries = append(entries, entry{line: line, text: strings.TrimSpace(row[at]), name: nameOf(columns, row)})
	}
	return entries, true
}

func isHeader(column string) bool {
	return slices.Contains(headers, strings.ToLower(strings.Trim(column, ` "`)))
}

// separatorOf is the character between a header's columns.
func separatorOf(header string) rune {
	for _, separator := range "\t;" {
		if strings.ContainsRune(header, separator) {
			return separator
		}
	}
	return ','
}

// nameOf puts together what the row's columns say of a name.
func nameOf(columns, row []string) string {
	var name []string
	for i, column := range columns {
		switch strings.ToLower(strings.TrimSpace(column)) {
		case "name", "full name", "first name", "last name", "firstname", "lastname", "first_name", "last_name":
			if i < len(row) {
				name = append(name, row[i])
			}
		}
	}
	return strings.Join(name, " ")
}
