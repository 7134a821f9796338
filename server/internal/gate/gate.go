// Package gate answers questions of access over HTTP, from memory. AuthZEN (OpenID Authorization API 1.0) is asked by the
// product's back end, with a service key; what else a request claims (properties, headers) decides nothing. Forward-auth
// and Envoy's ext_authz are asked by a gateway in front of the product, at one of the configured addresses, about a request
// that it holds.
package gate

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
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
	ExtAuthzPath       = "/ext-authz/" // and behind it the address of the request that is asked about
)

// Config is what the gate is made of.
type Config struct {
	Access   *access.Access
	Service  *op.Service
	BaseURL  string         // "https://accounts.example.com": what discovery tells, whatever a request says
	Gateways []netip.Prefix // who may ask forward-auth and ext_authz; none: nobody
	// TrustedProxies are believed too about where a request came from that Envoy describes over gRPC; over HTTP, web.Config
	// says so.
	TrustedProxies []netip.Prefix
	// Record is told of every check that has an answer, on its way out: it must not block, and keeps no pointer to the
	// record. Nil: nobody is told.
	Record func(*Record)
	Log    *slog.Logger // nil: slog.Default
}

// Gate answers questions of access, over HTTP and over gRPC. It is safe for concurrent use.
type Gate struct {
	config  Config
	held    *web.Held
	base    []byte // of fix_url, as the beginning of a text of JSON
	origins *http.CrossOriginProtection
	good    *good
	// features are those of each plan of the charter, with commas between.
	features map[string]string
	homes    homes
}

// New makes a gate.
func New(c Config) *Gate {
	c.BaseURL, c.Log = strings.TrimRight(c.BaseURL, "/"), cmp.Or(c.Log, slog.Default())
	return &Gate{config: c, base: quoteBeginning(c.BaseURL), origins: http.NewCrossOriginProtection(), good: &good{},
		held:     web.NewHeld(web.Config{BaseURL: c.BaseURL, TrustedProxies: c.TrustedProxies, Now: c.Service.Now}),
		features: featuresOf(c.Service.Charter())}
}

// Direct is what answers the gate's paths, for web.Config.Direct.
func (g *Gate) Direct() map[string]web.Direct {
	return map[string]web.Direct{
		DiscoveryPath:      only(http.MethodGet, g.discovery),
		EvaluationPath:     only(http.MethodPost, g.asked(g.evaluation)),
		EvaluationsPath:    only(http.MethodPost, g.asked(g.evaluations)),
		SearchSubjectPath:  only(http.MethodPost, g.asked(general(g.searchSubjects))),
		SearchResourcePath: only(http.MethodPost, g.asked(general(g.searchResources))),
		SearchActionPath:   only(http.MethodPost, g.asked(general(g.searchActions))),
		ForwardAuthPath:    g.forwardAuth,
	}
}

// Below is what answers everything under a path of the gate's, for web.Config.Below.
func (g *Gate) Below() map[string]web.Direct { return map[string]web.Direct{ExtAuthzPath: g.extAuthz} }

func featuresOf(c *charter.Charter) map[string]string {
	features := map[string]string{}
	for _, plan := range c.Plans {
		features[plan.ID] = strings.Join(plan.Features, ",")
	}
	return features
}

// only refuses every other method. Whoever sent an X-Request-ID gets it back, whatever the answer (section 10.1.10).
func only(method string, next web.Direct) web.Direct {
	return func(x *web.Exchange) {
		if id := x.Request.Header["X-Request-Id"]; len(id) > 0 && id[0] != "" {
			x.Header()["X-Request-Id"] = id[:1:1]
		}
		if sent := x.Request.Method; sent != method && !(method == http.MethodGet && sent == http.MethodHead) {
			x.Header().Set("Allow", method)
			x.Problem(op.Errorf(op.WrongMethod, "", "%s is asked by %s", x.Request.URL.Path, method))
			return
		}
		next(x)
	}
}

// asked authenticates the caller, reads the body and hands it on. An error is the answer.
func (g *Gate) asked(answer func(x *web.Exchange, body []byte) error) web.Direct {
	return func(x *web.Exchange) {
		if err := g.authenticate(x); err != nil {
			x.Problem(op.AsError(err))
			return
		}
		body, refused := x.Body()
		if refused != nil {
			if refused.Kind == op.WrongMediaType {
				refused = &op.Error{Kind: op.Malformed, Text: refused.Text} // AuthZEN knows 400 only
			}
			x.Problem(refused)
			return
		}
		if err := answer(x, body); err != nil {
			x.Problem(op.AsError(err))
		}
	}
}

// general answers with whatever is returned.
func general(answer func(x *web.Exchange, body []byte) (any, error)) func(x *web.Exchange, body []byte) error {
	return func(x *web.Exchange, body []byte) error {
		out, err := answer(x, body)
		if err == nil {
			write(x, out)
		}
		return err
	}
}

// authenticate accepts a living service key, sent as Bearer, and nothing else.
func (g *Gate) authenticate(x *web.Exchange) error {
	s := access.SentBy(x.Caller().Credential, "")
	if err := g.config.Access.Find(x.Request.Context(), &s); err != nil {
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
func (g *Gate) evaluation(x *web.Exchange, body []byte) error {
	var e plainEvaluation
	if !e.scan(string(body)) {
		e = plainEvaluation{}
		if err := parse(body, &e.evaluation); err != nil {
			return err
		}
	}
	return g.single(x, &e.evaluation)
}

func (g *Gate) single(x *web.Exchange, e *evaluation) error {
	question, err := e.question()
	if err != nil {
		return err
	}
	var v access.Verdict
	if err := g.config.Access.Judge(x.Request.Context(), &question, &v); err != nil {
		return err
	}
	g.tell(x, &question, &v)
	x.JSON(g.appendAnswer(x.Buffer(), &v))
	return nil
}

// evaluations answers several (section 7). Without any it is an evaluation. One that is not well-formed is answered no,
// and the others all the same.
func (g *Gate) evaluations(x *web.Exchange, body []byte) error {
	var batch evaluations
	if err := parse(body, &batch); err != nil {
		return err
	}
	if len(batch.Evaluations) == 0 {
		return g.single(x, &batch.evaluation)
	}
	stops, err := batch.semantic()
	if err != nil {
		return err
	}
	questions, wrong, err := batch.questions(g.config.Service.Charter())
	if err != nil {
		return err
	}
	verdicts, err := g.config.Access.JudgeAll(x.Request.Context(), questions, stops)
	if err != nil {
		return err
	}
	b := append(x.Buffer(), `{"evaluations":[`...)
	for i := range verdicts {
		if i > 0 {
			b = append(b, ',')
		}
		if wrong[i] != nil {
			b = appendWrong(b, wrong[i])
			continue
		}
		g.tell(x, &questions[i], &verdicts[i])
		b = g.appendAnswer(b, &verdicts[i])
	}
	x.JSON(append(b, "]}"...))
	return nil
}

// discovery says where to ask (section 9). The addresses are of the configured base.
func (g *Gate) discovery(x *web.Exchange) {
	x.Header().Set("Cache-Control", "public, max-age=3600")
	base := g.config.BaseURL
	write(x, metadata{base, base + EvaluationPath, base + EvaluationsPath, base + SearchSubjectPath, base + SearchResourcePath, base + SearchActionPath})
}

func write(x *web.Exchange, out any) {
	raw, err := json.Marshal(out)
	if err != nil {
		panic("gate: " + err.Error()) // texts and truth values always marshal
	}
	x.JSON(raw)
}
