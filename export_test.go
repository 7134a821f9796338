package guildhall

import "github.com/guildhall/guildhall/internal/sqldb"

// Database is a hall's database, for tests that put something there behind the back of the operations.
func Database(h *Hall) *sqldb.DB { return h.db }
