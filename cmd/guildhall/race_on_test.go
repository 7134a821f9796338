//go:build race

package main

// raceEnabled says whether the race detector watches: servers are too slow then for their leases, and are tried without it.
const raceEnabled = true
