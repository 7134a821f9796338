package usage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// What a budget does when it is reached.
const (
	ActionNotify = "notify" // people are told
	ActionStop   = "stop"   // people are told, and at 100 % nothing more is reserved
)

// Budget is an amount that an organization does not want to exceed in a period.
type Budget struct {
	ID         string    `json:"id" doc:"The budget's id" example:"bud_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Name       string    `json:"name" doc:"What people call it" example:"AI tokens"`
	Meter      string    `json:"meter,omitzero" doc:"The meter that it is about; absent: the money of all meters" example:"ai_input_tokens"`
	Amount     int64     `json:"amount" doc:"The most that is wanted in a period: units of the meter, or minor units of money"`
	Thresholds []int64   `json:"thresholds" doc:"At which percents of it people are told"`
	Action     string    `json:"action" enum:"notify,stop" doc:"notify: people are told; stop: at 100 percent nothing more is reserved, too"`
	Used       int64     `json:"used" doc:"How much of it is used in this period"`
	Percent    int64     `json:"percent" doc:"That in percent, rounded down"`
	Reached    []int64   `json:"reached" doc:"The thresholds that were reached in this period"`
	CreatedBy  string    `json:"created_by" doc:"Who made it"`
	CreatedAt  time.Time `json:"created_at" doc:"When"`
	Version    int64     `json:"version" doc:"Counted up by every change"`
}

// ETag is the budget's version.
func (b Budget) ETag() string { return op.VersionTag(b.Version) }

// Target of a budget in the audit log.
func (b Budget) target(organization string) op.Target {
	return op.Target{Organization: organization, Type: "budget", ID: b.ID, Name: b.Name, Version: b.Version, Current: b, Value: b}
}

const budgetColumns = "id, name, meter, amount, thresholds, action, version, created_by, created_at"

func scanBudget(scan func(...any) error) (Budget, error) {
	var b Budget
	var thresholds string
	var created int64
	err := scan(&b.ID, &b.Name, &b.Meter, &b.Amount, &thresholds, &b.Action, &b.Version, &b.CreatedBy, &created)
	for _, word := range strings.Fields(thresholds) {
		n, _ := strconv.ParseInt(word, 10, 64)
		b.Thresholds = append(b.Thresholds, n)
	}
	b.CreatedAt, b.Reached = moment(created), []int64{}
	return b, err
}

// budgets reads the budgets of an organization. There are few: MaxBudgets.
func (a account) budgets(ctx context.Context, r *op.Reader) ([]Budget, error) {
	rows, err := r.Query(ctx, "SELECT "+budgetColumns+" FROM usage_budgets WHERE organization = $1 ORDER BY name_folded", a.organization)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []Budget{}
	for rows.Next() {
		b, err := scanBudget(rows.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, rows.Err()
}

// MaxBudgets is how many budgets an organization has at most.
const MaxBudgets = 50

// ListBudgetsInput asks for budgets.
type ListBudgetsInput struct{ op.InOrganization }

// Budgets are those of an organization.
type Budgets struct {
	Data []Budget `json:"data" doc:"All of them, by name; without cost.view, none about money"`
}

// ListBudgets lists the budgets of an organization with what is used of them.
var ListBudgets = &op.Op[ListBudgetsInput, Budgets]{
	Name:    "budgets.list",
	Route:   "GET /v1/organizations/{organization}/budgets",
	Summary: "List budgets, with what is used of them",
	Kind:    op.Read,
	Allow:   op.AnyOf(op.On("usage.view"), op.ByService),
	Do:      listBudgets,
	Example: ListBudgetsInput{op.InOrganization{Organization: "acme"}},
}

func listBudgets(ctx context.Context, tx *op.Tx, in ListBudgetsInput) (Budgets, error) {
	a, err := accountOf(ctx, tx.Reader, in.Organization, unlocked)
	if err != nil {
		return Budgets{}, err
	}
	all, err := a.budgets(ctx, tx.Reader)
	if err != nil {
		return Budgets{}, err
	}
	if !maySeeCost(tx.Reader) {
		all = slices.DeleteFunc(all, func(b Budget) bool { return b.Meter == "" })
	}
	return Budgets{all}, a.fill(ctx, tx.Reader, all)
}

// fill says what is used of budgets, and what was reached.
func (a account) fill(ctx context.Context, r *op.Reader, all []Budget) error {
	if len(all) == 0 {
		return nil
	}
	used, err := a.spent(ctx, r, all)
	if err != nil {
		return err
	}
	reached, err := a.warned(ctx, r)
	if err != nil {
		return err
	}
	for i := range all {
		b := &all[i]
		b.Used = used[b.Meter]
		b.Percent = share(b.Used, b.Amount)
		for _, t := range b.Thresholds {
			if reached[warning{b.ID, t}] {
				b.Reached = append(b.Reached, t)
			}
		}
	}
	return nil
}

// spent is what is used in this period of each meter, and under "" the money if a budget is about it.
func (a account) spent(ctx context.Context, r *op.Reader, all []Budget) (map[string]int64, error) {
	held, err := a.held(ctx, r, "")
	if err != nil {
		return nil, err
	}
	used := map[string]int64{}
	for meter, h := range held {
		used[meter] = h.used
	}
	if !slices.ContainsFunc(all, func(b Budget) bool { return b.Meter == "" }) {
		return used, nil
	}
	used[""], err = a.money(ctx, r)
	return used, err
}

// money is what this period costs until now.
func (a account) money(ctx context.Context, r *op.Reader) (sum int64, err error) {
	lines, err := a.bill(ctx, r, a.month(r.Micros()))
	for _, l := range lines {
		sum = plus(sum, l.Amount)
	}
	return sum, err
}

// BudgetFields are what people say of a budget.
type BudgetFields struct {
	Meter      string  `json:"meter,omitzero" doc:"The meter that it is about; without it, the money of all meters" maxLength:"64" required:"false"`
	Amount     int64   `json:"amount" doc:"The most that is wanted in a period: units of the meter, or minor units of money" minimum:"1" example:"100000"`
	Thresholds []int64 `json:"thresholds,omitempty" doc:"At which percents of it people are told; without them, 50, 80 and 100" maxItems:"10" required:"false"`
	Action     string  `json:"action,omitzero" doc:"notify: people are told; stop: at 100 percent nothing more is reserved, too; without it, notify" maxLength:"32" example:"notify" required:"false"`
}

func (f BudgetFields) validate() (wrong []op.FieldError) {
	for _, t := range f.Thresholds {
		if t < 1 || t > 1000 {
			wrong = append(wrong, op.FieldError{Pointer: "/thresholds", Code: "invalid", Detail: fmt.Sprintf("threshold %d is not between 1 and 1000 percent", t)})
		}
	}
	switch f.Action {
	case "", ActionNotify, ActionStop:
	case "throttle":
		wrong = append(wrong, op.FieldError{Pointer: "/action", Code: "invalid", Detail: "budgets do not slow work down: notify tells people, stop refuses reservations"})
	default:
		wrong = append(wrong, op.FieldError{Pointer: "/action", Code: "invalid", Detail: fmt.Sprintf("action %q is neither notify nor stop", f.Action)})
	}
	return wrong
}

// with gives a budget its fields.
func (f BudgetFields) with(b Budget) Budget {
	b.Meter, b.Amount = f.Meter, f.Amount
	b.Thresholds = []int64{50, 80, 100}
	if len(f.Thresholds) > 0 {
		b.Thresholds = slices.Compact(slices.Sorted(slices.Values(f.Thresholds)))
	}
	if b.Action = f.Action; b.Action == "" {
		b.Action = ActionNotify
	}
	return b
}

// CreateBudgetInput makes a budget.
type CreateBudgetInput struct {
	op.InOrganization
	Name string `json:"name" doc:"What people call it" minLength:"1" maxLength:"80" example:"AI tokens"`
	BudgetFields
}

// Validate checks the thresholds and the action.
func (in CreateBudgetInput) Validate() []op.FieldError {
	return append(in.validate(), nameless(in.Name)...)
}

func nameless(name string) []op.FieldError {
	if strings.TrimSpace(name) == "" || !visible(name) {
		return []op.FieldError{{Pointer: "/name", Code: "invalid", Detail: "name has to be text that one sees"}}
	}
	return nil
}

// CreateBudget makes a budget. A dry run says when it would have told people in the last three periods.
var CreateBudget = &op.Op[CreateBudgetInput, Budget]{
	Name:    "budgets.create",
	Route:   "POST /v1/organizations/{organization}/budgets",
	Summary: "Make a budget on a meter or on the money of a period; a dry run says when it would have fired",
	Kind:    op.Write,
	Allow:   op.On("budgets.manage"),
	Preview: func(ctx context.Context, r *op.Reader, in CreateBudgetInput) (op.Impact, error) {
		return wouldFire(ctx, r, in.Organization, in.with(Budget{Name: in.Name}))
	},
	Do:      createBudget,
	Example: CreateBudgetInput{InOrganization: op.InOrganization{Organization: "acme"}, Name: "Executions", BudgetFields: BudgetFields{Meter: "executions", Amount: 1000}},
}

func createBudget(ctx context.Context, tx *op.Tx, in CreateBudgetInput) (Budget, error) {
	if err := in.acceptable(tx, ""); err != nil {
		return Budget{}, err
	}
	var n int64
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM usage_budgets WHERE organization = $1", in.Organization).Scan(&n); err != nil {
		return Budget{}, err
	}
	if n >= MaxBudgets {
		return Budget{}, op.Errorf(op.Conflict, "too_many_budgets", "an organization has at most %d budgets", MaxBudgets)
	}
	b := in.with(Budget{ID: tx.NewID("bud"), Name: strings.TrimSpace(in.Name), CreatedBy: tx.Actor.ID, CreatedAt: tx.Now.UTC().Truncate(time.Microsecond), Version: 1, Reached: []int64{}})
	tx.Also("budget", b.ID, b.Name)
	tx.Changed("amount", nil, b.Amount)
	_, err := tx.Exec(ctx, `INSERT INTO usage_budgets (id, organization, name, name_folded, meter, amount, thresholds, action, version, created_by, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10, $10)`, b.ID, in.Organization, b.Name, strings.ToLower(b.Name), b.Meter, b.Amount,
		percents(b.Thresholds), b.Action, b.CreatedBy, tx.Micros())
	return b, nameTaken(err, b.Name)
}

// acceptable refuses an unknown meter, and asks people who make a budget stop work for a recent proof of who they are.
func (f BudgetFields) acceptable(tx *op.Tx, before string) error {
	if err := knownMeter(tx.Reader, f.Meter); err != nil || f.Action != ActionStop || before == ActionStop {
		return err
	}
	return tx.DemandFresh()
}

// knownMeter refuses a meter that the charter does not have.
func knownMeter(r *op.Reader, meter string) error {
	if _, known := r.Charter.Meter(meter); meter != "" && !known {
		return unknownMeter(r.Charter, meter)
	}
	return nil
}

func nameTaken(err error, name string) error {
	if _, taken := sqldb.Conflict(err); taken {
		return op.Errorf(op.Conflict, "budget_exists", "a budget is called %q already", name)
	}
	return err
}

func percents(all []int64) string {
	words := make([]string, len(all))
	for i, n := range all {
		words[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(words, " ")
}

// UpdateBudgetInput changes a budget: all of its fields but the name, which stays if it is not said.
type UpdateBudgetInput struct {
	op.InOrganization
	Budget string `json:"budget" doc:"The budget's id" maxLength:"64" example:"bud_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Name   string `json:"name,omitzero" doc:"What people call it; without it, as before" maxLength:"80" required:"false"`
	BudgetFields
}

