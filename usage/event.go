package usage

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// The bounds of events.
const (
	MaxEvents = 1000                  // in one recording
	MaxAge    = 400 * 24 * time.Hour  // an event that is older is refused
	MaxAhead  = 5 * time.Minute       // an event that is further in the future is refused
	MaxValue  = 1_000_000_000_000_000 // of an event of a meter that adds up
)

// Event is something that was used.
type Event struct {
	Meter    string    `json:"meter,omitzero" cli:"arg" doc:"What is counted: a meter of the charter" maxLength:"64" example:"executions" required:"false"`
	Value    int64     `json:"value,omitzero" cli:"arg" doc:"How much: a whole number. A counter's event without one counts 1" example:"1" required:"false"`
	ID       string    `json:"id,omitzero" doc:"The event's own id: a second event of the same source and id counts nothing. Without it, it follows from the call's Idempotency-Key; without that too a new one is made, and a repeat counts again" maxLength:"200" example:"run_8126" required:"false"`
	Source   string    `json:"source,omitzero" doc:"What made the event; without it, the key that records it" maxLength:"200" example:"scheduler" required:"false"`
	At       time.Time `json:"at,omitzero" doc:"When it was used; without it, now. It counts in the period of that moment" example:"2026-11-02T09:00:00Z" required:"false"`
	Member   string    `json:"member,omitzero" doc:"For whom, if the meter has members" maxLength:"128" required:"false"`
	Key      string    `json:"key,omitzero" doc:"By which API key, if the meter has keys" maxLength:"128" required:"false"`
	Resource string    `json:"resource,omitzero" doc:"For what, if the meter has resources" maxLength:"128" example:"workflow:wf_1" required:"false"`
	Region   string    `json:"region,omitzero" doc:"Where, if the meter has regions" maxLength:"128" example:"eu-west-1" required:"false"`
	Model    string    `json:"model,omitzero" doc:"With which model, if the meter has models" maxLength:"128" required:"false"`
	Item     string    `json:"item,omitzero" doc:"Of a meter that counts different things: the thing. Only its hash is kept" maxLength:"512" required:"false"`
	Corrects string    `json:"corrects,omitzero" doc:"The id of the event of the same source that this one corrects, by a value that may be negative. It counts where that one counted" maxLength:"200" required:"false"`

	said  bool   // the value was said, if only 0
	wrong string // what is wrong with it, found while reading it
	about string // the organization that the event itself names; empty: none
}

// wireEvent is an event as JSON has it. Value is kept as it was written: a number of JSON is no int64.
type wireEvent struct {
	Meter    string         `json:"meter"`
	Value    jsontext.Value `json:"value"`
	ID       string         `json:"id"`
	Source   string         `json:"source"`
	At       string         `json:"at"`
	Member   string         `json:"member"`
	Key      string         `json:"key"`
	Resource string         `json:"resource"`
	Region   string         `json:"region"`
	Model    string         `json:"model"`
	Item     string         `json:"item"`
	Corrects string         `json:"corrects"`
}

// event reads what JSON said. What is wrong with it is kept for its verdict.
func (w *wireEvent) event() Event {
	e := Event{Meter: w.Meter, ID: w.ID, Source: w.Source, Member: w.Member, Key: w.Key, Resource: w.Resource, Region: w.Region,
		Model: w.Model, Item: w.Item, Corrects: w.Corrects, said: len(w.Value) > 0}
	if e.said {
		var err error
		if e.Value, err = wholeNumber(w.Value); err != nil {
			e.wrong = err.Error()
		}
	}
	if w.At != "" {
		at, err := time.Parse(time.RFC3339, w.At)
		if err != nil {
			e.wrong = fmt.Sprintf("at %q is not a time such as 2026-11-02T09:00:00Z", w.At)
		}
		e.At = at
	}
	return e
}

// wholeNumber reads a JSON number as an int64, digit by digit: no fraction, no exponent, nothing rounded.
func wholeNumber(raw jsontext.Value) (int64, error) {
	text := string(raw)
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err == nil && text != "-0":
		return n, nil
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("value %s does not fit in 64 bits", text)
	}
	return 0, fmt.Errorf("value %s is not a whole number, written in digits alone", text)
}

