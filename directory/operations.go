package directory

import "github.com/guildhall/guildhall/op"

// Operations are the operations of this room.
func Operations() []op.Any {
	return append([]op.Any{
		CreateOrganization, ProvisionOrganization, ListOrganizations, GetOrganization, UpdateOrganization, GetSecurityPolicies, CheckSlug,
		DeleteOrganization, RestoreOrganization, GetDeletion,
		RecoverOwner, GetRecovery, CancelRecovery, CompleteRecovery,
		UpsertUser, GetUser, DeleteUser, GetMe, UpdateMe, GetCharter,
		ListMembers, GetMember, AddMember, UpdateMember, SuspendMember, ReactivateMember, RemoveMember, PreviewRemoval, Leave,
		TransferOwnership, AcceptOwnership, CancelOwnership,
		ListRoles, GetRole, CreateRole, UpdateRole, DeleteRole, PreviewRole,
	}, invitationOperations()...)
}
