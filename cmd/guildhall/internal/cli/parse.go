package cli

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/op"
)

// globalFlag is a flag that every command has. One with both targets is a fact that may have a value.
type globalFlag struct {
	name, short, value, doc string
	text                    func(*Globals) *string
	fact                    func(*Globals) *bool
}

// globalFlags are the flags of every command, in the order of help.
var globalFlags = []globalFlag{
	{name: "server", value: "URL", doc: "The server to call (GUILDHALL_SERVER), with the credential in GUILDHALL_TOKEN", text: func(g *Globals) *string { return &g.Server }},
	{name: "data", value: "DIR", doc: "The data folder of a server on this machine (GUILDHALL_DATA): you are then its operator", text: func(g *Globals) *string { return &g.Data }},
	{name: "org", value: "NAME", doc: "The organization, by id or slug (GUILDHALL_ORG)", text: func(g *Globals) *string { return &g.Organization }},
	{name: "token-file", value: "FILE", doc: "Read the credential from a file's first line; - is standard input", text: func(g *Globals) *string { return &g.TokenFile }},
	{name: "token-stdin", doc: "Read the credential from standard input", fact: func(g *Globals) *bool { return &g.TokenStdin }},
	{name: "json", value: "FIELDS", doc: "Print JSON, as it does in a pipe; --json=id,name prints those fields only", text: func(g *Globals) *string { return &g.Fields },
		fact: func(g *Globals) *bool { return &g.JSON }},
	{name: "yes", short: "y", doc: "Do it without asking", fact: func(g *Globals) *bool { return &g.Yes }},
	{name: "confirm", value: "NAME", doc: "What is meant, once more, for what cannot be undone", text: func(g *Globals) *string { return &g.Confirm }},
	{name: "dry-run", doc: "Only say what would happen", fact: func(g *Globals) *bool { return &g.DryRun }},
	{name: "exit-status", doc: "Exit 5 if the answer is no", fact: func(g *Globals) *bool { return &g.ExitStatus }},
	{name: "if-match", value: "ETAG", doc: "Only if it still has this version", text: func(g *Globals) *string { return &g.IfMatch }},
	{name: "idempotency-key", value: "KEY", doc: "A repeat with the same key within 24 hours does nothing twice", text: func(g *Globals) *string { return &g.IdempotencyKey }},
	{name: "no-input", doc: "Never ask", fact: func(g *Globals) *bool { return &g.NoInput }},
	{name: "quiet", short: "q", doc: "No remarks beside the data", fact: func(g *Globals) *bool { return &g.Quiet }},
	{name: "help", short: "h", doc: "Help for the command", fact: func(g *Globals) *bool { return &g.Help }},
}

// values is an input as far as it is read, by field.
type values map[string]any

// parse reads the arguments of a command into its input, and the global flags into a.globals. The grammar is small and
// comes from the table: --name VALUE, --name=VALUE, --fact, --no-fact, positional ones anywhere, -- before those that
// begin with a hyphen.
func (a *app) parse(c *command, args []string) (values, error) {
	in, positional := values{}, []string{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			positional = append(positional, args...)
			args = nil
		case strings.HasPrefix(arg, "-") && arg != "-":
			var err error
			if args, err = a.flag(c, in, arg, args); err != nil {
				return nil, err
			}
		default:
			positional = append(positional, arg)
		}
	}
	if err := a.place(c, in, positional); err != nil {
		return nil, err
	}
	return in, a.complete(c, in)
}

// flag reads one flag, and its value from the arguments after it, which it gives back.
func (a *app) flag(c *command, in values, arg string, rest []string) ([]string, error) {
	name, value, said := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	name = dashed(name)
	next := func() (string, error) {
		if said {
			return value, nil
		}
		if len(rest) == 0 {
			return "", fmt.Errorf("--%s needs a value", name)
		}
		value, rest = rest[0], rest[1:]
		return value, nil
	}
	for _, g := range globalFlags {
		if g.name == name || g.short == name && !strings.HasPrefix(arg, "--") {
			return a.globalFlag(g, said, next, &rest)
		}
	}
	for _, f := range c.flags {
		if f.schema.Type == huma.TypeBoolean && (name == f.flag || name == "no-"+f.flag) {
			return rest, in.setFact(f, name == f.flag, said, value)
		}
		if name == f.flag {
			text, err := next()
			if err != nil {
				return nil, err
			}
			return rest, a.set(in, f, text)
		}
	}
	return nil, fmt.Errorf("unknown flag --%s%s", name, suggestion(name, c.flagNames()))
}

func (a *app) globalFlag(g globalFlag, said bool, next func() (string, error), rest *[]string) ([]string, error) {
	if g.fact != nil {
		if said && g.text == nil {
			return nil, fmt.Errorf("--%s takes no value", g.name)
		}
		if *g.fact(&a.globals) = true; !said {
			return *rest, nil
		}
	}
	value, err := next()
	if err != nil {
		return nil, err
	}
	*g.text(&a.globals) = value
	return *rest, nil
}

func (c *command) flagNames() []string {
	var names []string
	for _, f := range c.flags {
		names = append(names, f.flag)
	}
	for _, g := range globalFlags {
		names = append(names, g.name)
	}
	return names
}

func (in values) setFact(f *field, fact, said bool, value string) error {
	if said {
		told, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("--%s is true or false, not %q", f.flag, value)
		}
		fact = fact == told
	}
	in[f.name] = fact
	return nil
}

