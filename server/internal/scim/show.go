package scim

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/scim"
)

// projection is what of a resource is asked for (RFC 7644, section 3.9): names in lower case, without those of schemas.
type projection struct{ only, without []string }

func projectionOf(r *http.Request) projection {
	q := r.URL.Query()
	return projection{only: names(q.Get("attributes")), without: names(q.Get("excludedAttributes"))}
}

// projectionIn is that of a search, in its body.
func projectionIn(body map[string]any) projection {
	list := func(name string) []string {
		v, _ := field(body, name)
		sent, _ := v.([]any)
		var all []string
		for _, one := range sent {
			text, _ := one.(string)
			all = append(all, names(text)...)
		}
		return all
	}
	return projection{only: list("attributes"), without: list("excludedAttributes")}
}

func names(text string) []string {
	var all []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		for _, schema := range []string{scim.UserSchema, scim.GroupSchema} {
			name = strings.TrimPrefix(name, strings.ToLower(schema)+":")
		}
		if name != "" {
			all = append(all, name)
		}
	}
	return all
}

// shows reports whether an attribute is asked for.
func (p projection) shows(name string) bool {
	name = strings.ToLower(name)
	if slices.Contains(p.without, name) {
		return false
	}
	return len(p.only) == 0 || slices.ContainsFunc(p.only, func(o string) bool { return o == name || part(o, name) != "" })
}

// part is what a path names within an attribute: "givenname" of "name.givenname".
func part(path, name string) string {
	for _, sign := range []string{".", ":"} {
		if rest, ok := strings.CutPrefix(path, name+sign); ok {
			return rest
		}
	}
	return ""
}

// of is a resource's body with what is asked for. Schemas and id are always there.
func (p projection) of(all map[string]any) map[string]any {
	shown := map[string]any{}
	for name, value := range all {
		if name == "schemas" || name == "id" {
			shown[name] = value
		} else if p.shows(name) {
			shown[name] = p.within(strings.ToLower(name), value)
		}
	}
	return shown
}

// within leaves of a complex value what is asked for.
func (p projection) within(name string, value any) any {
	object, ok := value.(map[string]any)
	if !ok || slices.Contains(p.only, name) {
		return value
	}
	var wanted, unwanted []string
	for _, path := range p.only {
		if rest := part(path, name); rest != "" {
			wanted = append(wanted, rest)
		}
	}
	for _, path := range p.without {
		if rest := part(path, name); rest != "" {
			unwanted = append(unwanted, rest)
		}
	}
	object = maps.Clone(object)
	maps.DeleteFunc(object, func(key string, _ any) bool {
		key = strings.ToLower(key)
		return slices.Contains(unwanted, key) || len(wanted) > 0 && !slices.Contains(wanted, key)
	})
	return object
}

func weak(version int64) string { return "W/" + op.VersionTag(version) }

func (a *asked) location(s scim.Resource) string { return a.base + "/" + s.Type + "s/" + s.ID }

