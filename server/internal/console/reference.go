package console

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/feedback"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func referencePages() []page {
	return []page{
		{"GET /docs/api/{noun}", anybody, showReference},
		{"POST /docs/api/{noun}", anybody, answerReference},
	}
}

// reference is every operation by its noun, made once of what the operations say of themselves.
type reference []refNoun

// refNoun are the operations of a noun.
type refNoun struct {
	Name       string
	Operations []refOperation
}

// refOperation is one operation as the reference shows it.
type refOperation struct {
	op.Info
	Feature       string     // that the plan must have; empty: none
	Fields        []refField // of the request
	Answer        []refField
	Status        string
	AnswerType    string // the media type
	AnswerExample string
	Errors        []refError
	paths         map[string]string // examples of the fields of the path
}

// refError is a kind of error that an operation can give.
type refError struct{ Status, Code string }

// newReference makes the reference of the operations and their description. It panics over a description that is none,
// which is a mistake of the program.
func newReference(openAPI []byte, operations []op.Any) reference {
	if len(openAPI) == 0 {
		return nil
	}
	d, err := parseDocument(openAPI)
	if err != nil {
		panic(fmt.Sprintf("console: the description of the operations: %v", err))
	}
	var all reference
	for _, o := range operations {
		info := o.Info()
		described, ok := d.Paths[info.Path][strings.ToLower(info.Method)]
		if !ok || hiddenOperation(info) {
			continue
		}
		i := slices.IndexFunc(all, func(n refNoun) bool { return n.Name == info.Noun() })
		if i < 0 {
			i, all = len(all), append(all, refNoun{Name: info.Noun()})
		}
		all[i].Operations = append(all[i].Operations, d.operation(info, described))
	}
	return all
}

// hiddenOperation are the demo's own, which no product has.
func hiddenOperation(i op.Info) bool { return strings.HasPrefix(i.Name, "demo.") }

