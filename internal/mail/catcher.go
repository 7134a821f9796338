package mail

import (
	"context"
	"regexp"
	"slices"
	"sync"
	"time"
)

// kept is how many messages a Catcher keeps.
const kept = 500

// Caught is a message that a Catcher holds.
type Caught struct {
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	Links   []string  `json:"links"` // addresses in the text, in its order
	At      time.Time `json:"at"`
}

// Catcher is a Sender that keeps the last 500 messages in memory instead of
// sending them. The zero value is ready to use.
type Catcher struct {
	// Now is the clock of Caught.At. Nil means time.Now.
	Now func() time.Time

	mu       sync.Mutex
	messages []Caught
}

// Send keeps m. It refuses what SMTP would refuse before it dials.
func (c *Catcher) Send(_ context.Context, m Message) error {
	m, err := m.cleaned()
	if err != nil {
		return err
	}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.messages) == kept {
		c.messages = slices.Delete(c.messages, 0, 1)
	}
	c.messages = append(c.messages, Caught{To: m.To, Subject: m.Subject, Text: m.Text, Links: links(m.Text), At: now()})
	return nil
}

// Messages returns what was caught, the oldest first.
func (c *Catcher) Messages() []Caught {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.messages)
}

// link matches an address up to a space, a quote or a bracket.
var link = regexp.MustCompile(`https?://[^\s"'<>()\[\]]+`)

// links finds the addresses in a text, without the punctuation of the sentence
// that they end.
func links(text string) []string {
	found := link.FindAllString(text, -1)
	for i, l := range found {
		found[i] = trailing.ReplaceAllString(l, "")
	}
	return append([]string{}, found...) // JSON shows an empty list, not null
}

var trailing = regexp.MustCompile(`[.,;:!?]+$`)
