// Package tensor holds what flows through a model: element types, shapes and the
// values made of them (tensors, sequences, maps, optionals).
//
// Neighbours: runtime/graph puts tensors into graphs as constants, runtime/ops computes
// on them, the devices place them in arenas. The package knows nothing of models.
//
// Ownership: a Tensor is a view. New allocates its own memory; FromBytes and FromSlice
// share the caller's, which must stay unchanged and alive while the tensor is used
// (a mapped file, an arena, a request's buffer). Nothing here copies behind the back
// but FromBytes on a misaligned slice, which says so.
//
// Concurrency: values are not synchronised. Any number of goroutines may read one;
// a writer must be alone.
package tensor
