package api

import (
	"fmt"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/web"
)

// Version is the version of the HTTP API.
const Version = "1"

// OpenAPI describes every operation of the service (OpenAPI 3.1), from the same declarations that run them. Two calls
// give the same bytes.
func OpenAPI(s *op.Service) []byte {
	d := &describer{registry: huma.NewMapRegistry("#/components/schemas/", newNamer())}
	product := s.Charter().Product
	d.api = &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: product + ": organizations", Version: Version,
			Description: "Organizations, members, roles, sessions and the audit log. Errors are application/problem+json (RFC 9457)."},
		Servers: []*huma.Server{{URL: "/"}},
		Components: &huma.Components{
			Schemas:         d.registry,
			SecuritySchemes: map[string]*huma.SecurityScheme{"bearer": {Type: "http", Scheme: "bearer", Description: "A session or a service key"}},
		},
	}
	d.problem = d.registry.Schema(reflect.TypeFor[web.Details](), true, "Problem")
	for _, o := range s.Operations() {
		if o.Info().Foreign() {
			continue
		}
		d.describe(o.Info())
	}
	return indented(d.api)
}

func indented(v any) []byte {
	raw, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		panic(fmt.Sprintf("api: a declaration that is no JSON: %v", err)) // a mistake of the program, found by any test
	}
	return append(raw, '\n')
}

// newNamer names schemas by their types, and two types of the same name by their packages too.
func newNamer() func(t reflect.Type, hint string) string {
	taken := map[string]reflect.Type{}
	return func(t reflect.Type, hint string) string {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		name := huma.DefaultSchemaNamer(t, hint)
		switch holder, ok := taken[name]; {
		case t.Kind() != reflect.Struct:
			return name
		case t == reflect.TypeFor[web.Details]():
			return "Problem"
		case ok && holder != t:
			name = upperFirst(path.Base(t.PkgPath())) + name
		}
		taken[name] = t
		return name
	}
}

func upperFirst(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

type describer struct {
	registry huma.Registry
	api      *huma.OpenAPI
	problem  *huma.Schema
}

// describe adds one operation.
func (d *describer) describe(i op.Info) {
	input := huma.SchemaFromType(d.registry, i.In)
	o := &huma.Operation{
		Method: i.Method, Path: i.Path, OperationID: i.Name, Tags: []string{i.Noun()}, Summary: i.Summary,
		Parameters: d.parameters(i, input), Responses: d.responses(i), Extensions: extensions(i),
		Security: []map[string][]string{{"bearer": {}}},
	}
	if i.Allow.Everyone() {
		o.Security = append(o.Security, map[string][]string{})
	}
	if i.Method != http.MethodGet {
		o.RequestBody = body(i, input)
	}
	if !slices.ContainsFunc(d.api.Tags, func(t *huma.Tag) bool { return t.Name == i.Noun() }) {
		d.api.Tags = append(d.api.Tags, &huma.Tag{Name: i.Noun()})
	}
	d.api.AddOperation(o)
}

// extensions are what is ours: who may, and what the operation does.
func extensions(i op.Info) map[string]any {
	x := map[string]any{"x-permission": permissions(i), "x-allow": i.Allow.String(), "x-kind": i.Kind.String(), "x-scope": i.Scope.String()}
	if i.Confirm > op.L0 {
		x["x-confirm"] = "L" + strconv.Itoa(int(i.Confirm))
	}
	if i.Feature != "" {
		x["x-feature"] = i.Feature
	}
	if i.Fresh {
		x["x-fresh"] = op.FreshFor.String()
	}
	return x
}

func permissions(i op.Info) []string {
	names := []string{}
	for _, p := range i.Allow.Permissions() {
		names = append(names, string(p))
	}
	return names
}

// parameters are the fields of the path, those of the query for GET, and the headers that every operation of the kind
// understands.
func (d *describer) parameters(i op.Info, input *huma.Schema) []*huma.Param {
	var all []*huma.Param
	for _, name := range i.PathFields() {
		all = append(all, parameter(name, "path", true, input.Properties[name]))
	}
	if i.Method == http.MethodGet || i.Upload {
		for _, name := range bodyFields(i, input) {
			all = append(all, parameter(name, "query", slices.Contains(input.Required, name), input.Properties[name]))
		}
	}
	if i.Upload {
		all = append(all, parameter("Content-Digest", "header", false,
			&huma.Schema{Type: huma.TypeString, Description: "The SHA-256 of the bytes (RFC 9530): what arrives otherwise is refused"}))
	}
	if i.File {
		all = append(all, parameter("Range", "header", false,
			&huma.Schema{Type: huma.TypeString, Description: "Only a part of the file (RFC 9110, section 14.2): 206 with it, 416 if there is no such part"}))
	}
	if i.DryRun {
		all = append(all, parameter("dry_run", "query", false,
			&huma.Schema{Type: huma.TypeBoolean, Description: "Only say what would happen, as an Impact"}))
	}
	if i.Method == http.MethodPost {
		all = append(all, parameter("Idempotency-Key", "header", false,
			&huma.Schema{Type: huma.TypeString, Description: "A repeat with the same key within 24 hours answers what the first call answered"}))
	}
	if i.Kind != op.Read && i.Method != http.MethodPost {
		all = append(all, parameter("If-Match", "header", false,
			&huma.Schema{Type: huma.TypeString, Description: "The ETag that the change was made from; 412 if it is another by now"}))
	}
	return all
}

func parameter(name, in string, required bool, s *huma.Schema) *huma.Param {
	p := &huma.Param{Name: name, In: in, Required: required, Description: s.Description, Schema: s}
	if s.Type == huma.TypeArray {
		explode := false
		p.Style, p.Explode = "form", &explode
	}
	return p
}

// bodyFields are the input's fields that are not in the path, sorted.
func bodyFields(i op.Info, input *huma.Schema) []string {
	inPath := i.PathFields()
	var names []string
	for name := range input.Properties {
		if !slices.Contains(inPath, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// body is the input without the fields of the path. Nil: nothing is left.
func body(i op.Info, input *huma.Schema) *huma.RequestBody {
	if i.Upload {
		return &huma.RequestBody{Description: "The bytes of the file", Required: true,
			Content: map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString}}}}
	}
	names := bodyFields(i, input)
	if len(names) == 0 {
		return nil
	}
	s := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}, AdditionalProperties: false}
	for _, name := range names {
		s.Properties[name] = input.Properties[name]
		if slices.Contains(input.Required, name) {
			s.Required = append(s.Required, name)
		}
	}
	return &huma.RequestBody{Required: len(s.Required) > 0,
		Content: map[string]*huma.MediaType{"application/json": bodyMedia(s, example(i, names, s.Required))}}
}

