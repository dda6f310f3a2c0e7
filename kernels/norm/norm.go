// Package norm normalises float32 tensors: LayerNorm and RMSNorm over rows,
// with a residual and a bias added in the same pass, InstanceNorm over the
// channels of an image, and the affine form that a BatchNorm folds to.
//
// The destination may be the source or the residual. Nothing is kept or
// allocated. Safe for concurrent use on different destinations.
// Neighbours: pool, isa.
package norm

import (
	"fmt"

	"github.com/aimass/aimass/kernels/isa"
)

// Rows describes a normalisation of Rows dense rows of Cols values. With
// s = x + Residual + Bias, each row becomes
//
//	LayerNorm: (s − mean s) / √(var s + Epsilon) · Gamma + Beta
//	RMSNorm:    s / √(mean s² + Epsilon) · Gamma + Beta
//
// Every slice but x and dst may be nil. Residual is dense like x; Bias, Gamma
// and Beta have Cols values. Sum, if not nil, receives s and may be Residual.
type Rows struct {
	Rows, Cols  int
	RMS         bool
	Epsilon     float32
	Residual    []float32
	Bias        []float32
	Gamma, Beta []float32
	Sum         []float32
	Threads     int
}

// Run normalises x into dst.
func (p *Rows) Run(dst, x []float32) { p.run(isa.Current().Level, dst, x) }

func (p *Rows) run(level isa.Level, dst, x []float32) {
	n := p.Rows * p.Cols
	if n == 0 {
		return
	}
	check("dst", dst, n, false)
	check("x", x, n, false)
	check("residual", p.Residual, n, true)
	check("sum", p.Sum, n, true)
	check("bias", p.Bias, p.Cols, true)
	check("gamma", p.Gamma, p.Cols, true)
	check("beta", p.Beta, p.Cols, true)
	if level != isa.Generic {
		p.runNative(level, dst, x)
		return
	}
	p.runGeneric(dst, x)
}

// Instance normalises each of outer×channels dense planes of inner values to
// mean 0 and variance 1 (plus epsilon), then scales by gamma[c] and shifts by
// beta[c].
func Instance(dst, x []float32, outer, channels, inner int, gamma, beta []float32, epsilon float32, threads int) {
	instance(isa.Current().Level, dst, x, outer, channels, inner, gamma, beta, epsilon, threads)
}

func instance(level isa.Level, dst, x []float32, outer, channels, inner int, gamma, beta []float32, epsilon float32, threads int) {
	n := outer * channels * inner
	if n == 0 {
		return
	}
	check("dst", dst, n, false)
	check("x", x, n, false)
	check("gamma", gamma, channels, false)
	check("beta", beta, channels, false)
	if level != isa.Generic {
		instanceNative(level, dst, x, outer, channels, inner, gamma, beta, epsilon, threads)
		return
	}
	instanceGeneric(dst, x, outer, channels, inner, gamma, beta, epsilon)
}

// Affine sets dst = x·scale[c] + shift[c] over a dense outer×channels×inner
// tensor: a BatchNorm whose statistics are folded into scale and shift.
func Affine(dst, x []float32, outer, channels, inner int, scale, shift []float32, threads int) {
	affine(isa.Current().Level, dst, x, outer, channels, inner, scale, shift, threads)
}

func affine(level isa.Level, dst, x []float32, outer, channels, inner int, scale, shift []float32, threads int) {
	n := outer * channels * inner
	if n == 0 {
		return
	}
	check("dst", dst, n, false)
	check("x", x, n, false)
	check("scale", scale, channels, false)
	check("shift", shift, channels, false)
	if level != isa.Generic {
		affineNative(level, dst, x, outer, channels, inner, scale, shift, threads)
		return
	}
	affineGeneric(dst, x, outer, channels, inner, scale, shift)
}

func check(name string, x []float32, n int, optional bool) {
	if len(x) < n && (x != nil || !optional) {
		panic(fmt.Sprintf("BUG: norm: %s has %d values of %d", name, len(x), n))
	}
}
