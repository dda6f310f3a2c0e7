// Package cpu runs graphs on the processor. A graph is compiled once and planned once
// for each set of input shapes: with shapes known, shape arithmetic folds away, every
// buffer gets a place in one arena by liveness, and each node becomes a step. A node has
// a fast step where a lowering (package lower) knows one, and its operator's Eval
// otherwise; so the device supports every operator that runtime/ops has.
//
// Where a shape depends on data, the values behind it live on the heap and their nodes
// run through Eval, up to the first that is worth a kernel: from there on the graph is
// planned while it runs, once that shape is known (later.go). A batch of independent rows may run in
// parts that fit a core's cache or are worth a thread (parts.go).
//
// Neighbours: runtime/ops says what operators mean, package lower beneath makes steps of nodes, kernels/*
// has the fast code.
//
// Ownership: inputs are the caller's and only read during Run. Outputs lie in an arena
// that goes back to its plan on Release.
//
// Concurrency: Device and Program are safe for concurrent use; runs beyond the number of
// cores wait their turn.
package cpu
