// Package random holds the operators that draw random numbers. With a seed given, every
// application draws the same numbers (not those of another runtime: the standard leaves
// the generator open); without one, each draws its own.
//
// Neighbours: runtime/ops defines the contract; all operators here are Impure.
// Ownership and concurrency: as runtime/ops. Each application has a generator of its own.
package random
