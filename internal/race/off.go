//go:build !race

// Package race says whether the race detector is built in: what tests measure of memory
// then says nothing, and what has a timeout may take ten times as long.
package race

// Enabled is true in builds with -race.
const Enabled = false
