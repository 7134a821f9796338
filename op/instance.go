package op

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// InstanceFacts are what is true of a whole installation.
type InstanceFacts struct {
	RecoveryEpoch int64  // credentials of another epoch are dead: a restored backup begins a new one
	Demo          bool   // made by the demo: sessions and mail are there for everybody to see
	Charter       string // the name of the charter it was made with
	CreatedAt     time.Time
	Empty         bool // nobody has ever signed in
}

// FoundInstance writes the installation's facts if there are none yet, and gives those that hold. Several servers may
// call it at once.
func FoundInstance(ctx context.Context, db *sqldb.DB, demo bool, charter string, now time.Time) (InstanceFacts, error) {
	var f InstanceFacts
	err := db.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO instance (id, recovery_epoch, demo, charter, created_at) VALUES ('instance', 1, $1, $2, $3)
			ON CONFLICT (id) DO NOTHING`, demo, charter, now.UnixMicro()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO streams (id, seq, at) VALUES ($1, 0, $2) ON CONFLICT (id) DO NOTHING", InstanceStream, now.UnixMicro()); err != nil {
			return err
		}
		var created, users int64
		if err := tx.QueryRow(ctx, `SELECT recovery_epoch, demo, charter, created_at, (SELECT count(*) FROM (SELECT 1 FROM users LIMIT 1) AS found)
			FROM instance WHERE id = 'instance'`).Scan(&f.RecoveryEpoch, &f.Demo, &f.Charter, &created, &users); err != nil {
			return err
		}
		f.CreatedAt, f.Empty = time.UnixMicro(created).UTC(), users == 0
		return nil
	})
	return f, err
}
