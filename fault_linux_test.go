package guildhall_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/internal/testdb"
)

// TestAFullDiskIsSurvived: the disk is full in the midst of changes: the file, its log, all. Each change is kept or
// refused, nothing is half done, and it goes on as soon as there is room. T-105, T-093
func TestAFullDiskIsSurvived(t *testing.T) {
	oneAfterAnother(t)
	dir, ok := smallDisk(t)
	if !ok {
		return
	}
	template := strings.TrimPrefix(testdb.DSN(t, testdb.Dialects[0]), "sqlite:")
	path := filepath.Join(dir, "hall.db")
	if err := os.WriteFile(path, read(t, template), 0o600); err != nil {
		t.Fatal(err)
	}
	a := newAiling(t, "sqlite:"+path)
	ballast := filepath.Join(dir, "ballast")
	for round := range 3 {
		fillDisk(t, ballast)
		name, refused := a.untilRefused(t, round)
		rows := rowsNow(t, a.world)
		for range 5 {
			if word := a.rename(t, refused); word != "unavailable" {
				t.Errorf("round %d, no room: %s", round, word)
			}
		}
		a.goesOn(t, name, 503)
		if got := rowsNow(t, a.world); got != rows {
			t.Errorf("round %d: %d rows, want %d", round, got, rows)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		a.goesOn(t, name, 200)
		a.Sound()
	}
}

// untilRefused changes the name until there is no room, and gives the last one that was kept and the one that was not.
func (a *ailing) untilRefused(t *testing.T, round int) (kept, refused string) {
	t.Helper()
	for n := range 10_000 {
		refused = fmt.Sprintf("Name %d %d", round, n)
		switch word := a.rename(t, refused); word {
		case "ok":
			kept = refused
		case "unavailable":
			if kept == "" {
				kept = a.name(t)
			}
			return kept, refused
		default:
			t.Fatalf("round %d: change %d: %s", round, n, word)
		}
	}
	t.Fatal("the disk is never full")
	return "", ""
}

func (a *ailing) name(t *testing.T) string {
	t.Helper()
	var o struct{ Name string }
	got := a.send(ask{method: "GET", target: "/v1/organizations/acme", token: a.acme.Owner().Token})
	if err := json.Unmarshal([]byte(got.body), &o); err != nil {
		t.Fatal(err)
	}
	return o.Name
}

// fillDisk writes until there is no room.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 16, 1 << 12} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// smallDisk is a disk of four megabytes, until the test ends. Where this process may not mount one, the whole test is run
// in a process that may, in a namespace of its own, and nothing is left to do here.
func smallDisk(t *testing.T) (dir string, ok bool) {
	t.Helper()
	dir = t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m")
	if err == nil {
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		return dir, true
	}
	if os.Getenv("GUILDHALL_TEST_DISK") != "" {
		t.Fatalf("a small disk: %v", err)
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	again.Env = append(os.Environ(), "GUILDHALL_TEST_DISK=1")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	out, failed := again.CombinedOutput()
	if errors.Is(failed, syscall.EPERM) || errors.Is(failed, syscall.ENOSPC) {
		t.Logf("not tried on a small disk, since no namespace may be made here: %v; a file that may not grow stands for it", failed)
	} else if failed != nil {
		t.Fatalf("in a namespace of its own: %v\n%s", failed, out)
	}
	return "", false
}