// readEvent reads one event of a list. One that does not fit is an event with its mistake: the others are not refused
// for it.
func readEvent(raw jsontext.Value) Event {
	var w wireEvent
	if err := json.Unmarshal(raw, &w, json.RejectUnknownMembers(true)); err != nil {
		return Event{wrong: misfit(err)}
	}
	return w.event()
}

// misfit says in words why JSON is not an event.
func misfit(err error) string {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return "not an event"
	}
	name := strings.TrimPrefix(string(semantic.JSONPointer), "/")
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return fmt.Sprintf("unknown field %q", name)
	case name == "":
		return "an event is an object"
	}
	return name + " has to be text"
}

// ReadBody reads one event, {"events": [...]}, a CloudEvent or a batch of CloudEvents.
func (in *RecordInput) ReadBody(body []byte) ([]op.FieldError, error) {
	switch {
	case bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")):
		return nil, in.readCloudBatch(body)
	case isCloud(body):
		return nil, in.readCloud(body)
	}
	var w struct {
		Events []jsontext.Value `json:"events"`
		wireEvent
	}
	if err := json.Unmarshal(body, &w, json.RejectUnknownMembers(true)); err != nil {
		var semantic *json.SemanticError
		if errors.As(err, &semantic) && semantic.JSONPointer != "" {
			name := strings.TrimPrefix(string(semantic.JSONPointer), "/")
			if name == "events" {
				return []op.FieldError{{Pointer: "/events", Code: "invalid", Detail: "events is a list of events"}}, nil
			}
			return []op.FieldError{{Pointer: string(semantic.JSONPointer), Code: "invalid", Detail: misfit(err)}}, nil
		}
		return nil, op.MalformedJSON(err)
	}
	in.Event = w.event()
	for _, raw := range w.Events {
		in.Events = append(in.Events, readEvent(raw))
	}
	return nil, nil
}

// BodyTypes are those of CloudEvents in JSON.
func (in *RecordInput) BodyTypes() []string {
	return []string{"application/cloudevents+json", "application/cloudevents-batch+json"}
}

// cloudType is the type of CloudEvents whose data names the meter; any other type is the meter itself.
const cloudType = "com.guildhall.usage"

// cloudEvent is a CloudEvent 1.0 in JSON. Attributes that are not here are somebody else's.
type cloudEvent struct {
	SpecVersion string         `json:"specversion"`
	Type        string         `json:"type"`
	Source      string         `json:"source"`
	ID          string         `json:"id"`
	Time        string         `json:"time"`
	Subject     string         `json:"subject"`
	Data        jsontext.Value `json:"data"`
}

// isCloud reports whether a body is one CloudEvent.
func isCloud(body []byte) bool {
	var c struct {
		SpecVersion jsontext.Value `json:"specversion"`
	}
	return bytes.Contains(body, []byte(`"specversion"`)) && json.Unmarshal(body, &c) == nil && c.SpecVersion != nil
}

func (in *RecordInput) readCloud(body []byte) error {
	var c cloudEvent
	if err := json.Unmarshal(body, &c); err != nil {
		return op.MalformedJSON(err)
	}
	in.Events = []Event{c.event()}
	return nil
}

func (in *RecordInput) readCloudBatch(body []byte) error {
	var batch []cloudEvent
	if err := json.Unmarshal(body, &batch); err != nil {
		return op.MalformedJSON(err)
	}
	in.Events = make([]Event, len(batch))
	for i := range batch {
		in.Events[i] = batch[i].event()
	}
	return nil
}

// event reads a CloudEvent's data as an event, and its attributes as what they stand for.
func (c *cloudEvent) event() Event {
	if c.SpecVersion != "1.0" || c.Type == "" || c.Source == "" || c.ID == "" {
		return Event{wrong: "a CloudEvent has specversion 1.0, a type, a source and an id"}
	}
	e := Event{}
	if len(c.Data) > 0 && string(c.Data) != "null" {
		e = readEvent(c.Data)
	}
	if c.Type != cloudType {
		e.Meter = c.Type
	}
	e.Source, e.ID, e.about = c.Source, c.ID, c.Subject
	if c.Time != "" {
		at, err := time.Parse(time.RFC3339, c.Time)
		if err != nil {
			e.wrong = fmt.Sprintf("time %q is not a time such as 2026-11-02T09:00:00Z", c.Time)
		}
		e.At = at
	}
	return e
}

