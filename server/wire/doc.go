// Package wire turns the bytes of the v2 inference protocol's REST form into requests and responses into bytes: JSON
// and the binary tensor extension. It knows nothing of HTTP, models or queues.
//
// Neighbours: server calls it with a body and a Sink that checks inputs against the model and supplies memory; the
// elements' types are those of runtime/tensor.
//
// Ownership: a Request and what it points to (names, ids, parameters, Data that alias the body) are valid until Reset or
// the next Parse, and as long as the body is unchanged. The memory that a Sink returned belongs to the Sink. Strings of
// BYTES inputs are copies of their own and may be kept. Append functions keep nothing.
//
// Concurrency: a Request serves one goroutine at a time; keep them in a sync.Pool. After some requests of the same kind
// parsing and encoding allocate nothing, BYTES tensors excepted (two allocations each).
//
// Not a number: JSON has no notation for it. Like Triton (whose JSON library is told to) the codec writes and accepts
// the literals NaN, Infinity and -Infinity, which Python's json module reads and writes too; it also accepts Inf and -Inf.
package wire
