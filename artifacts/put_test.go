package artifacts_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// filesIn are the files below a folder, by their path.
func filesIn(t testing.TB, folder string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			short, _ := filepath.Rel(folder, path)
			all = append(all, short)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestAFileIsStoredAndComesBack(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		a, err := h.puts(h.ada.Token, artifacts.PutInput{Name: "report.txt", Resource: "execution:ex_1"}, "hello")
		h.Must(err)
		want := artifacts.Artifact{ID: a.ID, Name: "report.txt", MediaType: "text/plain", Size: 5, SHA256: sumOf("hello"), Resource: "execution:ex_1",
			Region: "us-east-1", CreatedBy: h.ada.Member, CreatedAt: h.Now(), ExpiresAt: a.ExpiresAt, Version: 1}
		if a != want || !a.ExpiresAt.Equal(h.Now().Add(30*day)) {
			t.Errorf("stored %+v until %v", a, a.ExpiresAt)
		}
		got, err := artifacts.Get.Call(h.As(h.ada.Token), h.Service, h.named(a.ID))
		h.Must(err)
		if got.ExpiresAt = want.ExpiresAt; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if text, err := h.reads(h.ada.Token, a.ID); err != nil || text != "hello" {
			t.Errorf("read %q, %v", text, err)
		}
		if h.gauge[h.acme+" storage_artifacts"] != 5 {
			t.Errorf("the gauge is %v", h.gauge)
		}
		if got := h.blobs(); !slices.Equal(got, []string{h.acme + "/" + a.ID}) {
			t.Errorf("the folder has %v", got)
		}
		h.sound()
	})
}

// T-001, T-002: nobody of another organization sees, names or changes a file.
func TestFilesOfOthersDoNotExist(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		a := h.stored("secret.txt", "hello")
		foreign := artifacts.ArtifactInput{InOrganization: op.InOrganization{Organization: h.globex}, Artifact: a.ID}
		_, err := artifacts.Get.Call(h.As(h.glen.Token), h.Service, foreign)
		refused(t, err, "not_found")
		_, err = artifacts.Delete.Call(h.As(h.glen.Token), h.Service, foreign)
		refused(t, err, "not_found")
		_, err = h.reads(h.glen.Token, a.ID)
		refused(t, err, "not_found")
	})
}

// A viewer sees files and stores none; nothing is read of what somebody sends who may not.
func TestNothingIsReadBeforeItIsAllowed(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		vic := h.Join(h.acme, "vic@acme.test", "viewer")
		body := &untouchable{}
		_, err := artifacts.Put.Call(h.As(vic.Token), h.Service, artifacts.PutInput{InOrganization: h.in(), Name: "x"}, op.Content{Body: body, Size: -1})
		refused(t, err, "denied")
		_, err = artifacts.Put.Call(h.As(h.ada.Token), h.Service, artifacts.PutInput{InOrganization: h.in(), Name: "../x"}, op.Content{Body: body, Size: -1})
		refused(t, err, "invalid")
		_, err = artifacts.Put.Call(h.As(h.ada.Token), h.Service, artifacts.PutInput{InOrganization: h.in(), Name: "x", Region: "eu-west-1"}, op.Content{Body: body, Size: -1})
		refused(t, err, "region_not_allowed")
		if body.read {
			t.Error("the body was read")
		}
		a := h.stored("seen.txt", "hello")
		if text, err := h.reads(vic.Token, a.ID); err != nil || text != "hello" {
			t.Errorf("a viewer reads %q, %v", text, err)
		}
		if len(h.blobs()) != 1 {
			t.Errorf("the folder has %v", h.blobs())
		}
	})
}

// untouchable is a body that notices being read.
type untouchable struct{ read bool }

func (u *untouchable) Read([]byte) (int, error) { u.read = true; return 0, io.EOF }

