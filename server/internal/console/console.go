// Package console is the pages of Guildhall for people: sign-in, invitations, the account, and an organization's team,
// roles, access, audit log and settings.
//
// A page translates and nothing more: it calls operations as whoever asked, and shows what they answer. What somebody
// may do is asked of the same decisions that guard the operations, never of the name of a role. Every page works without
// JavaScript, by links and forms; ui draws it.
package console

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/assets"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/server/internal/web"
)

// Config is what a Console is made of.
type Config struct {
	Service  *op.Service
	Access   *access.Access // explains decisions; nil: the page that explains is absent
	BaseURL  string         // "https://accounts.example.com", as in op.Settings; shown in commands
	BasePath string         // where the console stands on its host, such as "/console"; empty: at the root
	Secure   bool           // cookies are kept to https; false only for http on a loopback host
	Demo     bool           // shows the page of components
	// OpenAPI describes the operations, for the reference; nil: there is none.
	OpenAPI []byte
	// DocsEditURL is where a page of the documentation is changed, with {page} for its file; empty: nowhere.
	DocsEditURL string
	Log         *slog.Logger // nil: slog.Default
	// LastUse is the last use of a key of an organization, if it is not written down yet. Nil: what is written down is
	// all that pages know.
	LastUse func(organization, key string) (credential.Use, bool)
	// LiveEvery is the time in which a live page changes at most once; 0: two seconds.
	LiveEvery time.Duration
}

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	Config
	mux       *http.ServeMux
	reference reference
}

// page is an entry of the table of pages.
type page struct {
	route string // "GET /orgs"; the part {slug} names an organization
	who   audience
	serve func(v *visit) error
}

// audience says who a page is for. Operations authorize again: it only spares a page the question.
type audience uint8

const (
	anybody     audience = iota // signed in or not
	signedIn                    // others are sent to sign in
	member                      // of the organization that the route names; for others it does not exist
	memberStill                 // as member, and while the organization is scheduled for deletion
)

// pages are all pages, in the order of their files.
func pages() []page {
	return slices.Concat(homePages(), docsPages(), referencePages(), loginPages(), verifyPages(), invitationPages(), orgsPages(), accountPages(), passkeysPages(), totpPages(), organizationPages())
}

// organizationPages are the pages under /o/{slug}.
func organizationPages() []page {
	return slices.Concat(
		overviewPages(), settingsPages(), securityPoliciesPages(),
		teamPages(), invitePages(), invitationsPages(), memberPages(), memberLeavePages(), transferPages(), adminsPages(),
		keysPages(), newKeyPages(), keySecretPages(), keyPages(), serviceAccountsPages(), tokensPages(),
		rolesPages(), rolePages(), accessPages(),
		deletionPages(), recoveryPages(),
		artifactsPages(), artifactPages(), holdsPages(), retentionPages(),
		findingsPages(), reviewsPages(),
		usagePages(), usageLivePages(), alertsPages(), limitsPages(),
		billingPages(), plansPages(),
		auditPages(),
		ssoPages(), setupPages(), directoriesPages(), joinRequestsPages(),
		requestPages(),
	)
}

// New makes the handler of all pages and their assets. It expects the layers of web.Handler around it.
func New(config Config) *Console {
	config.Log = cmp.Or(config.Log, slog.Default())
	config.LiveEvery = cmp.Or(config.LiveEvery, 2*time.Second)
	config.BasePath = strings.TrimRight(config.BasePath, "/")
	c := &Console{Config: config, mux: http.NewServeMux(), reference: newReference(config.OpenAPI, config.Service.Operations())}
	for _, p := range pages() {
		method, path, _ := strings.Cut(p.route, " ")
		c.mux.HandleFunc(method+" "+c.BasePath+path, c.serve(p))
	}
	c.mux.Handle(c.BasePath+"/assets/", assets.Handler(c.BasePath))
	c.mux.HandleFunc(c.BasePath+"/", c.unknown)
	if c.Demo {
		c.mux.HandleFunc("GET "+c.BasePath+"/dev/components", c.serve(page{serve: showComponents}))
	}
	return c
}

// ServeHTTP serves a page, or an asset of one.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

// serve makes the handler of one page.
func (c *Console) serve(p page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := c.visit(w, r)
		err := v.enter(p.who)
		if err == nil && v.moved() {
			return
		}
		if err == nil {
			err = p.serve(v)
		}
		if err != nil {
			v.fail(err)
		}
	}
}

// unknown answers a path that has no page, or none for this method.
func (c *Console) unknown(w http.ResponseWriter, r *http.Request) {
	if allowed := c.methods(r); len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		c.Refuse(w, r, op.Errorf(op.WrongMethod, "", "this page cannot be asked for in this way"))
		return
	}
	c.Refuse(w, r, op.ErrNotFound)
}

// methods are those that the request's path has a page for.
func (c *Console) methods(r *http.Request) (allowed []string) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := c.mux.Handler(other); strings.HasPrefix(pattern, method+" ") {
			allowed = append(allowed, method)
		}
	}
	return allowed
}

// Refuse shows an error as a page: what a layer before the console refuses, too.
func (c *Console) Refuse(w http.ResponseWriter, r *http.Request, e *op.Error) {
	v := c.visit(w, r)
	_ = v.enter(anybody) // without the facts the page only has a plainer frame
	v.fail(e)
}

func (c *Console) visit(w http.ResponseWriter, r *http.Request) *visit {
	caller := web.Caller(r)
	return &visit{Console: c, w: w, r: r, ctx: op.As(r.Context(), caller), caller: caller, form: formOf(r)}
}

// showComponents shows every component, in the demo only.
func showComponents(v *visit) error {
	return v.respond(http.StatusOK, func(nonce string) component {
		return ui.Components(ui.ComponentsProps{BasePath: v.BasePath, Nonce: nonce, Theme: v.theme(), Now: v.now})
	})
}
