// Package runtime is the engine: it opens a model, prepares it for a device and runs it.
// A model is an ONNX file or Go code (a native model); callers see no difference.
//
// Neighbours: repository owns models and their versions, batcher feeds them. Beneath are
// onnx (files), pass (rewrites), cpu and gpu (devices).
//
// Ownership: a Model keeps its file mapped until Close, which must come after the last
// Run has returned and been released. Run follows device.Program's rules: inputs are the
// caller's, outputs hold until Call.Release.
//
// Concurrency: Engine and Model are safe for concurrent use.
package runtime
