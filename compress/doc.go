// Package compress makes a smaller model of a model, and says what that cost: a file in, a
// file and a report out.
//
// The steps run in a fixed order, each only where it is asked for: crop (what is constant,
// unused or twice there goes; outputs and vocabulary that nobody needs), prune (weights, or
// whole neurons, channels and heads), quantize. The result is a standard ONNX file that any
// runtime loads; after that it may be packed with zstd or sealed. The report compares size,
// work, memory, time and answers with the original's, and nothing is written if the answers
// are worse than the bar allows.
//
// Neighbours: runtime/onnx reads and writes the files, runtime runs both models for the
// report, internal/seal encrypts. cmd/aimass and training jobs call Run.
//
// Ownership: a step owns the graph while it runs and changes it in place; constants may be
// slices of the mapped original, which stay valid until Run returns and are never written.
// Concurrency: calls of Run share nothing.
package compress
