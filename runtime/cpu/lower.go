package cpu

// lowering makes the fast step of a node under a plan, or nil where it does not take
// the node's types, shapes or attributes: then Eval runs.
type lowering func(pl *plan, n *node) func(e *exec, s *step) error

// lowerings lists the operators that have a fast path, each with its own.
var lowerings = map[string]lowering{}
