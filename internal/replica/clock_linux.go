package replica

import (
	"syscall"
	"time"
	"unsafe"
)

// clockBoottime is CLOCK_BOOTTIME, which counts while the machine is suspended too: clock_gettime(2).
const clockBoottime = 7

// boot reads it. The call does not block, so the scheduler need not hear of it.
func boot() time.Duration {
	var t syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		panic("replica: no CLOCK_BOOTTIME: " + errno.Error()) // every Linux since 2.6.39 has it
	}
	return time.Duration(t.Nano())
}
