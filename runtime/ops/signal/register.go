package signal

import "github.com/aimass/aimass/runtime/ops"

// Register adds the operators of signal processing.
func Register(r *ops.Registry) {
	r.Add(dft()...)
	r.Add(stft(), melWeightMatrix())
	r.Add(windows()...)
}