// What does not arrive whole leaves neither a row nor bytes.
func TestAnUploadThatFailsLeavesNothing(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation", 1000)
		wrong := sha256.Sum256([]byte("something else"))
		for name, c := range map[string]struct {
			content op.Content
			code    string
		}{
			"another digest":      {op.Content{Body: strings.NewReader("hello"), Size: 5, SHA256: wrong[:]}, "digest_mismatch"},
			"a broken connection": {op.Content{Body: io.MultiReader(strings.NewReader("hel"), broken{}), Size: 5}, "incomplete"},
			"fewer bytes":         {op.Content{Body: strings.NewReader("hel"), Size: 5}, "incomplete"},
			"too much, announced": {op.Content{Body: &untouchable{}, Size: 1001}, "artifact_too_large"},
			"too much, unsaid":    {op.Content{Body: strings.NewReader(strings.Repeat("x", 1001)), Size: -1}, "artifact_too_large"},
			"no media type":       {op.Content{Body: &untouchable{}, MediaType: "pdf/"}, "unsupported_media_type"},
		} {
			_, err := artifacts.Put.Call(h.As(h.ada.Token), h.Service, artifacts.PutInput{InOrganization: h.in(), Name: "x"}, c.content)
			if refused(t, err, c.code); len(h.blobs()) != 0 {
				t.Errorf("%s leaves %v", name, h.blobs())
			}
		}
		if n := h.Number("SELECT count(*) FROM artifacts WHERE organization = $1", h.acme); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		if a, err := h.puts(h.ada.Token, artifacts.PutInput{Name: "most"}, strings.Repeat("x", 1000)); err != nil || a.Size != 1000 {
			t.Errorf("as much as there may be: %+v, %v", a, err)
		}
		h.sound()
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestAListFindsFiles(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		for _, name := range []string{"January report.pdf", "FEBRUARY.pdf", "100%.txt"} {
			_, err := h.puts(h.ada.Token, artifacts.PutInput{Name: name, Resource: "execution:" + strings.ToLower(name[:3])}, name)
			h.Must(err)
			h.After(time.Hour)
		}
		for _, c := range []struct {
			in   artifacts.ListInput
			want string
		}{
			{artifacts.ListInput{}, "100%.txt FEBRUARY.pdf January report.pdf"},
			{artifacts.ListInput{Q: "february"}, "FEBRUARY.pdf"},
			{artifacts.ListInput{Q: "0%"}, "100%.txt"},
			{artifacts.ListInput{Q: "_"}, ""},
			{artifacts.ListInput{Resource: "execution:jan"}, "January report.pdf"},
			{artifacts.ListInput{Named: "FEBRUARY.pdf"}, "FEBRUARY.pdf"},
			{artifacts.ListInput{CreatedAfter: "2026-11-02T10:00:00Z"}, "100%.txt FEBRUARY.pdf"},
			{artifacts.ListInput{CreatedBefore: "2026-11-02T10:00:00Z"}, "January report.pdf"},
			{artifacts.ListInput{Held: "true"}, ""},
			{artifacts.ListInput{Region: "eu-west-1"}, ""},
		} {
			if got := strings.Join(h.lists(h.ada.Token, c.in), " "); got != c.want {
				t.Errorf("%+v lists %q, want %q", c.in, got, c.want)
			}
		}
		first, err := artifacts.List.Call(h.As(h.ada.Token), h.Service, artifacts.ListInput{InOrganization: h.in(), Page: op.Page{Limit: 2}})
		h.Must(err)
		next, err := artifacts.List.Call(h.As(h.ada.Token), h.Service, artifacts.ListInput{InOrganization: h.in(), Page: op.Page{Limit: 2, Cursor: first.NextCursor}})
		h.Must(err)
		if len(first.Data) != 2 || len(next.Data) != 1 || next.HasMore {
			t.Errorf("pages of %d and %d", len(first.Data), len(next.Data))
		}
	})
}

