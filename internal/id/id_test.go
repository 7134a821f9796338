package id_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guildhall/guildhall/internal/id"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestNewIsValidAndSaysWhatItNames(t *testing.T) {
	org := id.New("org", noon)
	if !id.Valid("org", org) {
		t.Errorf("Valid(org, %q) = false", org)
	}
	if id.Valid("usr", org) {
		t.Errorf("Valid(usr, %q) = true", org)
	}
	if got, want := len(org), len("org_")+26; got != want {
		t.Errorf("length of %q is %d, want %d", org, got, want)
	}
}

func TestIdentifiersSortByTime(t *testing.T) {
	var ids []string
	for i := range 20_000 {
		ids = append(ids, id.New("evt", noon.Add(time.Duration(i/1000)*time.Millisecond)))
	}
	if !slices.IsSorted(ids) {
		t.Error("identifiers made one after another are not in ascending order")
	}
	if got := len(slices.Compact(ids)); got != 20_000 {
		t.Errorf("%d different identifiers of 20000", got)
	}
}

func TestLaterMillisecondsSortAfterEarlierOnes(t *testing.T) {
	times := []time.Time{time.UnixMilli(0), time.UnixMilli(1), noon, noon.Add(time.Millisecond), noon.AddDate(5000, 0, 0)}
	var ids []string
	for _, at := range times {
		ids = append(ids, id.New("key", at))
	}
	if !slices.IsSorted(ids) {
		t.Errorf("not in order of time: %q", ids)
	}
}

func TestIdentifiersDifferWhenMadeAtOnce(t *testing.T) {
	var (
		mu   sync.Mutex
		seen = map[string]bool{}
		wg   sync.WaitGroup
	)
	for range 8 {
		wg.Go(func() {
			for range 500 {
				made := id.New("key", noon)
				mu.Lock()
				seen[made] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if got := len(seen); got != 4000 {
		t.Errorf("%d different identifiers of 4000", got)
	}
}

func TestValidRefuses(t *testing.T) {
	good := strings.Repeat("7", 26)
	if !id.Valid("org", "org_"+good) {
		t.Fatalf("Valid(org, %q) = false", "org_"+good)
	}
	for name, s := range map[string]string{
		"nothing":                   "",
		"a prefix alone":            "org_",
		"no prefix":                 good,
		"another prefix":            "usr_" + good,
		"a character too few":       "org_" + good[1:],
		"a character too many":      "org_" + good + "7",
		"upper case":                "org_" + good[:25] + "A",
		"a letter outside the set":  "org_" + good[:25] + "u",
		"more than 128 bits":        "org_8" + good[1:],
		"a digit of another script": "org_" + good[:23] + "\u0663\u0663"[:3],
		"a NUL":                     "org_" + good[:25] + "\x00",
		"ten megabytes":             "org_" + strings.Repeat("7", 10<<20),
	} {
		t.Run(name, func(t *testing.T) {
			if id.Valid("org", s) {
				t.Errorf("Valid(org, %.40q) = true", s)
			}
		})
	}
}
