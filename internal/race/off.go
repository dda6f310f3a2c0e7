//go:build !race

// Package race says whether the race detector is built in: what tests measure of memory
// then says nothing, what has a timeout may take ten times as long, and what passes a socket must do so through package net.
package race

// Enabled is true in builds with -race.
const Enabled = false
