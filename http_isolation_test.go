package guildhall_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
)

const noID = "_00000000000000000000000000"

// TestForeignObjectsAreTheSameBytes: an object of another organization is answered like one that never was, to the byte
// and to the header; so is the other organization itself. T-001, T-006
func TestForeignObjectsAreTheSameBytes(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		pairs := 0
		for _, o := range guildhall.Operations() {
			info := o.Info()
			if info.Scope != op.Organization {
				continue
			}
			for _, field := range info.PathFields() {
				for _, by := range s.inUse() {
					pairs++
					s.compareWithNone(t, info, field, by.name)
				}
			}
		}
		t.Logf("%d pairs", pairs)
		s.Sound()
	})
}

// compareWithNone names globex, or an object of globex in acme's address, and one that never was.
func (s *site) compareWithNone(t *testing.T, info op.Info, field, as string) {
	t.Helper()
	theirs := s.fields(info, s.globex)
	if field != "organization" {
		theirs["organization"] = s.acme.ID
	}
	never := maps.Clone(theirs)
	prefix, _, _ := strings.Cut(theirs[field].(string), "_")
	never[field] = prefix + noID
	by := s.called(as)
	if field == "role" || field == "organization" && (as == "of another" || as == "service key") {
		return // it is their own, or is everybody's
	}
	got := s.send(request(info, theirs, by.Credential))
	want := s.send(request(info, never, by.Credential))
	if got.ok() || want.ok() {
		t.Errorf("%s as %s, a foreign %s: %s, and none: %s", info.Name, as, field, got.outcome(), want.outcome())
	}
	if diff := cmp.Diff(want.bytes(), got.bytes()); diff != "" {
		t.Errorf("%s as %s tells a foreign %s from none:\n%s", info.Name, as, field, diff)
	}
}

// fieldNames are the names of all fields of everything that operations take and give, and those that somebody would
// try who knows other products.
func fieldNames() []string {
	names := map[string]bool{}
	for _, o := range guildhall.Operations() {
		collect(o.Info().In, names)
		collect(o.Info().Out, names)
	}
	for _, name := range []string{"tenant_id", "organization_id", "is_owner", "is_admin", "owner_id", "quota", "plan", "seats",
		"created_by", "created_at", "updated_at", "version", "permissions", "scopes", "state", "status", "external_id", "user_id",
		"password", "email_verified", "recovery_epoch", "__proto__", "constructor", "$set", "ID", "Role", "role ", "organization\x00"} {
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// collect adds the JSON names of a type and of what is in it.
func collect(t reflect.Type, names map[string]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			names[name] = true
		}
		if f.IsExported() && t.PkgPath() != "time" {
			collect(f.Type, names)
		}
	}
}

// inputNames are the names that an operation takes.
func inputNames(info op.Info) map[string]bool {
	names := map[string]bool{}
	for i := range info.In.NumField() {
		f := info.In.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" && f.Anonymous {
			collect(f.Type, names)
		}
		names[name] = true
	}
	return names
}

// TestNoFieldIsTakenThatIsNotAsked: a field that an operation does not take is refused by its name, and nothing changes:
// not one of the model, not one in another spelling, and never one that the path says. T-008, T-002, T-099
func TestNoFieldIsTakenThatIsNotAsked(t *testing.T) {
	names := fieldNames()
	if !slices.Contains(names, "invited_by") || len(names) < 100 {
		t.Fatalf("only %d names: %q", len(names), names)
	}
	eachSite(t, func(t *testing.T, s *site) {
		tried := 0
		for _, o := range guildhall.Operations() {
			by, ok := s.mayCall(o)
			if !ok {
				continue
			}
			info := o.Info()
			fields, takes := s.fill(info, s.acme, by), inputNames(info)
			by = s.called(by.name)
			for _, name := range names {
				if takes[name] && !slices.Contains(info.PathFields(), name) {
					continue
				}
				tried++
				s.refusesField(t, info, fields, name, by)
			}
			s.refusesWithin(t, info, fields, by)
		}
		t.Logf("%d fields tried", tried)
	})
}

// refusesField adds one field to a call that would go well.
func (s *site) refusesField(t *testing.T, info op.Info, fields map[string]any, name string, by caller) {
	t.Helper()
	before := s.Stats().Writes
	a := withField(t, request(info, fields, by.Credential), name, s.globex)
	got := s.send(a)
	pointer := "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	p := got.problem()
	if got.status != 422 || len(p.Errors) == 0 || p.Errors[0].Pointer != pointer {
		t.Errorf("%s as %s with %q: %s, want 422 about %s: %s", info.Name, by.name, name, got.outcome(), pointer, got.body)
	}
	if wrote := s.Stats().Writes - before; wrote != 0 {
		t.Errorf("%s with %q wrote", info.Name, name)
	}
}

// refusesWithin adds a field to the objects within a body.
func (s *site) refusesWithin(t *testing.T, info op.Info, fields map[string]any, by caller) {
	t.Helper()
	for name, value := range fields {
		all, _ := value.([]any)
		if len(all) == 0 {
			continue
		}
		first, ok := all[0].(map[string]any)
		if !ok {
			continue
		}
		changed, within := maps.Clone(fields), maps.Clone(first)
		within["invited_by"] = "mem" + noID
		changed[name] = []any{within}
		got := s.send(request(info, changed, by.Credential))
		if p := got.problem(); got.status != 422 || len(p.Errors) == 0 || p.Errors[0].Pointer != "/"+name+"/0/invited_by" {
			t.Errorf("%s: within %s: %s %s", info.Name, name, got.outcome(), got.body)
		}
	}
}