// Validate checks the thresholds and the action.
func (in UpdateBudgetInput) Validate() []op.FieldError {
	if in.Name == "" {
		return in.validate()
	}
	return append(in.validate(), nameless(in.Name)...)
}

// UpdateBudget changes a budget. A threshold that has told people in this period does not tell them again.
var UpdateBudget = &op.Op[UpdateBudgetInput, Budget]{
	Name:    "budgets.update",
	Route:   "PUT /v1/organizations/{organization}/budgets/{budget}",
	Summary: "Change a budget; a dry run says when it would have fired",
	Kind:    op.Write,
	Allow:   op.On("budgets.manage"),
	Target: func(ctx context.Context, r *op.Reader, in UpdateBudgetInput) (op.Target, error) {
		return budgetTarget(ctx, r, in.Organization, in.Budget)
	},
	Preview: func(ctx context.Context, r *op.Reader, in UpdateBudgetInput) (op.Impact, error) {
		return wouldFire(ctx, r, in.Organization, in.with(Budget{Name: in.Name}))
	},
	Do:      updateBudget,
	Example: UpdateBudgetInput{InOrganization: op.InOrganization{Organization: "acme"}, Budget: "bud_01k9v5x0w3m8q6t2c4h7n0r5sz", BudgetFields: BudgetFields{Meter: "executions", Amount: 2000}},
}

