package guildhall_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/op"
)

// TestEveryOperationOfManyAtOnce: every operation is called by somebody who may and by strangers at the same moment,
// while checks are asked and due work is done, on both databases. It is the loop over all operations that the race
// detector watches. Strangers get nothing, no call fails, and what is left is sound. T-001, T-106
func TestEveryOperationOfManyAtOnce(t *testing.T) {
	eachDatabaseSite(t, func(t *testing.T, s *site) {
		c := &crowd{site: s}
		for range 6 {
			c.lines = append(c.lines, newLine(t, s.line.address))
		}
		for _, o := range guildhall.Operations() {
			c.call(t, o)
			s.mend()
		}
		s.Sound()
	})
}

// crowd is several connections to one site.
type crowd struct {
	*site
	lines []*line
}

// call calls an operation twice as somebody who may, as three strangers, and asks a check, all at once.
func (c *crowd) call(t *testing.T, o op.Any) {
	t.Helper()
	info := o.Info()
	may := []string{"nobody", "nobody"}
	by, anybody := c.mayCall(o)
	if anybody {
		may = []string{by.name, by.name}
	}
	var asks []ask
	names := append(may, "nobody", "outsider", "of another")
	for _, name := range names {
		asks = append(asks, request(info, c.fill(info, c.acme, c.called(name)), c.called(name).Credential))
	}
	answers := c.allAtOnce(t, append(asks, c.check()))
	well := 0
	for i, name := range names {
		if answers[i].ok() {
			well++
		}
		if answers[i].status >= 500 || answers[i].ok() && i >= len(may) && info.Scope == op.Organization {
			t.Errorf("%s as %s among others: %s %s", info.Name, name, answers[i].outcome(), answers[i].body)
		}
	}
	if anybody && well == 0 {
		t.Errorf("%s as %s among others: %s", info.Name, by.name, answers[0].outcome())
	}
	if checked := answers[len(names)]; !checked.ok() {
		t.Errorf("a check beside %s: %s", info.Name, checked.outcome())
	}
}

// check asks whether acme's owner may look at the organization.
func (c *crowd) check() ask {
	return ask{method: "POST", target: "/access/v1/evaluation", token: c.serviceKey, body: fmt.Sprintf(
		`{"subject": {"type": "user", "id": %q}, "action": {"name": "organization.view"}, "resource": {"type": "organization", "id": %q}}`,
		c.acme.Owner().User, c.acme.ID)}
}

// allAtOnce sends each request on a line of its own, while due work is done.
func (c *crowd) allAtOnce(t *testing.T, asks []ask) []answer {
	t.Helper()
	answers, errs := make([]answer, len(asks)), make([]error, len(asks)+1)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, a := range asks {
		wg.Go(func() {
			<-start
			answers[i], errs[i] = c.lines[i].try(a)
		})
	}
	wg.Go(func() {
		<-start
		errs[len(asks)] = c.RunDue(t.Context())
	})
	close(start)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return answers
}
