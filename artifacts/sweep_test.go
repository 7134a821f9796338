package artifacts_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

func TestRetentionDeletesWhatIsOverItsTime(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		old := h.stored("old.txt", "hello")
		h.After(time.Hour)
		young := h.stored("young.txt", "other")
		h.After(30*day - time.Hour - time.Microsecond)
		h.Must(h.sweeps())
		if got := h.lists(h.ada.Token, artifacts.ListInput{}); !slices.Equal(got, []string{"young.txt", "old.txt"}) {
			t.Errorf("a microsecond before its time: %v", got)
		}
		h.After(time.Microsecond)
		h.Must(h.sweeps())
		h.Must(h.sweeps())
		if got := h.blobs(); !slices.Equal(got, []string{h.acme + "/" + young.ID}) {
			t.Errorf("the folder has %v", got)
		}
		proofs, err := artifacts.ListDeleted.Call(h.As(h.ada.Token), h.Service, artifacts.ListDeletedInput{InOrganization: h.in()})
		h.Must(err)
		if len(proofs.Data) != 1 || proofs.Data[0].ID != old.ID || proofs.Data[0].DeletedBy != "retention" || proofs.Data[0].SHA256 != old.SHA256 {
			t.Errorf("proofs: %+v", proofs.Data)
		}
		if n := h.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND action = 'retention.sweep'", h.acme); n != 1 {
			t.Errorf("%d rows for one batch", n)
		}
		if h.gauge[h.acme+" storage_artifacts"] != young.Size {
			t.Errorf("the gauge is %v", h.gauge)
		}
		h.sound()
	})
}

// Zero days keep files for ever.
func TestNoRetentionKeepsForEver(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		h.stored("a.txt", "hello")
		h.Exec("UPDATE organizations SET retention_days = 0 WHERE id = $1", h.acme)
		h.After(3650 * day)
		h.Must(h.sweeps())
		if len(h.blobs()) != 1 {
			t.Error("it was deleted")
		}
	})
}

var errDied = errors.New("died")

// dies is a room whose process ends at the n-th point that it comes to, and does nothing after that.
type dies struct {
	left   int
	passed []string
}

func (d *dies) at(point string) error {
	d.passed = append(d.passed, point)
	if d.left--; d.left < 0 {
		return errDied
	}
	return nil
}

// Whatever point a process dies at, nothing is lost that was answered for, nothing is left in the end that was not, and
// every file is deleted once.
func TestAProcessMayDieAtAnyPoint(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation", 0)
		points := map[string]bool{}
		for left := range 12 {
			d := &dies{left: left}
			h.room.Stops(d.at)
			a, put := h.puts(h.ada.Token, artifacts.PutInput{Name: "a.txt"}, "hello")
			var deleted error
			if put == nil {
				_, deleted = artifacts.Delete.Call(h.As(h.ada.Token), h.Service, h.named(a.ID))
				h.Must(deleted)
				_ = h.sweeps()
			}
			for _, point := range d.passed {
				points[point] = true
			}
			h.room.Stops(nil) // another process begins
			h.After(2 * day)
			h.Must(h.sweeps())
			if got := h.blobs(); len(got) != 0 {
				t.Errorf("died at %v: %v is left", d.passed, got)
			}
			if n := h.Number("SELECT count(*) FROM artifacts WHERE organization = $1 AND (state <> 'deleted' OR gone_at = 0)", h.acme); n != 0 {
				t.Errorf("died at %v: %d rows are not settled", d.passed, n)
			}
			h.sound()
		}
		for _, want := range []string{"begun", "stored", "written", "erasing", "erased"} {
			if !points[want] {
				t.Errorf("nobody died at %s: %v", want, points)
			}
		}
	})
}

// A sweep that dies after its claim is finished by the next one, which claims nothing twice.
func TestASweepThatDiesIsFinished(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation", 0)
		for left := range 8 {
			for i := range 3 {
				h.stored(fmt.Sprint(i), "hello")
			}
			h.After(31 * day)
			d := &dies{left: left}
			h.room.Stops(d.at)
			_ = h.sweeps()
			h.room.Stops(nil)
			h.Must(h.sweeps())
			if len(h.blobs()) != 0 || h.gauge[h.acme+" storage_artifacts"] != 0 {
				t.Errorf("died after %v: %v is left, the gauge is %v", d.passed, h.blobs(), h.gauge)
			}
		}
		if n := h.Number("SELECT count(*) FROM artifacts WHERE organization = $1 AND state = 'deleted' AND gone_at <> 0", h.acme); n != 24 {
			t.Errorf("%d files were deleted, want 24", n)
		}
		h.sound()
	})
}

