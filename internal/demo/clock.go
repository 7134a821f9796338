package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// clock is the real time moved by an offset, which is kept in a file: data that was made in a moved time is read in it
// again. The file also marks the folder as a demo's, and says whether its people were made.
type clock struct {
	path      string
	populated bool

	mu     sync.Mutex
	offset time.Duration
	told   time.Duration // what pretend said: it is not kept
}

// markerText is the file.
const markerText = "This folder belongs to guildhall demo.\nclock ahead by: %s\npeople made: %t\n"

// openClock reads the file, or makes one with a clock that is not moved.
func openClock(path string) (*clock, error) {
	c := &clock{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, c.save(0)
	}
	if err != nil {
		return nil, fmt.Errorf("demo clock: %w", err)
	}
	var offset string
	if _, err = fmt.Sscanf(string(text), markerText, &offset, &c.populated); err == nil {
		c.offset, err = time.ParseDuration(offset)
	}
	if err != nil {
		return nil, fmt.Errorf("demo clock %s: %w", path, err)
	}
	return c, nil
}

// markPopulated remembers that the people are made.
func (c *clock) markPopulated() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.populated = true
	return c.save(c.offset)
}

func (c *clock) save(offset time.Duration) error {
	text := fmt.Sprintf(markerText, offset, c.populated)
	if err := os.WriteFile(c.path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("demo clock: %w", err)
	}
	return nil
}

// Now is the demo's time.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset + c.told)
}

// pretend moves the clock for as long as data of another time is made. It is not kept: the next start knows nothing of it.
func (c *clock) pretend(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = by
}

// moved reports whether somebody moved the clock.
func (c *clock) moved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset != 0
}

// farthest bounds how far a clock is moved in all: times are kept as microseconds.
const farthest = 100 * 365 * 24 * time.Hour

// advance moves the clock on. It does not go back: what happened in the future would be undone.
func (c *clock) advance(by time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if by <= 0 || by > farthest || c.offset+by > farthest {
		return fmt.Errorf("the clock moves forward only, and at most %s in all", farthest)
	}
	if err := c.save(c.offset + by); err != nil {
		return err
	}
	c.offset += by
	return nil
}
