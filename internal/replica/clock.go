package replica

import (
	"context"
	"time"
)

// SystemClock is this machine's.
type SystemClock struct{}

// Now reads both clocks.
func (SystemClock) Now() Instant {
	return Instant{Boot: boot(), Wall: time.Duration(time.Now().UnixNano())}
}

// Wait waits until Boot has advanced by d.
func (SystemClock) Wait(ctx context.Context, d time.Duration) error {
	for until := boot() + d; ; {
		left := until - boot()
		if left <= 0 {
			return nil
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
