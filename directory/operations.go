package directory

import "github.com/guildhall/guildhall/op"

// Operations are the operations of this room.
func Operations() []op.Any {
	return append([]op.Any{
		CreateOrganization, ProvisionOrganization, ListOrganizations, GetOrganization, UpdateOrganization, CheckSlug,
		GetMe, UpdateMe,
		ListMembers, GetMember, UpdateMember, SuspendMember, ReactivateMember, RemoveMember, PreviewRemoval, Leave,
		TransferOwnership, AcceptOwnership, CancelOwnership,
		ListRoles, GetRole,
	}, invitationOperations()...)
}
