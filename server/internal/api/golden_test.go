package api_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testhall"
	"github.com/guildhall/guildhall/server/internal/api"
)

// golden compares text with a file in testdata; UPDATE=1 rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); UPDATE=1 rewrites it\n%s", path, diff)
	}
}

func TestDescriptions(t *testing.T) {
	h := testhall.New(t, testdb.SQLite(t), nil)
	golden(t, "openapi.json", string(api.OpenAPI(h.Service)))
	golden(t, "operations.txt", api.Table(h.Service))
	golden(t, "permissions.txt", api.Permissions(h.Service))
}

func TestOpenAPIDescribesEveryOperation(t *testing.T) {
	h := testhall.New(t, testdb.SQLite(t), nil)
	var document struct {
		OpenAPI string                               `json:"openapi"`
		Paths   map[string]map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(api.OpenAPI(h.Service), &document); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, item := range document.Paths {
		for _, operation := range item {
			id, _ := operation["operationId"].(string)
			described[id] = operation["x-permission"] != nil && operation["x-kind"] != nil && operation["summary"] != ""
		}
	}
	for _, o := range h.Service.Operations() {
		if name := o.Info().Name; !described[name] && !o.Info().Foreign() {
			t.Errorf("%s is not described", name)
		}
	}
}
