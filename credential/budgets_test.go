package credential_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/guildhall/guildhall/credential"
)

// counted makes a token with a number of requests.
func (c caller) counted(budget int64) credential.NewToken {
	c.a.T.Helper()
	return has(c.derives(credential.CreateTokenInput{Budget: budget,
		Scoping: credential.Scoping{Permissions: may("workflows.view", "tokens.create")}}))(c.a.T)
}

// accepts says how many of a number of parallel requests each of the servers together accept.
func accepts(t testing.TB, requests int, tokens []string, servers ...*credential.Budgets) int64 {
	t.Helper()
	var accepted atomic.Int64
	var wait sync.WaitGroup
	for i := range requests {
		wait.Go(func() {
			ok, err := servers[i%len(servers)].Spend(context.Background(), tokens)
			if err != nil {
				t.Errorf("a request: %v", err)
			}
			if ok {
				accepted.Add(1)
			}
		})
	}
	wait.Wait()
	return accepted.Load()
}

func TestATokenMakesAsManyRequestsAsItHas(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		token := a.ada.counted(100)
		if got := accepts(t, 200, []string{token.ID}, a.budgets); got != 100 {
			t.Errorf("of 200 requests at once, %d were accepted, want 100", got)
		}
		if got := accepts(t, 3, []string{token.ID}, a.budgets, credential.NewBudgets(a.DB)); got != 0 {
			t.Errorf("%d more were accepted", got)
		}
	})
}

func TestSeveralServersTogetherAcceptWhatATokenHas(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		token := a.ada.counted(1000)
		one, two, three := credential.NewBudgets(a.DB), credential.NewBudgets(a.DB), credential.NewBudgets(a.DB)
		got := accepts(t, 300, []string{token.ID}, one, two, three)
		for _, b := range []*credential.Budgets{one, two, three} {
			a.Must(b.Flush(t.Context()))
		}
		if used := a.Number("SELECT budget_used FROM scoped_tokens WHERE id = $1", token.ID); got != 300 || used != 300 {
			t.Errorf("accepted %d, counted %d, want 300", got, used)
		}
		got = accepts(t, 800, []string{token.ID}, one, two)
		a.Must(one.Flush(t.Context()))
		a.Must(two.Flush(t.Context()))
		if rest := accepts(t, 800, []string{token.ID}, three); got+rest != 700 {
			t.Errorf("accepted %d and then %d of the rest, want 700", got, rest)
		}
	})
}

func TestFlushingBetweenRequestsLosesNone(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		token := a.ada.counted(4000)
		var wait sync.WaitGroup
		for i := range 2000 {
			wait.Go(func() {
				if ok, err := a.budgets.Spend(t.Context(), []string{token.ID}); !ok || err != nil {
					t.Errorf("a request: %v, %v", ok, err)
				}
				if i%100 == 0 {
					if err := a.budgets.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		a.Must(a.budgets.Flush(t.Context()))
		if used := a.Number("SELECT budget_used FROM scoped_tokens WHERE id = $1", token.ID); used != 2000 {
			t.Errorf("2000 requests were accepted and %d counted", used)
		}
	})
}

func TestAServerThatComesLateTakesWhatIsLeft(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		token := a.ada.counted(100)
		early, late := credential.NewBudgets(a.DB), credential.NewBudgets(a.DB)
		first := accepts(t, 1, []string{token.ID}, late) // and remembers that 99 are left
		then := accepts(t, 94, []string{token.ID}, early)
		a.Must(early.Flush(t.Context()))
		if last := accepts(t, 50, []string{token.ID}, late); first != 1 || then != 94 || last != 5 {
			t.Errorf("accepted %d, %d and %d, want 1, 94 and 5", first, then, last)
		}
	})
}

func TestAChildSpendsWhatItsParentsHave(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		parent := a.ada.counted(10)
		child := has(a.holding(parent.Secret).derives(credential.CreateTokenInput{Budget: 100}))(t)
		free := has(a.holding(parent.Secret).derives(credential.CreateTokenInput{}))(t)
		a.Must(a.budgets.Flush(t.Context()))
		if got, want := a.bearer(child.Secret).Budgets, []string{child.ID, parent.ID}; !slices.Equal(got, want) {
			t.Errorf("the child spends %v, want %v", got, want)
		}
		if got, want := a.bearer(free.Secret).Budgets, []string{parent.ID}; !slices.Equal(got, want) {
			t.Errorf("the child without a number spends %v, want %v", got, want)
		}
		if got := accepts(t, 50, []string{child.ID, parent.ID}, a.budgets); got != 8 { // two made the children
			t.Errorf("accepted %d, want the 8 that the parent has left", got)
		}
		a.Must(a.budgets.Flush(t.Context()))
		if used := a.Number("SELECT budget_used FROM scoped_tokens WHERE id = $1", child.ID); used != 8 {
			t.Errorf("the child has used %d, want 8: what was refused costs nothing", used)
		}
	})
}

func TestATokenThatMadeAllItsRequestsIsRefused(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		token := a.ada.counted(2)
		lists := func() error {
			_, err := call(a.holding(token.Secret), credential.ListTokens, credential.ListTokensInput{InOrganization: a.ada.in()})
			return err
		}
		a.Must(lists())
		_, err := call(a.holding(token.Secret), credential.ListKeys, credential.ListKeysInput{InOrganization: a.ada.in()})
		a.Refused("what it may not anyhow", err, "out_of_scope") // and is not counted
		a.Must(lists())
		a.Refused("one more request", lists(), "budget_spent")
		if seen := a.ada.tokens(); seen[0].Budget != 2 || seen[0].BudgetUsed != 2 {
			t.Errorf("listed with %d of %d used", seen[0].BudgetUsed, seen[0].Budget)
		}
	})
}

func TestWhatAKilledServerHadInHandIsLostAndNeverSpentTwice(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		token := a.ada.counted(100)
		killed := credential.NewBudgets(a.DB)
		spent := accepts(t, 20, []string{token.ID}, killed)
		rest := accepts(t, 200, []string{token.ID}, credential.NewBudgets(a.DB))
		if spent != 20 || spent+rest > 100 || rest < 60 {
			t.Errorf("accepted %d and then %d of 100", spent, rest)
		}
	})
}

// T-052
func TestWithoutADatabaseNoRequestIsCountedAndNoneAccepted(t *testing.T) {
	inAcme(t, "automation", func(t testing.TB, a *acme) {
		token := a.ada.counted(5)
		down, cancel := context.WithCancel(t.Context())
		cancel()
		if ok, err := a.budgets.Spend(down, []string{token.ID}); ok || err == nil {
			t.Errorf("accepted %v, %v", ok, err)
		}
		if got := accepts(t, 10, []string{token.ID}, a.budgets); got != 5 {
			t.Errorf("accepted %d afterwards, want 5", got)
		}
	})
}
