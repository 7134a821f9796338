package artifacts

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/guildhall/guildhall/op"
)

// settings are what an organization says of its files.
type settings struct {
	regions []string // where they may be, the default first; empty: the product has no regions
	days    int64    // after how many they are deleted; 0: never
}

func settingsOf(ctx context.Context, r *op.Reader, organization string) (settings, error) {
	var s settings
	var plan, home, allowed string
	err := r.QueryRow(ctx, "SELECT plan, region, allowed_regions, retention_days FROM organizations WHERE id = $1", organization).Scan(&plan, &home, &allowed, &s.days)
	s.regions = r.Charter.Residency(plan, home, allowed)
	return s, missing(err)
}

// regionFor is where a file is stored: what is wanted, if the organization allows it. Residency cannot be left.
func (s settings) regionFor(wanted string) (string, error) {
	switch {
	case wanted == "" && len(s.regions) == 0:
		return "", nil
	case wanted == "":
		return s.regions[0], nil
	case slices.Contains(s.regions, wanted):
		return wanted, nil
	}
	return "", op.RegionNotAllowed(wanted, s.regions)
}

// expires is when retention deletes what was stored at a time; nil: never.
func (s settings) expires(stored time.Time) *time.Time {
	if s.days == 0 {
		return nil
	}
	at := stored.Add(time.Duration(s.days) * day)
	return &at
}

// missing is the error of a row that was looked for: op.ErrNotFound where there is none.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return op.ErrNotFound
	}
	return err
}

// when turns stored microseconds into a time, or nil for 0, which means never.
func when(micros int64) *time.Time {
	if micros == 0 {
		return nil
	}
	t := time.UnixMicro(micros).UTC()
	return &t
}
