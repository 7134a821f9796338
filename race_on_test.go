//go:build race

package guildhall_test

// raceEnabled says whether the race detector watches.
const raceEnabled = true
