// Package usage counts what organizations use: events of the charter's meters, recorded once each whatever happens, and
// what follows from them: summaries, quotas that are exact, limits and budgets.
//
// An event is a row that never changes. In the transaction that records it, counters of its period are brought up to
// date, so quotas are exact at once. What is shown over time comes from buckets, into which Fold adds recordings some
// seconds later; every answer adds what is not folded yet, so it is exact at once too.
package usage

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Operations are the room's operations, in the order of the reference.
func Operations() []op.Any {
	return []op.Any{Record, GetSummary, Query, GetLive, ExportQuery, ListEvents, ExportEvents, GetQuotas, Reserve, Commit, Release, Consume,
		ListLimits, SetLimit, DeleteLimit, ListBudgets, CreateBudget, UpdateBudget, DeleteBudget, ListWarnings, Fire}
}

// account is what usage has to know of an organization.
type account struct {
	organization string
	plan         string
	months       months
}

// holding is how the organization's row is held until the transaction ends. On SQLite, where one writes at a time, it is
// not.
type holding string

// The holdings. Whoever counts shares the row, and whoever needs that nobody counts meanwhile has it alone: to give
// somebody a limit of their own, or to correct.
const (
	unlocked holding = ""
	shared   holding = " FOR SHARE"
	alone    holding = " FOR NO KEY UPDATE"
)

// accountOf reads an organization's account.
func accountOf(ctx context.Context, r *op.Reader, organization string, lock holding) (account, error) {
	a := account{organization: organization}
	if r.Dialect() == sqldb.SQLite {
		lock = unlocked
	}
	var anchor int64
	var history string
	err := r.QueryRow(ctx, "SELECT o.plan, "+anchors+" FROM organizations o WHERE o.id = $1"+string(lock), organization).Scan(&a.plan, &anchor, &history)
	if errors.Is(err, sql.ErrNoRows) {
		return a, op.ErrNotFound
	}
	if err == nil {
		a.months, err = monthsOf(anchor, history)
	}
	return a, err
}

// anchors are the columns that monthsOf reads.
const anchors = "CASE WHEN o.period_anchor = 0 THEN o.created_at ELSE o.period_anchor END, o.period_history"

// aloneOn holds a table's rows of a query as alone does.
func aloneOn(r *op.Reader, table string) string {
	if r.Dialect() == sqldb.SQLite {
		return ""
	}
	return string(alone) + " OF " + table
}

// month is the period in which a moment is.
func (a account) month(at int64) period.Period { return a.months.at(at) }

// limit is how much of a meter the organization's plan gives. A plan that the charter does not have limits nothing.
func (a account) limit(c *charter.Charter, meter string) charter.Limit {
	plan, _ := c.Plan(a.plan)
	return plan.LimitOf(meter)
}

// series is what an event was for: one value for each of the dimensions, and what the tables keep of it.
type series struct{ Member, Key, Resource, Region, Model string }

// String is the series as events keep it: five fields with a tab between; those at the end that are empty are left out.
func (s series) String() string {
	return strings.TrimRight(s.Member+"\t"+s.Key+"\t"+s.Resource+"\t"+s.Region+"\t"+s.Model, "\t")
}

// seriesOf reads what String wrote.
func seriesOf(text string) series {
	fields := append(strings.Split(text, "\t"), "", "", "", "")
	return series{fields[0], fields[1], fields[2], fields[3], fields[4]}
}

// of is the series' value of a dimension.
func (s series) of(d charter.Dimension) string {
	switch d {
	case charter.ByMember:
		return s.Member
	case charter.ByKey:
		return s.Key
	case charter.ByResource:
		return s.Resource
	case charter.ByRegion:
		return s.Region
	case charter.ByModel:
		return s.Model
	}
	return ""
}

// dimensions are all that there are.
var dimensions = []charter.Dimension{charter.ByMember, charter.ByKey, charter.ByResource, charter.ByRegion, charter.ByModel}

func meterIDs(c *charter.Charter) []string {
	ids := make([]string, len(c.Meters))
	for i, m := range c.Meters {
		ids[i] = m.ID
	}
	return ids
}
