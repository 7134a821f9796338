package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// register is something that is allowed or not: to whoever asks, in one of several ways.
type register struct {
	kind, name string
	asks       []ask
	set        func(allow bool) change // what makes it so; without a path: nothing would
	mu         sync.Mutex
	history    []porcupine.Operation
	over       atomic.Bool // nobody asks any more
}

// ask is a question. Its answer is known or not.
type ask struct {
	path, credential string
	body             any
	yes, no          []int // statuses that mean it; none: the answer says
}

// change is a request that grants or revokes.
type change struct {
	method, path, credential string
	body                     any
}

// step is what porcupine is told: a write, or a check that was answered.
type step struct{ write, allow bool }

var allowance = porcupine.Model{
	Init: func() any { return true },
	Step: func(state, input, output any) (bool, any) {
		in := input.(step)
		if in.write {
			return true, in.allow
		}
		return output.(bool) == state.(bool), state
	},
	DescribeOperation: func(input, output any) string {
		in := input.(step)
		if in.write {
			return fmt.Sprintf("allow(%t)", in.allow)
		}
		return fmt.Sprintf("ask() = %t", output)
	},
}

// never is when a write returns whose result nobody knows.
const never = math.MaxInt64

func (r *register) add(client int, in step, out bool, call, returned int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: returned})
}

// after counts the checks that were sent after a revocation had returned, where no grant can have come between, and those
// of them that were allowed.
func (r *register) after() (sent, allowed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var writes []porcupine.Operation
	for _, o := range r.history {
		if o.Input.(step).write {
			writes = append(writes, o)
		}
	}
	for _, o := range r.history {
		if o.Input.(step).write || !afterRevocation(writes, o) {
			continue
		}
		if sent++; o.Output.(bool) {
			allowed++
		}
	}
	return sent, allowed
}

func afterRevocation(writes []porcupine.Operation, check porcupine.Operation) bool {
	return slices.ContainsFunc(writes, func(revoked porcupine.Operation) bool {
		return !revoked.Input.(step).allow && revoked.Return < check.Call && !slices.ContainsFunc(writes, func(granted porcupine.Operation) bool {
			return granted.Input.(step).allow && granted.Return > revoked.Call && granted.Call < check.Return
		})
	})
}

// String tells the history: changes, and checks where the answer is another one than that before.
func (r *register) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s", r.kind, r.name)
	sorted := slices.Clone(r.history)
	slices.SortFunc(sorted, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	last, same := "", 0
	for _, o := range sorted {
		line := allowance.DescribeOperation(o.Input, o.Output)
		if line == last && !o.Input.(step).write {
			same++
			continue
		}
		last = line
		fmt.Fprintf(&text, "\n\t(and %d like it) %s client %d from %s to %s", same, line, o.ClientId, time.Duration(o.Call), time.Duration(o.Return))
		same = 0
	}
	return text.String()
}

// judge is whether there is an order of all that happened in which each check reads the last write.
func (r *register) judge() porcupine.CheckResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	return porcupine.CheckOperationsTimeout(allowance, telling(r.history), time.Minute)
}

// telling leaves out the checks that say no more than others: during one that waited for long, another operation began and
// ended that had the same answer, or made it so. Wherever that one stands, the long one can stand right behind it. So there
// is an order of all that happened if there is one of what is left; and many that wait at once take porcupine too long.
func telling(history []porcupine.Operation) (left []porcupine.Operation) {
	sorted := slices.Clone(history)
	slices.SortFunc(sorted, func(a, b porcupine.Operation) int {
		return cmp.Or(cmp.Compare(b.Call, a.Call), cmp.Compare(a.Return, b.Return))
	})
	first := map[bool]int64{true: never, false: never} // by what is so: when the first of those ended that began later
	for _, o := range sorted {
		in := o.Input.(step)
		so := in.allow
		if !in.write {
			so = o.Output.(bool)
		}
		if in.write || o.Return < first[so] {
			left = append(left, o)
		}
		first[so] = min(first[so], o.Return)
	}
	return left
}

