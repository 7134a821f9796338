package console

import (
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// same tells the request and the command that do what a page does, from its operation and from names and values of its
// input; empty values are left out. Both name the organization of the page.
func (v *visit) same(o op.Any, fields ...string) ui.Ways {
	i := o.Info()
	path, command, body := i.Path, "guildhall "+spoken(i.Noun())+" "+spoken(i.Verb()), map[string]string{}
	path = strings.Replace(path, "{organization}", url.PathEscape(v.organization.Slug), 1)
	var flags strings.Builder
	for n := 0; n+1 < len(fields); n += 2 {
		name, value := fields[n], fields[n+1]
		switch {
		case value == "":
		case slices.Contains(i.PathFields(), name):
			path = strings.Replace(path, "{"+name+"}", url.PathEscape(value), 1)
			command += " " + quoted(value)
		case name == firstRequired(i):
			body[name], command = value, command+" "+quoted(value)
		default:
			body[name] = value
			flags.WriteString(" --" + spoken(name) + " " + quoted(value))
		}
	}
	if slices.Contains(i.PathFields(), "organization") {
		command += " --org " + quoted(v.organization.Slug)
	}
	return v.way(i.Method+" "+path+sent(i.Method, body), command+flags.String())
}

// sent is how a request carries the fields that its path does not: as its query, or as a JSON body.
func sent(method string, fields map[string]string) string {
	if len(fields) == 0 {
		return ""
	}
	if method == "GET" {
		query := url.Values{}
		for name, value := range fields {
			query.Set(name, value)
		}
		return "?" + query.Encode()
	}
	raw, err := json.Marshal(fields, json.Deterministic(true))
	if err != nil {
		return ""
	}
	return " " + string(raw)
}

// firstRequired is the field that a command takes without its name: the first that the path does not say and that must
// be there.
func firstRequired(i op.Info) string {
	for _, f := range reflect.VisibleFields(i.In) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || strings.Contains(options, "omitzero") || f.Tag.Get("required") == "false" || slices.Contains(i.PathFields(), name) {
			continue
		}
		return name
	}
	return ""
}

// spoken is a name as the command line writes it.
func spoken(name string) string { return strings.ReplaceAll(name, "_", "-") }

// quoted is a value as a shell reads it as one word.
func quoted(value string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@._:/+-", r)
	}
	if value != "" && strings.IndexFunc(value, func(r rune) bool { return !plain(r) }) < 0 {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
