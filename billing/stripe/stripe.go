// Package stripe takes the money for subscriptions by Stripe: its Checkout begins them, its portal keeps means of
// payment, and how it stands is always read back from its API, never taken from an event or a browser.
//
// What is sold stands in the charter. At Stripe there is a price for each plan and interval, found by its lookup key
// (PlanKey), and for each meter with a price a meter and a metered price (MeterKey).
package stripe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v82"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Name is what the provider is called in subscriptions, invoices and events.
const Name = "stripe"

// Config is what a Provider is made of.
type Config struct {
	// Key is the secret or restricted API key: sk_live_..., sk_test_..., rk_live_... or rk_test_...
	Key string
	// WebhookSecrets are the signing secrets of the webhook endpoint, whsec_...: while one takes the place of another, both.
	WebhookSecrets []string
	Charter        *charter.Charter
	Now            func() time.Time // nil: time.Now
	Log            *slog.Logger     // nil: slog.Default
	BaseURL        string           // empty: Stripe's own
}

// Check says what is wrong with a key and secrets, without showing them.
func (c Config) Check() error {
	if !hasPrefix(c.Key, "sk_live_", "sk_test_", "rk_live_", "rk_test_") {
		return errors.New("stripe_key is not a secret key of Stripe: it begins with sk_live_, sk_test_, rk_live_ or rk_test_")
	}
	if len(c.WebhookSecrets) == 0 {
		return errors.New("stripe_key is set and stripe_webhook_secret is not: without it nobody could tell Stripe's events from forged ones")
	}
	for n, secret := range c.WebhookSecrets {
		if !hasPrefix(secret, "whsec_") {
			return fmt.Errorf("stripe_webhook_secret: the secret number %d is not one of Stripe's: they begin with whsec_", n+1)
		}
	}
	return nil
}

// hasPrefix reports whether a text begins with one of some prefixes, and goes on after it.
func hasPrefix(text string, prefixes ...string) bool {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(text, p); ok && rest != "" && !strings.ContainsAny(rest, " \t\r\n") {
			return true
		}
	}
	return false
}

// Provider is Stripe. It is safe for concurrent use.
type Provider struct {
	config Config
	live   bool
	api    *stripe.Client
}

var _ billing.Provider = (*Provider)(nil)

// timeout bounds one request to Stripe, which is tried twice more where the network failed.
const timeout = 20 * time.Second

// New makes a Provider. It asks nothing of Stripe yet.
func New(c Config) (*Provider, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	backend := &stripe.BackendConfig{HTTPClient: &http.Client{Timeout: timeout}, LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull}, MaxNetworkRetries: stripe.Int64(2)}
	if c.BaseURL != "" {
		backend.URL = stripe.String(c.BaseURL)
	}
	all := stripe.NewBackendsWithConfig(backend)
	return &Provider{config: c, live: hasPrefix(c.Key, "sk_live_", "rk_live_"), api: stripe.NewClient(c.Key, stripe.WithBackends(all))}, nil
}

// PlanKey is the lookup key of a plan's price: "guildhall_plan_pro_month".
func PlanKey(plan string, interval billing.Interval) string {
	return "guildhall_plan_" + plan + "_" + string(interval)
}

// MeterKey is the event name of a meter, and the lookup key of its metered price: "guildhall_meter_executions".
func MeterKey(meter string) string { return "guildhall_meter_" + meter }

// planMetadata is the field of a price's metadata that names its plan, where the lookup key has gone on to a newer price.
const planMetadata = "guildhall_plan"

// organizationMetadata is the field of a customer's metadata that names the organization.
const organizationMetadata = "guildhall_organization"

// told is an error as a caller is told it. What is not about the caller's own means of payment is in the log.
func (p *Provider) told(ctx context.Context, what string, err error) error {
	var known *op.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	var e *stripe.Error
	if errors.As(err, &e) && e.Type == stripe.ErrorTypeCard {
		return &op.Error{Kind: op.Conflict, Code: "payment_failed",
			Text: "the money could not be taken: " + strings.TrimSuffix(lowered(e.Msg), ".") + "; nothing was changed"}
	}
	facts := []slog.Attr{slog.String("call", what), slog.Any("error", err)}
	if e != nil {
		facts = []slog.Attr{slog.String("call", what), slog.Int("status", e.HTTPStatusCode), slog.String("type", string(e.Type)),
			slog.String("code", string(e.Code)), slog.String("param", e.Param), slog.String("text", e.Msg), slog.String("stripe_request", e.RequestID)}
	}
	p.config.Log.LogAttrs(ctx, slog.LevelError, "stripe", facts...)
	return &op.Error{Kind: op.Unavailable, Code: "provider_unavailable", RetryAfter: 5 * time.Second,
		Text: "the payment provider does not do it: nothing was changed; try again"}
}

func lowered(text string) string {
	if text == "" {
		return "the payment was declined"
	}
	return strings.ToLower(text[:1]) + text[1:]
}

// missing reports whether Stripe says that something is not there.
func missing(err error) bool {
	var e *stripe.Error
	return errors.As(err, &e) && e.Code == stripe.ErrorCodeResourceMissing
}