func (d *apiDocument) operation(info op.Info, o apiOperation) refOperation {
	r := refOperation{Info: info, Feature: o.Feature, paths: map[string]string{}}
	for _, p := range o.Parameters {
		r.Fields = append(r.Fields, d.field(p.Name, p.In, p.Required, p.Schema))
		if p.In == "path" {
			r.paths[p.Name] = fmt.Sprint(d.example(p.Schema, 0))
		}
	}
	for _, body := range o.Body.Content {
		for _, f := range d.fields(body.Schema, "", 0) {
			f.In = "body"
			r.Fields = append(r.Fields, f)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		answer := o.Responses[status]
		if answer.Ref != "" {
			r.Errors = append(r.Errors, refError{status, answer.Ref[strings.LastIndexByte(answer.Ref, '/')+1:]})
			continue
		}
		for kind, content := range answer.Content {
			r.Status, r.AnswerType, r.Answer = status, kind, d.fields(content.Schema, "", 0)
			if kind == "application/json" {
				r.AnswerExample = d.exampleAnswer(content.Schema)
			}
		}
	}
	return r
}

// find is a noun of the reference.
func (r reference) find(name string) (refNoun, bool) {
	i := slices.IndexFunc(r, func(n refNoun) bool { return n.Name == name })
	if i < 0 {
		return refNoun{}, false
	}
	return r[i], true
}

// matching are the operations in whose name, summary, path or permissions every word stands.
func (r reference) matching(query string) reference {
	words := strings.Fields(strings.ToLower(query))
	if len(words) == 0 {
		return r
	}
	var found reference
	for _, n := range r {
		kept := slices.DeleteFunc(slices.Clone(n.Operations), func(o refOperation) bool {
			text := strings.ToLower(strings.Join([]string{o.Name, o.Summary, o.Method, o.Path, o.Allow.String()}, " "))
			return slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
		})
		if len(kept) > 0 {
			found = append(found, refNoun{n.Name, kept})
		}
	}
	return found
}

// count is how many operations there are.
func (r reference) count() (n int) {
	for _, noun := range r {
		n += len(noun.Operations)
	}
	return n
}

// found are the operations that the page's own filter leaves.
func (p docPage) found() reference { return p.visit.reference.matching(p.visit.form.value("q")) }

// showReference shows the operations of a noun, or with .md at its end as text.
func showReference(v *visit) error {
	name, raw := strings.CutSuffix(v.r.PathValue("noun"), ".md")
	n, ok := v.reference.find(name)
	if !ok {
		return op.ErrNotFound
	}
	if raw {
		return v.text("text/markdown", v.referenceText(n))
	}
	return v.showNoun(n, nil)
}

func (v *visit) showNoun(n refNoun, answered *feedback.Recorded) error {
	p := refPage{visit: v, refNoun: n, answered: answered}
	return v.docFrame(ui.T("%s: API", n.title()), p.show())
}

// answerReference keeps what a reader says of the reference, which is one page of it.
func answerReference(v *visit) error {
	n, ok := v.reference.find(v.r.PathValue("noun"))
	if !ok {
		return op.ErrNotFound
	}
	v.form.values.Set("page", docOperations)
	answered, err := v.recordFeedback()
	if err != nil {
		return err
	}
	return v.showNoun(n, answered)
}

// text answers with a text that anybody may read.
func (v *visit) text(kind, text string) error {
	h := v.w.Header()
	h.Set("Content-Type", kind+"; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	v.w.WriteHeader(http.StatusOK)
	_, _ = v.w.Write([]byte(text)) // whoever asked has gone
	return nil
}

// title is the noun as people read it: "Service keys".
func (n refNoun) title() string { return capitalised(strings.ReplaceAll(n.Name, "_", " ")) }

// anchor is the operation's in its page: "members.remove".
func (o refOperation) anchor() string { return o.Name }

// has are the fields of one place of the request, or of all.
func (o refOperation) has(in string) bool {
	return slices.ContainsFunc(o.Fields, func(f refField) bool { return f.In == in })
}

// refPage is the page of a noun.
type refPage struct {
	visit *visit
	refNoun
	answered *feedback.Recorded
}

func (p refPage) foot() docFoot {
	return docFoot{visit: p.visit, page: docOperations, path: "/api/" + p.Name, answered: p.answered}
}

// referenceHref is the address of a noun, or of one of its operations.
func (v *visit) referenceHref(o refOperation) string {
	return v.href("/docs/api/" + o.Noun() + "#" + o.anchor())
}

// refRight is a permission that an operation asks for, with the roles that hold it.
type refRight struct {
	ID    charter.Permission
	Held  string
	Href  string
	Title string
}

// rights are the permissions of an operation, those of one's own things too.
func (v *visit) rights(o refOperation) (all []refRight) {
	c := v.Service.Charter()
	for _, id := range o.Allow.Asked() {
		held := heldBy(c, id)
		if held == "" {
			held = ui.T("nobody: it does not exist in this charter")
		}
		all = append(all, refRight{ID: id, Held: held, Href: v.href("/docs/permissions#" + anchorOf(id)), Title: permissionOf(c, id).Text})
	}
	return all
}

// notes say what is particular about an operation.
func (o refOperation) notes() (all []string) {
	all = append(all, map[op.Kind]string{op.Read: ui.T("Reads, and changes nothing."), op.Write: ui.T("Changes something, in one transaction with its row in the audit log."),
		op.Access: ui.T("Changes who may do what: it is in force everywhere when the answer arrives."), op.Count: ui.T("Records use; has no row in the audit log.")}[o.Kind])
	if o.Feature != "" {
		all = append(all, ui.T("The organization's plan must have %s; otherwise 402, plan_required.", o.Feature))
	}
	if o.Recorded {
		all = append(all, ui.T("Looking is itself recorded in the audit log."))
	}
	if o.Confirm > op.L0 {
		all = append(all, confirmNote(o.Confirm))
	}
	if o.Fresh {
		all = append(all, ui.T("In a browser's session, the sign-in may be %d minutes old at most; otherwise 403, verification_required.", int(op.FreshFor.Minutes())))
	}
	if o.Limit.Times > 0 {
		all = append(all, ui.T("One address calls it %s times in %s.", strconv.Itoa(o.Limit.Times), spanText(o.Limit.Per)))
	}
	if o.DryRun {
		all = append(all, ui.T("With dry_run=true it only says what would happen."))
	}
	return all
}

// spanText is a span of whole hours, minutes or seconds.
func spanText(d time.Duration) string {
	switch {
	case d >= 2*aDay && d%aDay == 0:
		return ui.N(int(d/aDay), "a day", "%d days")
	case d%time.Hour == 0:
		return ui.N(int(d/time.Hour), "an hour", "%d hours")
	case d%time.Minute == 0:
		return ui.N(int(d/time.Minute), "a minute", "%d minutes")
	}
	return ui.N(int(d/time.Second), "a second", "%d seconds")
}

func confirmNote(l op.Level) string {
	switch l {
	case op.L1:
		return ui.T("The console asks first; the command wants --yes where nobody can answer.")
	case op.L2:
		return ui.T("The console lists what is affected and asks; the command shows it and wants --yes.")
	}
	return ui.T("It cannot be undone: the console wants the name typed, the command --confirm.")
}
