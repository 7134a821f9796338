//go:build !linux

package replica

import "time"

var began = time.Now()

// boot is Go's monotonic clock. Where it stands still while the machine is suspended, the jump of the wall clock ends the
// lease: see maxJump.
func boot() time.Duration { return time.Since(began) }
