package access

import (
	"context"
	"errors"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// namedRole is a role as people read it.
type namedRole struct {
	title  string
	custom bool // the organization made it
}

// roleOf names a role of the charter, or one that the organization made. One that there is not has no title.
func roleOf(ctx context.Context, r *op.Reader, role charter.RoleID) (namedRole, error) {
	found, err := directory.RoleOf(ctx, r, string(role))
	if errors.Is(err, op.ErrNotFound) {
		return namedRole{}, nil
	}
	if err != nil {
		return namedRole{}, err
	}
	_, known := r.Charter.Role(role)
	return namedRole{found.Title, !known}, nil
}
