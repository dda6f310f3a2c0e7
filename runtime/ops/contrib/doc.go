// Package contrib holds operators outside of the standard that models in the wild use:
// those of com.microsoft, which ONNX Runtime's optimiser, quantiser and exporters write,
// and a few that it keeps in the standard's own domain. They answer as ONNX Runtime does
// on a CPU.
//
// Neighbours: where an operator is one of the standard's with a word added, it calls that
// one's Eval (std.go) instead of repeating it; dense products come from runtime/ops/linalg.
//
// Ownership and concurrency: as runtime/ops.
package contrib

// Domain is the domain of most operators here.
const Domain = "com.microsoft"
