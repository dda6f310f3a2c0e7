// Package math holds the pointwise operators of the standard (arithmetic, comparison,
// logic, bits, activations) and the products and scans around them (MatMul, Gemm,
// Einsum, CumSum, Det, Range, …).
//
// Neighbours: runtime/ops (the contract), runtime/ops/form (schemas and shape rules),
// runtime/ops/linalg (matrix products). Ownership of buffers and concurrency are those
// of runtime/ops: inputs are read only, nothing is kept.
//
// Float16 and bfloat16 are computed wider and rounded once, except where an operator's
// definition rounds between steps.
package math
