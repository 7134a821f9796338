package server

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/gate"
)

// Metrics counts calls of operations, and checks, in a registry of its own. Labels are names of operations and codes of
// errors: never an organization, a person or anything of a request.
type Metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	checks   map[string]checkMetrics // by their face
	waits    prometheus.Histogram
	silent   prometheus.Counter
	probes   *prometheus.CounterVec
	broken   prometheus.Counter
}

// checkMetrics are those of the checks of one face. They are looked up once, and not for each check.
type checkMetrics struct {
	answers [2][2]prometheus.Counter // by the indexes of the answer and of where it came from
	seconds prometheus.Observer
}

// The labels of checkMetrics.answers.
var (
	answers = [2]string{"no", "yes"}
	sources = [2]string{"memory", "database"}
)

// NewMetrics makes metrics without any calls.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "guildhall_operations_total",
			Help: "Calls of operations, by the code they ended with."}, []string{"operation", "kind", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "guildhall_operation_seconds",
			Help:    "How long calls of operations took.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}}, []string{"operation"}),
	}
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "guildhall_checks_total",
		Help: "Checks over HTTP and gRPC, by their answer and by where it came from."}, []string{"face", "answer", "source"})
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "guildhall_check_seconds",
		Help:    "How long checks over HTTP and gRPC took.",
		Buckets: []float64{.00001, .000025, .00005, .0001, .00025, .0005, .001, .005, .025, .1, 1}}, []string{"face"})
	m.checks = map[string]checkMetrics{}
	for _, face := range []string{gate.AuthZEN, gate.ForwardAuth, gate.ExtAuthz} {
		of := checkMetrics{seconds: took.WithLabelValues(face)}
		for i, answer := range answers {
			for j, source := range sources {
				of.answers[i][j] = checks.WithLabelValues(face, answer, source)
			}
		}
		m.checks[face] = of
	}
	m.waits = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "guildhall_fence_wait_seconds",
		Help:    "How long changes of rights took to be known to every server, before their commit.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1, 2, 2.5, 5}})
	m.silent = prometheus.NewCounter(prometheus.CounterOpts{Name: "guildhall_fence_silent_total",
		Help: "Servers that did not answer a change of rights, and were evicted."})
	m.probes = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "guildhall_canary_probes_total",
		Help: "What servers said of the canary's keys after these were revoked."}, []string{"answer"})
	m.broken = prometheus.NewCounter(prometheus.CounterOpts{Name: "guildhall_revocation_violations_total",
		Help: "Servers that accepted a key of the canary's after its revocation had returned. It has to be 0."})
	m.registry.MustRegister(m.calls, m.seconds, checks, took, m.waits, m.silent, m.probes, m.broken, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe counts one call: it is an op.Config's Observe.
func (m *Metrics) Observe(o op.Observation) {
	code := "ok"
	if o.Error != nil {
		code = o.Error.FullCode()
	}
	m.calls.WithLabelValues(o.Operation, o.Kind.String(), code).Inc()
	m.seconds.WithLabelValues(o.Operation).Observe(o.Took.Seconds())
}

// Waited counts a change of rights that every server had to know of: it is a guildhall.Peers's Waited.
func (m *Metrics) Waited(took time.Duration, silent int) {
	m.waits.Observe(took.Seconds())
	m.silent.Add(float64(silent))
}

// Tried counts what came of a round of the canary: it is a guildhall.Canary's Tried.
func (m *Metrics) Tried(r guildhall.CanaryResult) {
	for answer, servers := range map[string]int{"refused": r.Refused, "accepted": r.Accepted, "none": r.Unanswered} {
		m.probes.WithLabelValues(answer).Add(float64(servers))
	}
	m.broken.Add(float64(r.Accepted))
}

// Watch adds the counters that a hall keeps itself.
func (m *Metrics) Watch(h *guildhall.Hall) {
	m.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "guildhall_request_log_dropped_total",
		Help: "Lines of the request log that were lost."}, func() float64 { return float64(h.Requests().Dropped()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "guildhall_check_readings_total",
			Help: "How often a check asked the database, since memory had no answer or might not give it."},
			func() float64 { return float64(h.Access().Readings()) }))
}

// check counts one check.
func (m *Metrics) check(r *gate.Record) {
	of := m.checks[r.Face]
	of.seconds.Observe(r.Took.Seconds())
	of.answers[index(r.Allow)][index(r.Read)].Inc()
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Register adds further collectors, such as those of the check cache.
func (m *Metrics) Register(c ...prometheus.Collector) { m.registry.MustRegister(c...) }

// Handler shows the metrics, for a listener of its own: they are for the operator alone.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}
