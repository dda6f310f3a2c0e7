//go:build !linux

package onnx

// idle does nothing where the system takes no advice.
func (m *mapping) idle() {}
