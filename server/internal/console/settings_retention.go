package console

import (
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func retentionPages() []page {
	return []page{{"GET /o/{slug}/settings/general/retention", member, showRetention}}
}

// retentionHref is the page that says what retention deletes, or would delete after so many days.
func (v *visit) retentionHref(days string) string {
	return asking(v.org("/settings/general/retention"), "days", days)
}

// retentionPage says how much retention deletes, and when, and what was deleted last.
type retentionPage struct {
	visit   *visit
	preview artifacts.Preview
	deleted op.List[artifacts.Proof]
	product op.List[artifacts.Acknowledgement]
}

// showRetention shows what would be deleted after the days that the address asks for, else after those that are set.
func showRetention(v *visit) error {
	p := retentionPage{visit: v}
	err := p.read(v.days())
	if v.again(err) {
		err = p.read(nil)
	}
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Artifact retention"), Lede: ui.T("How much is deleted, and when. Looking changes nothing."),
		Crumb: ui.LinkProps{Text: ui.T("General"), Href: v.org("/settings/general")}, Ways: v.same(artifacts.PreviewRetention, "days", number(p.preview.Days))}, p.show())
}

// days are those of the address; nil: it says none.
func (v *visit) days() *int64 {
	text := v.form.value("days")
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		n = -1 // the operation says what is wrong
	}
	return &n
}

func (p *retentionPage) read(days *int64) (err error) {
	v := p.visit
	if p.preview, err = artifacts.PreviewRetention.Call(v.ctx, v.Service, artifacts.PreviewInput{InOrganization: v.inOrg(), Days: days}); err != nil {
		return err
	}
	if p.deleted, err = artifacts.ListDeleted.Call(v.ctx, v.Service, artifacts.ListDeletedInput{InOrganization: v.inOrg(), Page: op.Page{Limit: 10}}); err != nil {
		return err
	}
	p.product, err = artifacts.ListAcknowledged.Call(v.ctx, v.Service, artifacts.ListAcknowledgedInput{InOrganization: v.inOrg(), Page: op.Page{Limit: 5}})
	return err
}

func (p retentionPage) title() string {
	if p.preview.Days == 0 {
		return ui.T("Kept for ever")
	}
	return ui.N(int(p.preview.Days), "Deleted after 1 day", "Deleted after %d days")
}

func (p retentionPage) days() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "days", Label: ui.T("And after how many days?"), Hint: ui.T("0 keeps files for ever."), Error: p.visit.form.error("days")},
		Value: p.visit.form.or("days", number(p.preview.Days)), InputMode: "numeric"}
}

// facts are the numbers of the preview.
func (p retentionPage) facts() []ui.Fact {
	r := p.preview
	amount := func(files, bytes int64) component {
		return ui.Text(ui.T("%s, %s", artifacts.Files(files), artifacts.Size(bytes)))
	}
	facts := []ui.Fact{{Name: ui.T("Deleted at once"), Value: amount(r.Files, r.Bytes)}}
	if r.Oldest != nil {
		facts = append(facts, ui.Fact{Name: ui.T("The oldest of them"), Value: p.visit.at(*r.Oldest)})
	}
	return append(facts, ui.Fact{Name: ui.T("Kept by legal holds"), Value: amount(r.HeldFiles, r.HeldBytes)}, ui.Fact{Name: ui.T("Stored in all"), Value: amount(r.StoredFiles, r.StoredBytes)})
}

// next is what is due on the days to come.
func (p retentionPage) next() ui.TableProps {
	t := ui.TableProps{ID: "due", Caption: ui.T("The next 30 days"), ShowCaption: true, Empty: ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Nothing becomes due within the next 30 days.")}),
		Columns: []ui.Column{{Title: ui.T("Day")}, {Title: ui.T("Files"), Number: true}, {Title: ui.T("Size"), Number: true}}}
	for _, d := range p.preview.Next {
		day, _ := time.Parse(time.DateOnly, d.Date) // as the operation writes it
		t.Rows = append(t.Rows, ui.Row{ID: d.Date, Cells: []templ.Component{ui.Text(onDay(day)), ui.Text(artifacts.Files(d.Files)), ui.Text(artifacts.Size(d.Bytes))}})
	}
	return t
}

// proofs are the files that were deleted last.
func (p retentionPage) proofs() ui.TableProps {
	t := ui.TableProps{ID: "deleted", Caption: ui.T("Deleted last"), ShowCaption: true, Empty: ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Nothing was deleted yet.")}),
		Columns: []ui.Column{{Title: ui.T("File")}, {Title: ui.T("Size"), Number: true}, {Title: "SHA-256"}, {Title: ui.T("By")}, {Title: ui.T("Deleted")}}}
	for _, d := range p.deleted.Data {
		t.Rows = append(t.Rows, ui.Row{ID: d.ID, Cells: []templ.Component{ui.Code(d.ID), ui.Text(artifacts.Size(d.Size)), ui.Code(d.SHA256[:12] + "…"), ui.Text(deletedBy(d)), p.visit.at(d.DeletedAt)}})
	}
	return t
}

// deletedBy says who deleted a file: retention, or somebody.
func deletedBy(d artifacts.Proof) string {
	switch {
	case d.DeletedBy == "retention":
		return ui.T("Retention")
	case strings.HasPrefix(d.DeletedBy, "mem_"):
		return ui.T("A member")
	}
	return ui.T("An API key")
}

// acknowledged is what the product said that it deleted of its own files.
func (p retentionPage) acknowledged() ui.TableProps {
	t := ui.TableProps{ID: "acknowledged", Caption: ui.T("Deleted by the product, of its own files"), ShowCaption: true,
		Columns: []ui.Column{{Title: ui.T("Made before")}, {Title: ui.T("Files"), Number: true}, {Title: ui.T("Size"), Number: true}, {Title: ui.T("Said")}}}
	for _, a := range p.product.Data {
		t.Rows = append(t.Rows, ui.Row{ID: a.ID, Cells: []templ.Component{ui.Text(onDay(a.Before)), ui.Text(artifacts.Files(a.Files)), ui.Text(artifacts.Size(a.Bytes)), p.visit.at(a.CreatedAt)}})
	}
	return t
}