func TestAHoldKeepsWhatItCovers(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		held, err := h.puts(h.ada.Token, artifacts.PutInput{Name: "held.txt", Resource: "execution:ex_1"}, "hello")
		h.Must(err)
		free, err := h.puts(h.ada.Token, artifacts.PutInput{Name: "free.txt", Resource: "workflow:wf_1"}, "other")
		h.Must(err)
		holds := func(in artifacts.CreateHoldInput) artifacts.Hold {
			in.InOrganization, in.Reason = h.in(), "case 24-117"
			hold, err := artifacts.CreateHold.Call(h.As(h.ada.Token), h.Service, in)
			h.Must(err)
			return hold
		}
		release := func(hold artifacts.Hold) {
			_, err := artifacts.ReleaseHold.Call(h.As(h.ada.Token), h.Service, artifacts.ReleaseHoldInput{InOrganization: h.in(), Hold: hold.ID, Reason: "closed"})
			h.Must(err)
		}
		_, err = artifacts.CreateHold.Call(h.As(h.ada.Token), h.Service, artifacts.CreateHoldInput{InOrganization: h.in(), Reason: "x", Artifacts: []string{"art_none"}})
		refused(t, err, "invalid")
		prefix, single := holds(artifacts.CreateHoldInput{Resource: "execution:"}), holds(artifacts.CreateHoldInput{Artifacts: []string{held.ID}})
		_, err = artifacts.Delete.Call(h.As(h.ada.Token), h.Service, h.named(held.ID))
		refused(t, err, "held")
		if e := op.AsError(err); e.Refers["hold"] != prefix.ID || !strings.Contains(e.Text, prefix.ID) {
			t.Errorf("the refusal does not name the hold: %+v", e)
		}
		if got := h.lists(h.ada.Token, artifacts.ListInput{Held: "true"}); !slices.Equal(got, []string{"held.txt"}) {
			t.Errorf("held: %v", got)
		}
		h.After(40 * day)
		h.Must(h.sweeps())
		if got := h.lists(h.ada.Token, artifacts.ListInput{}); !slices.Equal(got, []string{"held.txt"}) {
			t.Errorf("after the sweep: %v (%s)", got, free.ID)
		}
		release(prefix)
		h.Must(h.sweeps())
		if len(h.blobs()) != 1 {
			t.Error("the other hold does not keep it")
		}
		all := holds(artifacts.CreateHoldInput{})
		release(single)
		h.Must(h.sweeps())
		if len(h.blobs()) != 1 {
			t.Error("the hold of everything does not keep it")
		}
		impact, err := h.Service.Invoke(h.As(h.ada.Token), artifacts.ReleaseHold, op.Request{Caller: op.CallerOf(h.As(h.ada.Token)), DryRun: true,
			Input: artifacts.ReleaseHoldInput{InOrganization: h.in(), Hold: all.ID, Reason: "closed"}})
		h.Must(err)
		if got := impact.Output.(op.Impact).Summary; got != "1 file, 5 bytes, are over their time and would be deleted by the next sweep" {
			t.Errorf("the dry run says %q", got)
		}
		release(all)
		h.Must(h.sweeps())
		if len(h.blobs()) != 0 {
			t.Error("it is kept for ever")
		}
		list, err := artifacts.ListHolds.Call(h.As(h.ada.Token), h.Service, artifacts.ListHoldsInput{InOrganization: h.in(), State: "released"})
		h.Must(err)
		if len(list.Data) != 3 || !slices.Equal(list.Data[1].Artifacts, []string{held.ID}) {
			t.Errorf("released: %+v", list.Data)
		}
		h.sound()
	})
}

// Whatever is stored, held, released, swept and waited for in whatever order: nothing is deleted that is young or held,
// what is neither is, once, and the totals stay true.
func TestSweepsNeverDeleteWhatIsHeldOrYoung(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation", 0)
		world := model{h: h, files: map[string]*modelFile{}, holds: map[string]string{}}
		rapid.Check(t, func(r *rapid.T) {
			for range rapid.IntRange(1, 6).Draw(r, "steps") {
				world.step(r)
			}
			world.check(r)
		})
		h.sound()
	})
}

// model is what should be true.
type model struct {
	h     *hall
	files map[string]*modelFile
	holds map[string]string // by id, the resource that it covers
}

type modelFile struct {
	resource string
	at       time.Time
	deleted  bool
}

