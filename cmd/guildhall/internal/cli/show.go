package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/guildhall/guildhall/op"
)

// member is one name of a JSON object; objects are read in their order.
type member struct {
	name  string
	value jsontext.Value
}

// show prints an output: JSON for programs, a table for people at a terminal.
func (a *app) show(w io.Writer, c *command, output any) error {
	raw, err := json.Marshal(output, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	members, err := membersOf(raw)
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	if a.globals.JSON || !a.Terminal(w) {
		if a.globals.Fields != "" {
			raw, err = pick(members, strings.Split(a.globals.Fields, ","))
		}
		return errors.Join(err, showJSON(w, raw))
	}
	if data, ok := find(members, "data"); ok && data.Kind() == '[' {
		return a.showList(w, hiddenColumns(c.info.Out), members, data)
	}
	showOne(w, members)
	return nil
}

// showJSON prints JSON, indented.
func showJSON(w io.Writer, raw []byte) error {
	value := jsontext.Value(raw)
	if err := value.Indent(jsontext.WithIndent("  ")); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	_, err := fmt.Fprintf(w, "%s\n", value)
	return err
}

// pick is an output with only some of its fields; of a list, its items with only those.
func pick(members []member, fields []string) ([]byte, error) {
	data, ok := find(members, "data")
	if !ok || data.Kind() != '[' {
		return json.Marshal(only(members, fields), json.Deterministic(true))
	}
	var items []jsontext.Value
	if err := json.Unmarshal(data, &items); err != nil {
		return nil, err
	}
	picked := make([]map[string]jsontext.Value, len(items))
	for i, item := range items {
		of, err := membersOf(item)
		if err != nil {
			return nil, err
		}
		picked[i] = only(of, fields)
	}
	return json.Marshal(picked, json.Deterministic(true))
}

func only(members []member, fields []string) map[string]jsontext.Value {
	kept := map[string]jsontext.Value{}
	for _, m := range members {
		if slices.Contains(fields, m.name) {
			kept[m.name] = m.value
		}
	}
	return kept
}

func find(members []member, name string) (jsontext.Value, bool) {
	for _, m := range members {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// membersOf reads an object's members in their order.
func membersOf(raw []byte) ([]member, error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil, fmt.Errorf("no JSON object")
	}
	var members []member
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		m := member{name: name.String()}
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		m.value = slices.Clone(value)
		members = append(members, m)
	}
	return members, nil
}

// hiddenColumns are the fields of a list's items that say cli:"-": ids and details that people seldom read in a table.
func hiddenColumns(out reflect.Type) []string {
	data, ok := out.FieldByName("Data")
	if !ok || data.Type.Kind() != reflect.Slice || data.Type.Elem().Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for _, f := range reflect.VisibleFields(data.Type.Elem()) {
		if f.Tag.Get("cli") == "-" {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
}

// showList prints one row for each item: the fields that have one value each, and lists of words, but for the hidden
// ones and those that are empty in every row.
func (a *app) showList(w io.Writer, hidden []string, members []member, data jsontext.Value) error {
	var items []jsontext.Value
	if err := json.Unmarshal(data, &items); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	rows := make([][]member, len(items))
	var columns []string
	for i, item := range items {
		row, err := membersOf(item)
		if err != nil {
			return fmt.Errorf("output: %w", err)
		}
		rows[i] = row
		for _, m := range row {
			if simple(m.value) && cell(m.value) != "" && !slices.Contains(columns, m.name) && !slices.Contains(hidden, m.name) {
				columns = append(columns, m.name)
			}
		}
	}
	if len(rows) == 0 {
		a.note("none")
		return nil
	}
	printRows(w, columns, rows)
	if cursor, ok := find(members, "next_cursor"); ok {
		a.note("there are more: --cursor %s", cell(cursor))
	}
	return nil
}

func printRows(w io.Writer, columns []string, rows [][]member) {
	t := newTable(w)
	head := table.Row{}
	for _, name := range columns {
		head = append(head, strings.ToUpper(strings.ReplaceAll(name, "_", " ")))
	}
	t.AppendHeader(head)
	for _, row := range rows {
		cells := table.Row{}
		for _, name := range columns {
			value, _ := find(row, name)
			cells = append(cells, brief(cell(value)))
		}
		t.AppendRow(cells)
	}
	t.Render()
}

// brief is a cell of a list: a time to the minute, as a table needs no more.
func brief(text string) string {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at.Format("2006-01-02 15:04")
	}
	return text
}

// newTable is a table without lines, as other commands print theirs.
func newTable(w io.Writer) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	return t
}

// showOne prints a line for each field.
func showOne(w io.Writer, members []member) {
	t := newTable(w)
	for _, m := range members {
		t.AppendRow(table.Row{m.name, cell(m.value)})
	}
	t.Render()
}

// simple reports whether a value fits into a cell.
func simple(value jsontext.Value) bool {
	return value.Kind() != '{' && (value.Kind() != '[' || words(value) != nil)
}

// words is a list of texts; nil for any other list.
func words(value jsontext.Value) []string {
	var all []string
	if json.Unmarshal(value, &all) != nil {
		return nil
	}
	return all
}

// cell is a value as people read it. What could steer a terminal is shown and not obeyed: T-094.
func cell(value jsontext.Value) string {
	var text string
	switch value.Kind() {
	case 0, 'n':
		return ""
	case '"':
		if json.Unmarshal(value, &text) != nil {
			return ""
		}
		return Printable(text)
	case 't':
		return "yes"
	case 'f':
		return "no"
	case '[':
		if list := words(value); list != nil {
			return Printable(strings.Join(list, ", "))
		}
	}
	return Printable(string(value))
}

// Printable is text of somebody else's as a terminal may have it: what would steer it is replaced.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// failed tells an error and gives its exit code; nil is success.
func (a *app) failed(ctx context.Context, r op.Request, err error) int {
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil {
		fmt.Fprintln(a.Stderr, "guildhall: cancelled")
		return exitCancelled
	}
	e := op.AsError(err)
	fmt.Fprintf(a.Stderr, "guildhall: %s\n", Printable(e.Text))
	for _, line := range explanation(e, r.Caller.RequestID) {
		fmt.Fprintf(a.Stderr, "  %s\n", Printable(line))
	}
	return e.Kind.Exit()
}

// explanation is what helps to mend an error, a line each.
func explanation(e *op.Error, ownID string) []string {
	var lines []string
	for _, f := range e.Fields {
		if name := strings.TrimPrefix(f.Pointer, "/"); f.Detail != e.Text || !strings.Contains(e.Text, name) {
			lines = append(lines, name+": "+f.Detail)
		}
	}
	if e.Needs != "" {
		lines = append(lines, "needs "+string(e.Needs))
	}
	for _, h := range e.Holders {
		lines = append(lines, fmt.Sprintf("ask %s (%s)", h.Name, h.Role))
	}
	for name, id := range e.Refers {
		lines = append(lines, name+": "+id)
	}
	slices.Sort(lines[len(lines)-len(e.Refers):])
	if e.RetryAfter > 0 {
		lines = append(lines, "try again in "+e.RetryAfter.String())
	}
	if e.Kind == op.Unauthenticated {
		lines = append(lines, "set GUILDHALL_TOKEN, or name a file with --token-file")
	}
	for _, fact := range []struct{ name, value string }{{"mend it: ", e.FixURL}, {"about: ", e.Docs}, {"request: ", e.RequestID}} {
		if fact.value == "" && fact.name == "request: " {
			fact.value = ownID
		}
		if fact.value != "" {
			lines = append(lines, fact.name+fact.value)
		}
	}
	return lines
}
