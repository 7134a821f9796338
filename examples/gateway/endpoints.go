package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// endpoint is an address that answers with what a prompt's Live version makes of the caller's variables. It has an owner,
// who is asked when something is wrong with it.
type endpoint struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Prompt    string     `json:"prompt"`
	Owner     string     `json:"owner"`      // a member's id
	OwnerLeft bool       `json:"owner_left"` // somebody else has to take it over
	CreatedAt *time.Time `json:"created_at"`
}

const selectEndpoints = "SELECT id, name, prompt, owner, created_at FROM endpoints WHERE organization = $1"

func scanEndpoint(row jsonapi.Row) (e endpoint, err error) {
	var created int64
	err = row.Scan(&e.ID, &e.Name, &e.Prompt, &e.Owner, &created)
	e.CreatedAt = jsonapi.Time(created)
	return e, err
}

func (p *product) endpoint(ctx context.Context, organization, id string) (endpoint, error) {
	return jsonapi.One(scanEndpoint, p.db.QueryRowContext(ctx, selectEndpoints+" AND id = $2", organization, id))
}

func (p *product) listEndpoints(r *http.Request) (any, error) {
	organization := callerOf(r).organization
	page, err := jsonapi.Newest(r, p.db, scanEndpoint, selectEndpoints, organization)
	if err != nil {
		return nil, err
	}
	return page, p.markLeft(r.Context(), organization, page.Data)
}

func (p *product) getEndpoint(r *http.Request) (any, error) {
	organization := callerOf(r).organization
	e, err := p.endpoint(r.Context(), organization, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	one := []endpoint{e}
	return one[0], p.markLeft(r.Context(), organization, one)
}

// endpointInput is what an endpoint is made of, and changed to. What is not said stays.
type endpointInput struct {
	Name   *string `json:"name"`
	Prompt *string `json:"prompt"`
}

// apply puts an input onto an endpoint, if the result is one.
func (p *product) apply(ctx context.Context, organization string, in endpointInput, e *endpoint) error {
	if in.Name != nil {
		e.Name = strings.TrimSpace(*in.Name)
	}
	if in.Prompt != nil {
		e.Prompt = *in.Prompt
	}
	if err := checkName(e.Name); err != nil {
		return err
	}
	if _, err := p.prompt(ctx, organization, e.Prompt); err == jsonapi.ErrNotFound {
		return jsonapi.Invalid("prompt: there is no prompt %q", e.Prompt)
	} else if err != nil {
		return err
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > 100 {
		return jsonapi.Invalid("name has 1 to 100 characters")
	}
	return nil
}

// createEndpoint makes an endpoint that belongs to whoever makes it.
func (p *product) createEndpoint(r *http.Request) (any, error) {
	var in endpointInput
	if err := jsonapi.Read(r, &in); err != nil {
		return nil, err
	}
	who, now := callerOf(r), p.now()
	if who.member == "" {
		return nil, jsonapi.Conflict("an endpoint belongs to a person: make it with a session or a personal key")
	}
	e := endpoint{ID: jsonapi.NewID("ep", now), Owner: who.member, CreatedAt: jsonapi.Time(now.UnixMicro())}
	if err := p.apply(r.Context(), who.organization, in, &e); err != nil {
		return nil, err
	}
	_, err := p.db.ExecContext(r.Context(), "INSERT INTO endpoints (id, organization, name, prompt, owner, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
		e.ID, who.organization, e.Name, e.Prompt, e.Owner, now.UnixMicro())
	if err != nil {
		return nil, err
	}
	return jsonapi.Created(e)
}

func (p *product) updateEndpoint(r *http.Request) (any, error) {
	var in endpointInput
	if err := jsonapi.Read(r, &in); err != nil {
		return nil, err
	}
	organization := callerOf(r).organization
	e, err := p.endpoint(r.Context(), organization, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if err := p.apply(r.Context(), organization, in, &e); err != nil {
		return nil, err
	}
	return e, jsonapi.Changed(p.db.ExecContext(r.Context(), "UPDATE endpoints SET name = $3, prompt = $4 WHERE organization = $1 AND id = $2",
		organization, e.ID, e.Name, e.Prompt))
}

func (p *product) deleteEndpoint(r *http.Request) (any, error) {
	return nil, jsonapi.Changed(p.db.ExecContext(r.Context(), "DELETE FROM endpoints WHERE organization = $1 AND id = $2",
		callerOf(r).organization, r.PathValue("id")))
}
