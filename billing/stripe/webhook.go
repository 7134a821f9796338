package stripe

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stripe/stripe-go/v82"

	"github.com/guildhall/guildhall/op"
)

// Event is an event of Stripe's that was verified. Nothing in it is believed but whom it is about: how it stands is read
// back.
type Event struct {
	ID           string
	Type         string
	Customer     string // whom it is about; empty: nobody whom we have to look at
	Organization string // that the object itself names, where the customer is not known yet
}

// tolerance is how far the time of a signature may be from now.
const tolerance = 5 * time.Minute

// errSignature says nothing of why: whoever forges should not learn it. T-087.
var errSignature = op.Errorf(op.Malformed, "bad_signature", "the event is not signed by the payment provider, or not within the last five minutes")

// Hear verifies what was sent to the webhook: the raw body against the header Stripe-Signature. An event of the other
// mode than the key's is refused. T-087.
func (p *Provider) Hear(body []byte, header string) (Event, error) {
	if !p.signed(body, header) {
		return Event{}, errSignature
	}
	var e struct {
		ID       string `json:"id"`
		Object   string `json:"object"`
		Type     string `json:"type"`
		Livemode bool   `json:"livemode"`
		Data     struct {
			Object map[string]jsontext.Value `json:"object"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &e); err != nil || e.ID == "" || e.Object != "event" {
		return Event{}, op.Errorf(op.Malformed, "bad_signature", "the body is not an event of the payment provider")
	}
	if e.Livemode != p.live {
		return Event{}, op.Errorf(op.Malformed, "wrong_mode", "the event is of the payment provider's other mode: live mode and test mode have keys and secrets of their own")
	}
	event := Event{ID: e.ID, Type: e.Type}
	if concerns(e.Type) {
		event.Customer, event.Organization = customerOf(e.Type, e.Data.Object), organizationOf(e.Data.Object)
	}
	return event, nil
}

// signed reports whether a body has a signature by one of the secrets, made within the tolerance. The header has one
// time: with two, the one that is signed and the one that is looked at could differ.
func (p *Provider) signed(body []byte, header string) bool {
	if strings.Count(","+strings.ReplaceAll(header, " ", ""), ",t=") != 1 {
		return false
	}
	for _, part := range strings.Split(header, ",") {
		text, ok := strings.CutPrefix(strings.TrimSpace(part), "t=")
		if !ok {
			continue
		}
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || p.config.Now().Sub(time.Unix(seconds, 0)).Abs() > tolerance {
			return false
		}
	}
	for _, secret := range p.config.WebhookSecrets {
		if secret != "" && stripe.ValidatePayload(body, header, secret, stripe.WithIgnoreTolerance()) == nil {
			return true
		}
	}
	return false
}

// concerns reports whether a kind of event can change what is kept here. All others are acknowledged and left alone.
func concerns(kind string) bool {
	for _, prefix := range []string{"checkout.session.", "customer.subscription.", "invoice.", "subscription_schedule.", "customer.deleted"} {
		if strings.HasPrefix(kind, prefix) {
			return true
		}
	}
	return false
}

// customerOf is the customer of an event's object, which names it or has it in whole.
func customerOf(kind string, object map[string]jsontext.Value) (id string) {
	field := "customer"
	if strings.HasPrefix(kind, "customer.") && !strings.HasPrefix(kind, "customer.subscription.") {
		field = "id"
	}
	if json.Unmarshal(object[field], &id) == nil {
		return id
	}
	var whole struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(object[field], &whole)
	return whole.ID
}

// organizationOf is the organization that we wrote into an object of ours.
func organizationOf(object map[string]jsontext.Value) string {
	var metadata map[string]string
	_ = json.Unmarshal(object["metadata"], &metadata)
	if metadata[organizationMetadata] != "" {
		return metadata[organizationMetadata]
	}
	var parent struct {
		Subscription struct {
			Metadata map[string]string `json:"metadata"`
		} `json:"subscription_details"`
	}
	_ = json.Unmarshal(object["parent"], &parent)
	return parent.Subscription.Metadata[organizationMetadata]
}
