// Package scim lets a company's own directory (Okta, Entra ID) make, change and end members, by SCIM 2.0 (RFC 7643, 7644).
//
// People configure a directory by operations of the API. The directory itself calls operations that nobody else can
// (op.ByDirectory); the edge server/internal/scim translates its protocol to them. What they do to members goes through
// the room directory, so that every rule of people's operations holds.
package scim

import (
	"slices"

	"github.com/guildhall/guildhall/op"
)

// Operations are the operations of people on directories.
func Operations() []op.Any {
	return []op.Any{CreateDirectory, ListDirectories, GetDirectory, ListGroups, UpdateDirectory, RotateToken, DeleteDirectory}
}

// Protocol are the operations of a directory itself: no route of the API, no command and no page has them.
func Protocol() []op.Any {
	return []op.Any{
		ListResources, GetUser, CreateUser, ReplaceUser, PatchUser, DeleteUser,
		GetGroup, CreateGroup, ReplaceGroup, PatchGroup, DeleteGroup, NoteSync,
	}
}

// distinct are the values, each once, in order.
func distinct(all []string) []string {
	all = slices.Clone(all)
	slices.Sort(all)
	return slices.Compact(all)
}
