package guildhall

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// Database is a hall's database, for tests that put something there behind the back of the operations.
func Database(h *Hall) *sqldb.DB { return h.db }

// CompareClocks compares a clock with the database's, as a server does with its own.
func CompareClocks(ctx context.Context, h *Hall, now func() time.Time) { h.compareClocks(ctx, now) }

// TellTaken tells the other servers how often callers have called at a hall, as a server does all the time.
func TellTaken(ctx context.Context, h *Hall) { h.tellTaken(ctx) }
