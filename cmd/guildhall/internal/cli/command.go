package cli

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/guildhall/guildhall/op"
)

// command is an operation as a command.
type command struct {
	op         op.Any
	info       op.Info
	noun, verb string
	positional []*field
	flags      []*field // the others, and the positional ones too: each may be said by name
	inOrg      bool     // the route names an organization
}

// field is one field of an operation's input.
type field struct {
	name     string // in JSON
	flag     string // without its dashes
	doc      string
	schema   *huma.Schema
	required bool
}

const organization = "organization"

// newCommand derives a command from an operation: path fields other than the organization are positional, and so is the
// first required field of the body, or instead of it those with the tag cli:"arg". Everything else is a flag.
func newCommand(registry huma.Registry, o op.Any) *command {
	i := o.Info()
	c := &command{op: o, info: i, noun: dashed(i.Noun()), verb: dashed(i.Verb())}
	schema := huma.SchemaFromType(registry, i.In)
	inPath := i.PathFields()
	c.inOrg = slices.Contains(inPath, organization)
	said := argNames(i.In)
	firstOfBody := len(said) == 0
	for _, name := range fieldNames(i.In) {
		if name == organization && c.inOrg {
			continue
		}
		f := &field{name: name, flag: dashed(name), doc: schema.Properties[name].Description, schema: schema.Properties[name],
			required: slices.Contains(schema.Required, name) || slices.Contains(inPath, name)}
		c.flags = append(c.flags, f)
		if slices.Contains(inPath, name) || slices.Contains(said, name) || f.required && firstOfBody && f.schema.Type != huma.TypeObject {
			firstOfBody = firstOfBody && slices.Contains(inPath, name)
			c.positional = append(c.positional, f)
		}
	}
	slices.SortStableFunc(c.positional, func(a, b *field) int { return pathOrder(inPath, a.name) - pathOrder(inPath, b.name) })
	return c
}

// pathOrder puts the path's fields first, in the path's order.
func pathOrder(inPath []string, name string) int {
	if i := slices.Index(inPath, name); i >= 0 {
		return i
	}
	return len(inPath)
}

// fieldNames are the JSON names of an input's fields in the order in which they are declared; embedded structs stand
// where they are embedded.
func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("json")
		name, _, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous && !tagged:
			names = append(names, fieldNames(f.Type)...)
		case f.IsExported() && tagged && name != "-" && !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	return names
}

// argNames are the fields that say themselves that they are arguments.
func argNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			names = append(names, argNames(f.Type)...)
		}
		if f.Tag.Get("cli") == "arg" {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
}

// shown are the fields of the output; of a list, those of its items.
func (c *command) shown() []string {
	if c.info.MediaType != "" {
		return nil
	}
	out := c.info.Out
	if data, ok := out.FieldByName("Data"); ok && data.Type.Kind() == reflect.Slice && data.Type.Elem().Kind() == reflect.Struct {
		out = data.Type.Elem()
	}
	return fieldNames(out)
}

// answers reports whether the output says yes or no.
func (c *command) answers() bool { return slices.Contains(c.shown(), "allow") }

// isPositional reports whether a field has a place of its own.
func (c *command) isPositional(f *field) bool { return slices.Contains(c.positional, f) }

// usage is the command in one line.
func (c *command) usage() string {
	words := []string{"guildhall", c.noun, c.verb}
	for _, f := range c.positional {
		words = append(words, f.argument())
	}
	if c.inOrg {
		words = append(words, "[--org NAME]")
	}
	optional := false
	for _, f := range c.flags {
		switch {
		case c.isPositional(f):
		case f.required:
			words = append(words, "--"+f.flag+f.placeholder())
		default:
			optional = true
		}
	}
	if optional {
		words = append(words, "[flags]")
	}
	return strings.Join(words, " ")
}

// argument shows a positional field.
func (f *field) argument() string {
	if !f.required {
		return "[" + f.flag + "]"
	}
	return "<" + f.flag + ">"
}

// placeholder shows what kind of value a flag takes.
func (f *field) placeholder() string {
	switch {
	case f.schema.Type == huma.TypeBoolean:
		return ""
	case f.isTime():
		return " TIME"
	case f.schema.Type == huma.TypeArray:
		return " LIST"
	case f.schema.Type == huma.TypeInteger, f.schema.Type == huma.TypeNumber:
		return " N"
	case f.schema.Type == huma.TypeObject:
		return " JSON"
	}
	return " TEXT"
}

// note is what help adds to a flag's description.
func (f *field) note() string {
	var notes []string
	if len(f.schema.Enum) > 0 {
		notes = append(notes, "one of "+strings.Join(f.values(), ", "))
	}
	if f.isTime() {
		notes = append(notes, "30d, 12h, or a time")
	}
	if f.schema.Default != nil {
		notes = append(notes, fmt.Sprintf("default %v", f.schema.Default))
	}
	if len(notes) == 0 {
		return ""
	}
	return " (" + strings.Join(notes, "; ") + ")"
}

// values are those that the field may have, where the list is short enough to be declared.
func (f *field) values() []string {
	var all []string
	for _, value := range f.schema.Enum {
		all = append(all, fmt.Sprint(value))
	}
	return all
}
