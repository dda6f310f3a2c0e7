//go:build !cuda || !cgo || !linux

package nvml

import "context"

// Library is the stub of a binary without CUDA; there are none.
type Library struct{}

// Open returns ErrNotBuilt.
func Open() (*Library, error) { return nil, ErrNotBuilt }

func (*Library) Close() error                             { return nil }
func (*Library) Driver() string                           { return "" }
func (*Library) GPUs() ([]GPU, error)                     { return nil, ErrNotBuilt }
func (*Library) Watch(context.Context, func(Event)) error { return ErrNotBuilt }
