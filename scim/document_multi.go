package scim

import (
	"maps"
	"slices"
	"strings"
)

// maxValues bounds the values of one attribute of a person.
const maxValues = 100

// applyMulti does one operation with an attribute of several values.
func applyMulti(d map[string]any, a Attribute, verb string, at path, value any) error {
	kept := values(d[a.Name])
	var err error
	switch {
	case at.filter != nil:
		kept, err = a.applyMatching(kept, verb, at, value)
	case at.sub != "":
		kept, err = a.applyFirst(kept, verb, at.sub, value)
	default:
		kept, err = a.applyWhole(kept, verb, value)
	}
	if err != nil {
		return err
	}
	if len(kept) > maxValues {
		return invalidValue("%s has more than %d values", a.Name, maxValues)
	}
	delete(d, a.Name)
	if len(kept) > 0 {
		list := make([]any, len(kept))
		for i, one := range kept {
			list[i] = one
		}
		d[a.Name] = list
	}
	return nil
}

// values are copies of the values that are stored.
func values(stored any) []map[string]any {
	list, _ := stored.([]any)
	var all []map[string]any
	for _, one := range list {
		if object, ok := one.(map[string]any); ok {
			all = append(all, maps.Clone(object))
		}
	}
	return all
}

// sent reads values as they were sent: a list, one object, or only text.
func (a Attribute) sent(value any) ([]map[string]any, error) {
	list, ok := value.([]any)
	if !ok && value != nil {
		list = []any{value}
	}
	var all []map[string]any
	for _, one := range list {
		object, ok := one.(map[string]any)
		if !ok {
			object = map[string]any{a.Parts[0]: one}
		}
		made := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if err := a.set(made, name, object[name], false); err != nil {
				return nil, err
			}
		}
		if len(made) > 0 {
			all = append(all, made)
		}
	}
	return all, nil
}

func (a Attribute) applyWhole(kept []map[string]any, verb string, value any) ([]map[string]any, error) {
	sent, err := a.sent(value)
	switch {
	case err != nil:
		return nil, err
	case verb == "remove" && value == nil:
		return nil, nil
	case verb == "remove": // Entra names the values to remove
		return slices.DeleteFunc(kept, func(k map[string]any) bool {
			return slices.ContainsFunc(sent, func(s map[string]any) bool { return s["value"] == k["value"] })
		}), nil
	case verb == "replace":
		kept = nil
	}
	for _, one := range sent {
		same := slices.IndexFunc(kept, func(k map[string]any) bool { return k["value"] == one["value"] && k["type"] == one["type"] })
		if one["primary"] == true {
			onlyPrimary(kept)
		}
		if same >= 0 {
			maps.Copy(kept[same], one)
		} else {
			kept = append(kept, one)
		}
	}
	return kept, nil
}

// onlyPrimary takes primary from the values that had it: one has at most.
func onlyPrimary(all []map[string]any) {
	for _, one := range all {
		if one["primary"] == true {
			delete(one, "primary")
		}
	}
}

// applyFirst sets a part of the first value, or of a new one.
func (a Attribute) applyFirst(kept []map[string]any, verb, sub string, value any) ([]map[string]any, error) {
	if len(kept) == 0 {
		if verb == "remove" {
			return nil, nil
		}
		kept = []map[string]any{{}}
	}
	return kept, a.set(kept[0], sub, value, verb == "remove")
}

// applyMatching changes the values for which the filter of the path is true. Where there is none, one is made of what the
// filter says: Entra adds emails[type eq "work"].value so.
func (a Attribute) applyMatching(kept []map[string]any, verb string, at path, value any) ([]map[string]any, error) {
	matching := func(one map[string]any) bool { return at.filter.matches(one) }
	if verb == "remove" && at.sub == "" {
		return slices.DeleteFunc(kept, matching), nil
	}
	if !slices.ContainsFunc(kept, matching) {
		if verb == "remove" {
			return kept, nil
		}
		made := map[string]any{}
		for name, v := range at.filter.says() {
			if err := a.set(made, name, v, false); err != nil {
				return nil, err
			}
		}
		kept = append(kept, made)
	}
	for _, one := range kept {
		if !matching(one) {
			continue
		}
		if at.sub != "" {
			if err := a.set(one, at.sub, value, verb == "remove"); err != nil {
				return nil, err
			}
			continue
		}
		sent, err := a.sent(value)
		if err != nil {
			return nil, err
		}
		for _, parts := range sent {
			maps.Copy(one, parts)
		}
	}
	return kept, nil
}

// says are the parts that a filter of equalities fixes.
func (f *filter) says() map[string]any {
	all := map[string]any{}
	switch {
	case f.op == "eq" && f.path.sub == "":
		all[f.path.attribute] = f.value
	case f.op == "and":
		for _, part := range f.parts {
			maps.Copy(all, part.says())
		}
	}
	return all
}

// matches reports whether a value fits a filter in brackets.
func (f *filter) matches(one map[string]any) bool {
	switch f.op {
	case "and":
		return !slices.ContainsFunc(f.parts, func(part *filter) bool { return !part.matches(one) })
	case "or":
		return slices.ContainsFunc(f.parts, func(part *filter) bool { return part.matches(one) })
	case "not":
		return !f.parts[0].matches(one)
	}
	have, there := field(one, f.path.attribute)
	if f.op == "pr" {
		return there
	}
	if want, ok := f.value.(bool); ok {
		is, _ := boolean(have)
		return (is == want) == (f.op == "eq")
	}
	want, _ := f.value.(string)
	text, _ := have.(string)
	return compareFolded(f.op, strings.ToLower(text), strings.ToLower(want))
}

func compareFolded(op, have, want string) bool {
	switch op {
	case "eq":
		return have == want
	case "ne":
		return have != want
	case "co":
		return strings.Contains(have, want)
	case "sw":
		return strings.HasPrefix(have, want)
	case "ew":
		return strings.HasSuffix(have, want)
	case "gt":
		return have > want
	case "ge":
		return have >= want
	case "lt":
		return have < want
	case "le":
		return have <= want
	}
	return false
}