func budgetTarget(ctx context.Context, r *op.Reader, organization, id string) (op.Target, error) {
	b, err := scanBudget(r.QueryRow(ctx, "SELECT "+budgetColumns+" FROM usage_budgets WHERE organization = $1 AND id = $2", organization, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return op.Target{}, op.ErrNotFound
	}
	return b.target(organization), err
}

func updateBudget(ctx context.Context, tx *op.Tx, in UpdateBudgetInput) (Budget, error) {
	before, _ := tx.Target().Value.(Budget)
	if err := in.acceptable(tx, before.Action); err != nil {
		return Budget{}, err
	}
	b := in.with(before)
	if in.Name != "" {
		b.Name = strings.TrimSpace(in.Name)
	}
	b.Version++
	noteChanges(tx, before, b)
	_, err := tx.Exec(ctx, `UPDATE usage_budgets SET name = $3, name_folded = $4, meter = $5, amount = $6, thresholds = $7, action = $8, version = $9, updated_at = $10
		WHERE organization = $1 AND id = $2`, in.Organization, b.ID, b.Name, strings.ToLower(b.Name), b.Meter, b.Amount, percents(b.Thresholds), b.Action, b.Version, tx.Micros())
	return b, nameTaken(err, b.Name)
}

func noteChanges(tx *op.Tx, before, after Budget) {
	for _, field := range []struct {
		name    string
		was, is any
	}{{"name", before.Name, after.Name}, {"meter", before.Meter, after.Meter}, {"amount", before.Amount, after.Amount},
		{"thresholds", percents(before.Thresholds), percents(after.Thresholds)}, {"action", before.Action, after.Action}} {
		if field.was != field.is {
			tx.Changed(field.name, field.was, field.is)
		}
	}
}

// DeleteBudgetInput names a budget.
type DeleteBudgetInput struct {
	op.InOrganization
	Budget string `json:"budget" doc:"The budget's id" maxLength:"64" example:"bud_01k9v5x0w3m8q6t2c4h7n0r5sz"`
}

// DeleteBudget takes a budget away. Its history stays.
var DeleteBudget = &op.Op[DeleteBudgetInput, Budget]{
	Name:    "budgets.delete",
	Route:   "DELETE /v1/organizations/{organization}/budgets/{budget}",
	Summary: "Take a budget away",
	Kind:    op.Write,
	Allow:   op.On("budgets.manage"),
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, in DeleteBudgetInput) (op.Target, error) {
		return budgetTarget(ctx, r, in.Organization, in.Budget)
	},
	Do:      deleteBudget,
	Example: DeleteBudgetInput{InOrganization: op.InOrganization{Organization: "acme"}, Budget: "bud_01k9v5x0w3m8q6t2c4h7n0r5sz"},
}

