package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// assistant is a helper that the platform offers. It is ready once the organization has registered the MCP server that
// it works with.
type assistant struct {
	Name   string `json:"name"`
	About  string `json:"about"`
	Server string `json:"mcp_server"` // the name of a registered one
	Status string `json:"status"`     // ready or needs_setup
}

var assistants = []assistant{
	{Name: "Changelog writer", About: "Writes release notes from merged changes", Server: "github"},
	{Name: "Incident scribe", About: "Keeps the timeline of an incident", Server: "pagerduty"},
	{Name: "Invoice reader", About: "Files invoices that arrive by mail", Server: "mailbox"},
	{Name: "Issue sorter", About: "Labels new issues and finds duplicates", Server: "github"},
	{Name: "Report builder", About: "Turns a query into a weekly report", Server: "warehouse"},
	{Name: "Support drafter", About: "Drafts answers to support questions", Server: "helpdesk"},
}

// listAssistants lists the assistants. What is searched, filtered and sorted stands in the address, so that a view can be
// shared: ?q=report&status=ready&sort=-name.
func (p *product) listAssistants(r *http.Request) (any, error) {
	query := r.URL.Query()
	order, known := assistantOrders[cmp.Or(query.Get("sort"), "name")]
	if !known {
		return nil, jsonapi.Invalid("sort is name, -name, status or -status")
	}
	status := query.Get("status")
	if !slices.Contains([]string{"", "ready", "needs_setup"}, status) {
		return nil, jsonapi.Invalid("status is ready or needs_setup")
	}
	registered, err := p.serverNames(r.Context(), callerOf(r.Context()).organization)
	if err != nil {
		return nil, err
	}
	found := []assistant{}
	for _, a := range assistants {
		a.Status = "needs_setup"
		if registered[a.Server] {
			a.Status = "ready"
		}
		if a.matches(query.Get("q")) && (status == "" || status == a.Status) {
			found = append(found, a)
		}
	}
	slices.SortStableFunc(found, order)
	return jsonapi.List[assistant]{Data: found}, nil
}

func (a assistant) matches(q string) bool {
	return strings.Contains(strings.ToLower(a.Name+"\n"+a.About), strings.ToLower(q))
}

// assistantOrders are the orders of the list by name. Those of the same status stand by name.
var assistantOrders = map[string]func(a, b assistant) int{
	"name":    func(a, b assistant) int { return cmp.Compare(a.Name, b.Name) },
	"-name":   func(a, b assistant) int { return cmp.Compare(b.Name, a.Name) },
	"status":  func(a, b assistant) int { return cmp.Or(cmp.Compare(a.Status, b.Status), cmp.Compare(a.Name, b.Name)) },
	"-status": func(a, b assistant) int { return cmp.Or(cmp.Compare(b.Status, a.Status), cmp.Compare(a.Name, b.Name)) },
}

// serverNames are the names of an organization's MCP servers.
func (p *product) serverNames(ctx context.Context, organization string) (map[string]bool, error) {
	rows, err := p.db.QueryContext(ctx, "SELECT name FROM mcp_servers WHERE organization = $1", organization)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names[name] = true
	}
	return names, rows.Err()
}
