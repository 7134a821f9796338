package usage

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// MaxPoints is how many points one answer has at most.
const MaxPoints = 1000

// Filter says which events are meant: those of this member, key, resource, region and model, as far as it says so.
type Filter struct {
	Member   string `json:"member,omitzero" doc:"Only what was for this member" maxLength:"128" required:"false"`
	Key      string `json:"key,omitzero" doc:"Only what was by this API key" maxLength:"128" required:"false"`
	Resource string `json:"resource,omitzero" doc:"Only what was for this resource" maxLength:"128" required:"false"`
	Region   string `json:"region,omitzero" doc:"Only what was in this region" maxLength:"128" required:"false"`
	Model    string `json:"model,omitzero" doc:"Only what was with this model" maxLength:"128" required:"false"`
}

func (f Filter) series() series { return series(f) }

// keeps reports whether a series is meant.
func (f Filter) keeps(s series) bool {
	for _, d := range dimensions {
		if wanted := f.series().of(d); wanted != "" && wanted != s.of(d) {
			return false
		}
	}
	return true
}

// QueryInput asks how much of a meter was used when.
type QueryInput struct {
	op.InOrganization
	Meter       string    `json:"meter" cli:"arg" doc:"What is counted" maxLength:"64" example:"executions"`
	From        time.Time `json:"from,omitzero" doc:"From when on; without it, the beginning of this period" required:"false"`
	To          time.Time `json:"to,omitzero" doc:"Before when; without it, now" required:"false"`
	Granularity string    `json:"granularity,omitzero" doc:"How long a point is; days, hours and minutes are those of UTC" enum:"minute,hour,day,month" default:"day" required:"false"`
	By          string    `json:"by,omitzero" doc:"Break it down by one of the meter's dimensions" enum:"member,key,resource,region,model" required:"false"`
	Top         int       `json:"top,omitzero" doc:"How many values of the dimension have points of their own; the others are added up" minimum:"1" maximum:"50" default:"10" required:"false"`
	Filter
}

// Point is how much was used in one bucket.
type Point struct {
	At       time.Time `json:"at" doc:"When the bucket begins"`
	Quantity int64     `json:"quantity" doc:"The sum, the greatest value, the number of different things, or a gauge's level at the bucket's end"`
}

// Part is one value of the dimension.
type Part struct {
	Value    string  `json:"value" doc:"The member, key, resource, region or model; empty for what names none"`
	Name     string  `json:"name,omitzero" doc:"What people call the member or key; absent for those who may not see that"`
	Others   bool    `json:"others,omitzero" doc:"These are all the others together"`
	Quantity int64   `json:"quantity" doc:"How much it had in the whole range"`
	Before   int64   `json:"before" doc:"How much it had in the range before, which is as long"`
	Points   []Point `json:"points" doc:"How much it had in each bucket"`
}

// Series is the answer to a query.
type Series struct {
	Meter       string    `json:"meter" doc:"What is counted"`
	Unit        string    `json:"unit" doc:"What one is called, in the plural"`
	Kind        string    `json:"kind" enum:"counter,sum,gauge,unique,maximum" doc:"How events become a figure"`
	From        time.Time `json:"from" doc:"Where the first bucket begins"`
	To          time.Time `json:"to" doc:"Where the last one ends"`
	Granularity string    `json:"granularity" enum:"minute,hour,day,month" doc:"How long a bucket is"`
	Quantity    int64     `json:"quantity" doc:"How much there was in the whole range"`
	Before      int64     `json:"before" doc:"How much there was in the range before, which is as long"`
	Points      []Point   `json:"points" doc:"How much there was in each bucket, the oldest first"`
	Parts       []Part    `json:"parts,omitempty" doc:"With by: its values, the greatest first, and last the others together"`
	Movers      []Mover   `json:"movers,omitempty" doc:"With by: the values that changed most against the range before"`
}

