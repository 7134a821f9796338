package guildhall

import (
	"context"
	"net/url"
	"path/filepath"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// openArtifacts opens where stored files are: what is configured, else a folder beside the secret file.
func (h *Hall) openArtifacts(ctx context.Context) error {
	places := h.config.Artifacts
	if places == "" {
		folder, err := filepath.Abs(filepath.Join(filepath.Dir(h.config.SecretFile), "artifacts"))
		if err != nil {
			return err
		}
		places = (&url.URL{Scheme: "file", Path: filepath.ToSlash(folder)}).String()
	}
	var err error
	if h.store, err = artifacts.OpenStore(ctx, places); err != nil {
		return err
	}
	h.artifacts = artifacts.New(artifacts.Config{Store: h.store, DB: h.db, MaxSize: h.config.MaxArtifact, Principal: directory.PrincipalOf})
	return nil
}

// DoctorFiles compares the latest stored files, at most most of them, with their bytes, and lists those that are missing
// or of another size. It reads the store, which takes its time where that is elsewhere.
func (h *Hall) DoctorFiles(ctx context.Context, most int) ([]string, error) {
	return h.brokenRules(ctx, func(ctx context.Context, r *op.Reader) ([]string, error) {
		return h.artifacts.BrokenFiles(ctx, r, most)
	})
}