func (m *model) step(r *rapid.T) {
	h := m.h
	switch rapid.SampledFrom([]string{"put", "put", "hold", "release", "wait", "sweep"}).Draw(r, "step") {
	case "put":
		resource := fmt.Sprintf("execution:ex_%d", rapid.IntRange(1, 3).Draw(r, "resource"))
		a, err := h.puts(h.ada.Token, artifacts.PutInput{Name: "x", Resource: resource}, "hello")
		h.Must(err)
		m.files[a.ID] = &modelFile{resource: resource, at: h.Now()}
	case "hold":
		resource := fmt.Sprintf("execution:ex_%d", rapid.IntRange(1, 3).Draw(r, "held"))
		hold, err := artifacts.CreateHold.Call(h.As(h.ada.Token), h.Service, artifacts.CreateHoldInput{InOrganization: h.in(), Reason: "x", Resource: resource})
		h.Must(err)
		m.holds[hold.ID] = resource
	case "release":
		for id := range m.holds {
			_, err := artifacts.ReleaseHold.Call(h.As(h.ada.Token), h.Service, artifacts.ReleaseHoldInput{InOrganization: h.in(), Hold: id, Reason: "x"})
			h.Must(err)
			delete(m.holds, id)
			return
		}
	case "wait":
		h.After(time.Duration(rapid.IntRange(1, 20).Draw(r, "days")) * day)
	case "sweep":
		h.Must(h.sweeps())
		for _, f := range m.files {
			f.deleted = f.deleted || m.due(f)
		}
	}
}

func (m *model) due(f *modelFile) bool {
	for _, resource := range m.holds {
		if strings.HasPrefix(f.resource, resource) {
			return false
		}
	}
	return m.h.Now().Sub(f.at) >= 30*day
}

func (m *model) check(r *rapid.T) {
	left := m.h.blobs()
	for id, f := range m.files {
		if there := slices.Contains(left, m.h.acme+"/"+id); there == f.deleted {
			r.Errorf("%s of %s, stored %v: there %v, deleted %v, now %v", id, f.resource, f.at, there, f.deleted, m.h.Now())
		}
	}
}

func TestAPreviewSaysHowMuchAndWhen(t *testing.T) {
	inHalls(t, "automation", func(t *testing.T, h *hall) {
		for i := range 3 {
			_, err := h.puts(h.ada.Token, artifacts.PutInput{Name: fmt.Sprint(i), Resource: fmt.Sprintf("execution:ex_%d", i)}, strings.Repeat("x", 1000*(i+1)))
			h.Must(err)
			h.After(5 * day)
		}
		_, err := artifacts.CreateHold.Call(h.As(h.ada.Token), h.Service, artifacts.CreateHoldInput{InOrganization: h.in(), Reason: "x", Resource: "execution:ex_0"})
		h.Must(err)
		days := int64(10)
		p, err := artifacts.PreviewRetention.Call(h.As(h.ada.Token), h.Service, artifacts.PreviewInput{InOrganization: h.in(), Days: &days})
		h.Must(err)
		if p.Files != 1 || p.Bytes != 2000 || p.HeldFiles != 1 || p.HeldBytes != 1000 || p.StoredFiles != 3 || p.StoredBytes != 6000 {
			t.Errorf("preview %+v", p)
		}
		if want := []artifacts.DayDue{{Date: "2026-11-22", Files: 1, Bytes: 3000}}; !slices.Equal(p.Next, want) {
			t.Errorf("next %v, want %v", p.Next, want)
		}
		if want := "would delete 1 file, 2 kB, at once; legal holds keep 1 file, 1 kB; 1 file, 3 kB, within the 30 days after that"; p.Summary != want {
			t.Errorf("summary %q", p.Summary)
		}
		now, err := artifacts.PreviewRetention.Call(h.As(h.ada.Token), h.Service, artifacts.PreviewInput{InOrganization: h.in()})
		h.Must(err)
		if now.Days != 30 || now.Files != 0 || len(now.Next) != 2 {
			t.Errorf("as it is: %+v", now)
		}
	})
}

func TestSizesInWords(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1 kB", 41_200_000_000: "41.2 GB", 41_000_000_000: "41 GB", 999_960: "1 MB", 123_400_000: "123 MB"} {
		if got := artifacts.Size(bytes); got != want {
			t.Errorf("%d is %q, want %q", bytes, got, want)
		}
	}
	if artifacts.Files(1) != "1 file" || artifacts.Files(3120) != "3,120 files" || artifacts.Files(1234567) != "1,234,567 files" {
		t.Error("files in words")
	}
}