func deleteBudget(ctx context.Context, tx *op.Tx, in DeleteBudgetInput) (Budget, error) {
	b, _ := tx.Target().Value.(Budget)
	_, err := tx.Exec(ctx, "DELETE FROM usage_budgets WHERE organization = $1 AND id = $2", in.Organization, in.Budget)
	return b, err
}

// backTest is how many past periods a dry run looks at.
const backTest = 3

// wouldFire says when a budget would have told people in the last periods.
func wouldFire(ctx context.Context, r *op.Reader, organization string, b Budget) (op.Impact, error) {
	if err := knownMeter(r, b.Meter); err != nil {
		return op.Impact{}, err
	}
	a, err := accountOf(ctx, r, organization, unlocked)
	if err != nil {
		return op.Impact{}, err
	}
	impact := op.Impact{Effects: []op.Effect{}}
	fired := 0
	for p := a.month(a.month(r.Micros()).Start - 1); len(impact.Effects) < backTest; p = a.month(p.Start - 1) {
		lines, err := a.bill(ctx, r, p)
		if err != nil {
			return op.Impact{}, err
		}
		used := int64(0)
		for _, l := range lines {
			switch b.Meter {
			case "":
				used = plus(used, l.Amount)
			case l.Meter.ID:
				used = l.Quantity
			}
		}
		reached := slices.DeleteFunc(slices.Clone(b.Thresholds), func(t int64) bool { return share(used, b.Amount) < t })
		fired += len(reached)
		text := b.usedText(used) + ": nobody would have been told"
		if len(reached) > 0 {
			text = b.usedText(used) + ": would have fired at " + strings.ReplaceAll(percents(reached), " ", ", ") + " percent"
		}
		impact.Effects = append(impact.Effects, op.Effect{Type: "period", ID: moment(p.Start).Format(time.DateOnly), Text: text})
	}
	impact.Summary = fmt.Sprintf("would have fired %d times in the last %d periods", fired, backTest)
	return impact, nil
}

// usedText says how much of the budget is used: of money in percent, since a number of minor units says little.
func (b Budget) usedText(used int64) string {
	if b.Meter == "" {
		return fmt.Sprintf("%d percent of it", share(used, b.Amount))
	}
	return fmt.Sprintf("%d of %d", used, b.Amount)
}
