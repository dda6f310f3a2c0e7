// Package sim replays traces of requests against batching policies under a virtual clock: the
// policy of the server (the very object, batcher.Policy), a fixed queue delay, and no
// batching, and measures them by an upper bound that no scheduler can beat and, on
// small traces, by the exact optimum.
//
// Neighbours: `aimass bench sim` and `make sim` print what Suite finds.
//
// Everything is a function of its arguments and a seed; nothing here reads a clock or is safe
// for concurrent use.
package sim
