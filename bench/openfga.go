package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
)

// openFGA is OpenFGA's server with the same table and members: roles are relations of an organization, and permissions
// are unions of roles. Its data is in memory: the quickest that it has.
type openFGA struct {
	*child
	store, model string
}

// startOpenFGA starts the binary on free ports and fills it.
func startOpenFGA(ctx context.Context, binary string, f *fixture) (*openFGA, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	grpc, err := freeAddress()
	if err != nil {
		return nil, err
	}
	c := &child{address: address, command: exec.CommandContext(ctx, binary, "run", "--datastore-engine", "memory",
		"--http-addr", address, "--grpc-addr", grpc, "--playground-enabled=false", "--metrics-enabled=false", "--log-level", "none")}
	c.command.Cancel = func() error { return c.command.Process.Signal(os.Interrupt) }
	if c.stdin, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	o := &openFGA{child: c}
	if err := o.wait(ctx); err != nil {
		return o, err
	}
	return o, o.fill(ctx, f)
}

// freeAddress is a port of loopback that nobody listened on a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// wait waits until the server answers, for half a minute at most.
func (o *openFGA) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if err := o.ask(ctx, "GET", "/healthz", nil, nil); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("openfga does not answer: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (o *openFGA) ask(ctx context.Context, method, path string, in, out any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+o.address+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s %s", method, path, answer.Status, body)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}

// relation names a permission as OpenFGA can spell it.
func relation(p charter.Permission) string { return "can_" + strings.ReplaceAll(string(p), ".", "_") }

// fill makes a store with the model and everybody's role, a hundred at a time.
func (o *openFGA) fill(ctx context.Context, f *fixture) error {
	var made struct {
		ID    string `json:"id"`
		Model string `json:"authorization_model_id"`
	}
	if err := o.ask(ctx, "POST", "/stores", map[string]any{"name": "bench"}, &made); err != nil {
		return err
	}
	o.store = made.ID
	if err := o.ask(ctx, "POST", "/stores/"+o.store+"/authorization-models", modelOf(f), &made); err != nil {
		return err
	}
	o.model = made.Model
	for n := range f.organizations {
		var tuples []map[string]string
		for m := range f.members {
			tuples = append(tuples, map[string]string{"user": "user:" + f.userID(n, m), "relation": "role_" + string(f.role(m).ID),
				"object": "organization:" + f.organizationID(n)})
		}
		for len(tuples) > 0 {
			some := tuples[:min(100, len(tuples))]
			tuples = tuples[len(some):]
			in := map[string]any{"authorization_model_id": o.model, "writes": map[string]any{"tuple_keys": some}}
			if err := o.ask(ctx, "POST", "/stores/"+o.store+"/write", in, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// modelOf is the table as an authorization model.
func modelOf(f *fixture) map[string]any {
	relations, metadata := map[string]any{}, map[string]any{}
	for _, role := range f.roles {
		name := "role_" + string(role.ID)
		relations[name] = map[string]any{"this": map[string]any{}}
		metadata[name] = map[string]any{"directly_related_user_types": []any{map[string]any{"type": "user"}}}
	}
	for _, p := range f.permissions {
		var held []any
		for _, role := range f.roles {
			if f.charter.Can(role, p) {
				held = append(held, map[string]any{"computedUserset": map[string]any{"relation": "role_" + string(role.ID)}})
			}
		}
		relations[relation(p)] = map[string]any{"union": map[string]any{"child": held}}
		if len(held) == 1 {
			relations[relation(p)] = held[0]
		}
	}
	return map[string]any{"schema_version": "1.1", "type_definitions": []any{map[string]any{"type": "user"},
		map[string]any{"type": "organization", "relations": relations, "metadata": map[string]any{"relations": metadata}}}}
}

// target asks it one question a request.
func (o *openFGA) target(f *fixture) target {
	return target{name: "OpenFGA v1.22.1, in memory, by user", child: o.child, checked: true,
		allowed: func(_ int, body []byte) bool { return bytes.Contains(body, []byte(`"allowed":true`)) },
		ask: func(q *question) request {
			body := fmt.Sprintf(`{"authorization_model_id":%q,"tuple_key":{"user":"user:%s","relation":%q,"object":"organization:%s"}}`,
				o.model, f.userID(q.organization, q.member), relation(q.permission), f.organizationID(q.organization))
			return request{allow: q.allow, text: fmt.Appendf(nil, "POST /stores/%s/check HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				o.store, len(body), body)}
		}}
}
