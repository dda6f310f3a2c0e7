// Package reduce holds the operators that look along axes: the Reduce family, ArgMax and
// ArgMin, TopK, the softmaxes and the normalisations without weights.
//
// Neighbours: runtime/ops (the contract) and runtime/ops/form. Ownership of buffers and
// concurrency are those of runtime/ops: inputs are read only, nothing is kept.
//
// Sums are made in float64 or, for integers, in 64 bits, and rounded once.
package reduce
