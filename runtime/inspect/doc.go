// Package inspect explains a model: what it takes and gives, how much it computes, how the
// CPU device runs it, what was fused and whether requests may be batched. It is what
// `aimass inspect` prints.
//
// Neighbours: runtime opens and plans the model; cmd/aimass prints the report.
//
// Ownership: a Report holds copies and points into no model.
//
// Concurrency: a Report is made by one goroutine and does not change afterwards.
package inspect
