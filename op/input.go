package op

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/charter"
)

// The limits of a JSON body.
const (
	MaxBody  = 1 << 20 // bytes
	MaxDepth = 32      // nested objects and arrays
)

// Request is one call of an operation.
type Request struct {
	Caller Caller
	// Input is the operation's input where the caller has it as a value; otherwise Path, Query and Body say it.
	Input any
	Path  map[string]string
	Query url.Values
	Body  []byte // JSON; empty means {}
	// Content is the stream of bytes of an Upload; nil: none.
	Content *Content

	IdempotencyKey string
	IfMatch        string
	DryRun         bool
}

// Response is the answer to a request.
type Response struct {
	Output   any         // the operation's output, or its JSON as jsontext.Value
	ETag     string      // the version of what the output shows; empty for none
	Replayed bool        // the answer of an earlier call with the same Idempotency-Key
	Session  *NewSession // a session that the call made
	Rate     Rate        // what is left of the credential's rate limit
}

// Versioned is an output that has a version, for ETag and If-Match.
type Versioned interface{ ETag() string }

// VersionTag writes a version as an entity tag.
func VersionTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// SecretOutput is an output that shows a secret once. Its stored form, for a replay, has none.
type SecretOutput interface{ WithoutSecret() any }

// fields is a decoded input: JSON values by field name.
type fields map[string]any

// assemble makes the input of a request into one JSON object: the body's fields, and those of path and query. Path and
// query are text, so each is read as its field's type. A body that is no JSON object, or has a name twice, is Malformed.
func (d *declared) assemble(r *Request) (fields, []FieldError, error) {
	if r.Input != nil {
		return fieldsOf(r.Input)
	}
	tree, err := parseObject(r.Body)
	if err != nil {
		return nil, nil, err
	}
	var wrong []FieldError
	for name, value := range r.Path {
		if _, twice := tree[name]; twice {
			wrong = append(wrong, FieldError{"/" + name, "in_path", name + " is said by the path and may not be in the body"})
		}
		tree[name] = value
	}
	for name, values := range r.Query {
		wrong = append(wrong, d.fromQuery(tree, name, values)...)
	}
	return tree, wrong, nil
}

func fieldsOf(input any) (fields, []FieldError, error) {
	raw, err := json.Marshal(input)
	if err != nil {
		return nil, nil, fmt.Errorf("input: %w", err)
	}
	tree, err := parseObject(raw)
	return tree, nil, err
}

// fromQuery adds one query parameter to the tree.
func (d *declared) fromQuery(tree fields, name string, values []string) []FieldError {
	schema, known := d.schema.Properties[name]
	if !known || d.info.Method != "GET" && !d.info.Upload || slices.Contains(d.info.PathFields(), name) {
		return []FieldError{d.unknownField(name, "unknown query parameter")}
	}
	if schema.Type == huma.TypeArray {
		list := []any{}
		for _, v := range values {
			for part := range strings.SplitSeq(v, ",") {
				list = append(list, part)
			}
		}
		tree[name] = list
		return nil
	}
	if len(values) != 1 {
		return []FieldError{{"/" + name, "repeated", name + " is given more than once"}}
	}
	tree[name] = textAs(schema, values[0])
	return nil
}

// textAs reads text as the schema's type; what does not fit stays text, and validation says so.
func textAs(schema *huma.Schema, text string) any {
	switch schema.Type {
	case huma.TypeInteger, huma.TypeNumber:
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n
		}
	case huma.TypeBoolean:
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	return text
}

// unknownField says that a name is not one of the input's, and which is near.
func (d *declared) unknownField(name, what string) FieldError {
	detail := fmt.Sprintf("%s %q", what, name)
	if near := charter.Nearest(name, d.names); near != "" && near != name {
		detail += fmt.Sprintf("; did you mean %q?", near)
	}
	return FieldError{"/" + escapePointer(name), "unknown", detail}
}

func escapePointer(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// parseObject reads a strict JSON object: UTF-8, no name twice, nothing after it, at most MaxDepth deep.
func parseObject(body []byte) (fields, error) {
	if len(body) > MaxBody {
		return nil, &Error{Kind: TooLarge, Text: fmt.Sprintf("the body has more than %d bytes", MaxBody)}
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return fields{}, nil
	}
	if err := checkDepth(body); err != nil {
		return nil, err
	}
	var tree fields
	if err := json.Unmarshal(body, &tree); err != nil {
		return nil, malformed(err)
	}
	if tree == nil {
		return nil, &Error{Kind: Malformed, Text: "the body has to be a JSON object, not null"}
	}
	return tree, nil
}

func checkDepth(body []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		if d.StackDepth() > MaxDepth {
			return &Error{Kind: Malformed, Text: fmt.Sprintf("the body is nested deeper than %d", MaxDepth)}
		}
		if _, err := d.ReadToken(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return malformed(err)
		}
	}
}

