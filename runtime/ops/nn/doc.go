// Package nn holds the operators of neural networks: convolutions, pools, normalisations,
// attention, resampling and losses.
//
// Neighbours: runtime/ops (the contract), runtime/ops/form (schemas), runtime/ops/linalg
// (matrix products). Ownership of buffers and concurrency are those of runtime/ops:
// inputs are read only, nothing is kept.
//
// Images are laid out [N, C, spatial…] with any number of spatial axes unless an operator
// says otherwise.
package nn
