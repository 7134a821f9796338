// Package gate answers questions of access over HTTP, from memory. AuthZEN (OpenID Authorization API 1.0) is asked by the
// product's back end, with a service key; what else a request claims (properties, headers) decides nothing. Forward-auth is
// asked by a gateway in front of the product, at one of the configured addresses, about a request that it holds.
package gate

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/web"
)

// The paths of the gate.
const (
	EvaluationPath     = "/access/v1/evaluation"
	EvaluationsPath    = "/access/v1/evaluations"
	SearchSubjectPath  = "/access/v1/search/subject"
	SearchResourcePath = "/access/v1/search/resource"
	SearchActionPath   = "/access/v1/search/action"
	DiscoveryPath      = "/.well-known/authzen-configuration"
	ForwardAuthPath    = "/forward-auth"
)

// Config is what the gate is made of.
type Config struct {
	Access   *access.Access
	Service  *op.Service
	BaseURL  string         // "https://accounts.example.com": what discovery tells, whatever a request says
	Gateways []netip.Prefix // who may ask forward-auth; none: nobody
	// Record is told of every check that has an answer, on its way out: it must not block, and keeps no pointer to the
	// record. Nil: nobody is told.
	Record func(*Record)
	Log    *slog.Logger // nil: slog.Default
}

type gate struct {
	config  Config
	origins *http.CrossOriginProtection
	good    *good
	homes   homes
}

// New makes the handler of the gate's paths. It belongs behind web.Handler.
func New(c Config) http.Handler {
	c.BaseURL, c.Log = strings.TrimRight(c.BaseURL, "/"), cmp.Or(c.Log, slog.Default())
	g := &gate{config: c, origins: http.NewCrossOriginProtection(), good: &good{}}
	mux := http.NewServeMux()
	mux.HandleFunc(DiscoveryPath, only(http.MethodGet, g.discovery))
	mux.HandleFunc(EvaluationPath, only(http.MethodPost, g.asked(g.evaluation)))
	mux.HandleFunc(EvaluationsPath, only(http.MethodPost, g.asked(g.evaluations)))
	mux.HandleFunc(SearchSubjectPath, only(http.MethodPost, g.asked(g.searchSubjects)))
	mux.HandleFunc(SearchResourcePath, only(http.MethodPost, g.asked(g.searchResources)))
	mux.HandleFunc(SearchActionPath, only(http.MethodPost, g.asked(g.searchActions)))
	mux.HandleFunc(ForwardAuthPath, g.forwardAuth)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { web.Problem(w, r, op.ErrNotFound) })
	return mux
}

// only refuses every other method. Whoever sent an X-Request-ID gets it back, whatever the answer (section 10.1.10).
func only(method string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("X-Request-ID"); id != "" {
			w.Header().Set("X-Request-ID", id)
		}
		if r.Method != method && !(method == http.MethodGet && r.Method == http.MethodHead) {
			w.Header().Set("Allow", method)
			web.Problem(w, r, op.Errorf(op.WrongMethod, "", "%s is asked by %s", r.URL.Path, method))
			return
		}
		next(w, r)
	}
}

// asked authenticates the caller, reads the body and answers what the handler returns.
func (g *gate) asked(answer func(r *http.Request, body []byte) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := g.authenticate(r); err != nil {
			web.Problem(w, r, op.AsError(err))
			return
		}
		body, refused := web.ReadBody(w, r)
		if refused != nil {
			if refused.Kind == op.WrongMediaType {
				refused = &op.Error{Kind: op.Malformed, Text: refused.Text} // AuthZEN knows 400 only
			}
			web.Problem(w, r, refused)
			return
		}
		out, err := answer(r, body)
		if err != nil {
			web.Problem(w, r, op.AsError(err))
			return
		}
		write(w, out)
	}
}

// authenticate accepts a living service key, sent as Bearer, and nothing else.
func (g *gate) authenticate(r *http.Request) error {
	s := access.SentBy(web.Caller(r).Credential, "")
	if err := g.config.Access.Find(r.Context(), &s); err != nil {
		return err
	}
	key := s.ServiceKey()
	if key == nil {
		return op.Errorf(op.Unauthenticated, "service_key_required", "checks are asked with a service key as Authorization: Bearer")
	}
	if !key.AllowsChecks() {
		return op.Errorf(op.Denied, "out_of_scope", "this service key is not for checks: its scopes leave them out")
	}
	return nil
}

// evaluation answers one question (section 6).
func (g *gate) evaluation(r *http.Request, body []byte) (any, error) {
	var e evaluation
	if err := parse(body, &e); err != nil {
		return nil, err
	}
	return g.single(r, e)
}

func (g *gate) single(r *http.Request, e evaluation) (any, error) {
	question, err := e.question()
	if err != nil {
		return nil, err
	}
	began := g.began()
	var v access.Verdict
	if err := g.config.Access.Judge(r.Context(), &question, &v); err != nil {
		return nil, err
	}
	g.tell(r, began, &question, &v)
	return g.answerOf(&v), nil
}

// evaluations answers several (section 7). Without any it is an evaluation. One that is not well-formed is answered no,
// and the others all the same.
func (g *gate) evaluations(r *http.Request, body []byte) (any, error) {
	var batch evaluations
	if err := parse(body, &batch); err != nil {
		return nil, err
	}
	if len(batch.Evaluations) == 0 {
		return g.single(r, batch.evaluation)
	}
	stops, err := batch.semantic()
	if err != nil {
		return nil, err
	}
	questions, wrong, err := batch.questions()
	if err != nil {
		return nil, err
	}
	began := g.began()
	verdicts, err := g.config.Access.JudgeAll(r.Context(), questions, stops)
	if err != nil {
		return nil, err
	}
	var out answers
	for i := range verdicts {
		if wrong[i] == nil {
			g.tell(r, began, &questions[i], &verdicts[i])
		}
		a := g.answerOf(&verdicts[i])
		if wrong[i] != nil {
			a = answer{Context: answerContext{Reason: "malformed", Error: &answerError{http.StatusBadRequest, wrong[i].Text}}}
		}
		out.Evaluations = append(out.Evaluations, a)
	}
	return out, nil
}

func (g *gate) answerOf(v *access.Verdict) answer {
	d := &v.Decision
	if v.Allow {
		g.config.Access.Name(v, &d.Who)
	}
	c := answerContext{Reason: string(d.Reason), Needs: string(d.Needs), FixURL: d.FixURL, Holders: d.Holders, Kind: d.Who.Kind,
		User: d.Who.User, Member: d.Who.Member, Organization: d.Who.Organization, Role: d.Who.Role, Credential: d.Who.Credential,
		Region: d.Who.Region, Plan: d.Who.Plan}
	if strings.HasPrefix(c.FixURL, "/") {
		c.FixURL = g.config.BaseURL + c.FixURL
	}
	return answer{Decision: d.Allow, Context: c}
}

// discovery says where to ask (section 9). The addresses are of the configured base.
func (g *gate) discovery(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=3600")
	base := g.config.BaseURL
	write(w, metadata{base, base + EvaluationPath, base + EvaluationsPath, base + SearchSubjectPath, base + SearchResourcePath, base + SearchActionPath})
}

func write(w http.ResponseWriter, out any) {
	raw, err := json.Marshal(out)
	if err != nil {
		panic("gate: " + err.Error()) // texts and truth values always marshal
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	_, _ = w.Write(raw)
}
