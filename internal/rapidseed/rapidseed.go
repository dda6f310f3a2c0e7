// Package rapidseed lets the environment choose where property tests begin. Every test
// file that uses rapid imports it for its effect (internal/lint sees to that):
// AIMASS_RAPID_SEED=1, which CI sets, draws the same cases on every run, so that a change
// is judged by what it changes; without it each run explores cases of its own.
package rapidseed

import (
	"flag"
	"os"

	_ "pgregory.net/rapid" // registers the flag
)

func init() {
	seed := os.Getenv("AIMASS_RAPID_SEED")
	if seed == "" {
		return
	}
	if err := flag.Set("rapid.seed", seed); err != nil {
		panic("AIMASS_RAPID_SEED: " + err.Error())
	}
}
