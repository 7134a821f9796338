// Package feedback keeps what readers say of the documentation: whether a page helped, and a sentence if they like.
//
// Anybody answers, signed in or not. Whoever is signed in has one answer for each page; whoever is not gets a receipt,
// with which they change theirs. Neither an address nor a cookie is kept for it.
package feedback

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/docs"
	"github.com/guildhall/guildhall/op"
)

// Operations are the operations of this room.
func Operations() []op.Any { return []op.Any{Record, List} }

// MaxComment is how many characters a comment has at most.
const MaxComment = 1000

// RecordInput is what a reader says of a page.
type RecordInput struct {
	Page    string `json:"page" doc:"The page of the documentation, as its address names it" example:"quick-start" minLength:"1" maxLength:"64"`
	Helpful bool   `json:"helpful" doc:"Whether it helped" example:"true"`
	Comment string `json:"comment,omitzero" doc:"What is missing or wrong, in a sentence" example:"The second command wants a token" maxLength:"1000" required:"false"`
	Receipt string `json:"receipt,omitzero" doc:"What an earlier answer without a sign-in gave: sent again, it changes that answer. Whoever is signed in needs none" maxLength:"64" required:"false"`
}

// receiptForm is the form of a receipt: 128 bits or more, in the letters of base64url.
var receiptForm = regexp.MustCompile(`^[A-Za-z0-9_-]{22,64}$`)

// Validate refuses a page that does not exist, and a receipt that is none.
func (in *RecordInput) Validate() (wrong []op.FieldError) {
	if _, ok := docs.Find(in.Page); !ok {
		wrong = append(wrong, op.FieldError{Pointer: "/page", Code: "unknown", Detail: fmt.Sprintf("page %q is not one of the documentation", in.Page)})
	}
	if in.Receipt != "" && !receiptForm.MatchString(in.Receipt) {
		wrong = append(wrong, op.FieldError{Pointer: "/receipt", Code: "invalid", Detail: "receipt is not one that an earlier answer gave"})
	}
	return wrong
}

// Recorded is an answer as it stands now.
type Recorded struct {
	Page    string `json:"page" doc:"The page" example:"quick-start"`
	Helpful bool   `json:"helpful" doc:"Whether it helped"`
	Comment string `json:"comment,omitempty" doc:"The sentence"`
	Receipt string `json:"receipt,omitempty" doc:"Send it with another answer about the page to change this one. Only its hash is kept; absent for whoever is signed in"`
}

// Record keeps a reader's answer about a page, in the place of an earlier one of the same reader.
var Record = &op.Op[RecordInput, Recorded]{
	Name:    "feedback.record",
	Route:   "POST /v1/feedback",
	Summary: "Say whether a page of the documentation helped, or change what you said",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 60, Per: time.Hour},
	Do:      record,
	Example: RecordInput{Page: "quick-start", Helpful: true, Comment: "The second command wants a token"},
}

func record(ctx context.Context, tx *op.Tx, in RecordInput) (Recorded, error) {
	page, _ := docs.Find(in.Page)
	out := Recorded{Page: in.Page, Helpful: in.Helpful, Comment: strings.TrimSpace(in.Comment)}
	author := tx.Actor.User
	switch {
	case tx.Actor.Kind == op.NobodyActor:
		out.Receipt = in.Receipt
		if out.Receipt == "" {
			out.Receipt = NewReceipt()
		}
		author = authorOf(out.Receipt)
	case author == "":
		author = tx.Actor.ID // a key of an organization or the product's back end
	}
	tx.Also("page", page.Name, page.Title)
	return out, store(ctx, tx, author, out)
}

// NewReceipt makes a receipt for an answer that is still to be given: 160 random bits.
func NewReceipt() string {
	raw := make([]byte, 20)
	_, _ = rand.Read(raw) // never fails: see crypto/rand
	return base64.RawURLEncoding.EncodeToString(raw)
}