// Mover is a value of the dimension that changed.
type Mover struct {
	Value    string `json:"value" doc:"The member, key, resource, region or model"`
	Name     string `json:"name,omitzero" doc:"What people call the member or key; absent for those who may not see that"`
	Quantity int64  `json:"quantity" doc:"How much it had in this range"`
	Before   int64  `json:"before" doc:"How much it had in the range before"`
	Change   int64  `json:"change" doc:"How much more, or less"`
}

// Query says how much of a meter was used when, and by what. What was recorded a moment ago is in it.
var Query = &op.Op[QueryInput, Series]{
	Name:    "usage.query",
	Route:   "GET /v1/organizations/{organization}/usage/query",
	Summary: "Say how much of a meter was used when, by member, key, resource, region or model",
	Kind:    op.Read,
	Allow:   op.AnyOf(op.On("usage.view"), op.ByService),
	Do:      query,
	Example: QueryInput{InOrganization: op.InOrganization{Organization: "acme"}, Meter: "executions", Granularity: "day", By: "member"},
}

// question is a query that is understood.
type question struct {
	meter       charter.Meter
	granularity string
	from, to    int64
	by          charter.Dimension // empty: the whole
	filter      Filter
}

func query(ctx context.Context, tx *op.Tx, in QueryInput) (Series, error) {
	return in.read(ctx, tx.Reader)
}

// read reads what the input asks for.
func (in QueryInput) read(ctx context.Context, r *op.Reader) (Series, error) {
	a, err := accountOf(ctx, r, in.Organization, unlocked)
	if err != nil {
		return Series{}, err
	}
	q, err := in.question(r, a)
	if err != nil {
		return Series{}, err
	}
	now, err := a.ask(ctx, r, q)
	if err != nil {
		return Series{}, err
	}
	before, err := a.ask(ctx, r, q.before())
	if err != nil {
		return Series{}, err
	}
	s := q.answer(now, before, cmp.Or(in.Top, 10))
	return s, s.name(ctx, r, a.organization, q.by)
}

func (in QueryInput) question(r *op.Reader, a account) (question, error) {
	m, known := r.Charter.Meter(in.Meter)
	q := question{meter: m, granularity: cmp.Or(in.Granularity, "day"), by: charter.Dimension(in.By), filter: in.Filter}
	if !known {
		return q, unknownMeter(r.Charter, in.Meter)
	}
	for _, d := range dimensions {
		if (q.by == d || in.Filter.series().of(d) != "") && !m.By(d) {
			return q, op.InvalidField(string(d), "unknown", "meter %s is not counted by %s", m.ID, d)
		}
	}
	q.from, q.to = a.month(r.Micros()).Start, r.Micros()+1 // this moment is in it
	if !in.From.IsZero() {
		q.from = in.From.UnixMicro()
	}
	if !in.To.IsZero() {
		q.to = in.To.UnixMicro()
	} else if in.From.IsZero() {
		q.to = max(q.to, q.from+1) // the period may begin at this moment
	}
	return q.aligned(r)
}

// aligned widens the range to whole buckets, and refuses one that is too long.
func (q question) aligned(r *op.Reader) (question, error) {
	if q.to <= q.from || q.from < 0 {
		return q, op.InvalidField("to", "invalid", "the range ends before it begins: from is %s", moment(q.from).Format(time.RFC3339))
	}
	q.from, q.to = q.begin(q.from), q.next(q.begin(q.to-1))
	if n := q.count(); n > MaxPoints {
		return q, op.InvalidField("granularity", "out_of_range", "the range has more than %d points of a %s: ask for a shorter one, or for longer points", MaxPoints, q.granularity)
	}
	if q.granularity == "minute" && q.from < r.Now.Add(-KeepMinutes).UnixMicro() {
		return q, op.InvalidField("granularity", "out_of_range", "minutes are kept for 8 days: ask for hours")
	}
	return q, nil
}

// begin is where the bucket begins that a moment is in.
func (q question) begin(at int64) int64 {
	if q.granularity == "month" {
		t := moment(at)
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	}
	return floor(at, q.size())
}

// next is where the bucket ends that begins at a moment.
func (q question) next(start int64) int64 {
	if q.granularity == "month" {
		return moment(start).AddDate(0, 1, 0).UnixMicro()
	}
	return start + q.size()
}

