//go:build !amd64 || !cgo || noasm

package convtranspose

func (p *Packed) weave(dst, src []float32, w *weave, _ int) { p.weaveGeneric(dst, src, w) }
