//go:build !amd64 || !cgo || noasm

package convtranspose

import "github.com/aimass/aimass/kernels/conv"

func (p *Packed) fold(y []float32, oh, ow int, cols []float32, h, w int, bias []float32, _ int) {
	p.foldGeneric(y, oh, ow, cols, h, w, bias)
}

func (p *Packed) activate(y []float32, ep *conv.Epilogue, _ int) { ep.Act.Apply(y) }
