package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// fixture is what every contender is asked about: organizations of members, with the roles of the gateway charter dealt
// out in turn, and one organization key each, unless it says otherwise.
type fixture struct {
	charter       *charter.Charter
	organizations int
	members       int // of each organization
	permissions   []charter.Permission
	roles         []*charter.Role
}

func newFixture(organizations, members int) (*fixture, error) {
	c, err := charter.Ready("gateway")
	if err != nil {
		return nil, err
	}
	f := &fixture{charter: c, organizations: organizations, members: members, roles: c.Roles()}
	for _, own := range []bool{false, true} { // the product's first
		for _, info := range c.Permissions() {
			if info.Own == own && len(info.Includes) == 0 && len(f.permissions) < 20 {
				f.permissions = append(f.permissions, info.ID)
			}
		}
	}
	return f, nil
}

// question is one question with the answer that the permission table gives.
type question struct {
	organization, member int
	permission           charter.Permission
	allow                bool
}

func (f *fixture) role(member int) *charter.Role { return f.roles[member%len(f.roles)] }

// questions are random, the same ones each time.
func (f *fixture) questions(n int) []question {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]question, n)
	for i := range all {
		q := question{random.IntN(f.organizations), random.IntN(f.members), f.permissions[random.IntN(len(f.permissions))], false}
		q.allow = f.charter.Can(f.role(q.member), q.permission)
		all[i] = q
	}
	return all
}

// started is a moment for every id and row: identical ids in every process that makes the fixture.
var started = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

func (f *fixture) organizationID(n int) string { return fixedID("org", n) }
func (f *fixture) userID(o, m int) string      { return fixedID("usr", o*f.members+m) }

// fixedID is an id in the spelling of the others, made of a number.
func fixedID(prefix string, n int) string {
	made := id.New(prefix, started)
	text := fmt.Sprintf("%012d", n)
	return made[:len(prefix)+11] + strings.Repeat("0", 30-len(prefix)-11-len(text)) + text
}

// keys are the secrets of one key a member in the first organizations, made from a fixed source: for measurements only.
func (f *fixture) key(n int) secret.Token {
	return secret.New(rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16), 1}), f.charter.KeyPrefix, "live")
}

func (f *fixture) serviceKey() secret.Token {
	return secret.New(rand.NewChaCha8([32]byte{2, 2}), f.charter.KeyPrefix, "svc")
}

// fill writes the fixture into an empty database, in one transaction.
func (f *fixture) fill(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, sqldb.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	if _, err := op.FoundInstance(ctx, db, false, f.charter.Name, started); err != nil {
		return err
	}
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		for o := range f.organizations {
			if err := f.fillOrganization(ctx, tx, o); err != nil {
				return err
			}
		}
		hash, at := f.serviceKey().Hash(), started.UnixMicro()
		_, err := tx.Exec(ctx, `INSERT INTO service_keys (id, name, hash, prefix, last4, created_at, created_by, last_used_at, revoked_at, revoked_reason, recovery_epoch)
			VALUES ($1, 'bench', $2, '', '', $3, 'operator', 0, 0, '', (SELECT recovery_epoch FROM instance WHERE id = 'instance'))`, fixedID("svc", 1), hash[:], at)
		return err
	})
}

func (f *fixture) fillOrganization(ctx context.Context, tx *sqldb.Tx, o int) error {
	organization, at := f.organizationID(o), started.UnixMicro()
	exec := func(query string, args ...any) error { _, err := tx.Exec(ctx, query, args...); return err }
	if err := exec("INSERT INTO streams (id, seq, at) VALUES ($1, 0, $2)", organization, at); err != nil {
		return err
	}
	if err := exec(`INSERT INTO organizations (id, slug, name, time_zone, region, retention_days, plan, seats, state, version, created_at, updated_at)
		VALUES ($1, $2, $2, '', $3, 0, '', 0, 'active', 1, $4, $4)`, organization, fmt.Sprintf("org-%d", o), "us-east-1", at); err != nil {
		return err
	}
	if err := exec("INSERT INTO slugs (slug, organization, created_at) VALUES ($1, $2, $3)", fmt.Sprintf("org-%d", o), organization, at); err != nil {
		return err
	}
	for m := range f.members {
		if err := f.fillMember(exec, o, m); err != nil {
			return err
		}
	}
	return nil
}

func (f *fixture) fillMember(exec func(string, ...any) error, o, m int) error {
	n, at, user := o*f.members+m, started.UnixMicro(), f.userID(o, m)
	email := fmt.Sprintf("p%d@bench.test", n)
	if err := exec(`INSERT INTO users (id, email, email_folded, name, time_zone, version, created_at, updated_at)
		VALUES ($1, $2, $2, '', '', 1, $3, $3)`, user, email, at); err != nil {
		return err
	}
	if err := exec(`INSERT INTO members (id, organization, user_id, role, status, sort_name, ends_at, last_active_at, joined_at, removed_at, version)
		VALUES ($1, $2, $3, $4, 'active', $5, 0, 0, $6, 0, 1)`, fixedID("mem", n), f.organizationID(o), user, string(f.role(m).ID), email, at); err != nil {
		return err
	}
	var scopes []string
	for _, p := range f.permissions {
		scopes = append(scopes, string(p))
	}
	hash := f.key(n).Hash()
	return exec(`INSERT INTO api_keys (id, organization, kind, name, name_folded, hash, prefix, last4, creator, member, service_account, permissions, resources, networks,
			frozen, left_at, rotated_from, rotated_to, created_at, expires_at, last_used_at, last_address, last_agent, revoked_at, revoked_by, revoked_reason, version, recovery_epoch)
		VALUES ($1, $2, 'personal', 'bench', 'bench', $3, 'gld_live', '', $4, $5, '', $6, '', '', '', 0, '', '', $7, 0, 0, '', '', 0, '', '', 1,
			(SELECT recovery_epoch FROM instance WHERE id = 'instance'))`,
		fixedID("key", n), f.organizationID(o), hash[:], user, fixedID("mem", n), strings.Join(scopes, " "), at)
}

// generous are limits that count every request, and that nobody comes near.
var generous = op.Limits{PerAddress: op.RateLimit{Times: 1e9, Per: time.Second}, PerCredential: op.RateLimit{Times: 1e9, Per: time.Second},
	Failures: op.RateLimit{Times: 1e9, Per: time.Second}}

// open fills a database in a folder, if it is empty, and opens the hall on it.
func (f *fixture) open(ctx context.Context, dir string, limits op.Limits) (*guildhall.Hall, error) {
	dsn := "sqlite:" + filepath.Join(dir, "bench.db")
	if err := f.fill(ctx, dsn); err != nil {
		return nil, fmt.Errorf("fixture: %w", err)
	}
	return guildhall.Open(ctx, guildhall.Config{Database: dsn, SecretFile: filepath.Join(dir, "instance.secret"), Charter: f.charter,
		Settings: op.Settings{BaseURL: "http://127.0.0.1"}, Mail: &mail.Catcher{}, Limits: limits, Log: slog.New(slog.DiscardHandler)})
}