// refusal is why an event is not recorded.
type refusal struct{ code, detail string }

func refused(code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// check says what is wrong with an event whatever the database says, and gives its meter.
func (e *Event) check(c *charter.Charter, now time.Time) (charter.Meter, *refusal) {
	if e.wrong != "" {
		return charter.Meter{}, refused("invalid", "%s", e.wrong)
	}
	m, known := c.Meter(e.Meter)
	if !known {
		detail := fmt.Sprintf("unknown meter %q", e.Meter)
		if near := charter.Nearest(e.Meter, meterIDs(c)); near != "" {
			detail += fmt.Sprintf("; did you mean %q?", near)
		}
		return m, refused("unknown_meter", "%s", detail)
	}
	for _, wrong := range []*refusal{e.checkTexts(), e.checkSeries(m), e.checkValue(m), e.checkTime(now)} {
		if wrong != nil {
			return m, wrong
		}
	}
	return m, nil
}

func (e *Event) checkTexts() *refusal {
	for _, field := range []struct {
		name, text string
		most       int
	}{{"id", e.ID, 200}, {"source", e.Source, 200}, {"corrects", e.Corrects, 200}, {"item", e.Item, 512}, {"member", e.Member, 128},
		{"key", e.Key, 128}, {"resource", e.Resource, 128}, {"region", e.Region, 128}, {"model", e.Model, 128}} {
		if len(field.text) > field.most || !visible(field.text) {
			return refused("invalid", "%s has to be at most %d bytes of text without control characters", field.name, field.most)
		}
	}
	return nil
}

func visible(text string) bool {
	for _, r := range text {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// series is what the event was for.
func (e *Event) series() series { return series{e.Member, e.Key, e.Resource, e.Region, e.Model} }

func (e *Event) checkSeries(m charter.Meter) *refusal {
	s := e.series()
	for _, d := range dimensions {
		if s.of(d) != "" && !m.By(d) {
			return refused("unknown_dimension", "meter %s is not counted by %s", m.ID, d)
		}
	}
	return nil
}

func (e *Event) checkValue(m charter.Meter) *refusal {
	switch {
	case m.Kind == charter.Unique && e.Item == "":
		return refused("item_missing", "meter %s counts different things: item says which", m.ID)
	case m.Kind == charter.Unique && e.Value != 0 && e.Value != 1:
		return refused("invalid", "meter %s counts different things: each counts 1", m.ID)
	case m.Kind != charter.Unique && e.Item != "":
		return refused("invalid", "meter %s does not count different things: item is for those that do", m.ID)
	case e.Corrects != "" && !m.Adds():
		return refused("not_correctable", "meter %s does not add up: send what is right, with its time", m.ID)
	case e.Value < 0 && e.Corrects == "":
		return refused("negative", "value %d is negative: only an event that corrects another may be", e.Value)
	case m.Adds() && (e.Value > MaxValue || e.Value < -MaxValue):
		return refused("too_large", "value %d is more than %d", e.Value, int64(MaxValue))
	}
	return nil
}

func (e *Event) checkTime(now time.Time) *refusal {
	switch {
	case e.At.IsZero():
		return nil
	case e.At.After(now.Add(MaxAhead)):
		return refused("in_future", "at %s is more than 5 minutes in the future: is the clock right?", e.At.UTC().Format(time.RFC3339))
	case e.At.Before(now.Add(-MaxAge)):
		return refused("too_old", "at %s is more than 400 days ago", e.At.UTC().Format(time.RFC3339))
	}
	return nil
}

// itemHash is what is kept of a thing that is counted.
func itemHash(organization, meter, item string) string {
	sum := sha256.Sum256([]byte(organization + "\x00" + meter + "\x00" + item))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// plus adds without overflow: what does not fit is the greatest number, or the least, that does.
func plus(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}