func (q question) count() int64 {
	if q.granularity == "month" {
		return (q.to - q.from) / (28 * day)
	}
	return (q.to - q.from) / q.size()
}

// size is how long the buckets are that a bucket is read from.
func (q question) size() int64 {
	switch q.granularity {
	case "minute":
		return minute
	case "hour":
		return hour
	}
	return day
}

// grain is what those are called in the table.
func (q question) grain() string {
	whole := q.by == "" && q.filter == (Filter{}) && q.meter.Kind != charter.Gauge
	for _, g := range grains {
		if g.size == q.size() && whole {
			return g.whole
		}
		if g.size == q.size() {
			return g.combined
		}
	}
	return ""
}

// before is the same question about the range before, which is as long.
func (q question) before() question {
	length := q.to - q.from
	if q.granularity == "month" {
		months := 0
		for start := q.from; start < q.to; start = q.next(start) {
			months++
		}
		q.from, q.to = moment(q.from).AddDate(0, -months, 0).UnixMicro(), q.from
		return q
	}
	q.from, q.to = q.from-length, q.from
	return q
}

// found is what a question found: points by value of the dimension and bucket, and what each value had in all.
type found struct {
	points map[string]map[int64]int64
	totals map[string]int64
	whole  int64
}

func (a account) ask(ctx context.Context, r *op.Reader, q question) (found, error) {
	switch q.meter.Kind {
	case charter.Unique:
		return a.askThings(ctx, r, q)
	case charter.Gauge:
		return a.askLevels(ctx, r, q)
	}
	return a.askBuckets(ctx, r, q)
}

// columns are the dimensions' columns of usage_buckets.
var columns = map[charter.Dimension]string{charter.ByMember: "member", charter.ByKey: "api_key", charter.ByResource: "resource",
	charter.ByRegion: "region", charter.ByModel: "model"}

// askBuckets adds buckets up, or takes the greatest of them, and the same of what is not folded yet.
func (a account) askBuckets(ctx context.Context, r *op.Reader, q question) (found, error) {
	f := found{points: map[string]map[int64]int64{}, totals: map[string]int64{}}
	figure, value := "CAST(SUM(total) AS bigint)", "''"
	if q.meter.Kind == charter.Maximum {
		figure = "MAX(greatest)"
	}
	if q.by != "" {
		value = columns[q.by]
	}
	where, args := q.where([]any{a.organization, q.meter.ID, q.grain(), q.from, q.to})
	rows, err := r.Query(ctx, "SELECT start, "+value+", "+figure+` FROM usage_buckets
		WHERE organization = $1 AND meter = $2 AND grain = $3 AND start >= $4 AND start < $5`+where+" GROUP BY start, "+group(value), args...)
	if err != nil {
		return f, err
	}
	defer rows.Close()
	for rows.Next() {
		var start, n int64
		var value string
		if err := rows.Scan(&start, &value, &n); err != nil {
			return f, err
		}
		f.put(q, value, start, n)
	}
	if err := rows.Err(); err != nil {
		return f, err
	}
	unfolded, err := tail(ctx, r, a.organization)
	for _, c := range unfolded {
		s := seriesOf(c.Series)
		if c.Meter != q.meter.ID || c.Start < q.from || c.Start >= q.to || !q.filter.keeps(s) {
			continue
		}
		n := c.Total
		if q.meter.Kind == charter.Maximum {
			n = c.Greatest
		}
		f.put(q, s.of(q.by), c.Start, n)
	}
	return f, err
}

// group is what rows are grouped by beside their start: a constant is not.
func group(value string) string {
	if value == "''" {
		return "start"
	}
	return value
}

// where adds the filter to a query on buckets.
func (q question) where(args []any) (string, []any) {
	var b strings.Builder
	for _, d := range dimensions {
		if wanted := q.filter.series().of(d); wanted != "" {
			args = append(args, wanted)
			b.WriteString(" AND " + columns[d] + " = $" + strconv.Itoa(len(args)))
		}
	}
	return b.String(), args
}

