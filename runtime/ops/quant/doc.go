// Package quant has the operators that go between real numbers and quantised ones, and
// those that compute on quantised tensors: x ≈ scale · (q − zero point), with one scale
// for a tensor, for each index of an axis, or for each block along an axis.
//
// Neighbours: built on runtime/ops/layout and tensor's narrow types; runtime/cpu has
// lowerings of what is common.
//
// Ownership and concurrency: as runtime/ops says.
package quant
