package testhall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/guildhall/guildhall/op"
)

// Note is what the operations are about.
type Note struct {
	ID           string     `json:"id"`
	Organization string     `json:"organization"`
	Text         string     `json:"text"`
	Tags         []string   `json:"tags"`
	ExpiresAt    *time.Time `json:"expires_at,omitzero"`
	Secret       string     `json:"secret,omitzero" doc:"Shown once"`
	SecretShown  bool       `json:"secret_shown"`
	Version      int64      `json:"version"`
}

// ETag is the note's version.
func (n Note) ETag() string { return op.VersionTag(n.Version) }

// WithoutSecret is the note as a replay shows it.
func (n Note) WithoutSecret() any { n.Secret, n.SecretShown = "", false; return n }

// OneNote names a note.
type OneNote struct {
	op.InOrganization
	Note string `json:"note" doc:"The note" example:"note_1"`
}

// ListNotes is the input of notes.list.
type ListNotes struct {
	op.InOrganization
	op.Page
	Contains string   `json:"contains,omitzero" doc:"Only notes with this in their text" maxLength:"40"`
	Tags     []string `json:"tags,omitzero" doc:"Only notes with one of these tags"`
}

// CreateNote is the input of notes.create.
type CreateNote struct {
	op.InOrganization
	Text      string     `json:"text" doc:"What it says" minLength:"1" maxLength:"200" example:"Buy milk"`
	Tags      []string   `json:"tags,omitzero" doc:"Words to find it by"`
	Pinned    bool       `json:"pinned,omitzero" doc:"Whether it stays on top"`
	ExpiresAt *time.Time `json:"expires_at,omitzero" doc:"When it goes away"`
}

// UpdateNote is the input of notes.update.
type UpdateNote struct {
	op.InOrganization
	Note string  `json:"note" doc:"The note" example:"note_1"`
	Text *string `json:"text,omitzero" doc:"What it says from now on" minLength:"1" maxLength:"200" example:"Buy bread"`
}

// Word is the input of echo.say.
type Word struct {
	Word string `json:"word" doc:"Any word" minLength:"1" maxLength:"40" example:"hello"`
}

// Greeting is the output of echo.say.
type Greeting struct {
	Word    string `json:"word"`
	Session string `json:"session" doc:"A credential"`
}

func (h *Hall) operations() []op.Any {
	return []op.Any{
		&op.Op[ListNotes, op.List[Note]]{Name: "notes.list", Route: "GET /v1/organizations/{organization}/notes",
			Summary: "List the notes", Allow: op.On("members.view"), Do: h.list},
		&op.Op[OneNote, Note]{Name: "notes.get", Route: "GET /v1/organizations/{organization}/notes/{note}",
			Summary: "Show a note", Allow: op.On("members.view"), Target: h.target, Do: h.get, Example: OneNote{Note: "note_1"}},
		&op.Op[CreateNote, Note]{Name: "notes.create", Route: "POST /v1/organizations/{organization}/notes",
			Summary: "Write a note", Kind: op.Write, Allow: op.On("settings.update"), Do: h.create, Example: CreateNote{Text: "Buy milk"}},
		&op.Op[UpdateNote, Note]{Name: "notes.update", Route: "PATCH /v1/organizations/{organization}/notes/{note}",
			Summary: "Change a note", Kind: op.Write, Allow: op.On("settings.update"), Confirm: op.L1,
			Target: func(ctx context.Context, r *op.Reader, in UpdateNote) (op.Target, error) {
				return h.find(in.Organization, in.Note)
			},
			Preview: preview, Do: h.update, Example: UpdateNote{Note: "note_1"}},
		&op.Op[OneNote, Note]{Name: "notes.remove", Route: "POST /v1/organizations/{organization}/notes/{note}/remove",
			Summary: "Remove a note for good", Kind: op.Access, Allow: op.On("settings.update"), Confirm: op.L2, Target: h.target,
			Fences:  func(OneNote, op.Target) []op.Fence { return nil },
			Preview: func(context.Context, *op.Reader, OneNote) (op.Impact, error) { return impact("the note goes"), nil },
			Do:      h.remove, Example: OneNote{Note: "note_1"}},
		&op.Op[op.InOrganization, Note]{Name: "notes.erase", Route: "DELETE /v1/organizations/{organization}/notes",
			Summary: "Remove every note", Kind: op.Write, Allow: op.On("organization.delete"), Confirm: op.L3, Do: h.erase},
		&op.Op[op.InOrganization, Note]{Name: "notes.fail", Route: "POST /v1/organizations/{organization}/notes/fail",
			Summary: "Fail", Kind: op.Write, Allow: op.On("settings.update"), Do: fail},
		&op.Op[Word, Greeting]{Name: "echo.say", Route: "POST /v1/echo", Summary: "Say a word", Kind: op.Write, Scope: op.Public,
			Allow: op.Anyone, Do: say, Example: Word{Word: "hello"}},
		&op.Stream[op.InOrganization]{Name: "notes.export", Route: "GET /v1/organizations/{organization}/notes.csv",
			Summary: "Export the notes", Allow: op.On("settings.update"), MediaType: "text/csv; charset=utf-8",
			FileName: "notes.csv", Write: h.export},
	}
}