func TestADeletedFileIsGoneAndProved(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		a, kept := h.stored("a.txt", "hello"), h.stored("b.txt", "other")
		name := "c.txt"
		if renamed, err := artifacts.Update.Call(h.As(h.ada.Token), h.Service, artifacts.UpdateInput{ArtifactInput: h.named(a.ID), Name: &name}); err != nil || renamed.Name != name || renamed.Version != 2 {
			t.Errorf("renamed: %+v, %v", renamed, err)
		}
		proof, err := artifacts.Delete.Call(h.As(h.ada.Token), h.Service, h.named(a.ID))
		h.Must(err)
		if proof.SHA256 != sumOf("hello") || proof.DeletedBy != h.ada.Member {
			t.Errorf("proof %+v", proof)
		}
		_, err = h.reads(h.ada.Token, a.ID)
		refused(t, err, "not_found")
		_, err = artifacts.Delete.Call(h.As(h.ada.Token), h.Service, h.named(a.ID))
		refused(t, err, "not_found")
		h.Must(h.sweeps())
		if got := h.blobs(); !slices.Equal(got, []string{h.acme + "/" + kept.ID}) {
			t.Errorf("the folder has %v", got)
		}
		list, err := artifacts.ListDeleted.Call(h.As(h.ada.Token), h.Service, artifacts.ListDeletedInput{InOrganization: h.in()})
		h.Must(err)
		if len(list.Data) != 1 || list.Data[0].ID != a.ID || list.Data[0].ErasedAt == nil {
			t.Errorf("proofs: %+v", list.Data)
		}
		if h.gauge[h.acme+" storage_artifacts"] != 5 {
			t.Errorf("the gauge is %v", h.gauge)
		}
		h.sound()
	})
}

// A token for one artifact opens that one and no other.
func TestATokenOpensWhatItIsFor(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		a, b := h.stored("a.txt", "hello"), h.stored("b.txt", "other")
		token, err := credential.CreateToken.Call(h.As(h.ada.Token), h.Service, credential.CreateTokenInput{InOrganization: h.in(),
			Scoping: credential.Scoping{Resources: []string{"artifact:" + a.ID}}})
		h.Must(err)
		if text, err := h.reads(token.Secret, a.ID); err != nil || text != "hello" {
			t.Errorf("read %q, %v", text, err)
		}
		_, err = h.reads(token.Secret, b.ID)
		refused(t, err, string(decide.OtherResource))
		_, err = artifacts.List.Call(h.As(token.Secret), h.Service, artifacts.ListInput{InOrganization: h.in()})
		refused(t, err, string(decide.OtherResource))
	})
}

// A link opens one file without a sign-in, until it expires, the file is gone, or whoever made it may not see it.
func TestALinkDiesWithWhatItStandsOn(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		vic := h.Join(h.acme, "vic@acme.test", "viewer")
		a := h.stored("a.txt", "hello")
		opens := func(url string) error {
			_, err := h.Service.Invoke(h.T.Context(), artifacts.Open, op.Request{Input: artifacts.OpenInput{Link: url[strings.LastIndex(url, "/")+1:]}})
			return err
		}
		make := func(until time.Time) (artifacts.NewLink, error) {
			return artifacts.Link.Call(h.As(vic.Token), h.Service, artifacts.LinkInput{ArtifactInput: h.named(a.ID), ExpiresAt: until})
		}
		_, err := make(h.Now().Add(7*day + time.Second))
		refused(t, err, "invalid")
		short, err := make(h.Now().Add(time.Hour))
		h.Must(err)
		long, err := make(h.Now().Add(7 * day))
		h.Must(err)
		h.Must(errors.Join(opens(short.Link), opens(long.Link)))
		refused(t, opens(long.Link[:len(long.Link)-2]+"AA"), "not_found")
		refused(t, opens("/"+strings.Repeat("A", 300)), "not_found")

		h.After(time.Hour)
		refused(t, opens(short.Link), "link_expired")
		h.Exec("UPDATE members SET status = 'suspended' WHERE organization = $1 AND id = $2", h.acme, vic.Member)
		refused(t, opens(long.Link), "link_ended")
		h.Exec("UPDATE members SET status = 'active' WHERE organization = $1 AND id = $2", h.acme, vic.Member)
		h.Must(opens(long.Link))
		h.Exec("UPDATE organizations SET state = 'deletion_scheduled' WHERE id = $1", h.acme)
		refused(t, opens(long.Link), "link_ended")
		h.Exec("UPDATE organizations SET state = 'active' WHERE id = $1", h.acme)
		_, err = artifacts.Delete.Call(h.As(h.ada.Token), h.Service, h.named(a.ID))
		h.Must(err)
		refused(t, opens(long.Link), "link_ended")
	})
}
