// Package lower turns the nodes of a plan whose shapes are known into steps: one fast
// step for each group of nodes that a lowering takes, and for every other node a step
// that its device runs through the operator's Eval.
//
// A lowering looks at one node and may claim its neighbours. It must refuse (report
// false) whatever types, shapes or attributes it does not compute exactly as the
// operator's Eval does, within docs/numerics.md. No step allocates when it runs.
//
// Neighbours: runtime/cpu makes the plan and runs the steps; kernels/* does the work;
// the sub-packages move and recur hold the work for which there is no kernel room.
//
// Ownership: Steps may change the Plan that it is given (places of views, scratch
// slots); steps keep constants and packed weights, and read and write slots' memory
// only while they run.
//
// Concurrency: Steps works alone on its Plan; the steps that it makes may be run by any
// number of goroutines, each with an Env of its own. Packed is safe for concurrent use.
package lower