// put adds a figure to its bucket and to the totals.
func (f *found) put(q question, value string, start, n int64) {
	if f.points[value] == nil {
		f.points[value] = map[int64]int64{}
	}
	at := q.begin(start)
	if q.meter.Kind == charter.Maximum {
		f.points[value][at], f.totals[value], f.whole = max(f.points[value][at], n), max(f.totals[value], n), max(f.whole, n)
		return
	}
	f.points[value][at], f.totals[value], f.whole = plus(f.points[value][at], n), plus(f.totals[value], n), plus(f.whole, n)
}

// askThings counts different things. They do not add up, so they are counted in the events themselves.
func (a account) askThings(ctx context.Context, r *op.Reader, q question) (found, error) {
	f := found{points: map[string]map[int64]int64{}, totals: map[string]int64{}}
	rows, err := r.Query(ctx, `SELECT at - at % $5 AS start, series, item FROM usage_events
		WHERE organization = $1 AND meter = $2 AND at >= $3 AND at < $4 GROUP BY 1, 2, 3`, a.organization, q.meter.ID, q.from, q.to, q.size())
	if err != nil {
		return f, err
	}
	defer rows.Close()
	type seen struct {
		value, item string
		at          int64
	}
	all := map[seen]bool{}
	once := func(s seen) int64 {
		if all[s] {
			return 0
		}
		all[s] = true
		return 1
	}
	for rows.Next() {
		var start int64
		var text, item string
		if err := rows.Scan(&start, &text, &item); err != nil {
			return f, err
		}
		s := seriesOf(text)
		if !q.filter.keeps(s) {
			continue
		}
		value, at := s.of(q.by), q.begin(start)
		if f.points[value] == nil {
			f.points[value] = map[int64]int64{}
		}
		f.points[value][at] += once(seen{value, item, at})
		f.totals[value] += once(seen{value, item, -1})
		f.whole += once(seen{"", item, -2})
	}
	return f, rows.Err()
}

// askLevels reads a gauge at the end of each bucket. What there was in the whole range is the mean of the buckets.
func (a account) askLevels(ctx context.Context, r *op.Reader, q question) (found, error) {
	f := found{points: map[string]map[int64]int64{}, totals: map[string]int64{}}
	until := min(q.to, floor(r.Micros(), q.size())+q.size()) // there is no level of what has not come
	byMeter, err := a.levels(ctx, r, []string{q.meter.ID}, func(s series) (string, bool) { return s.of(q.by), q.filter.keeps(s) }, q.smallGrain(), q.size(), q.from, until)
	if err != nil {
		return f, err
	}
	whole := make([]int64, max(0, (until-q.from)/q.size()))
	for value, levels := range byMeter[q.meter.ID] {
		f.points[value] = map[int64]int64{}
		for i, level := range levels {
			f.points[value][q.begin(q.from+int64(i)*q.size())] = level // of a month, the last one stands
			whole[i] = plus(whole[i], level)
		}
		f.totals[value] = mean(levels)
	}
	f.whole = mean(whole)
	return f, nil
}

func (q question) smallGrain() string {
	for _, g := range grains {
		if g.size == q.size() {
			return g.combined
		}
	}
	return ""
}

// answer puts what was found into words.
func (q question) answer(now, before found, top int) Series {
	s := Series{Meter: q.meter.ID, Unit: q.meter.Unit, Kind: string(q.meter.Kind), From: moment(q.from), To: moment(q.to),
		Granularity: q.granularity, Quantity: now.whole, Before: before.whole, Points: q.points(now, slices.Sorted(maps.Keys(now.points))...)}
	if q.by == "" {
		return s
	}
	values := slices.SortedFunc(maps.Keys(now.totals), func(x, y string) int {
		return cmp.Or(cmp.Compare(now.totals[y], now.totals[x]), strings.Compare(x, y))
	})
	for _, value := range values[:min(top, len(values))] {
		s.Parts = append(s.Parts, Part{Value: value, Quantity: now.totals[value], Before: before.totals[value], Points: q.points(now, value)})
	}
	if rest := values[min(top, len(values)):]; len(rest) > 0 {
		others := Part{Others: true, Points: q.points(now, rest...)}
		for _, value := range rest {
			others.Quantity, others.Before = q.both(others.Quantity, now.totals[value]), q.both(others.Before, before.totals[value])
		}
		s.Parts = append(s.Parts, others)
	}
	s.Movers = movers(now.totals, before.totals)
	return s
}

