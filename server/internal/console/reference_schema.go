package console

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// apiDocument is the description of all operations, as far as the reference shows it (OpenAPI 3.1).
type apiDocument struct {
	Paths      map[string]map[string]apiOperation `json:"paths"`
	Components struct {
		Schemas map[string]*apiSchema `json:"schemas"`
	} `json:"components"`
}

type apiOperation struct {
	ID         string                 `json:"operationId"`
	Parameters []apiParameter         `json:"parameters"`
	Body       apiContent             `json:"requestBody"`
	Responses  map[string]apiResponse `json:"responses"`
	Feature    string                 `json:"x-feature"`
}

type apiParameter struct {
	Name     string     `json:"name"`
	In       string     `json:"in"`
	Required bool       `json:"required"`
	Schema   *apiSchema `json:"schema"`
}

type apiContent struct {
	Content map[string]struct {
		Schema *apiSchema `json:"schema"`
	} `json:"content"`
}

type apiResponse struct {
	Ref string `json:"$ref"`
	apiContent
}

// apiSchema is a JSON schema.
type apiSchema struct {
	Ref         string                `json:"$ref"`
	Type        jsontext.Value        `json:"type"` // a name, or a list of names
	Description string                `json:"description"`
	Format      string                `json:"format"`
	Pattern     string                `json:"pattern"`
	Enum        []any                 `json:"enum"`
	Examples    []any                 `json:"examples"`
	Default     any                   `json:"default"`
	Minimum     *float64              `json:"minimum"`
	Maximum     *float64              `json:"maximum"`
	MinLength   *int                  `json:"minLength"`
	MaxLength   *int                  `json:"maxLength"`
	MinItems    *int                  `json:"minItems"`
	MaxItems    *int                  `json:"maxItems"`
	Items       *apiSchema            `json:"items"`
	Properties  map[string]*apiSchema `json:"properties"`
	Required    []string              `json:"required"`
	AnyOf       []*apiSchema          `json:"anyOf"`
	Additional  jsontext.Value        `json:"additionalProperties"` // false, or the schema of what has no name
}

// parseDocument reads a description.
func parseDocument(raw []byte) (*apiDocument, error) {
	d := new(apiDocument)
	return d, json.Unmarshal(raw, d)
}

// find is the schema that stands behind a reference, and the first of several.
func (d *apiDocument) find(s *apiSchema) *apiSchema {
	for s != nil && (s.Ref != "" || len(s.AnyOf) > 0) {
		if s.Ref == "" {
			s = s.AnyOf[0]
			continue
		}
		s = d.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]]
	}
	if s == nil {
		return new(apiSchema)
	}
	return s
}

// kind is a schema's type: "string", "array". A value that may be null is said by its other type.
func (s *apiSchema) kind() string {
	var one string
	if json.Unmarshal(s.Type, &one) == nil {
		return one
	}
	var several []string
	_ = json.Unmarshal(s.Type, &several) // neither: any value
	several = slices.DeleteFunc(several, func(name string) bool { return name == "null" })
	return cmp.Or(strings.Join(several, " or "), "any")
}

// refField is a field as the reference lists it.
type refField struct {
	Name, In, Type, Doc, Facts string
	Required                   bool
}

// maxDepth is how far fields within fields are listed.
const maxDepth = 4

// fields lists the fields of an object, those within them by their paths: "data[].email".
func (d *apiDocument) fields(s *apiSchema, prefix string, depth int) (all []refField) {
	s = d.find(s)
	names := slices.Sorted(maps.Keys(s.Properties))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(s.order(a), s.order(b)) })
	for _, name := range names {
		if name == "$schema" {
			continue
		}
		all = append(all, d.field(prefix+name, "", slices.Contains(s.Required, name), s.Properties[name]))
		within, path := d.find(s.Properties[name]), prefix+name
		for within.kind() == "array" && within.Items != nil {
			within, path = d.find(within.Items), path+"[]"
		}
		if len(within.Properties) > 0 && depth < maxDepth {
			all = append(all, d.fields(within, path+".", depth+1)...)
		}
	}
	return all
}

// order puts the id first, then what has to be there.
func (s *apiSchema) order(name string) int {
	switch {
	case name == "id":
		return 0
	case slices.Contains(s.Required, name):
		return 1
	}
	return 2
}

func (d *apiDocument) field(name, in string, required bool, said *apiSchema) refField {
	s := d.find(said)
	f := refField{Name: name, In: in, Required: required, Type: d.typeOf(s), Facts: strings.Join(s.facts(), "; ")}
	if said != nil {
		f.Doc = cmp.Or(said.Description, s.Description)
	}
	return f
}

// typeOf says a type in words.
func (d *apiDocument) typeOf(s *apiSchema) string {
	switch kind := s.kind(); {
	case kind == "array":
		return ui.T("list of %s", d.typeOf(d.find(s.Items)))
	case s.Format == "date-time":
		return ui.T("time")
	default:
		return kind
	}
}

// facts are the bounds of a schema, in words.
func (s *apiSchema) facts() (all []string) {
	if len(s.Enum) > 0 {
		all = append(all, ui.T("one of %s", values(s.Enum)))
	}
	all = append(all, bounds(s.MinLength, s.MaxLength, "%s characters")...)
	all = append(all, bounds(s.MinItems, s.MaxItems, "%s items")...)
	all = append(all, bounds(s.Minimum, s.Maximum, "%s")...)
	if s.Pattern != "" {
		all = append(all, ui.T("of the form %s", s.Pattern))
	}
	if s.Default != nil {
		all = append(all, ui.T("%s unless said", values([]any{s.Default})))
	}
	return all
}

func values(all []any) string {
	texts := make([]string, len(all))
	for i, v := range all {
		texts[i] = fmt.Sprint(v)
	}
	return strings.Join(texts, ", ")
}

func bounds[N int | float64](low, high *N, of string) []string {
	switch {
	case low != nil && high != nil:
		return []string{ui.T(of, fmt.Sprintf("%v to %v", *low, *high))}
	case low != nil:
		return []string{ui.T("at least %s", ui.T(of, fmt.Sprint(*low)))}
	case high != nil:
		return []string{ui.T("at most %s", ui.T(of, fmt.Sprint(*high)))}
	}
	return nil
}

// example makes a value that a schema describes, of the examples in it.
func (d *apiDocument) example(said *apiSchema, depth int) any {
	s := d.find(said)
	switch {
	case said != nil && len(said.Examples) > 0:
		return said.Examples[0]
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	}
	switch s.kind() {
	case "object":
		return d.exampleObject(s, depth)
	case "array":
		if depth > maxDepth {
			return []any{}
		}
		return []any{d.example(s.Items, depth+1)}
	case "boolean":
		return true
	case "integer", "number":
		return 1
	case "string":
		return exampleText(s.Format)
	}
	return nil
}

func (d *apiDocument) exampleObject(s *apiSchema, depth int) map[string]any {
	object := map[string]any{}
	for name, field := range s.Properties {
		if name != "$schema" && depth <= maxDepth {
			object[name] = d.example(field, depth+1)
		}
	}
	return object
}

func exampleText(format string) string {
	switch format {
	case "date-time":
		return "2026-11-22T09:00:00Z"
	case "uri":
		return "https://example.com"
	}
	return "…"
}

// exampleAnswer is an example of an answer, as JSON on several lines.
func (d *apiDocument) exampleAnswer(s *apiSchema) string {
	raw, err := json.Marshal(d.example(s, 0), json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return ""
	}
	return string(raw)
}
