//go:build !amd64 || !cgo || noasm

package isa

func detect() Features { return Features{} }

// PeakGFLOPS is 0: the generic twins have no vector units to measure.
func PeakGFLOPS(Level) float64 { return 0 }
