package billing

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-pdf/fpdf"

	"github.com/guildhall/guildhall/op"
)

// PrintInvoice writes an invoice as a PDF: of one invoice always the same bytes.
var PrintInvoice = &op.Stream[InvoiceInput]{
	Name:      "invoices.pdf",
	Route:     "GET /v1/organizations/{organization}/invoices/{invoice}/pdf",
	Summary:   "Download an invoice as PDF",
	Allow:     op.AnyOf(op.On(see), op.ByService),
	MediaType: "application/pdf",
	FileName:  "invoice.pdf",
	Target:    invoiceTarget,
	Write: func(ctx context.Context, r *op.Reader, in InvoiceInput, w io.Writer) error {
		i, err := in.read(ctx, r)
		if err == nil && i.Provider != Builtin {
			err = i.elsewhere()
		}
		if err != nil {
			return err
		}
		page, err := sheetOf(i, r.Charter.Product).bytes()
		if err != nil {
			return err
		}
		_, err = w.Write(page)
		return err
	},
	Example: InvoiceInput{Invoice: "bil_00000000000000000000000000"},
}

// sheet is an invoice on paper: A4, in the fonts that every reader has.
type sheet struct {
	*fpdf.Fpdf
	invoice Invoice
	text    func(string) string // to the letters that those fonts have
}

const (
	left, right = 20.0, 190.0 // millimetres
	lineHeight  = 5.0
)

func sheetOf(i Invoice, product string) *sheet {
	f := fpdf.New("P", "mm", "A4", "")
	s := &sheet{Fpdf: f, invoice: i, text: f.UnicodeTranslatorFromDescriptor("")}
	f.SetCreationDate(i.IssuedAt)
	f.SetModificationDate(i.IssuedAt)
	f.SetCatalogSort(true)
	f.SetTitle("Invoice "+i.Number, true)
	f.SetAuthor(product, true)
	f.SetMargins(left, left, 210-right)
	f.SetAutoPageBreak(true, 25)
	f.SetFooterFunc(s.footer)
	f.AddPage()
	s.head(product)
	s.payer()
	s.lines()
	s.total()
	return s
}

func (s *sheet) bytes() ([]byte, error) {
	var b bytes.Buffer
	err := s.Output(&b)
	return b.Bytes(), err
}

func (s *sheet) head(product string) {
	s.SetFont("Helvetica", "", 10)
	s.SetTextColor(90, 90, 90)
	s.CellFormat(0, lineHeight, s.text(product), "", 1, "L", false, 0, "")
	s.SetTextColor(0, 0, 0)
	s.SetFont("Helvetica", "B", 20)
	s.CellFormat(0, 12, s.text("Invoice "+s.invoice.Number), "", 1, "L", false, 0, "")
	s.Ln(4)
}

// payer is who pays on the left, and what is to be known of the invoice on the right.
func (s *sheet) payer() {
	top := s.GetY()
	s.SetFont("Helvetica", "", 10)
	p := s.invoice.Payer
	who := []string{p.Organization}
	if p.Company != "" {
		who[0] = p.Company
	}
	who = append(who, strings.Split(p.Address, "\n")...)
	if p.TaxID != "" {
		who = append(who, "Tax number: "+p.TaxID)
	}
	for _, line := range who {
		if line != "" {
			s.MultiCell(85, lineHeight, s.text(line), "", "L", false)
		}
	}
	bottom := s.GetY()
	s.SetY(top)
	for _, fact := range s.facts() {
		s.SetX(115)
		s.SetTextColor(90, 90, 90)
		s.CellFormat(30, lineHeight, s.text(fact[0]), "", 0, "L", false, 0, "")
		s.SetTextColor(0, 0, 0)
		s.CellFormat(45, lineHeight, s.text(fact[1]), "", 1, "R", false, 0, "")
	}
	s.SetY(max(bottom, s.GetY()) + 10)
}

func (s *sheet) facts() [][2]string {
	i := s.invoice
	facts := [][2]string{{"Issued", onDay(i.IssuedAt)}, {"State", strings.ReplaceAll(string(i.State), "_", " ")}}
	if i.State == Open || i.State == Overdue {
		facts = append(facts, [2]string{"To be paid by", onDay(i.DueAt)})
	}
	if i.SettledAt != nil && i.State == Paid && i.Total > 0 {
		facts = append(facts, [2]string{"Paid", onDay(*i.SettledAt)})
	}
	if i.Reference != "" {
		facts = append(facts, [2]string{"Reference", i.Reference})
	}
	return facts
}

func onDay(t time.Time) string { return t.UTC().Format("2 January 2006") }

func (s *sheet) lines() {
	s.SetFont("Helvetica", "B", 9)
	s.row("For", "Span", "Amount, "+s.invoice.Currency)
	s.SetFont("Helvetica", "", 9)
	for _, l := range s.invoice.Lines {
		span := onDay(l.From)
		if !l.Until.Equal(l.From) {
			span += " to " + onDay(l.Until)
		}
		s.row(l.Text, span, bare(l.Amount, s.invoice.Currency))
	}
}

// row is a line of the table: what it is for may take several lines.
func (s *sheet) row(what, span, amount string) {
	wrapped := s.SplitText(s.text(what), 80)
	height := float64(len(wrapped))*lineHeight + 2
	if s.GetY()+height > 297-30 {
		s.AddPage()
	}
	top := s.GetY()
	s.MultiCell(80, lineHeight, s.text(what), "", "L", false)
	s.SetXY(left+82, top)
	s.CellFormat(60, lineHeight, s.text(span), "", 0, "L", false, 0, "")
	s.CellFormat(right-left-142, lineHeight, s.text(amount), "", 0, "R", false, 0, "")
	s.SetXY(left, top+height)
	s.SetDrawColor(210, 210, 210)
	s.Line(left, top+height-1, right, top+height-1)
}

func (s *sheet) total() {
	s.Ln(3)
	s.SetFont("Helvetica", "B", 12)
	s.CellFormat(0, 8, s.text("Total  "+Money(s.invoice.Total, s.invoice.Currency)), "", 1, "R", false, 0, "")
}

func (s *sheet) footer() {
	s.SetY(-18)
	s.SetFont("Helvetica", "", 8)
	s.SetTextColor(90, 90, 90)
	s.CellFormat(0, lineHeight, s.text("Invoice "+s.invoice.Number+", page "+strconv.Itoa(s.PageNo())), "", 0, "C", false, 0, "")
	s.SetTextColor(0, 0, 0)
}

// bare is an amount without its currency.
func bare(minor int64, currency string) string {
	return strings.TrimPrefix(Money(minor, currency), currency+" ")
}
