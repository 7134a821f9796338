package guildhall

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/jobs"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
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
	if err := h.store.Try(ctx, h.config.Log); err != nil {
		return errors.Join(err, h.store.Close())
	}
	h.artifacts = artifacts.New(artifacts.Config{Store: h.store, DB: h.db, MaxSize: h.config.MaxArtifact, Principal: directory.PrincipalOf, Meter: sendLevel})
	return nil
}

// storedKind is the kind of the outbox's jobs that tell a meter how much is stored.
const storedKind = artifacts.MeterKind

// storedLevel is the payload of such a job: the level and its moment, so that it says the same however late it is done,
// however often, and in whatever order.
type storedLevel struct {
	Organization string `json:"organization"`
	Meter        string `json:"meter"`
	Bytes        int64  `json:"bytes"`
	At           int64  `json:"at"`
}

// sendLevel promises, with the change of what is stored, that the meter is told.
func sendLevel(_ context.Context, tx *op.Tx, organization, meter string, l artifacts.Level) error {
	raw, err := json.Marshal(storedLevel{organization, meter, l.Bytes, l.At.UnixMicro()})
	if err == nil {
		tx.Send(storedKind, raw)
	}
	return err
}

// meterStored tells a meter how much was stored at a moment. The event's id is the moment: it counts once. What was used
// of an organization that ends is told to nobody.
func (h *Hall) meterStored(ctx context.Context, job jobs.Job) error {
	var l storedLevel
	if err := json.Unmarshal(job.Payload, &l); err != nil {
		return jobs.Permanent(err)
	}
	var over bool
	err := h.service.Snapshot(ctx, func(r *op.Reader) (err error) {
		over, err = directory.Ending(ctx, r, l.Organization)
		return err
	})
	if over || err != nil {
		return err
	}
	e := usage.Event{Meter: l.Meter, Value: l.Bytes, Source: "guildhall.artifacts", ID: "stored-" + strconv.FormatInt(l.At, 10), At: time.UnixMicro(l.At).UTC()}
	recorded, err := usage.Record.Call(op.As(ctx, op.Caller{System: "artifacts"}), h.service,
		usage.RecordInput{InOrganization: op.InOrganization{Organization: l.Organization}, Event: e})
	if err == nil && recorded.Refused > 0 {
		err = jobs.Permanent(fmt.Errorf("meter %s: %s", l.Meter, recorded.Results[0].Detail))
	}
	return err
}

// DoctorFiles compares the latest stored files, at most most of them, with their bytes, and lists those that are missing
// or of another size. It reads the store, which takes its time where that is elsewhere.
func (h *Hall) DoctorFiles(ctx context.Context, most int) ([]string, error) {
	return h.brokenRules(ctx, func(ctx context.Context, r *op.Reader) ([]string, error) {
		return h.artifacts.BrokenFiles(ctx, r, most)
	})
}
