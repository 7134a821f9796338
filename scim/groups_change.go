package scim

import (
	"maps"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/op"
)

// groupChange is what becomes of a group: its name, and members by the ids of people.
type groupChange struct {
	display, externalID *string
	clear               bool // everybody goes who is not added
	add, remove         map[string]bool
}

// apply does one operation with one attribute. What it does not know, it ignores.
func (c *groupChange) apply(verb string, at path, value any) error {
	if at.extension {
		return nil
	}
	switch at.attribute {
	case "displayname":
		text, err := plainText("displayName", value)
		if err == nil && verb == "remove" || strings.TrimSpace(text) == "" {
			err = invalidValue("displayName is required")
		}
		text = strings.TrimSpace(text)
		c.display = &text
		return err
	case "externalid":
		text := ""
		if verb != "remove" && value != nil {
			var err error
			if text, err = plainText("externalId", value); err != nil {
				return err
			}
		}
		c.externalID = &text
	case "members":
		return c.applyMembers(verb, at, value)
	}
	return nil
}

func (c *groupChange) applyMembers(verb string, at path, value any) error {
	people, err := memberIDs(value)
	if err != nil {
		return err
	}
	if at.filter != nil {
		named, err := namedMembers(at.filter)
		if err != nil {
			return err
		}
		people = named
	}
	switch {
	case verb == "replace" && at.filter == nil, verb == "remove" && at.filter == nil && value == nil:
		c.clear, c.add, c.remove = true, map[string]bool{}, map[string]bool{}
	}
	for _, id := range people {
		if verb == "remove" {
			delete(c.add, id)
			c.remove[id] = true
		} else {
			delete(c.remove, id)
			c.add[id] = true
		}
	}
	if len(c.add)+len(c.remove) > maxMembers {
		return op.Errorf(op.TooLarge, "too_many", "a request names at most %d members", maxMembers)
	}
	return nil
}

// memberIDs reads members as they were sent: objects with a value, or only text.
func memberIDs(value any) ([]string, error) {
	list, ok := value.([]any)
	if !ok && value != nil {
		list = []any{value}
	}
	var ids []string
	for _, one := range list {
		if object, ok := one.(map[string]any); ok {
			one, _ = field(object, "value")
		}
		id, ok := one.(string)
		if !ok {
			return nil, invalidValue("a member is named by the id of a person, as value")
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// namedMembers are the members that a path names: members[value eq "x"].
func namedMembers(f *filter) ([]string, error) {
	if f.op == "or" {
		var all []string
		for _, part := range f.parts {
			named, err := namedMembers(part)
			if err != nil {
				return nil, err
			}
			all = append(all, named...)
		}
		return all, nil
	}
	id, ok := f.value.(string)
	if f.op != "eq" || f.path.full() != "value" || !ok {
		return nil, invalidPath("members are named by members[value eq \"...\"]")
	}
	return []string{id}, nil
}

// merge does one operation with every attribute of an object.
func (c *groupChange) merge(verb string, sent map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		at, err := parsePath(name)
		if err != nil {
			continue
		}
		if err := c.apply(verb, at, sent[name]); err != nil {
			return err
		}
	}
	return nil
}

func newChange() *groupChange {
	return &groupChange{add: map[string]bool{}, remove: map[string]bool{}}
}

// patch does one operation of a PATCH.
func (c *groupChange) patch(o PatchOperation) error {
	verb, err := o.verb()
	if err != nil {
		return err
	}
	if strings.TrimSpace(o.Path) == "" {
		if verb == "remove" {
			return op.Errorf(op.Malformed, "no_target", "remove needs a path")
		}
		object, err := o.object()
		if err != nil {
			return err
		}
		return c.merge(verb, object)
	}
	at, err := parsePath(o.Path)
	switch {
	case err != nil:
		return err
	case slices.Contains(readOnly, at.attribute):
		return op.Errorf(op.Malformed, "mutability", "%s is not yours to change", at.attribute)
	}
	return c.apply(verb, at, o.Value)
}