// withField adds a field to the body of a request, or to its query: the id of another organization, which would fit any.
func withField(t *testing.T, a ask, name string, other *guildhalltest.Organization) ask {
	t.Helper()
	if a.method == "GET" || a.body == "" { // of an upload the body is bytes
		return query(strings.TrimPrefix(queryOf(map[string]any{name: other.ID}), "?"))(a)
	}
	body := map[string]any{}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatal(err)
	}
	body[name] = other.ID
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	a.body = string(raw)
	return a
}

// TestACredentialsOrganizationIsNotSaidByABody: whoever belongs to both organizations changes the one of the path, and
// one in the body is refused. T-002
func TestACredentialsOrganizationIsNotSaidByABody(t *testing.T) {
	s := newSite(t, "automation")
	owner := s.acme.Owner()
	s.globex.Join(owner.Email, owner.Role)
	fields := map[string]any{"organization": s.acme.ID, "name": "Acme of mine"}
	a := request(info(t, "organizations.update"), fields, owner.Token)
	for _, body := range []string{
		`{"organization": "` + s.globex.ID + `", "name": "Taken"}`,
		`{"organization": "` + s.acme.ID + `", "name": "Taken"}`,
		`{"organization": null, "name": "Taken"}`,
	} {
		a.body = body
		if got := s.send(a); got.status != 422 || got.problem().Errors[0].Pointer != "/organization" {
			t.Errorf("%s: %s", body, got.body)
		}
	}
	for _, o := range []*guildhalltest.Organization{s.acme, s.globex} {
		got := s.send(ask{method: "GET", target: "/v1/organizations/" + o.ID, token: owner.Token})
		if !got.ok() || strings.Contains(got.body, "Taken") {
			t.Errorf("%s: %s", o.Slug, got.body)
		}
	}
}

// info is the description of an operation of the hall.
func info(t *testing.T, name string) op.Info {
	t.Helper()
	for _, o := range guildhall.Operations() {
		if o.Info().Name == name {
			return o.Info()
		}
	}
	t.Fatalf("no operation %s", name)
	return op.Info{}
}

// lists are the operations that answer in pages.
func lists() []op.Any {
	var all []op.Any
	for _, o := range guildhall.Operations() {
		if takes := inputNames(o.Info()); takes["cursor"] && takes["limit"] {
			all = append(all, o)
		}
	}
	return all
}

// TestACursorIsGoodForItsListOnly: a cursor of one list is refused in another organization, with other filters, by
// somebody else, in another list and with a bit changed. T-003
func TestACursorIsGoodForItsListOnly(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		both := s.acme.People[s.Charter().OwnerRole().ID]
		high := s.Charter().Rules.Ownership.TransferTo
		if s.Charter().Rules.Owners == "many" {
			high = s.Charter().OwnerRole().ID
		}
		s.globex.Join(both.Email, high)
		both.Token = s.SignIn(both.Email).Token
		var former string
		checked := 0
		for _, o := range lists() {
			info := o.Info()
			fields := map[string]any{"organization": s.acme.ID, "limit": 1}
			if !slices.Contains(info.PathFields(), "organization") {
				delete(fields, "organization")
			}
			cursor := s.firstCursor(t, info, fields, both.Token)
			if cursor == "" {
				continue
			}
			checked++
			s.refusesCursor(t, info, fields, cursor, former, both.Token)
			former = cursor
		}
		if checked < 5 {
			t.Errorf("only %d lists went on to a second page", checked)
		}
	})
}

// firstCursor is where the first page of a list ends; empty if that is all, or the list is not this person's to read.
func (s *site) firstCursor(t *testing.T, info op.Info, fields map[string]any, token string) string {
	t.Helper()
	var page struct {
		NextCursor string `json:"next_cursor"`
	}
	got := s.send(request(info, fields, token))
	if err := json.Unmarshal([]byte(got.body), &page); err != nil {
		t.Fatalf("%s: %v: %s", info.Name, err, got.body)
	}
	return page.NextCursor
}

// refusesCursor tries a cursor where it is good, and everywhere else.
func (s *site) refusesCursor(t *testing.T, info op.Info, fields map[string]any, cursor, former, token string) {
	t.Helper()
	page := func(change map[string]any, token string) answer {
		changed := maps.Clone(fields)
		changed["cursor"] = cursor
		maps.Copy(changed, change)
		return s.send(request(info, changed, token))
	}
	if got := page(nil, token); !got.ok() {
		t.Errorf("%s: its own cursor: %s", info.Name, got.outcome())
	}
	turned := []byte(cursor)
	turned[len(turned)/2] ^= 3
	tries := map[string]answer{
		"a changed one": page(map[string]any{"cursor": string(turned)}, token),
		"a short one":   page(map[string]any{"cursor": cursor[:len(cursor)-4]}, token),
		"nonsense":      page(map[string]any{"cursor": "first"}, token),
	}
	if former != "" {
		tries["that of another list"] = page(map[string]any{"cursor": former}, token)
	}
	if _, ok := fields["organization"]; ok {
		tries["in another organization"] = page(map[string]any{"organization": s.globex.ID}, token)
	} else {
		tries["by somebody else"] = page(nil, s.globex.Owner().Token)
	}
	for name, value := range map[string]any{"role": string(s.Charter().Roles()[0].ID), "state": "pending", "action": "members.list"} {
		if inputNames(info)[name] {
			tries["with another "+name] = page(map[string]any{name: value}, token)
		}
	}
	for name, got := range tries {
		if p := got.problem(); got.status != 422 || len(p.Errors) != 1 || p.Errors[0].Pointer != "/cursor" {
			t.Errorf("%s: %s: %s %s", info.Name, name, got.outcome(), got.body)
		}
	}
}
