// Package seq has the operators on sequences and optionals.
//
// Neighbours: built on runtime/ops/layout.
//
// Ownership: sequences share the tensors put into them; no operator changes a sequence,
// each makes a new one. Concurrency: as runtime/ops says.
package seq
