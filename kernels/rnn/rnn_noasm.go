//go:build !amd64 || !cgo || noasm

package rnn

func (c *Cell) packNative([]float32) { panic("BUG: rnn: no native kernels in this build") }

func (c *Cell) runNative(*Sequence) { panic("BUG: rnn: no native kernels in this build") }
