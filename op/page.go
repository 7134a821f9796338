package op

import (
	"encoding/base64"
	"math"
	"strconv"

	"github.com/go-json-experiment/json"
)

// Page is embedded by the input of every list.
type Page struct {
	Limit  int    `json:"limit,omitzero" doc:"How many at most" minimum:"1" maximum:"100" default:"25" required:"false"`
	Cursor string `json:"cursor,omitzero" doc:"Where to go on: next_cursor of the page before, with the same filters" maxLength:"2048" required:"false"`

	after   []string
	binding []byte
}

func (p *Page) page() *Page { return p }

// Size is how many rows the caller wants, 25 if it did not say.
func (p *Page) Size() int {
	if p.Limit == 0 {
		return 25
	}
	return p.Limit
}

// After is the position of the last row of the page before: what the list's key function gave for it; nil on the first
// page. It is authentic: nobody but this instance made it, for this organization and these filters.
func (p *Page) After() []string { return p.after }

// AfterNewest is After of a list that begins with the newest: what was created before a moment is still to come, and of that
// moment what has a lesser id. On the first page it is everything.
func (p *Page) AfterNewest() (before int64, id string) {
	if len(p.after) != 2 {
		return math.MaxInt64, ""
	}
	before, _ = strconv.ParseInt(p.after[0], 10, 64) // our own: its authenticity is proved
	return before, p.after[1]
}

// Newest is the position of a row, created at a moment in microseconds, in a list that begins with the newest.
func Newest(created int64, id string) []string { return []string{strconv.FormatInt(created, 10), id} }

// List is a page of an answer.
type List[T any] struct {
	Data       []T    `json:"data"`
	HasMore    bool   `json:"has_more" doc:"Whether there are more after these"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Send it as cursor for the next page"`
}

// Listed makes a page of rows. A list asks for one row more than Size: that one only says that there are more. key gives
// a row's position.
func Listed[T any](r *Reader, p *Page, rows []T, key func(T) []string) List[T] {
	if len(rows) <= p.Size() {
		if rows == nil {
			rows = []T{}
		}
		return List[T]{Data: rows}
	}
	rows = rows[:p.Size()]
	return List[T]{Data: rows, HasMore: true, NextCursor: r.service.cursor(r.page, key(rows[len(rows)-1]))}
}

// macSize is the length of a cursor's authentication code, which stands before its position: 4 bytes that name the key
// and 32 of the HMAC.
const macSize = 36

func (s *Service) cursor(p *Page, position []string) string {
	body, err := json.Marshal(position)
	if err != nil || p == nil {
		return ""
	}
	mac := s.config.Secrets.MAC("cursor", p.binding, body)
	return base64.RawURLEncoding.EncodeToString(append(mac, body...))
}

// openCursor checks a cursor against the call it is used in: operation, organization, caller's filters.
func (s *Service) openCursor(p *Page, binding []byte) error {
	p.binding = binding
	if p.Cursor == "" {
		return nil
	}
	invalid := InvalidField("cursor", "invalid", "the cursor does not belong to this list: send next_cursor of a page with the same organization and filters")
	raw, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil || len(raw) < macSize {
		return invalid
	}
	if !s.config.Secrets.Verify(raw[:macSize], "cursor", binding, raw[macSize:]) {
		return invalid
	}
	if json.Unmarshal(raw[macSize:], &p.after) != nil {
		return invalid
	}
	return nil
}
