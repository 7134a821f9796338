package console

import (
	"slices"
	"strings"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// permissionsField is the field of the single permissions. That of the level of a group is a pointer below it:
// "permissions/Workflows".
const permissionsField = "permissions"

// The levels of a group, beside ui.ScopesChosen.
const (
	levelNone  = "none"
	levelRead  = "read"
	levelWrite = "write"
)

// scopeForm is the choice of what a key or token may: of each group nothing, what reads, everything, or single
// permissions.
type scopeForm struct {
	visit   *visit
	refused map[charter.Permission]string // why a permission cannot be given; those that can are not in it
}

// scopeForm reads the choice. beyond says why the key could not have a permission that the viewer could give, and is
// empty for the others.
func (v *visit) scopeForm(beyond func(charter.Info) string) (scopeForm, error) {
	s := scopeForm{visit: v, refused: map[charter.Permission]string{}}
	helpers := map[string]string{}
	for _, info := range v.Service.Charter().Permissions() {
		if why := beyond(info); why != "" {
			s.refused[info.ID] = why
			continue
		}
		if d := v.may(info.ID); !d.Allow && len(info.Includes) == 0 {
			why, err := v.notYours(info.ID, d, helpers)
			if err != nil {
				return s, err
			}
			s.refused[info.ID] = why
		}
	}
	return s, nil
}

// notYours says why the viewer cannot give a permission, and who could. Who helps with one permission helps with all that
// the same roles hold, so each of these is asked about once.
func (v *visit) notYours(p charter.Permission, d decide.Decision, helpers map[string]string) (string, error) {
	if d.Reason != decide.NoPermission {
		return refusalText(v, d), nil
	}
	roles, err := v.allRoles()
	if err != nil {
		return "", err
	}
	key := strings.Join(idsOfRoles(roles, p), " ")
	if _, known := helpers[key]; !known {
		names, err := v.holderNames(p)
		if err != nil {
			return "", err
		}
		helpers[key] = ui.T("Not in your role. %s", ui.WhoCan(names))
	}
	return helpers[key], nil
}

// idsOfRoles are the roles that hold a permission.
func idsOfRoles(roles []directory.Role, p charter.Permission) (ids []string) {
	for _, role := range roles {
		if slices.Contains(role.Permissions, p) {
			ids = append(ids, role.ID)
		}
	}
	return ids
}

// holderNames are the first of those who hold a permission, for viewers who may see the team.
func (v *visit) holderNames(p charter.Permission) (names []string, err error) {
	if !v.can("members.view") {
		return nil, nil
	}
	list, err := access.Holders.Call(v.ctx, v.Service, access.HoldersInput{InOrganization: v.inOrg(), Page: op.Page{Limit: 100}, Permission: p})
	for _, h := range list.Data {
		names = append(names, h.Name)
	}
	return names, err
}

// named are the permissions that the form or the address names, bundles as their parts, and the words that are none.
func (s scopeForm) named() (charter.Set, []charter.Permission) {
	var ids []charter.Permission
	for _, word := range words(s.visit.form.values[permissionsField]) {
		ids = append(ids, charter.Permission(word))
	}
	return s.visit.Service.Charter().SetOf(ids)
}

// words are the single words of the values of a field, whatever stands between them.
func words(values []string) (all []string) {
	for _, value := range values {
		all = append(all, strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })...)
	}
	return all
}

// notGiven are the permissions that the address names and that cannot be given here.
func (s scopeForm) notGiven() (all []string) {
	set, unknown := s.named()
	for _, id := range unknown {
		all = append(all, string(id))
	}
	for _, id := range s.visit.Service.Charter().IDs(set) {
		if s.refused[id] != "" {
			all = append(all, string(id))
		}
	}
	return all
}

// chosen are the permissions that are chosen, in the order of the charter.
func (s scopeForm) chosen() []charter.Permission {
	all := []charter.Permission{}
	for _, g := range permissionGroups(s.visit.Service.Charter()) {
		all = append(all, s.chosenOf(g)...)
	}
	return all
}

func levelField(g permissionGroup) string { return permissionsField + "/" + g.title }

// chosenOf are those of a group.
func (s scopeForm) chosenOf(g permissionGroup) (ids []charter.Permission) {
	named, _ := s.named()
	level := s.visit.form.value(levelField(g))
	for _, info := range s.open(g) {
		if level == levelWrite || level == levelRead && info.Reads || (level == "" || level == ui.ScopesChosen) && named.Has(info.Bit) {
			ids = append(ids, info.ID)
		}
	}
	return ids
}

// open are the permissions of a group that can be given.
func (s scopeForm) open(g permissionGroup) (open []charter.Info) {
	for _, info := range g.permissions {
		if s.refused[info.ID] == "" {
			open = append(open, info)
		}
	}
	return open
}

// reading are those that only read.
func reading(infos []charter.Info) (ids []charter.Permission) {
	for _, info := range infos {
		if info.Reads {
			ids = append(ids, info.ID)
		}
	}
	return ids
}

// level is how much of a group is chosen.
func (s scopeForm) level(g permissionGroup) string {
	chosen, open := s.chosenOf(g), s.open(g)
	switch {
	case s.visit.form.value(levelField(g)) == ui.ScopesChosen:
		return ui.ScopesChosen
	case len(chosen) == 0:
		return levelNone
	case slices.Equal(chosen, reading(open)):
		return levelRead
	case len(chosen) == len(open):
		return levelWrite
	}
	return ui.ScopesChosen
}

