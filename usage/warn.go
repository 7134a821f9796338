package usage

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Warning is a threshold that was reached.
type Warning struct {
	About     string    `json:"about" doc:"A budget's id, or \"meter:\" and the meter whose limit of the plan it is" example:"meter:executions"`
	Name      string    `json:"name,omitzero" doc:"The budget's name, if there still is one, or the meter's title"`
	Threshold int64     `json:"threshold" doc:"In percent" example:"80"`
	Quantity  int64     `json:"quantity" doc:"How much was used when it was noticed"`
	From      time.Time `json:"from" doc:"When the period began"`
	At        time.Time `json:"at" doc:"When people were told"`
}

// warning names a threshold within a period.
type warning struct {
	about     string
	threshold int64
}

// HistoryInput asks for the thresholds that were reached.
type HistoryInput struct {
	op.InOrganization
	op.Page
}

// ListWarnings lists the thresholds that were reached, the latest first.
var ListWarnings = &op.Op[HistoryInput, op.List[Warning]]{
	Name:    "budgets.history",
	Route:   "GET /v1/organizations/{organization}/budgets/history",
	Summary: "List the thresholds of budgets and limits that were reached, the latest first",
	Kind:    op.Read,
	Allow:   op.AnyOf(op.On("budgets.manage"), op.ByService),
	Do:      listWarnings,
	Example: HistoryInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func listWarnings(ctx context.Context, tx *op.Tx, in HistoryInput) (op.List[Warning], error) {
	before, about, threshold := int64(math.MaxInt64), "", int64(0)
	if at := in.After(); len(at) == 3 {
		before, _ = strconv.ParseInt(at[0], 10, 64) // authentic: see op.Page
		about = at[1]
		threshold, _ = strconv.ParseInt(at[2], 10, 64)
	}
	rows, err := tx.Query(ctx, `SELECT w.about, COALESCE(b.name, ''), w.threshold, w.quantity, w.start, w.at FROM usage_warnings w
		LEFT JOIN usage_budgets b ON b.organization = w.organization AND b.id = w.about
		WHERE w.organization = $1 AND (w.at < $2 OR w.at = $2 AND (w.about > $3 OR w.about = $3 AND w.threshold > $4))
		ORDER BY w.at DESC, w.about, w.threshold LIMIT $5`, in.Organization, before, about, threshold, in.Size()+1)
	if err != nil {
		return op.List[Warning]{}, err
	}
	defer rows.Close()
	var all []Warning
	for rows.Next() {
		var w Warning
		var start, at int64
		if err := rows.Scan(&w.About, &w.Name, &w.Threshold, &w.Quantity, &start, &at); err != nil {
			return op.List[Warning]{}, err
		}
		if meter, ok := strings.CutPrefix(w.About, "meter:"); ok {
			m, _ := tx.Charter.Meter(meter)
			w.Name = m.Title
		}
		w.From, w.At = moment(start), moment(at)
		all = append(all, w)
	}
	return op.Listed(tx.Reader, &in.Page, all, func(w Warning) []string {
		return []string{strconv.FormatInt(w.At.UnixMicro(), 10), w.About, strconv.FormatInt(w.Threshold, 10)}
	}), rows.Err()
}

// warned are the thresholds that have been told in this period.
func (a account) warned(ctx context.Context, r *op.Reader) (map[warning]bool, error) {
	rows, err := r.Query(ctx, "SELECT about, threshold FROM usage_warnings WHERE organization = $1 AND start = $2", a.organization, a.month(r.Micros()).Start)
	if err != nil {
		return nil, err
	}
	return warningsOf(rows)
}

func warningsOf(rows *sql.Rows) (map[warning]bool, error) {
	defer rows.Close()
	all := map[warning]bool{}
	for rows.Next() {
		var w warning
		if err := rows.Scan(&w.about, &w.threshold); err != nil {
			return nil, err
		}
		all[w] = true
	}
	return all, rows.Err()
}

// Reached is a threshold that people are to be told of.
type Reached struct {
	About     string `json:"about" doc:"A budget's id, or \"meter:\" and the meter whose limit of the plan it is" example:"meter:executions"`
	Threshold int64  `json:"threshold" doc:"In percent" example:"80"`
	Name      string `json:"name" doc:"The budget's name or the meter's title"`
	Unit      string `json:"unit" doc:"What one is called, in the plural"`
	Quantity  int64  `json:"quantity" doc:"How much is used"`
	Amount    int64  `json:"amount" doc:"Of how much"`
	Stops     bool   `json:"stops,omitzero" doc:"Whether nothing more is reserved from there on"`
}

// due are the thresholds that are reached and not told.
func (a account) due(ctx context.Context, r *op.Reader) ([]Reached, error) {
	told, err := a.warned(ctx, r)
	if err != nil {
		return nil, err
	}
	budgets, err := a.budgets(ctx, r)
	if err != nil {
		return nil, err
	}
	used, err := a.spent(ctx, r, budgets)
	if err != nil {
		return nil, err
	}
	var all []Reached
	for _, b := range budgets {
		m, _ := r.Charter.Meter(b.Meter)
		unit := m.Unit
		if b.Meter == "" {
			unit = r.Charter.Currency
		}
		for _, t := range b.Thresholds {
			all = append(all, Reached{b.ID, t, b.Name, unit, used[b.Meter], b.Amount, t >= 100 && b.Action == ActionStop})
		}
	}
	for _, m := range r.Charter.Meters {
		all = append(all, a.planThresholds(r.Charter, m, used[m.ID])...)
	}
	return slices.DeleteFunc(all, func(x Reached) bool {
		return told[warning{x.About, x.Threshold}] || share(x.Quantity, x.Amount) < x.Threshold
	}), nil
}

// planThresholds are 80 and 100 percent of what the plan gives, and where it warns.
func (a account) planThresholds(c *charter.Charter, m charter.Meter, used int64) []Reached {
	l := a.limit(c, m.ID)
	of := l.Hard
	if of == charter.Unlimited {
		of = l.Included
	}
	if of <= 0 {
		return nil
	}
	all := []int64{80, 100}
	if l.Soft > 0 {
		all = append(all, share(l.Soft, of))
	}
	slices.Sort(all)
	var thresholds []Reached
	for _, t := range slices.Compact(all) {
		thresholds = append(thresholds, Reached{"meter:" + m.ID, t, m.Title, m.Unit, used, of, t >= 100 && l.Hard != charter.Unlimited})
	}
	return thresholds
}

// FireInput is what an organization has reached.
type FireInput struct {
	op.InOrganization
	Reached []Reached `json:"reached" doc:"The thresholds" minItems:"1" maxItems:"500"`
}

// Fired says what people were told.
type Fired struct {
	Fired int `json:"fired" doc:"How many thresholds they were told of; those that they knew of are not among them"`
}

// Fire tells whoever manages budgets of the thresholds that were reached: each once in a period. Due says which.
var Fire = &op.Op[FireInput, Fired]{
	Name:    "budgets.fire",
	Route:   "POST /v1/organizations/{organization}/budgets/fire",
	Summary: "Tell those who manage budgets of thresholds that were reached",
	Kind:    op.Write,
	Allow:   op.ByOperator,
	Do:      fire,
	Example: FireInput{op.InOrganization{Organization: "acme"}, []Reached{{About: "meter:executions", Threshold: 80, Name: "Executions", Unit: "executions", Quantity: 800, Amount: 1000}}},
}

func fire(ctx context.Context, tx *op.Tx, in FireInput) (Fired, error) {
	a, err := accountOf(ctx, tx.Reader, in.Organization, unlocked)
	if err != nil {
		return Fired{}, err
	}
	var l list
	for _, x := range in.Reached {
		l.begin()
		l.text(x.About).number(x.Threshold).number(x.Quantity).end()
	}
	rows, err := tx.InsertRows(ctx, warnings, l.done(), a.organization, a.month(tx.Micros()).Start, tx.Micros())
	if err != nil {
		return Fired{}, err
	}
	fresh, err := warningsOf(rows)
	if err != nil {
		return Fired{}, err
	}
	due := slices.DeleteFunc(in.Reached, func(x Reached) bool { return !fresh[warning{x.About, x.Threshold}] })
	if len(due) == 0 {
		tx.Unchanged()
		return Fired{}, nil
	}
	for _, x := range due {
		tx.Changed(x.About, nil, x.Threshold)
	}
	return Fired{len(due)}, a.tell(ctx, tx, due)
}

var warnings = sqldb.Rows{Table: "usage_warnings", Same: []string{"organization", "start bigint", "at bigint"},
	Columns: []string{"about", "threshold bigint", "quantity bigint"}, Then: "ON CONFLICT DO NOTHING RETURNING about, threshold"}

// tell mails to everybody who manages budgets.
func (a account) tell(ctx context.Context, tx *op.Tx, due []Reached) error {
	name, addresses, err := a.managers(ctx, tx.Reader)
	if err != nil {
		return err
	}
	text := a.letter(tx.Reader, name, due)
	for _, to := range addresses {
		payload, err := json.Marshal(mail.Message{To: to, Subject: subjectOf(name, due), Text: text})
		if err != nil {
			return err
		}
		tx.Send("mail", payload)
	}
	return nil
}

func subjectOf(name string, due []Reached) string {
	if len(due) == 1 {
		return fmt.Sprintf("%s: %s at %d %%", name, due[0].Name, due[0].Threshold)
	}
	return fmt.Sprintf("%s: %d limits and budgets are near", name, len(due))
}

// letter says what was reached. Names that people gave are in quotes, and every link is the configuration's own.
func (a account) letter(r *op.Reader, name string, due []Reached) string {
	var b strings.Builder
	fmt.Fprintf(&b, "In the organization “%s”, in the period until %s:\n", name, moment(a.month(r.Micros()).End).Format("2 January 2006"))
	for _, x := range due {
		fmt.Fprintf(&b, "\n- “%s” has reached %d %%: %d of %d %s", x.Name, x.Threshold, x.Quantity, x.Amount, x.Unit)
		if x.Stops {
			b.WriteString("; nothing more is reserved")
		}
		b.WriteString(".")
	}
	b.WriteString("\n\nUsage and budgets:\n" + r.Settings.URL("/o/"+a.organization+"/settings/usage") + "\n")
	return b.String()
}

// managers are the organization's name, and the addresses of its active members who manage budgets.
func (a account) managers(ctx context.Context, r *op.Reader) (name string, addresses []string, err error) {
	var roles []string
	for _, role := range r.Charter.Roles() {
		if r.Charter.Can(role, "budgets.manage") {
			roles = append(roles, string(role.ID))
		}
	}
	in, args := listOf(roles, 3)
	rows, err := r.Query(ctx, `SELECT o.name, u.email FROM members m JOIN users u ON u.id = m.user_id JOIN organizations o ON o.id = m.organization
		WHERE m.organization = $1 AND m.status = 'active' AND (m.ends_at = 0 OR m.ends_at > $2) AND (m.role IN (`+in+`)
			OR m.role IN (SELECT id FROM organization_roles WHERE organization = $1 AND ' ' || permissions || ' ' LIKE '% budgets.manage %'))
		ORDER BY m.sort_name, m.id LIMIT 50`, append([]any{a.organization, r.Micros()}, args...)...)
	if err != nil {
		return "", nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var to string
		if err := rows.Scan(&name, &to); err != nil {
			return "", nil, err
		}
		addresses = append(addresses, to)
	}
	return name, addresses, rows.Err()
}

// Due are the thresholds, by organization, that are reached and not told, where something was used since the last Fold.
// Fold comes after Fire, so that one that is killed in between forgets nobody.
func Due(ctx context.Context, r *op.Reader) ([]FireInput, error) {
	rows, err := r.Query(ctx, "SELECT DISTINCT organization FROM usage_log")
	if err != nil {
		return nil, err
	}
	var used []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		used = append(used, one)
	}
	if err := rows.Close(); err != nil {
		return nil, err
	}
	var all []FireInput
	for _, organization := range used {
		a, err := accountOf(ctx, r, organization, unlocked)
		if err != nil {
			return nil, err
		}
		due, err := a.due(ctx, r)
		if err != nil {
			return nil, err
		}
		if len(due) > 0 {
			all = append(all, FireInput{op.InOrganization{Organization: organization}, due[:min(len(due), 500)]})
		}
	}
	return all, nil
}
