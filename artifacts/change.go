package artifacts

import (
	"context"
	"fmt"
	"time"

	"github.com/guildhall/guildhall/op"
)

// UpdateInput says what to change of an artifact; what is left out stays.
type UpdateInput struct {
	ArtifactInput
	Name *string `json:"name,omitzero" doc:"What it is saved as" example:"report-2026.pdf" minLength:"1" maxLength:"255"`
}

// Validate checks the name.
func (in *UpdateInput) Validate() []op.FieldError {
	if in.Name == nil {
		return nil
	}
	return checkName(*in.Name)
}

// Update changes what an artifact is called. Its bytes never change.
var Update = &op.Op[UpdateInput, Artifact]{
	Name:    "artifacts.update",
	Route:   "PATCH /v1/organizations/{organization}/artifacts/{artifact}",
	Summary: "Rename an artifact",
	Kind:    op.Write,
	Allow:   op.On("artifacts.manage"),
	Target: func(ctx context.Context, r *op.Reader, in UpdateInput) (op.Target, error) {
		return target(ctx, r, in.ArtifactInput)
	},
	Do:      update,
	Example: UpdateInput{ArtifactInput: exampleArtifact, Name: new("report-2026.pdf")},
}

func update(ctx context.Context, tx *op.Tx, in UpdateInput) (Artifact, error) {
	a := tx.Target().Value.(Artifact)
	if in.Name == nil || *in.Name == a.Name {
		tx.Unchanged()
		return a, nil
	}
	tx.ChangedPersonal(a.ID, "name", a.Name, *in.Name) // apart from the row: people write names into names
	a.Name, a.Version = *in.Name, a.Version+1
	_, err := tx.Exec(ctx, "UPDATE artifacts SET name = $3, folded = $4, version = $5 WHERE organization = $1 AND id = $2",
		tx.Organization(), a.ID, a.Name, fold(a.Name), a.Version)
	return a, err
}

// Proof says that a file is gone: what it was, to the bit, and when it was deleted.
type Proof struct {
	ID        string     `json:"id" doc:"The file's id" example:"art_01k..."`
	Size      int64      `json:"size" doc:"Bytes"`
	SHA256    string     `json:"sha256" cli:"-" doc:"SHA-256 of the bytes that were deleted, hexadecimal"`
	Resource  string     `json:"resource,omitzero" doc:"The product's own thing that it belonged to"`
	CreatedAt time.Time  `json:"created_at" doc:"When it was stored"`
	DeletedAt time.Time  `json:"deleted_at" doc:"From when on nobody could download it"`
	DeletedBy string     `json:"deleted_by" doc:"Who deleted it; retention for what was over its time"`
	ErasedAt  *time.Time `json:"erased_at,omitzero" doc:"When its bytes were erased; absent: within minutes"`
}

// Delete deletes an artifact. Nobody can download it from then on; its bytes are erased within minutes.
var Delete = &op.Op[ArtifactInput, Proof]{
	Name:    "artifacts.delete",
	Route:   "DELETE /v1/organizations/{organization}/artifacts/{artifact}",
	Summary: "Delete an artifact",
	Kind:    op.Write,
	Allow:   op.On("artifacts.manage"),
	Confirm: op.L2,
	Fresh:   true,
	Target:  target,
	Do:      remove,
	Example: exampleArtifact,
}

func remove(ctx context.Context, tx *op.Tx, _ ArtifactInput) (Proof, error) {
	m, err := roomOf(tx.Parts)
	if err != nil {
		return Proof{}, err
	}
	a := tx.Target().Value.(Artifact)
	if a.Held {
		return Proof{}, heldBy(ctx, tx.Reader, a)
	}
	by := whoStored(*tx.Actor)
	if _, err := tx.Exec(ctx, `UPDATE artifacts SET state = 'deleted', name = '', folded = '', deleted_at = $3, deleted_by = $4
		WHERE organization = $1 AND id = $2 AND state = 'stored'`, tx.Organization(), a.ID, tx.Micros(), by); err != nil {
		return Proof{}, err
	}
	tx.Changed("size", a.Size, nil)
	tx.Changed("sha256", a.SHA256, nil)
	l, err := m.removed(ctx, tx, 1, a.Size)
	if err != nil {
		return Proof{}, err
	}
	return Proof{ID: a.ID, Size: a.Size, SHA256: a.SHA256, Resource: a.Resource, CreatedAt: a.CreatedAt, DeletedAt: tx.Now, DeletedBy: by}, m.meter(ctx, tx, l)
}

// heldBy refuses to delete what a hold keeps, and names the hold.
func heldBy(ctx context.Context, r *op.Reader, a Artifact) error {
	var hold string
	err := r.QueryRow(ctx, "SELECT h.id FROM artifacts a, legal_holds h WHERE a.organization = $1 AND a.id = $2 AND h.organization = $1 AND "+
		covers+" ORDER BY h.id LIMIT 1", r.Organization(), a.ID).Scan(&hold)
	if err != nil {
		return missing(err)
	}
	return &op.Error{Kind: op.Conflict, Code: "held", Refers: map[string]string{"hold": hold}, FixURL: "/o/" + r.Organization() + "/settings/artifacts/holds",
		Text: fmt.Sprintf("the legal hold %s keeps this file: release it first", hold)}
}
