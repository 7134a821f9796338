package guildhall

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// maxClockDifference is how far this server's clock may be from the database's. What expires does so by the servers' clocks:
// one that is wrong by more would let live what others have ended, or end it early.
const maxClockDifference = 5 * time.Second

// clocks is whether this server's clock is near the database's, which servers on one PostgreSQL have in common. T-103
type clocks struct {
	kept   bool // this server keeps the time by its own clock, and not by a test's
	differ atomic.Bool
}

var errClocks = &op.Error{Kind: op.Unavailable, Code: "clock_differs", RetryAfter: 30 * time.Second,
	Text: "this server's clock and the database's differ by more than 5 seconds: nothing is answered before they agree"}

// doubt is the answer to everything while the clocks differ.
func (c *clocks) doubt() error {
	if c.differ.Load() {
		return errClocks
	}
	return nil
}

// compareClocks compares this server's clock with the database's. One that cannot be asked changes nothing, nor does an answer
// that took too long to say anything.
func (h *Hall) compareClocks(ctx context.Context, now func() time.Time) {
	if h.db.Dialect() != sqldb.PostgreSQL {
		return
	}
	asked := now()
	theirs, err := h.db.Clock(ctx)
	took := now().Sub(asked)
	if err != nil || took > maxClockDifference/2 {
		return
	}
	difference := theirs.Sub(asked.Add(took / 2))
	differ := difference.Abs() > maxClockDifference
	switch was := h.clocks.differ.Swap(differ); {
	case differ:
		h.config.Log.ErrorContext(ctx, "this server's clock and the database's differ: everything is answered 503", slog.Duration("difference", difference))
	case was:
		h.config.Log.InfoContext(ctx, "this server's clock and the database's agree again", slog.Duration("difference", difference))
	}
}
