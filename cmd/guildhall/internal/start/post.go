package start

import (
	"context"
	"errors"
	"sync"

	"github.com/guildhall/guildhall/internal/mail"
)

// Post is a mail.Sender that sends everything on, but for the letter that the page of the first owner waits for.
type Post struct {
	Next mail.Sender // nil: there is no mail server, and letters stay in the outbox until they are given up

	mu      sync.Mutex
	waiting map[string]chan mail.Message // by address
}

var errNoServer = errors.New("no mail server is configured: set smtp_host")

// Send sends a letter on, or hands it to the page that waits for it.
func (p *Post) Send(ctx context.Context, m mail.Message) error {
	p.mu.Lock()
	letter, wanted := p.waiting[m.To]
	delete(p.waiting, m.To)
	p.mu.Unlock()
	switch {
	case wanted:
		letter <- m // it has room for the one letter
		return nil
	case p.Next == nil:
		return errNoServer
	}
	return p.Next.Send(ctx, m)
}

// await asks for the next letter to an address, until done is called.
func (p *Post) await(address string) (letter <-chan mail.Message, done func()) {
	c := make(chan mail.Message, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = map[string]chan mail.Message{}
	}
	p.waiting[address] = c
	return c, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.waiting[address] == c {
			delete(p.waiting, address)
		}
	}
}
