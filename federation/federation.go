// Package federation lets others vouch for people: the owner of a domain for those with an address there, an
// organization's identity provider for its own people.
//
// Nothing that an outside party says is believed beyond what it has proved: a domain belongs to an organization while a
// record in its DNS says so, a person is who a provider says by issuer and subject, and an address that it says counts for
// something only at a domain that its organization has verified.
package federation

import (
	"context"
	"errors"
	"time"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// feature is what a plan has to have.
const feature = directory.SSO

const day = 24 * time.Hour

// Operations are the operations of this room.
func Operations() []op.Any {
	return []op.Any{
		ListDomains, AddDomain, VerifyDomain, UpdateDomain, RemoveDomain,
		ListJoinable, JoinDomain, ListJoinRequests, DecideJoinRequest,
		GetLoginPolicy, UpdateLoginPolicy,
		ListConnections, GetConnection, CreateConnection, UpdateConnection, PreviewConnection, TestConnection, DeleteConnection,
		ListSetupLinks, CreateSetupLink, RevokeSetupLink, OpenSetup, ConfigureSetup, ConfigureSAML, MapSetup, PreviewSetup, TestSetup,
		ListSignInConnections, BeginFederated, CompleteFederated,
		CreateGoogle, CreateGitHub, ListProviders, BeginSocial, CompleteSocial, ListIdentities, BeginIdentity, CreateIdentity, DeleteIdentity,
		CreateSAML, GetSAML, UpdateSAML, RemindSAML, CompleteSAML,
		GetProviderLogout, SAMLLogout, BackchannelLogout, GetOwnMetadata,
	}
}

// Resolver looks TXT records up, as net.Resolver does.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Reach is how operations of this room reach beyond this process, before their transaction begins.
type Reach struct {
	Resolver  Resolver
	Providers *Providers
	Read      func(ctx context.Context, read func(*op.Reader) error) error // what to ask of outsiders is read by it
}

type reachKey struct{}

// At gives a context whose operations reach beyond this process in this way.
func At(ctx context.Context, r Reach) context.Context { return context.WithValue(ctx, reachKey{}, r) }

var errNoReach = errors.New("federation: nothing says how to reach beyond this process")

func reachOf(ctx context.Context) (Reach, error) {
	r, ok := ctx.Value(reachKey{}).(Reach)
	if !ok {
		return r, errNoReach
	}
	return r, nil
}

// when turns stored microseconds into a time, or nil for 0, which means never.
func when(micros int64) *time.Time {
	if micros == 0 {
		return nil
	}
	t := time.UnixMicro(micros).UTC()
	return &t
}
