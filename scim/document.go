package scim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/op"
)

// The schemas of RFC 7643.
const (
	userSchema       = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterpriseSchema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
)

// UserSchema, GroupSchema and EnterpriseSchema name the schemas of RFC 7643 that we have.
const (
	UserSchema       = userSchema
	GroupSchema      = groupSchema
	EnterpriseSchema = enterpriseSchema
)

// Attribute is an attribute of a resource that we keep: as RFC 7643 writes it, and what it is made of.
type Attribute struct {
	Name  string
	Type  string   // "string", "boolean" or "complex"
	Multi bool     // several values
	Parts []string // of a complex one
	Exact bool     // its case matters
}

// UserAttributes are those of people; EnterpriseAttributes those of the enterprise extension. Everything else that a
// directory sends is no error, and is not kept. Passwords never are.
var (
	UserAttributes = []Attribute{
		{Name: "userName", Type: "string"}, {Name: "externalId", Type: "string", Exact: true},
		{Name: "name", Type: "complex", Parts: []string{"formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix"}},
		{Name: "displayName", Type: "string"}, {Name: "nickName", Type: "string"}, {Name: "profileUrl", Type: "string"},
		{Name: "title", Type: "string"}, {Name: "userType", Type: "string"}, {Name: "preferredLanguage", Type: "string"},
		{Name: "locale", Type: "string"}, {Name: "timezone", Type: "string"}, {Name: "active", Type: "boolean"},
		{Name: "emails", Type: "complex", Multi: true, Parts: valueParts}, {Name: "phoneNumbers", Type: "complex", Multi: true, Parts: valueParts},
		{Name: "ims", Type: "complex", Multi: true, Parts: valueParts}, {Name: "photos", Type: "complex", Multi: true, Parts: valueParts},
		{Name: "addresses", Type: "complex", Multi: true, Parts: []string{"formatted", "streetAddress", "locality", "region", "postalCode", "country", "type", "primary"}},
		{Name: "entitlements", Type: "complex", Multi: true, Parts: valueParts}, {Name: "roles", Type: "complex", Multi: true, Parts: valueParts},
	}
	EnterpriseAttributes = []Attribute{
		{Name: "employeeNumber", Type: "string"}, {Name: "costCenter", Type: "string"}, {Name: "organization", Type: "string"},
		{Name: "division", Type: "string"}, {Name: "department", Type: "string"},
		{Name: "manager", Type: "complex", Parts: []string{"value", "$ref", "displayName"}},
	}
	valueParts = []string{"value", "display", "type", "primary"}
)

// readOnly are attributes that only we set.
var readOnly = []string{"id", "meta", "groups", "schemas"}

// document is a resource as we keep it: canonical names, and only what we know.
type document map[string]any

func parseDocument(text string) document {
	d := document{}
	_ = json.Unmarshal([]byte(text), &d) // what we wrote ourselves
	return d
}

func (d document) text(name string) string { s, _ := d[name].(string); return s }

// String is the document as it is stored.
func (d document) String() string {
	raw, err := json.Marshal(map[string]any(d), json.Deterministic(true))
	if err != nil {
		return "{}"
	}
	return string(raw)
}

// newDocument reads a whole resource as it was sent.
func newDocument(sent map[string]any) (document, error) {
	d := document{}
	return d, d.merge("add", sent)
}

// merge does one operation with every attribute of an object, in the order of their names. A name may be a path
// (name.givenName), as Entra sends them.
func (d document) merge(verb string, sent map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		at, err := parsePath(name)
		if err != nil || slices.Contains(readOnly, at.attribute) && !at.extension {
			continue
		}
		if err := d.apply(verb, at, sent[name]); err != nil {
			return err
		}
	}
	return nil
}

// find gives the attribute of a name in any case.
func find(all []Attribute, name string) (Attribute, bool) {
	i := slices.IndexFunc(all, func(a Attribute) bool { return strings.EqualFold(a.Name, name) })
	if i < 0 {
		return Attribute{}, false
	}
	return all[i], true
}

func (a Attribute) part(name string) (string, bool) {
	i := slices.IndexFunc(a.Parts, func(p string) bool { return strings.EqualFold(p, name) })
	if i < 0 {
		return "", false
	}
	return a.Parts[i], true
}

// apply does one operation of a PATCH (RFC 7644, section 3.5.2). What it does not know, it ignores.
func (d document) apply(verb string, at path, value any) error {
	if at.extension {
		return d.applyExtension(verb, at, value)
	}
	return applyTo(d, UserAttributes, verb, at, value)
}