func bodyMedia(s *huma.Schema, example map[string]any) *huma.MediaType {
	m := &huma.MediaType{Schema: s}
	if len(example) > 0 {
		m.Example = example
	}
	return m
}

// example is the body of the operation's example: what it says, and what is required.
func example(i op.Info, names, required []string) map[string]any {
	raw, err := json.Marshal(i.Example)
	if err != nil {
		return nil
	}
	var all map[string]any
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	shown := map[string]any{}
	for _, name := range names {
		if value, ok := all[name]; ok && (slices.Contains(required, name) || !unsaid(value)) {
			shown[name] = value
		}
	}
	return shown
}

func unsaid(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return reflect.ValueOf(value).IsZero()
}

// responses are the answer and the errors that follow from the declaration.
func (d *describer) responses(i op.Info) map[string]*huma.Response {
	all := map[string]*huma.Response{strconv.Itoa(status(i, op.Request{})): d.answer(i)}
	kinds := []op.ErrorKind{op.Malformed, op.Invalid, op.Limited, op.Internal, op.Unavailable}
	if !i.Allow.Everyone() {
		kinds = append(kinds, op.Unauthenticated, op.Denied)
	}
	if len(i.PathFields()) > 0 || i.Allow.Everyone() {
		kinds = append(kinds, op.NotFound)
	}
	if i.Kind != op.Read {
		kinds = append(kinds, op.Conflict, op.Gone, op.Stale, op.TooLarge, op.WrongMediaType)
	}
	for _, kind := range kinds {
		all[strconv.Itoa(kind.Status())] = d.errorResponse(kind)
	}
	return all
}

func (d *describer) answer(i op.Info) *huma.Response {
	if i.MediaType != "" {
		return &huma.Response{Description: "The file",
			Content: map[string]*huma.MediaType{i.MediaType: {Schema: &huma.Schema{Type: huma.TypeString}}}}
	}
	schema := d.registry.Schema(i.Out, true, i.Name+"Output")
	if i.DryRun {
		schema = &huma.Schema{AnyOf: []*huma.Schema{schema, d.registry.Schema(reflect.TypeFor[op.Impact](), true, "Impact")}}
	}
	return &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
}

// errorResponse refers to the one response of a kind of error.
func (d *describer) errorResponse(kind op.ErrorKind) *huma.Response {
	c := d.api.Components
	if c.Responses == nil {
		c.Responses = map[string]*huma.Response{}
	}
	c.Responses[kind.String()] = &huma.Response{Description: http.StatusText(kind.Status()),
		Content: map[string]*huma.MediaType{web.ProblemType: {Schema: d.problem}}}
	return &huma.Response{Ref: "#/components/responses/" + kind.String()}
}

// index is what GET /v1 answers: where to go on.
func index(s *op.Service) []byte {
	return indented(map[string]any{"product": s.Charter().Product, "version": Version, "operations": len(s.Operations()),
		"openapi": "/openapi.json", "documentation": "/docs/api"})
}