// place puts positional arguments where they belong: to the positional fields that no flag said, in order. If there are
// fewer arguments than fields, those that may be left out are.
func (a *app) place(c *command, in values, positional []string) error {
	var open []*field
	for _, f := range c.positional {
		if _, said := in[f.name]; !said {
			open = append(open, f)
		}
	}
	spare := len(open) - len(positional)
	for _, f := range open {
		if len(positional) == 0 {
			break
		}
		if !f.required && spare > 0 {
			spare--
			continue
		}
		if err := a.set(in, f, positional[0]); err != nil {
			return err
		}
		positional = positional[1:]
	}
	if len(positional) > 0 {
		return fmt.Errorf("%q is one argument too many", positional[0])
	}
	return nil
}

// complete adds the organization, and finds what is missing.
func (a *app) complete(c *command, in values) error {
	if name := cmp.Or(a.globals.Organization, a.Env("GUILDHALL_ORG")); c.inOrg && name != "" {
		in[organization] = name
	}
	for _, f := range c.flags {
		if _, said := in[f.name]; said || !f.required {
			continue
		}
		if c.isPositional(f) {
			return fmt.Errorf("<%s> is missing: %s", f.flag, f.doc)
		}
		return fmt.Errorf("--%s is missing: %s", f.flag, f.doc)
	}
	return a.fits(c)
}

// fits refuses global flags that the command cannot obey.
func (a *app) fits(c *command) error {
	if a.globals.DryRun && !c.info.DryRun {
		return fmt.Errorf("%s %s has no --dry-run", c.noun, c.verb)
	}
	if a.globals.ExitStatus && !c.answers() {
		return fmt.Errorf("%s %s has no --exit-status: it answers neither yes nor no", c.noun, c.verb)
	}
	if a.globals.Fields == "" {
		return nil
	}
	known := c.shown()
	for _, name := range strings.Split(a.globals.Fields, ",") {
		if !slices.Contains(known, name) {
			return fmt.Errorf("--json: there is no field %q%s; it has %s", name, suggestion(name, known), strings.Join(known, ", "))
		}
	}
	return nil
}

// set reads a text as a field's value. A hyphen alone is read from standard input: secrets are not for arguments.
func (a *app) set(in values, f *field, text string) error {
	if text == "-" {
		line, err := readLine(a.Stdin)
		if err != nil {
			return fmt.Errorf("%s: nothing on standard input", f.flag)
		}
		text = line
	}
	value, err := a.value(f, text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.flag, err)
	}
	if list, ok := value.([]any); ok {
		earlier, _ := in[f.name].([]any)
		value = append(earlier, list...)
	}
	in[f.name] = value
	return nil
}

// readLine reads one line and not a byte more: what follows is for the next one.
func readLine(r io.Reader) (string, error) {
	if r == nil {
		return "", io.EOF
	}
	var line strings.Builder
	one := make([]byte, 1)
	for line.Len() < op.MaxBody {
		n, err := r.Read(one)
		switch {
		case n > 0 && one[0] == '\n', err != nil && line.Len() > 0:
			return strings.TrimSuffix(line.String(), "\r"), nil
		case n > 0:
			line.WriteByte(one[0])
		case err != nil:
			return "", err
		}
	}
	return "", bufio.ErrTooLong
}

// value reads text as the schema's type. What the schema says beyond types, the operation itself checks.
func (a *app) value(f *field, text string) (any, error) {
	switch f.schema.Type {
	case huma.TypeInteger, huma.TypeNumber:
		if f.schema.Type == huma.TypeInteger {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				return n, nil
			}
			return nil, fmt.Errorf("%q is no whole number", text)
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no number", text)
		}
		return n, nil
	case huma.TypeArray:
		return list(f.schema.Items, text)
	case huma.TypeObject:
		return object(text)
	}
	if f.isTime() {
		return a.moment(f, text), nil
	}
	return text, nil
}

// list reads a,b,c; a list of objects is JSON, one object or a whole list.
func list(items *huma.Schema, text string) (any, error) {
	if items == nil || items.Type == huma.TypeString {
		all := []any{}
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				all = append(all, part)
			}
		}
		return all, nil
	}
	if !strings.HasPrefix(strings.TrimSpace(text), "[") {
		text = "[" + text + "]"
	}
	var all []any
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, errors.New("has to be JSON, such as {\"name\": \"value\"}")
	}
	return all, nil
}

func object(text string) (any, error) {
	value := jsontext.Value(text)
	if !value.IsValid() || value.Kind() != '{' {
		return nil, errors.New("has to be a JSON object")
	}
	return value, nil
}

// past are the names of times that lie behind: since 7d is seven days ago.
var past = map[string]bool{"since": true, "until": true, "from": true, "to": true, "after": true, "before": true}

func (f *field) isTime() bool {
	return f.schema.Type == huma.TypeString && (f.schema.Format == "date-time" || strings.HasSuffix(f.name, "_at") || past[f.name])
}

// moment reads a time: a duration from now, a day, or whatever the operation understands itself.
func (a *app) moment(f *field, text string) string {
	if d, ok := duration(text); ok {
		if past[f.name] {
			d = -d
		}
		return a.Now().Add(d).UTC().Truncate(time.Second).Format(time.RFC3339)
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.Format(time.RFC3339)
	}
	return text
}

// duration reads 90m, 12h, 30d and 2w.
func duration(text string) (time.Duration, bool) {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			n, err := strconv.ParseUint(number, 10, 15)
			return time.Duration(n) * unit, err == nil
		}
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}