func (d document) applyExtension(verb string, at path, value any) error {
	inner, _ := d[enterpriseSchema].(map[string]any)
	if inner == nil {
		inner = map[string]any{}
	}
	if at.attribute == "" {
		object, ok := value.(map[string]any)
		switch {
		case verb == "remove":
			inner = map[string]any{}
		case !ok:
			return invalidValue("%s is an object", enterpriseSchema)
		}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if p, err := parsePath(name); err == nil {
				if err := applyTo(inner, EnterpriseAttributes, verb, p, object[name]); err != nil {
					return err
				}
			}
		}
	} else if err := applyTo(inner, EnterpriseAttributes, verb, at, value); err != nil {
		return err
	}
	if delete(d, enterpriseSchema); len(inner) > 0 {
		d[enterpriseSchema] = inner
	}
	return nil
}

func applyTo(d map[string]any, all []Attribute, verb string, at path, value any) error {
	a, known := find(all, at.attribute)
	switch {
	case !known:
		return nil
	case verb == "remove" && a.Name == "userName":
		return invalidValue("userName is required")
	case a.Multi:
		return applyMulti(d, a, verb, at, value)
	case a.Type == "complex":
		return applyComplex(d, a, verb, at.sub, value)
	case verb == "remove" || value == nil:
		delete(d, a.Name)
		return nil
	}
	kept, err := a.simple(value)
	if err == nil {
		d[a.Name] = kept
	}
	return err
}

// simple is a value of a simple attribute. Directories write booleans as text, and text as lists of one.
func (a Attribute) simple(value any) (any, error) {
	if list, ok := value.([]any); ok && len(list) == 1 {
		value = list[0]
	}
	if object, ok := value.(map[string]any); ok && len(object) == 1 {
		if inner, ok := field(object, "value"); ok {
			value = inner
		}
	}
	if a.Type == "boolean" {
		b, ok := boolean(value)
		if !ok {
			return nil, invalidValue("%s is true or false", a.Name)
		}
		return b, nil
	}
	return plainText(a.Name, value)
}

// maxText bounds one value.
const maxText = 4000

func plainText(name string, value any) (string, error) {
	switch v := value.(type) {
	case string:
		if len(v) > maxText {
			return "", invalidValue("%s has more than %d bytes", name, maxText)
		}
		return v, nil
	case float64, bool:
		return fmt.Sprint(v), nil
	}
	return "", invalidValue("%s is text", name)
}

func boolean(value any) (b, ok bool) {
	switch v := value.(type) {
	case bool:
		return v, true
	case string:
		return strings.EqualFold(v, "true"), strings.EqualFold(v, "true") || strings.EqualFold(v, "false")
	}
	return false, false
}

// field gives a value of an object by its name in any case.
func field(object map[string]any, name string) (any, bool) {
	if v, ok := object[name]; ok {
		return v, true
	}
	for key, v := range object {
		if strings.EqualFold(key, name) {
			return v, true
		}
	}
	return nil, false
}

func applyComplex(d map[string]any, a Attribute, verb, sub string, value any) error {
	inner, _ := d[a.Name].(map[string]any)
	if inner == nil {
		inner = map[string]any{}
	}
	switch {
	case verb == "remove" && sub == "", value == nil && sub == "":
		inner = nil
	case sub != "":
		if err := a.set(inner, sub, value, verb == "remove"); err != nil {
			return err
		}
	default:
		object, ok := value.(map[string]any)
		if !ok { // manager: "26118915"
			object = map[string]any{a.Parts[0]: value}
		}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if err := a.set(inner, name, object[name], false); err != nil {
				return err
			}
		}
	}
	if delete(d, a.Name); len(inner) > 0 {
		d[a.Name] = inner
	}
	return nil
}

// set sets or removes a part of a complex value.
func (a Attribute) set(object map[string]any, part string, value any, remove bool) error {
	name, known := a.part(part)
	if !known {
		return nil
	}
	if remove || value == nil {
		delete(object, name)
		return nil
	}
	if name == "primary" {
		b, ok := boolean(value)
		if !ok {
			return invalidValue("%s.primary is true or false", a.Name)
		}
		object[name] = b
		return nil
	}
	text, err := plainText(a.Name+"."+name, value)
	if err == nil {
		object[name] = text
	}
	return err
}

func invalidValue(format string, args ...any) error {
	return op.Errorf(op.Malformed, "invalid_value", format, args...)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
