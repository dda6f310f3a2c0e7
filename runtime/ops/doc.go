// Package ops says what each operator means. One operator is one value of type Op: name,
// domain, opset range, attributes, shape rule and Eval, the plain-Go twin that defines
// the answer. An operator written here works on every device, since a device falls back
// to Eval; fast paths are lowerings in runtime/cpu and runtime/gpu, and come second.
//
// The operators lie in sub-packages by family (math, nn, shape, …); each registers its
// own in Register, and ops/all puts them together. A name registered twice for one
// opset panics; nothing depends on order.
//
// Ownership: Eval reads Call.In and must not keep or change it. Outputs are made with
// Call.Output (zeroed memory that the caller owns, perhaps an arena's) or set with
// Call.Set to a value that shares an input's memory; an Eval must not write to what it
// has set that way.
//
// Concurrency: a Registry is read-only once built; Eval and Shape must be safe for
// concurrent calls.
package ops
