package credential

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/guildhall/guildhall/internal/sqldb"
)

// Budgets counts the requests of scoped tokens that have a number of them. It takes units out of the database in small
// allotments and spends them in memory, so several servers together never accept more than a token's number. A server
// that is killed loses the units that it has in hand; one that ends gives them back with Flush. It is safe for concurrent
// use.
type Budgets struct {
	db     *sqldb.DB
	mu     sync.Mutex
	purses map[string]*purse // by token
}

// purse is what is in hand of one token's number. Whoever finds it empty fills it, while the others wait.
type purse struct {
	mu   sync.Mutex
	hand int64
	left int64 // in the database, when it was last filled
	gone bool  // it was emptied for good: there is another now
}

// NewBudgets makes a counter that has nothing in hand.
func NewBudgets(db *sqldb.DB) *Budgets { return &Budgets{db: db, purses: map[string]*purse{}} }

// maxAllotment is the most units that a server takes at once.
const maxAllotment = 64

// Spend counts one request of every one of the tokens, and says whether all of them had one left; otherwise it counts
// none. It is for op.Config.Spend.
func (b *Budgets) Spend(ctx context.Context, tokens []string) (bool, error) {
	for i, token := range tokens {
		ok, err := b.take(ctx, token)
		if !ok || err != nil {
			for _, taken := range tokens[:i] {
				b.with(taken, func(p *purse) { p.hand++ })
			}
			return false, err
		}
	}
	return true, nil
}

// take takes one unit of a token, from the database if none is in hand.
func (b *Budgets) take(ctx context.Context, token string) (ok bool, err error) {
	b.with(token, func(p *purse) {
		if p.hand == 0 {
			err = p.fill(ctx, b.db, token)
		}
		if ok = err == nil && p.hand > 0; ok {
			p.hand--
		}
	})
	return ok, err
}

// with runs fn on the purse of a token, which nobody else uses meanwhile.
func (b *Budgets) with(token string, fn func(p *purse)) {
	for done := false; !done; {
		p := b.purse(token)
		p.mu.Lock()
		if done = !p.gone; done {
			fn(p)
		}
		p.mu.Unlock()
	}
}

func (b *Budgets) purse(token string) *purse {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.purses[token]
	if !ok {
		p = &purse{}
		b.purses[token] = p
	}
	return p
}

// fill takes an eighth of what is left, and one unit if that is more than there is by now.
func (p *purse) fill(ctx context.Context, db *sqldb.DB, token string) error {
	want := max(1, min(maxAllotment, p.left/8))
	err := p.allot(ctx, db, token, want)
	if errors.Is(err, sql.ErrNoRows) && want > 1 {
		err = p.allot(ctx, db, token, 1)
	}
	if errors.Is(err, sql.ErrNoRows) {
		p.left = 0
		return nil
	}
	return err
}

// allot moves units from the database into the hand, if there are so many; sql.ErrNoRows if not.
func (p *purse) allot(ctx context.Context, db *sqldb.DB, token string, units int64) error {
	var left int64
	err := db.Write(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `UPDATE scoped_tokens SET budget_used = budget_used + $2
			WHERE id = $1 AND budget_used + $2 <= budget RETURNING budget - budget_used`, token, units).Scan(&left)
	})
	if err != nil {
		return err
	}
	p.left, p.hand = left, p.hand+units
	return nil
}

// Flush gives what is in hand back to the database. The service's owner calls it when no more requests come, and may
// call it now and then, so that no token's units lie here for ever.
func (b *Budgets) Flush(ctx context.Context) error {
	b.mu.Lock()
	purses := b.purses
	b.purses = map[string]*purse{}
	b.mu.Unlock()
	for _, token := range slices.Sorted(maps.Keys(purses)) {
		if err := purses[token].empty(ctx, b.db, token); err != nil {
			return fmt.Errorf("requests of a token: %w", err)
		}
	}
	return nil
}

// empty gives back what is in hand, and ends the purse. After an error it is lost, and never spent twice.
func (p *purse) empty(ctx context.Context, db *sqldb.DB, token string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	units := p.hand
	p.hand, p.gone = 0, true
	if units == 0 {
		return nil
	}
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE scoped_tokens SET budget_used = budget_used - $2 WHERE id = $1 AND budget_used >= $2", token, units)
		return err
	})
}