// both are two figures together.
func (q question) both(x, y int64) int64 {
	if q.meter.Kind == charter.Maximum {
		return max(x, y)
	}
	return plus(x, y)
}

// points are the buckets of the range, of some values together.
func (q question) points(f found, values ...string) []Point {
	points := []Point{}
	for start := q.from; start < q.to; start = q.next(start) {
		p := Point{At: moment(start)}
		for _, value := range values {
			p.Quantity = q.both(p.Quantity, f.points[value][start])
		}
		points = append(points, p)
	}
	return points
}

// maxMovers is how many movers are named.
const maxMovers = 5

// movers are the values that changed most.
func movers(now, before map[string]int64) []Mover {
	var all []Mover
	for value, n := range now {
		all = append(all, Mover{Value: value, Quantity: n, Before: before[value], Change: n - before[value]})
	}
	for value, n := range before {
		if _, still := now[value]; !still {
			all = append(all, Mover{Value: value, Before: n, Change: -n})
		}
	}
	slices.SortFunc(all, func(x, y Mover) int {
		return cmp.Or(cmp.Compare(max(y.Change, -y.Change), max(x.Change, -x.Change)), strings.Compare(x.Value, y.Value))
	})
	return slices.DeleteFunc(all[:min(maxMovers, len(all))], func(m Mover) bool { return m.Change == 0 })
}

// LiveInput asks what happens at this moment.
type LiveInput struct {
	op.InOrganization
}

// LiveMeter is a meter in its last hour.
type LiveMeter struct {
	Meter    string  `json:"meter" doc:"The meter's id" example:"executions"`
	Title    string  `json:"title" doc:"Its title"`
	Unit     string  `json:"unit" doc:"What one is called, in the plural"`
	Quantity int64   `json:"quantity" doc:"What there is in this period; of a gauge its level now"`
	Hour     int64   `json:"hour" doc:"What there was in the last 60 minutes"`
	Points   []Point `json:"points" doc:"The last 60 minutes, one by one"`
}

// Live is what happens at this moment.
type Live struct {
	At     time.Time   `json:"at" doc:"The moment"`
	Meters []LiveMeter `json:"meters" doc:"One for each meter, in the charter's order"`
}

// GetLive shows the last hour of every meter, minute by minute, with what was recorded a moment ago.
var GetLive = &op.Op[LiveInput, Live]{
	Name:    "usage.live",
	Route:   "GET /v1/organizations/{organization}/usage/live",
	Summary: "Show the last hour of every meter, minute by minute",
	Kind:    op.Read,
	Allow:   op.AnyOf(op.On("usage.view"), op.ByService),
	Do:      live,
	Example: LiveInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func live(ctx context.Context, tx *op.Tx, in LiveInput) (Live, error) {
	a, err := accountOf(ctx, tx.Reader, in.Organization, unlocked)
	if err != nil {
		return Live{}, err
	}
	held, err := a.held(ctx, tx.Reader, "")
	if err != nil {
		return Live{}, err
	}
	out := Live{At: tx.Now.UTC()}
	to := floor(tx.Micros(), minute) + minute
	for _, m := range tx.Charter.Meters {
		q := question{meter: m, granularity: "minute", from: to - 60*minute, to: to}
		f, err := a.ask(ctx, tx.Reader, q)
		if err != nil {
			return Live{}, err
		}
		out.Meters = append(out.Meters, LiveMeter{Meter: m.ID, Title: m.Title, Unit: m.Unit, Quantity: held[m.ID].used, Hour: f.whole,
			Points: q.points(f, slices.Sorted(maps.Keys(f.points))...)})
	}
	return out, nil
}
