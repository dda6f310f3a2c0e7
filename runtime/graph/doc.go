// Package graph is the intermediate representation: a model as nodes in topological
// order over values. Readers (runtime/onnx) build it, passes rewrite it, devices lower it.
//
// A Value is defined once: by a node, as a graph input, or as a constant (Const set).
// A Node points to its values directly; nested graphs (If, Loop, Scan) point at values
// of the graphs around them the same way, so capture needs no names.
//
// Ownership: whoever holds a Graph may rewrite it; after a device compiled it, it is
// read-only and may be shared. Constants may lie in a mapped file and are never written.
//
// Concurrency: reading is safe from any number of goroutines, rewriting from one alone.
package graph
