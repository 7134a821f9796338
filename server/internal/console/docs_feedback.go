package console

import (
	"strings"

	"github.com/guildhall/guildhall/docs"
	"github.com/guildhall/guildhall/feedback"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// docFoot is the end of a page of the documentation: its other forms, and what the reader says of it.
type docFoot struct {
	visit    *visit
	page     string             // whose answers are kept, and whose file is edited
	path     string             // of the page, below the documentation's: "/keys"
	answered *feedback.Recorded // what the reader has just said; nil: nothing
}

// edit is where the page's file is changed; empty: nowhere.
func (f docFoot) edit() string {
	return strings.ReplaceAll(f.visit.DocsEditURL, "{page}", f.page+".md")
}

func (f docFoot) action() string { return f.visit.href("/docs"+f.path) + "#feedback" }

// hidden are the page and, for whoever is not signed in, the receipt by which an answer is changed: one of the page's
// own, so that neither a cookie nor an address is needed.
func (f docFoot) hidden() []ui.Hidden {
	all := []ui.Hidden{{Name: "page", Value: f.page}}
	if f.visit.actor.Kind != op.NobodyActor {
		return all
	}
	receipt := f.visit.form.value("receipt")
	if receipt == "" {
		receipt = feedback.NewReceipt()
	}
	return append(all, ui.Hidden{Name: "receipt", Value: receipt})
}

// thanks says what is kept now.
func (f docFoot) thanks() string {
	if f.answered.Helpful {
		return ui.T("Thank you. You said that this page helped.")
	}
	return ui.T("Thank you. You said that this page did not help.")
}

func (f docFoot) comment() ui.TextareaProps {
	t := ui.TextareaProps{FieldProps: ui.FieldProps{Name: "comment", Label: ui.T("What is missing or wrong?"), Optional: true,
		Hint: ui.T("A sentence, at most %d characters. No names or secrets, please.", feedback.MaxComment), Error: f.visit.form.error("comment")}, Value: f.visit.form.value("comment")}
	return t
}

// asked reports whether the sentence is asked for: after an answer, or when it was refused.
func (f docFoot) asked() bool { return f.answered != nil || len(f.visit.form.wrong) > 0 }

// answer is a button that says yes or no.
func (f docFoot) answer(text string, helpful bool) ui.ButtonProps {
	b := ui.ButtonProps{Text: text, Small: true, Name: "helpful", Value: "false"}
	if helpful {
		b.Value = "true"
	}
	return b
}

// recordFeedback keeps what a reader says of a page; the page's own handler then shows it again. False: it was refused in
// a way that the form shows.
func (v *visit) recordFeedback() (*feedback.Recorded, error) {
	said := v.form.value("helpful")
	if said != "true" && said != "false" {
		v.form.say("helpful", ui.T("say yes or no"))
		return nil, nil
	}
	out, err := feedback.Record.Call(v.ctx, v.Service, feedback.RecordInput{Page: v.form.value("page"), Helpful: said == "true",
		Comment: v.form.value("comment"), Receipt: v.form.value("receipt")})
	if v.again(err) {
		return nil, nil
	}
	return &out, err
}

// answerDoc keeps what a reader says of a page, and shows the page again with thanks.
func answerDoc(v *visit) error {
	found, ok := docs.Find(v.r.PathValue("page"))
	if !ok {
		return op.ErrNotFound
	}
	v.form.values.Set("page", found.Name)
	answered, err := v.recordFeedback()
	if err != nil {
		return err
	}
	return v.doc(found, answered)
}