// authorOf is who gave an answer with a receipt: nothing that leads back to it.
func authorOf(receipt string) string {
	sum := sha256.Sum256([]byte(receipt))
	return "reader_" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// store writes an answer in the place of the author's earlier one. The audit row says yes or no and never the sentence:
// the log is kept for ever, and people write names into sentences.
func store(ctx context.Context, tx *op.Tx, author string, out Recorded) error {
	var helpful bool
	var comment string
	err := tx.QueryRow(ctx, "SELECT helpful, comment FROM doc_feedback WHERE page = $1 AND author = $2", out.Page, author).Scan(&helpful, &comment)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		tx.Changed("helpful", nil, out.Helpful)
	case err != nil:
		return err
	case helpful == out.Helpful && comment == out.Comment:
		tx.Unchanged()
		return nil
	default:
		tx.Changed("helpful", helpful, out.Helpful)
	}
	_, err = tx.Exec(ctx, `INSERT INTO doc_feedback (id, page, author, helpful, comment, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)
		ON CONFLICT (page, author) DO UPDATE SET helpful = $4, comment = $5, updated_at = $6`,
		tx.NewID("fbk"), out.Page, author, out.Helpful, out.Comment, tx.Micros())
	return err
}

// Answer is one reader's answer.
type Answer struct {
	ID        string    `json:"id" doc:"The answer's id" example:"fbk_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Page      string    `json:"page" doc:"The page" example:"quick-start"`
	Helpful   bool      `json:"helpful" doc:"Whether it helped"`
	Comment   string    `json:"comment,omitempty" doc:"What is missing or wrong, in the reader's words"`
	By        string    `json:"by,omitempty" doc:"Who was signed in: a user's or a key's id; absent for everybody else" example:"usr_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	CreatedAt time.Time `json:"created_at" doc:"When the reader first answered"`
	UpdatedAt time.Time `json:"updated_at" doc:"When the reader last changed the answer"`
}

// ListInput asks for answers.
type ListInput struct {
	op.Page
	Of      string `json:"page,omitzero" doc:"Only those about this page" example:"quick-start" maxLength:"64" required:"false"`
	Helpful string `json:"helpful,omitzero" doc:"Only those that say yes, or no" enum:"true,false" required:"false"`
}

// List lists what readers said, the latest first.
var List = &op.Op[ListInput, op.List[Answer]]{
	Name:    "feedback.list",
	Route:   "GET /v1/feedback",
	Summary: "List what readers said of the documentation, the latest first",
	Kind:    op.Read,
	Scope:   op.Instance,
	Allow:   op.AnyOf(op.ByOperator, op.ByService),
	Do:      list,
	Example: ListInput{Page: op.Page{Limit: 25}, Of: "quick-start"},
}

func list(ctx context.Context, tx *op.Tx, in ListInput) (op.List[Answer], error) {
	before, id := int64(math.MaxInt64), ""
	if at := in.After(); len(at) == 2 {
		before, _ = strconv.ParseInt(at[0], 10, 64) // authentic: see op.Page
		id = at[1]
	}
	rows, err := tx.Query(ctx, `SELECT id, page, author, helpful, comment, created_at, updated_at FROM doc_feedback
		WHERE ($1 = '' OR page = $1) AND ($2 = '' OR helpful = ($2 = 'true')) AND (updated_at < $3 OR updated_at = $3 AND id < $4)
		ORDER BY updated_at DESC, id DESC LIMIT $5`, in.Of, in.Helpful, before, id, in.Size()+1)
	if err != nil {
		return op.List[Answer]{}, err
	}
	defer rows.Close()
	var all []Answer
	for rows.Next() {
		a, err := scan(rows)
		if err != nil {
			return op.List[Answer]{}, err
		}
		all = append(all, a)
	}
	return op.Listed(tx.Reader, &in.Page, all, func(a Answer) []string {
		return []string{strconv.FormatInt(a.UpdatedAt.UnixMicro(), 10), a.ID}
	}), rows.Err()
}

func scan(rows *sql.Rows) (Answer, error) {
	var a Answer
	var created, updated int64
	err := rows.Scan(&a.ID, &a.Page, &a.By, &a.Helpful, &a.Comment, &created, &updated)
	if strings.HasPrefix(a.By, "reader_") {
		a.By = ""
	}
	a.CreatedAt, a.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return a, err
}
