package artifacts

import (
	"context"
	"fmt"
	"strconv"

	"github.com/guildhall/guildhall/op"
)

// Broken lists every rule about stored files that does not hold in the whole database.
func Broken(ctx context.Context, r *op.Reader) ([]string, error) {
	var all []string
	for _, rule := range []struct{ text, query string }{
		{"artifacts: the totals of %s are not the sum of its files", `SELECT o.id FROM organizations o
			LEFT JOIN artifact_totals t ON t.organization = o.id
			WHERE COALESCE(t.files, 0) <> (SELECT count(*) FROM artifacts a WHERE a.organization = o.id AND a.state = 'stored')
			OR COALESCE(t.bytes, 0) <> (SELECT COALESCE(SUM(a.size), 0) FROM artifacts a WHERE a.organization = o.id AND a.state = 'stored') ORDER BY o.id`},
		{"artifacts: %s was deleted before its time, or while a hold kept it", `SELECT a.id FROM artifacts a JOIN legal_holds h ON h.organization = a.organization
			WHERE a.state = 'deleted' AND h.covers = 'organization' AND h.created_at < a.deleted_at AND (h.released_at = 0 OR h.released_at > a.deleted_at) ORDER BY a.id`},
		{"artifacts: hold %s names files of another organization", `SELECT i.hold FROM legal_hold_artifacts i JOIN legal_holds h ON h.id = i.hold
			WHERE NOT (h.organization = i.organization) ORDER BY i.hold`},
	} {
		rows, err := r.Query(ctx, rule.query)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				rows.Close()
				return nil, err
			}
			all = append(all, fmt.Sprintf(rule.text, id))
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// BrokenFiles compares stored files with their bytes: each is there and of its size. It looks at the latest most files,
// one by one, and so takes its time on a bucket elsewhere.
func (m *Room) BrokenFiles(ctx context.Context, r *op.Reader, most int) ([]string, error) {
	files, err := latest(ctx, r, most)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, f := range files {
		p, err := m.config.Store.in(f.region)
		if err != nil {
			return all, err
		}
		size, err := p.size(ctx, key(f.organization, f.id))
		switch {
		case err != nil:
			return all, fmt.Errorf("artifact %s: %w", f.id, err)
		case size < 0:
			all = append(all, "artifacts: the bytes of "+f.id+" are missing")
		case size != f.size:
			all = append(all, "artifacts: "+f.id+" has "+strconv.FormatInt(size, 10)+" bytes, and its row says "+strconv.FormatInt(f.size, 10))
		}
	}
	return all, nil
}

// sized is a stored file as the doctor looks for it.
type sized struct {
	unfinished
	size int64
}

func latest(ctx context.Context, r *op.Reader, most int) (all []sized, err error) {
	rows, err := r.Query(ctx, "SELECT organization, id, region, size FROM artifacts WHERE state = 'stored' ORDER BY id DESC LIMIT $1", most)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f sized
		if err := rows.Scan(&f.organization, &f.id, &f.region, &f.size); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, rows.Err()
}

// MeterKind is the kind of the outbox's jobs that tell the meter how much is stored.
const MeterKind = "artifacts.stored"

// BrokenMeters lists the organizations whose meter says something else than what is stored, unless it is still to be told.
func BrokenMeters(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT o.id, t.bytes, COALESCE(m.value, -1) FROM organizations o JOIN artifact_totals t ON t.organization = o.id
		LEFT JOIN usage_readings m ON m.organization = o.id AND m.meter = $1 AND m.series = ''
		WHERE $1 <> '' AND o.state IN ('active', 'deletion_scheduled') AND t.metered_at <> 0 AND COALESCE(m.value, -1) <> t.bytes
		AND NOT EXISTS (SELECT 1 FROM outbox w WHERE w.organization = o.id AND w.kind = $2 AND w.state = 'waiting') ORDER BY o.id`,
		r.Charter.Artifacts.Meter, MeterKind)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id string
		var stored, metered int64
		if err := rows.Scan(&id, &stored, &metered); err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprintf("artifacts: %s has %d bytes stored, and its meter %s says %d", id, stored, r.Charter.Artifacts.Meter, metered))
	}
	return all, rows.Err()
}