func malformed(err error) error {
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntactic):
		at := ""
		if syntactic.JSONPointer != "" {
			at = " at " + string(syntactic.JSONPointer)
		}
		return &Error{Kind: Malformed, Text: fmt.Sprintf("malformed JSON at byte %d%s: %v", syntactic.ByteOffset, at, syntactic.Err)}
	case errors.As(err, &semantic) && semantic.JSONPointer == "":
		return &Error{Kind: Malformed, Text: "the body has to be a JSON object"}
	case errors.As(err, &semantic):
		return &Error{Kind: Malformed, Text: fmt.Sprintf("%s does not fit JSON numbers or text", semantic.JSONPointer)}
	}
	return &Error{Kind: Malformed, Text: "malformed JSON"}
}

// decodeInto fills an input from its JSON. Wrong types leave the field as it is: validation has said so.
func decodeInto(raw []byte, in any) error {
	return json.Unmarshal(raw, in)
}

// sound keeps the fields with which nothing is wrong: a target that the body names is found, and what is wrong with the
// rest is told to those who may.
func (d *declared) sound(tree fields, wrong []FieldError) fields {
	kept := fields{}
	for name, value := range tree {
		pointer := "/" + escapePointer(name)
		broken := slices.ContainsFunc(wrong, func(f FieldError) bool {
			return f.Pointer == pointer || strings.HasPrefix(f.Pointer, pointer+"/")
		})
		if _, known := d.schema.Properties[name]; known && (!broken || slices.Contains(d.info.PathFields(), name)) {
			kept[name] = value
		}
	}
	return kept
}

// pathOnly keeps the fields that the path says: what is always text, should the rest not fit its types.
func (d *declared) pathOnly(tree fields) fields {
	kept := fields{}
	for _, name := range d.info.PathFields() {
		if text, ok := tree[name].(string); ok {
			kept[name] = text
		}
	}
	return kept
}

// declared is an operation of the table with its compiled schema.
type declared struct {
	op     Any
	info   Info
	schema *huma.Schema // of the input
	names  []string     // of the input's fields
	own    bool         // the input reads its body itself
}

// validate checks the tree against the schema and gives every mistake.
func (d *declared) validate(registry huma.Registry, tree fields) []FieldError {
	var wrong []FieldError
	for name := range tree {
		if _, ok := d.schema.Properties[name]; !ok {
			wrong = append(wrong, d.unknownField(name, "unknown field"))
		}
	}
	if len(wrong) > 0 {
		slices.SortFunc(wrong, func(a, b FieldError) int { return strings.Compare(a.Pointer, b.Pointer) })
		return wrong
	}
	result := huma.ValidateResult{}
	huma.Validate(registry, d.schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, map[string]any(tree), &result)
	for _, err := range result.Errors {
		wrong = append(wrong, fieldError(err))
	}
	return wrong
}

func fieldError(err error) FieldError {
	var detail *huma.ErrorDetail
	if !errors.As(err, &detail) {
		return FieldError{"", "invalid", err.Error()}
	}
	pointer := "/" + strings.ReplaceAll(strings.NewReplacer("[", "/", "]", "").Replace(detail.Location), ".", "/")
	if pointer == "/" {
		pointer = ""
	}
	if name, ok := strings.CutPrefix(detail.Message, "expected required property "); ok {
		name, _, _ = strings.Cut(name, " ")
		return FieldError{pointer + "/" + name, "required", name + " is required"}
	}
	return FieldError{pointer, "invalid", strings.TrimPrefix(strings.TrimPrefix(pointer, "/")+": "+detail.Message, ": ")}
}

// outputAs gives an output its type back, from a value or from its JSON.
func outputAs[Out any](output any) (Out, error) {
	if out, ok := output.(Out); ok {
		return out, nil
	}
	var out Out
	raw, ok := output.(jsontext.Value)
	if !ok {
		return out, fmt.Errorf("output is %T, not %s", output, reflect.TypeFor[Out]())
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, fmt.Errorf("output: %w", err)
	}
	return out, nil
}