// resource is a resource as it is answered.
func (a *asked) resource(s scim.Resource) map[string]any {
	all := maps.Clone(s.Attributes)
	schemas := []string{scim.UserSchema}
	if s.Type == "Group" {
		schemas = []string{scim.GroupSchema}
	}
	if _, extended := all[scim.EnterpriseSchema]; extended {
		schemas = append(schemas, scim.EnterpriseSchema)
	}
	all["schemas"], all["id"] = schemas, s.ID
	all["meta"] = map[string]any{"resourceType": s.Type, "created": moment(s.CreatedAt), "lastModified": moment(s.UpdatedAt),
		"location": a.location(s), "version": weak(s.Version)}
	return a.show.of(all)
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// provider says what of SCIM there is here (RFC 7643, section 5).
func (f *face) provider(w http.ResponseWriter, r *http.Request) {
	no := map[string]any{"supported": false}
	writeJSON(w, http.StatusOK, map[string]any{
		"schemas":          []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
		"documentationUri": f.BaseURL + "/docs/scim",
		"patch":            map[string]any{"supported": true},
		"bulk":             map[string]any{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
		"filter":           map[string]any{"supported": true, "maxResults": 200},
		"changePassword":   no, "sort": no, "etag": map[string]any{"supported": true},
		"authenticationSchemes": []any{map[string]any{"type": "oauthbearertoken", "name": "Bearer token",
			"description": "The directory's token as Authorization: Bearer", "primary": true}},
		"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": f.BaseURL + r.URL.Path},
	})
}

// resourceTypes lists what there is (RFC 7643, section 6).
func (f *face) resourceTypes(w http.ResponseWriter, r *http.Request) {
	base := f.BaseURL + "/scim/v2/" + r.PathValue("directory")
	var all []any
	for _, kind := range []string{"User", "Group"} {
		schema, extensions := scim.GroupSchema, []any{}
		if kind == "User" {
			schema, extensions = scim.UserSchema, []any{map[string]any{"schema": scim.EnterpriseSchema, "required": false}}
		}
		one := map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"}, "id": kind, "name": kind, "endpoint": "/" + kind + "s",
			"schema": schema, "schemaExtensions": extensions, "meta": map[string]any{"resourceType": "ResourceType", "location": base + "/ResourceTypes/" + kind}}
		if r.PathValue("type") == kind {
			writeJSON(w, http.StatusOK, one)
			return
		}
		all = append(all, one)
	}
	if r.PathValue("type") != "" {
		refuse(w, op.ErrNotFound, "")
		return
	}
	writeJSON(w, http.StatusOK, listed(all, len(all), 1))
}

// schemas lists the attributes that we keep (RFC 7643, section 7).
func (f *face) schemas(w http.ResponseWriter, r *http.Request) {
	base := f.BaseURL + "/scim/v2/" + r.PathValue("directory")
	group := []scim.Attribute{{Name: "displayName", Type: "string"}, {Name: "externalId", Type: "string", Exact: true},
		{Name: "members", Type: "complex", Multi: true, Parts: []string{"value", "display", "type"}}}
	var all []any
	for _, s := range []struct {
		id, name   string
		attributes []scim.Attribute
	}{{scim.UserSchema, "User", scim.UserAttributes}, {scim.GroupSchema, "Group", group}, {scim.EnterpriseSchema, "Enterprise user", scim.EnterpriseAttributes}} {
		one := map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Schema"}, "id": s.id, "name": s.name, "description": s.name,
			"attributes": described(s.attributes), "meta": map[string]any{"resourceType": "Schema", "location": base + "/Schemas/" + s.id}}
		if r.PathValue("schema") == s.id {
			writeJSON(w, http.StatusOK, one)
			return
		}
		all = append(all, one)
	}
	if r.PathValue("schema") != "" {
		refuse(w, op.ErrNotFound, "")
		return
	}
	writeJSON(w, http.StatusOK, listed(all, len(all), 1))
}

func described(attributes []scim.Attribute) []any {
	all := make([]any, len(attributes))
	for i, a := range attributes {
		one := attribute(a.Name, a.Type, a.Multi, a.Exact)
		one["required"] = a.Name == "userName"
		if a.Name == "userName" {
			one["uniqueness"] = "server"
		}
		var parts []any
		for _, p := range a.Parts {
			kind := "string"
			if p == "primary" {
				kind = "boolean"
			}
			parts = append(parts, attribute(p, kind, false, false))
		}
		if parts != nil {
			one["subAttributes"] = parts
		}
		all[i] = one
	}
	return all
}

func attribute(name, kind string, multi, exact bool) map[string]any {
	return map[string]any{"name": name, "type": kind, "multiValued": multi, "description": strconv.Quote(name), "required": false,
		"caseExact": exact, "mutability": "readWrite", "returned": "default", "uniqueness": "none"}
}