// send sends one request on a connection of the client's own. It waits for its answer however long that takes.
func send(ctx context.Context, client *http.Client, url string, c change, idempotency string) (int, []byte, error) {
	raw, err := json.Marshal(c.body)
	if err != nil {
		return 0, nil, err
	}
	if c.body == nil {
		raw = nil
	}
	request, err := http.NewRequestWithContext(ctx, c.method, url+c.path, bytes.NewReader(raw))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.credential != "" {
		request.Header.Set("Authorization", "Bearer "+c.credential)
	}
	if idempotency != "" {
		request.Header.Set("Idempotency-Key", idempotency)
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	raw, err = io.ReadAll(answer.Body)
	return answer.StatusCode, raw, err
}

// put asks. False: there was no answer.
func (a *ask) put(ctx context.Context, client *http.Client, url string) (allowed, known bool, err error) {
	status, raw, err := send(ctx, client, url, change{"POST", a.path, a.credential, a.body}, "")
	switch {
	case err != nil:
		return false, false, err
	case status == http.StatusServiceUnavailable:
		return false, false, nil
	case slices.Contains(a.yes, status):
		return true, true, nil
	case slices.Contains(a.no, status):
		return false, true, nil
	case status != http.StatusOK || a.yes != nil:
		return false, false, statusError{status, a.path + " " + string(raw)}
	}
	var answer struct {
		Decision bool
		State    string // of an invitation
	}
	err = json.Unmarshal(raw, &answer)
	return answer.Decision || answer.State == "pending", err == nil, err
}

// about is the question whether somebody may run workflows.
func (c *cluster) about(kind, id, organization string) ask {
	return ask{path: "/access/v1/evaluation", credential: c.service, body: map[string]any{"subject": map[string]any{"type": kind, "id": id},
		"action": map[string]any{"name": "workflows.run"}, "resource": map[string]any{"type": "organization", "id": organization}}}
}

// person is a member of an organization.
type person struct{ organization, user, member string }

func (p person) path() string { return "/v1/organizations/" + p.organization + "/members/" + p.member }

// tenant makes an organization of its own, so that changes do not wait for each other, and one who is in it.
func (c *cluster) tenant(slug, role string) (p person) {
	c.t.Helper()
	var made struct{ ID string }
	c.servers[0].mustPost("/v1/organizations/provision", c.service, map[string]any{"name": slug, "slug": slug, "owner": "ada@acme.test"}, &made)
	c.servers[0].mustPost("/v1/users", c.service, map[string]any{"external_id": slug}, &made)
	p = person{organization: slug, user: made.ID}
	c.servers[1].mustPost("/v1/organizations/"+slug+"/members", c.service, map[string]any{"user": p.user, "role": role}, &made)
	p.member = made.ID
	return p
}

func (c *cluster) asks(p person) []ask { return []ask{c.about("user", p.user, p.organization)} }

func (c *cluster) owners(method, path string, body map[string]any) change {
	return change{method, path, c.owner, body}
}

func pick(allow bool, yes, no any) any {
	if allow {
		return yes
	}
	return no
}

// standing makes the registers that are granted and revoked again and again.
func (c *cluster) standing() []*register {
	c.t.Helper()
	suspended, removed, lowered := c.tenant("suspended", "editor"), c.tenant("removed", "editor"), c.tenant("lowered", "editor")
	custom, deleted, counted := c.tenant("custom", "viewer"), c.tenant("deleted", "editor"), c.tenant("counted", "editor")
	for _, kind := range []string{"keys", "tokens"} {
		c.tenant(kind, "viewer")
	}
	var role struct{ ID string }
	c.servers[2].mustPost("/v1/organizations/custom/roles", c.owner, map[string]any{"title": "Runner", "permissions": []string{"workflows.run"}}, &role)
	if status, raw, err := send(c.t.Context(), http.DefaultClient, c.servers[0].url, c.owners("PATCH", custom.path(), map[string]any{"role": role.ID}), ""); status != 200 {
		c.t.Fatalf("role of one's own: %d %v %s", status, err, raw)
	}
	var key clusterKey
	c.servers[1].mustPost("/v1/organizations/deleted/keys", c.owner, map[string]any{"name": "nightly", "permissions": []string{"workflows.run"}}, &key)
	return []*register{
		{kind: "member", name: "suspended", asks: c.asks(suspended), set: func(allow bool) change {
			return c.owners("POST", suspended.path()+pick(allow, "/reactivate", "/suspend").(string), map[string]any{})
		}},
		{kind: "member", name: "removed", asks: c.asks(removed), set: c.membership(removed)},
		{kind: "role", name: "lowered", asks: c.asks(lowered), set: func(allow bool) change {
			return c.owners("PATCH", lowered.path(), map[string]any{"role": pick(allow, "editor", "viewer")})
		}},
		{kind: "role", name: "of permissions", asks: c.asks(custom), set: func(allow bool) change {
			return c.owners("PATCH", "/v1/organizations/custom/roles/"+role.ID, map[string]any{"permissions": []any{pick(allow, "workflows.run", "workflows.view")}})
		}},
		{kind: "organization", name: "deleted", asks: append(c.asks(deleted), c.about("credential", key.Secret, "deleted")), set: func(allow bool) change {
			return c.owners("POST", "/v1/organizations/deleted"+pick(allow, "/restore", "/delete").(string), map[string]any{})
		}},
		{kind: "quota", name: "limit of a member", asks: []ask{{path: "/v1/organizations/counted/quotas/reservations", credential: c.service,
			body: map[string]any{"meter": "executions", "member": counted.member, "expires_in": 1}, yes: []int{200, 201}, no: []int{429}}}, set: func(allow bool) change {
			return c.owners("PUT", "/v1/organizations/counted/limits/"+counted.member+"/executions", map[string]any{"limit": pick(allow, 900, 0)})
		}},
	}
}

// membership removes somebody and lets them in again: as another member each time. Who they are now is read first; where
// no server can say, nobody is removed, since the removal of somebody who is removed already succeeds too.
func (c *cluster) membership(p person) func(bool) change {
	return func(allow bool) change {
		if allow {
			return change{"POST", "/v1/organizations/removed/members", c.service, map[string]any{"user": p.user, "role": "editor"}}
		}
		for _, s := range c.servers {
			status, raw, err := send(c.t.Context(), &http.Client{Timeout: 3 * time.Second}, s.url, change{"GET", "/v1/organizations/removed/members", c.service, nil}, "")
			var list struct{ Data []struct{ ID, User string } }
			if err != nil || status != 200 || json.Unmarshal(raw, &list) != nil {
				continue
			}
			for _, m := range list.Data {
				if m.User == p.user {
					return change{"POST", "/v1/organizations/removed/members/" + m.ID + "/remove", c.owner, map[string]any{}}
				}
			}
			break
		}
		return change{}
	}
}

// Makers of what is revoked once.
var makers = map[string]func(c *cluster, s *clusterServer, client *http.Client) (*register, error){
	"key":     makeKey,
	"token":   makeToken,
	"session": makeSession,
}

func made(client *http.Client, s *clusterServer, path, credential string, body, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	status, raw, err := send(ctx, client, s.url, change{"POST", path, credential, body}, "")
	switch {
	case err != nil:
		return err
	case status >= 300:
		return statusError{status, string(raw)}
	}
	return json.Unmarshal(raw, into)
}

// statusError is an answer that is no success.
type statusError struct {
	status int
	text   string
}

func (e statusError) Error() string { return fmt.Sprintf("%d %s", e.status, e.text) }

func makeKey(c *cluster, s *clusterServer, client *http.Client) (*register, error) {
	var k clusterKey
	err := made(client, s, "/v1/organizations/keys/keys", c.owner, map[string]any{"name": "nightly", "permissions": []string{"workflows.run"}}, &k)
	return &register{kind: "key", name: k.ID, asks: []ask{c.about("credential", k.Secret, "keys")}, set: func(bool) change {
		return change{"POST", "/v1/organizations/keys/keys/" + k.ID + "/revoke", c.owner, map[string]any{}}
	}}, err
}

func makeToken(c *cluster, s *clusterServer, client *http.Client) (*register, error) {
	var k clusterKey
	err := made(client, s, "/v1/organizations/tokens/tokens", c.owner, map[string]any{"name": "preview", "permissions": []string{"workflows.run"}}, &k)
	return &register{kind: "scoped token", name: k.ID, asks: []ask{c.about("credential", k.Secret, "tokens")}, set: func(bool) change {
		return change{"POST", "/v1/organizations/tokens/tokens/" + k.ID + "/revoke", c.owner, map[string]any{}}
	}}, err
}

const returnTo = "http://localhost:8081/callback"

func makeSession(c *cluster, s *clusterServer, client *http.Client) (*register, error) {
	var to struct {
		To string `json:"redirect_to"`
	}
	if err := made(client, s, "/v1/sessions/handoff", c.owner, map[string]any{"return_to": returnTo, "state": "state"}, &to); err != nil {
		return nil, err
	}
	_, code, _ := strings.Cut(to.To, "code=")
	code, _, _ = strings.Cut(code, "&")
	var handed struct{ Session, Secret string }
	err := made(client, s, "/v1/sessions/exchange", c.service, map[string]any{"code": code, "state": "state"}, &handed)
	return &register{kind: "session", name: handed.Session, asks: []ask{c.about("credential", handed.Secret, "acme")}, set: func(bool) change {
		return change{"POST", "/v1/me/sessions/" + handed.Session + "/revoke", c.owner, map[string]any{}}
	}}, err
}

// invitations makes some that can be opened, before anything goes wrong: few are allowed in an hour.
func (c *cluster) invitations(t *testing.T, n int) (all []*register) {
	t.Helper()
	for i := range n {
		var made struct {
			ID   string
			Link string
		}
		s := c.servers[i%3]
		s.mustPost("/v1/organizations/acme/invitations", c.owner, map[string]any{"email": fmt.Sprintf("guest%d-%d@acme.test", i, rand.Int64()), "role": "viewer"}, &made)
		id := made.ID
		s.mustPost("/v1/organizations/acme/invitations/"+id+"/link", c.owner, map[string]any{}, &made)
		_, token, _ := strings.Cut(made.Link, "/i/")
		all = append(all, &register{kind: "invitation", name: id, asks: []ask{{path: "/v1/invitations/open", body: map[string]any{"token": token}, no: []int{404, 410}}},
			set: func(bool) change {
				return change{"POST", "/v1/organizations/acme/invitations/" + id + "/cancel", c.owner, map[string]any{}}
			}})
	}
	return all
}