// levels are those that a group has.
func (s scopeForm) levels(g permissionGroup) []ui.Option {
	open := s.open(g)
	if len(open) == 0 {
		return nil
	}
	all, reads := []ui.Option{{Value: levelNone, Text: ui.T("None")}}, reading(open)
	if len(reads) > 0 {
		all = append(all, ui.Option{Value: levelRead, Text: ui.T("Read")})
	}
	if len(reads) < len(open) {
		all = append(all, ui.Option{Value: levelWrite, Text: ui.T("Write")})
	}
	if len(g.permissions) > 1 {
		all = append(all, ui.Option{Value: ui.ScopesChosen, Text: ui.T("Choose")})
	}
	return all
}

// props is the choice as it is shown.
func (s scopeForm) props(label, hint string) ui.ScopesProps {
	p := ui.ScopesProps{FieldProps: ui.FieldProps{Name: permissionsField, Label: label, Hint: hint, Error: s.visit.form.error(permissionsField)}}
	for _, g := range s.visit.groups() {
		if levels := s.levels(g); len(levels) > 0 {
			p.Groups = append(p.Groups, ui.ScopeGroup{Name: levelField(g), Title: g.title, Levels: levels, Level: s.level(g), Note: s.note(g), Scopes: s.scopes(g)})
		}
	}
	return p
}

// groups are the charter's, those of the product's own permissions first.
func (v *visit) groups() []permissionGroup {
	groups := permissionGroups(v.Service.Charter())
	foreign := func(info charter.Info) bool { return !info.Own }
	slices.SortStableFunc(groups, func(a, b permissionGroup) int {
		switch a, b := slices.ContainsFunc(a.permissions, foreign), slices.ContainsFunc(b.permissions, foreign); {
		case a == b:
			return 0
		case a:
			return -1
		}
		return 1
	})
	return groups
}

// note says how much of a group can be given.
func (s scopeForm) note(g permissionGroup) string {
	if open := s.open(g); len(open) < len(g.permissions) {
		return ui.T("%d of %d can be given here: choose to see which.", len(open), len(g.permissions))
	}
	return ""
}

// closed says of which groups nothing can be given, and why, a line for each reason.
func (s scopeForm) closed() (lines []string) {
	var reasons []string
	titles := map[string][]string{}
	for _, g := range s.visit.groups() {
		if len(s.open(g)) > 0 {
			continue
		}
		why := s.refused[g.permissions[0].ID]
		if titles[why] == nil {
			reasons = append(reasons, why)
		}
		titles[why] = append(titles[why], g.title)
	}
	for _, why := range reasons {
		lines = append(lines, ui.T("%s: %s", listed(titles[why]), lowered(why)))
	}
	return lines
}

func (s scopeForm) scopes(g permissionGroup) []ui.Scope {
	chosen, explicit := s.chosenOf(g), s.visit.Service.Charter().Explicit()
	all := make([]ui.Scope, len(g.permissions))
	for i, info := range g.permissions {
		all[i] = ui.Scope{ID: string(info.ID), Text: info.Title, Checked: slices.Contains(chosen, info.ID), Refused: s.refused[info.ID]}
		if explicit.Has(info.Bit) {
			all[i].Note = ui.T("administers")
		}
	}
	return all
}

// presets fill the choice in, by the address.
func (s scopeForm) presets() []ui.LinkProps {
	link := func(text string, in func(charter.Info) bool) ui.LinkProps {
		query := cloned(s.visit.form.values)
		for name := range query {
			if strings.HasPrefix(name, permissionsField) {
				query.Del(name)
			}
		}
		if ids := s.all(in); ids != "" {
			query.Set(permissionsField, ids)
		}
		return ui.LinkProps{Text: text, Href: withQuery(s.visit.r.URL.Path, query)}
	}
	explicit := s.visit.Service.Charter().Explicit()
	return []ui.LinkProps{
		link(ui.T("Nothing"), func(charter.Info) bool { return false }),
		link(ui.T("Everything that only reads"), func(i charter.Info) bool { return i.Reads && !explicit.Has(i.Bit) }),
		link(ui.T("Everything but administration"), func(i charter.Info) bool { return !explicit.Has(i.Bit) }),
	}
}

// all are the permissions of a kind that can be given, with commas between.
func (s scopeForm) all(in func(charter.Info) bool) string {
	var ids []string
	for _, g := range permissionGroups(s.visit.Service.Charter()) {
		for _, info := range s.open(g) {
			if in(info) {
				ids = append(ids, string(info.ID))
			}
		}
	}
	return strings.Join(ids, ",")
}

// administers reports whether permissions hold one that has to be named for a key to have it.
func (v *visit) administers(ids []charter.Permission) bool {
	set, _ := v.Service.Charter().SetOf(ids)
	return !set.Intersect(v.Service.Charter().Explicit()).Empty()
}

// inWords says permissions as a sentence goes on: whole groups by their names, the others by what they let somebody do.
func (v *visit) inWords(ids []charter.Permission) []string {
	set, unknown := v.Service.Charter().SetOf(ids)
	var said []string
	for _, g := range v.groups() {
		var held []string
		for _, info := range g.permissions {
			if set.Has(info.Bit) {
				held = append(held, lowered(info.Title))
			}
		}
		if len(held) == len(g.permissions) && len(held) > 2 {
			held = []string{ui.T("everything in %s", g.title)}
		}
		said = append(said, held...)
	}
	for _, id := range unknown {
		said = append(said, string(id))
	}
	return said
}

// lowered is a title within a sentence; abbreviations stay as they are.
func lowered(title string) string {
	if len(title) > 1 && title[1] >= 'A' && title[1] <= 'Z' {
		return title
	}
	return strings.ToLower(title[:min(1, len(title))]) + title[min(1, len(title)):]
}
