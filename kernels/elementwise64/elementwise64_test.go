package elementwise64

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// guarded gives n values that end before a page that can't be touched, some of them special.
func guarded(t testing.TB, r *rand.Rand, n int) []float64 {
	t.Helper()
	x := kt.Guarded(t, 2*n)
	if n == 0 {
		return nil
	}
	d := unsafe.Slice((*float64)(unsafe.Pointer(&x[0])), n)
	specials := []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), 5e-324, 1e-310, math.MaxFloat64, -math.MaxFloat64, 1, -1, 709.8, -745.2, 1e-20, 0.5, 2}
	for i := range d {
		d[i] = r.NormFloat64() * math.Exp2(float64(r.IntN(20)-10))
		if r.IntN(9) == 0 {
			d[i] = specials[r.IntN(len(specials))]
		}
	}
	return d
}

// same allows for some units in the last place.
func same(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	for i, w := range want {
		g := got[i]
		if g == w && math.Signbit(g) == math.Signbit(w) || math.IsNaN(g) && math.IsNaN(w) {
			continue
		}
		if d := math.Abs(g - w); math.IsNaN(d) || math.IsInf(w, 0) || d > tol*math.Abs(w)+1e-323 {
			t.Fatalf("%s: value %d is %g, want %g", what, i, g, w)
		}
	}
}

// random makes a program of any operators over registers that hold something.
func random(r *rand.Rand) ([]elementwise.Layout, []Step) {
	layouts := make([]elementwise.Layout, 1+r.IntN(4))
	for i := range layouts {
		layouts[i] = elementwise.Layout(r.IntN(4))
	}
	steps := make([]Step, 1+r.IntN(3))
	regs := len(layouts)
	for i := range steps {
		// Roundings grow through exponentials, so those that follow each other are tested alone.
		op := Op(r.IntN(int(Exp)))
		if i == 0 {
			op = Op(r.IntN(int(opCount)))
		}
		steps[i] = Step{Op: op, Dst: uint8(r.IntN(min(maxRegs, regs+1))), X: uint8(r.IntN(regs)), Y: uint8(r.IntN(regs))}
		regs = max(regs, int(steps[i].Dst)+1)
	}
	return layouts, steps
}

func TestProgram(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		r := rand.New(rand.NewPCG(1, 2))
		for k := range 3000 {
			layouts, steps := random(r)
			rows, cols := r.IntN(9), r.IntN(40)
			if k%50 == 0 {
				rows, cols = r.IntN(300), r.IntN(700)
			}
			p, err := newProgram(level, layouts, steps)
			if err != nil {
				t.Fatal(err)
			}
			plain, _ := newProgram(isa.Generic, layouts, steps)
			in := make([][]float64, len(layouts))
			for i, l := range layouts {
				in[i] = guarded(t, r, [...]int{rows * cols, cols, rows, 1}[l])
			}
			got, want := guarded(t, r, rows*cols), make([]float64, rows*cols)
			plain.Run(want, rows, cols, in, 1)
			p.Run(got, rows, cols, in, 1+k%2)
			// A sum may cancel what is rounded otherwise, so that the errors of the first step show.
			tol := 1e-15
			if len(steps) > 1 && steps[0].Op >= Exp {
				continue
			}
			same(t, fmt.Sprintf("%v %d×%d of %v: %v", level, rows, cols, layouts, steps), got, want, tol)
		}
	})
}

func TestFunctions(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		r := rand.New(rand.NewPCG(3, 4))
		for op := Neg; op < opCount; op++ {
			p, err := newProgram(level, []elementwise.Layout{elementwise.Full}, []Step{{Op: op, Dst: 1}})
			if err != nil {
				t.Fatal(err)
			}
			x := guarded(t, r, 50000)
			for i := range 20000 {
				x[i] = r.Float64()*1500 - 750
			}
			for i := range 10000 {
				x[20000+i] = r.Float64()
			}
			got, want := make([]float64, len(x)), make([]float64, len(x))
			p.Run(got, 1, len(x), [][]float64{x}, 1)
			for i, v := range x {
				want[i] = op.of(v, 0)
			}
			same(t, fmt.Sprintf("%v, function %d", level, op), got, want, 1e-15)
		}
	})
}

func TestFold(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		r := rand.New(rand.NewPCG(5, 6))
		for range 2000 {
			outer, n, inner := r.IntN(5), 1+r.IntN(60), 1
			if r.IntN(2) == 0 {
				inner = r.IntN(40)
			}
			x := guarded(t, r, outer*n*inner)
			if r.IntN(3) > 0 {
				for i := range x {
					x[i] = r.NormFloat64()
				}
			}
			for op := range foldCount {
				got, want := guarded(t, r, outer*inner), make([]float64, outer*inner)
				fold(level, op, got, x, outer, n, inner)
				foldGeneric(op, want, x, outer, n, inner)
				for i, w := range want {
					// Sums of other signs cancel; zeros of Max and Min may have either sign.
					if g := got[i]; g != w && !(math.IsNaN(g) && math.IsNaN(w)) && !(math.Abs(g-w) <= 1e-14*float64(n)*(1+math.Abs(w))) && !(op < Greatest && large(x)) {
						t.Fatalf("%v: fold %d over %d×%d×%d: value %d is %g, want %g", level, op, outer, n, inner, i, g, w)
					}
				}
			}
		}
	})
}

// large reports values whose sum depends on its order.
func large(x []float64) bool {
	for _, v := range x {
		if math.Abs(v) > 100 {
			return true
		}
	}
	return false
}

func TestRefused(t *testing.T) {
	full := []elementwise.Layout{elementwise.Full}
	for _, c := range []struct {
		layouts []elementwise.Layout
		steps   []Step
	}{
		{nil, []Step{{Op: Neg}}},
		{full, nil},
		{full, []Step{{Op: opCount}}},
		{full, []Step{{Op: Add, Dst: 1, X: 0, Y: 1}}},
		{full, []Step{{Op: Neg, Dst: 8}}},
		{[]elementwise.Layout{9}, []Step{{Op: Neg}}},
		{make([]elementwise.Layout, 7), []Step{{Op: Neg}}},
		{full, make([]Step, 25)},
	} {
		if _, err := New(c.layouts, c.steps); err == nil {
			t.Errorf("%v, %v: no error", c.layouts, c.steps)
		}
	}
}
