// Package signal holds the operators of signal processing: Fourier transforms, windows
// and the mel weights. All compute in float64 and round at the end.
//
// Neighbours: runtime/ops defines the contract.
// Ownership and concurrency: as runtime/ops.
package signal
