// Package signal holds the operators of signal processing: Fourier transforms, windows
// and the mel weights. All compute in float64 and round at the end.
//
// Neighbours: runtime/ops defines the contract.
// Ownership and concurrency: as runtime/ops.
package signal

import "github.com/aimass/aimass/runtime/ops"

// Register adds the operators of signal processing.
func Register(r *ops.Registry) {
	r.Add(dft()...)
	r.Add(stft(), melWeightMatrix())
	r.Add(windows()...)
}