func impact(text string) op.Impact {
	return op.Impact{Summary: text, Effects: []op.Effect{{Type: "note", ID: "note_1", Text: text}}}
}

func preview(context.Context, *op.Reader, UpdateNote) (op.Impact, error) {
	return impact("the text changes"), nil
}

func (h *Hall) find(organization, note string) (op.Target, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, ok := h.notes[note]
	if !ok || n.Organization != organization {
		return op.Target{}, op.ErrNotFound
	}
	return op.Target{Organization: n.Organization, Type: "note", ID: n.ID, Version: n.Version, Current: n, Value: n}, nil
}

func (h *Hall) target(_ context.Context, _ *op.Reader, in OneNote) (op.Target, error) {
	return h.find(in.Organization, in.Note)
}

func (h *Hall) list(_ context.Context, tx *op.Tx, in ListNotes) (op.List[Note], error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var rows []Note
	for _, n := range h.notes {
		after := in.After() == nil || n.ID > in.After()[0]
		if n.Organization == in.Organization && strings.Contains(n.Text, in.Contains) && after && tagged(n, in.Tags) {
			rows = append(rows, n)
		}
	}
	slices.SortFunc(rows, func(a, b Note) int { return strings.Compare(a.ID, b.ID) })
	rows = rows[:min(len(rows), in.Size()+1)]
	return op.Listed(tx.Reader, &in.Page, rows, func(n Note) []string { return []string{n.ID} }), nil
}

func tagged(n Note, tags []string) bool {
	return len(tags) == 0 || slices.ContainsFunc(tags, func(tag string) bool { return slices.Contains(n.Tags, tag) })
}

func (h *Hall) get(_ context.Context, tx *op.Tx, _ OneNote) (Note, error) {
	n, _ := tx.Target().Value.(Note)
	return n, nil
}

func (h *Hall) create(_ context.Context, tx *op.Tx, in CreateNote) (Note, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if in.Text == "taken" {
		return Note{}, &op.Error{Kind: op.Conflict, Code: "note_exists", Text: "there is such a note", Refers: map[string]string{"note": "note_1"}}
	}
	h.made++
	n := Note{ID: fmt.Sprintf("note_%d", 100+h.made), Organization: in.Organization, Text: in.Text, Tags: in.Tags,
		ExpiresAt: in.ExpiresAt, Version: 1}
	h.notes[n.ID] = n
	n.Secret, n.SecretShown = "s3cret-of-"+n.ID, true
	return n, nil
}

func (h *Hall) update(_ context.Context, tx *op.Tx, in UpdateNote) (Note, error) {
	n, _ := tx.Target().Value.(Note)
	if in.Text != nil {
		n.Text = *in.Text
	}
	n.Version++
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes[n.ID] = n
	return n, nil
}

func (h *Hall) remove(_ context.Context, tx *op.Tx, _ OneNote) (Note, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.notes[tx.Target().ID]
	delete(h.notes, n.ID)
	return n, nil
}

func (h *Hall) erase(_ context.Context, _ *op.Tx, in op.InOrganization) (Note, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, n := range h.notes {
		if n.Organization == in.Organization {
			delete(h.notes, id)
		}
	}
	return Note{}, nil
}

// Made is how many notes were written.
func (h *Hall) Made() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.made
}

func fail(context.Context, *op.Tx, op.InOrganization) (Note, error) {
	return Note{}, errors.New("the password of the database is hunter2")
}

func say(_ context.Context, tx *op.Tx, in Word) (Greeting, error) {
	if in.Word == "panic" {
		panic("a word that panics")
	}
	tx.Session("gld_ses_made", tx.Now.Add(time.Hour))
	return Greeting{Word: in.Word, Session: "gld_ses_made"}, nil
}

func (h *Hall) export(_ context.Context, _ *op.Reader, in op.InOrganization, w io.Writer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.notes {
		if n.Text == "poison" {
			return errors.New("half an export")
		}
	}
	_, err := io.WriteString(w, "id,text\nnote_1,first\n")
	return err
}
