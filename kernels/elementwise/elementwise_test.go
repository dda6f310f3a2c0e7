package elementwise

import (
	"slices"
	"testing"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// inputs are the specials and a sweep over the range where functions bend.
func inputs(t *testing.T) []float32 {
	sp := kt.Specials()
	x := kt.Guarded(t, len(sp)+4001)
	n := copy(x, sp)
	for i := n; i < len(x); i++ {
		x[i] = float32(i-n-2000) * 0.013
	}
	return x
}

func TestUnary(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		x := inputs(t)
		for f := range act.Func(act.Count) {
			for _, p := range [][2]float32{{1, 0.25}, {0.3, 1.7}} {
				a := act.Act{Func: f, A: p[0], B: p[1]}
				want, got := make([]float32, len(x)), kt.Guarded(t, len(x))
				unary(isa.Generic, want, x, a, 1)
				unary(level, got, x, a, 1)
				// Subnormal results may lose digits; 1e-37 covers them. Sums that
				// cancel keep the rounding of their terms, which are below 4.
				atol := 1e-37
				if f == act.HardSigmoid || f == act.HardSwish || f == act.Affine {
					atol = 4e-7
				}
				// e^(−x²/2) far out carries the rounding of x² in its exponent.
				if f == act.Gelu || f == act.GeluTanh {
					atol = 1e-11
				}
				kt.Same(t, kt.Name("unary", level, f, p), got, want, 2e-6, atol)
			}
		}
	})
}

func TestUnaryLengths(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for n := range 70 {
			x := kt.Random(t, n, 3)
			got, want := kt.Guarded(t, n), make([]float32, n)
			a := act.Act{Func: act.Gelu}
			unary(level, got, x, a, 2)
			unary(isa.Generic, want, x, a, 1)
			kt.Same(t, kt.Name("length", n), got, want, 2e-6, 1e-30)
		}
		x := kt.Random(t, 300001, 3)
		want := make([]float32, len(x))
		unary(isa.Generic, want, x, act.Act{Func: act.Tanh}, 1)
		unary(level, x, x, act.Act{Func: act.Tanh}, 2)
		kt.Same(t, "in place, threads", x, want, 2e-6, 1e-30)
	})
}

func TestBinary(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		sp := kt.Specials()
		for op := range opCount {
			for _, rc := range [][2]int{{0, 5}, {1, 1}, {1, 16}, {3, 7}, {5, 33}, {4, 100}, {1, 200000}, {700, 301}} {
				for _, st := range [][2]int{{0, 0}, {0, 1}, {1, 0}, {-1, 1}} {
					for _, swap := range []bool{false, true} {
						f := &form{op: op, rows: rc[0], cols: rc[1], yr: st[0], ys: st[1], swap: swap}
						if st[0] < 0 {
							f.yr = f.cols
						}
						n := f.rows * f.cols
						x := kt.Random(t, n, 1)
						y := kt.Random(t, max(n, f.rows, f.cols, 1), 2)
						for i := range min(n, 200) {
							x[i], y[i*7%len(y)] = sp[i%len(sp)], sp[(i/len(sp)+i)%len(sp)]
						}
						got, want := kt.Guarded(t, n), make([]float32, n)
						binary(level, f, got, x, y, 2)
						binary(isa.Generic, f, want, x, y, 1)
						kt.Same(t, kt.Name("binary", level, *f), got, want, 1e-7, 0)
					}
				}
			}
		}
	})
}

func TestForms(t *testing.T) {
	x, y := []float32{1, 2, 3, 4, 5, 6}, []float32{10, 20, 30}
	f := func(want []float32, run func(dst []float32)) {
		t.Helper()
		dst := make([]float32, 6)
		run(dst)
		if !slices.Equal(dst, want) {
			t.Fatalf("got %v, want %v", dst, want)
		}
	}
	f([]float32{11, 22, 33, 14, 25, 36}, func(d []float32) { BinaryRow(Add, d, x, 2, y, false, 1) })
	f([]float32{9, 18, 27, 6, 15, 24}, func(d []float32) { BinaryRow(Sub, d, x, 2, y, true, 1) })
	f([]float32{10, 20, 60, 80, 150, 180}, func(d []float32) { BinaryCol(Mul, d, x, 2, y, false, 1) })
	f([]float32{2, 1, 2. / 3, .5, .4, 1. / 3}, func(d []float32) { BinaryScalar(Div, d, x, 2, true, 1) })
	f([]float32{1, 4, 9, 16, 25, 36}, func(d []float32) { Binary(Mul, d, x, x, 1) })
}

func TestProgram(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		f := func(rows, cols int, layouts []Layout, steps ...Step) {
			t.Helper()
			var in [][]float32
			for i, l := range layouts {
				n := [...]int{rows * cols, cols, rows, 1}[l]
				in = append(in, kt.Random(t, n, uint64(i+1)))
			}
			got, want := kt.Guarded(t, rows*cols), make([]float32, rows*cols)
			for _, l := range []isa.Level{level, isa.Generic} {
				p, err := newProgram(l, layouts, steps)
				if err != nil {
					t.Fatal(err)
				}
				if l == level {
					p.Run(got, rows, cols, in, 2)
				} else {
					p.Run(want, rows, cols, in, 1)
				}
			}
			kt.Same(t, kt.Name("program", level, rows, cols, layouts), got, want, 1e-5, 1e-6)
		}
		un := func(fn act.Func, d, x uint8) Step {
			return Step{Unary: true, Act: act.Act{Func: fn, A: 1}, Dst: d, X: x}
		}
		bin := func(op Op, d, x, y uint8) Step { return Step{Op: op, Dst: d, X: x, Y: y} }
		for _, rc := range [][2]int{{1, 1}, {3, 17}, {2, 512}, {3, 513}, {40, 3000}} {
			f(rc[0], rc[1], []Layout{Full}, un(act.Sigmoid, 1, 0), bin(Mul, 0, 0, 1))
			f(rc[0], rc[1], []Layout{Full, Row, Col, Scalar}, bin(Add, 4, 0, 1), bin(Sub, 4, 2, 4), bin(Mul, 4, 3, 4), un(act.Tanh, 5, 4), bin(Max, 0, 5, 4))
			f(rc[0], rc[1], []Layout{Col, Scalar}, bin(Add, 2, 0, 1), un(act.Exp, 3, 0), bin(Mul, 2, 2, 3))
			f(rc[0], rc[1], []Layout{Scalar, Row}, un(act.Neg, 0, 0), bin(Add, 0, 0, 1))
		}
	})
	if _, err := NewProgram([]Layout{Full}, []Step{{Op: Add, Dst: 1, X: 0, Y: 3}}); err == nil {
		t.Fatal("a program that reads an empty register was taken")
	}
	if _, err := NewProgram(nil, nil); err == nil {
		t.Fatal("an empty program was taken")
	}
}
