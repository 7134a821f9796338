package guildhall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/internal/jobs"
	"github.com/guildhall/guildhall/internal/replica"
	"github.com/guildhall/guildhall/op"
)

// Canary tries all the time what Guildhall promises: it makes a service key that may nothing, sees every server accept it,
// revokes it, and asks every server again.
type Canary struct {
	Every time.Duration // 0: never
	// Tried is told what came of it, once the key was revoked. Nil: nobody is.
	Tried func(CanaryResult)
}

// CanaryResult counts servers by what they said of a key after its revocation had returned.
type CanaryResult struct {
	Refused    int // as they have to
	Accepted   int // each of them breaks the promise
	Unanswered int // they said nothing, or that they cannot say
}

// canaryName is what the canary's keys are called, and canaryScope all that they may: nothing. By both those are found that a
// server that died has left; a key of somebody else's that only has the name is not touched.
const (
	canaryName  = "canary"
	canaryScope = "canary.*"
)

// What a server says of a credential.
const (
	probeAccepted = "accepted"
	probeRefused  = "refused"
	probeUnknown  = "unknown"
)

// probeTime is how long a server has to say it.
const probeTime = 2 * time.Second

func (h *Hall) canarySchedule() []jobs.Schedule {
	if h.config.Canary.Every == 0 {
		return nil
	}
	return []jobs.Schedule{{Name: canaryName, Every: h.config.Canary.Every, Do: h.tryRevocation}}
}

// tryRevocation is one round of the canary.
func (h *Hall) tryRevocation(ctx context.Context) (err error) {
	ctx = op.As(ctx, op.Caller{System: canaryName})
	if err := h.clearCanaries(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.clearCanaries(ctx)) }()
	key, err := credential.CreateServiceKey.Call(ctx, h.service, credential.CreateServiceKeyInput{Name: canaryName, Scopes: []string{canaryScope}, ExpiresAt: "1h"})
	if err != nil {
		return err
	}
	h.probeAll(ctx, key.Secret) // and each remembers it
	if before := h.probeAll(ctx, key.Secret); before.Refused > 0 {
		h.config.Log.WarnContext(ctx, "the canary's key is refused before it was revoked", slog.Int("servers", before.Refused))
	}
	if _, err := credential.RevokeServiceKey.Call(ctx, h.service, credential.RevokeServiceKeyInput{Key: key.ID, Reason: "the canary tries revocation"}); err != nil {
		return err
	}
	after := h.probeAll(ctx, key.Secret)
	if h.config.Canary.Tried != nil {
		h.config.Canary.Tried(after)
	}
	if after.Accepted > 0 {
		return fmt.Errorf("%d servers accepted a key after its revocation had returned", after.Accepted)
	}
	return nil
}

// clearCanaries takes away the keys that are there.
func (h *Hall) clearCanaries(ctx context.Context) error {
	var keys []string
	err := h.service.Snapshot(ctx, func(r *op.Reader) (err error) {
		keys, err = credential.ServiceKeysOf(ctx, r, canaryName, canaryScope)
		return err
	})
	for _, key := range keys {
		_, failed := credential.RevokeServiceKey.Call(ctx, h.service, credential.RevokeServiceKeyInput{Key: key, Reason: "the canary is over"})
		if failed == nil {
			_, failed = credential.DeleteServiceKey.Call(ctx, h.service, credential.ServiceKeyInput{Key: key})
		}
		err = errors.Join(err, failed)
	}
	return err
}

// probeAll asks every server whether a credential is good.
func (h *Hall) probeAll(ctx context.Context, sent string) CanaryResult {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	others := h.others()
	answers := make([]string, len(others)+1)
	var all sync.WaitGroup
	for i, m := range others {
		all.Go(func() { answers[i], _ = h.peers.wire.Ask(ctx, m.Address, sent) }) // no answer is counted as none
	}
	answers[len(others)] = h.probed(ctx, sent)
	all.Wait()
	var r CanaryResult
	for _, answer := range answers {
		switch answer {
		case probeAccepted:
			r.Accepted++
		case probeRefused:
			r.Refused++
		default:
			r.Unanswered++
		}
	}
	return r
}

func (h *Hall) others() []replica.Member {
	if h.peers == nil {
		return nil
	}
	return h.peers.replica.Others()
}

// probed says whether this server would accept a credential now.
func (h *Hall) probed(ctx context.Context, sent string) string {
	s := access.SentBy(sent, "")
	err := h.access.Find(ctx, &s)
	switch {
	case err == nil:
		return probeAccepted
	case errors.Is(err, op.ErrUnauthenticated):
		return probeRefused
	}
	return probeUnknown
}
