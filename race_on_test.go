//go:build race

package guildhall_test

// raceEnabled says that the race detector watches: everything takes several times as long.
const raceEnabled = true
