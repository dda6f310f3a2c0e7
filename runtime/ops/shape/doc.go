// Package shape has the operators that rearrange tensors without computing on their
// elements: reshaping, transposing, slicing, joining, gathering, scattering, padding,
// casting, and those that make a tensor from a shape.
//
// Neighbours: built on runtime/ops/layout, registered by runtime/ops/all. Constant and
// Shape are where shape arithmetic begins: Shape's rule states its answer as a constant,
// so that what is computed from it folds.
//
// Ownership and concurrency: as runtime/ops says; Reshape and its like, Identity and
// Cast to the same type give outputs that share the input's memory.
package shape
