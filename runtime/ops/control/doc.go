// Package control has the operators that run nested graphs: If, Loop, Scan, SequenceMap.
// They run them through Call.Sub, which the device gives.
//
// Neighbours: built on runtime/ops/layout; the devices compile the nested graphs.
//
// Ownership: values that a nested graph returned are the operator's own and are handed
// on as outputs. Concurrency: as runtime/ops says.
package control
