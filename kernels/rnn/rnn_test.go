package rnn

import (
	"math"
	"slices"
	"testing"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

func compare(t *testing.T, level isa.Level, kind Kind, hidden, steps, batch int, o Options, lens []int32, reverse bool) {
	t.Helper()
	n := kind.gates() * hidden
	r := kt.Random(t, n*hidden, 1)
	for i := range r {
		r[i] /= float32(math.Sqrt(float64(hidden)))
	}
	h, c := kt.Random(t, batch*hidden, 3), kt.Random(t, batch*hidden, 4)
	s := &Sequence{Steps: steps, Batch: batch, Gates: kt.Random(t, steps*batch*n, 2), H: h, C: c,
		Y: kt.Random(t, steps*batch*hidden, 5), YStep: batch * hidden, YRow: hidden, Lens: lens, Reverse: reverse}
	w := *s
	w.H, w.C, w.Y = slices.Clone(h), slices.Clone(c), slices.Clone(s.Y)
	pack(level, kind, hidden, r, o).Run(s)
	pack(isa.Generic, kind, hidden, r, o).Run(&w)
	name := kt.Name("rnn", level, kind, hidden, steps, batch, lens, reverse)
	kt.Same(t, name+" y", s.Y, w.Y, 1e-5, 2e-5)
	kt.Same(t, name+" h", s.H, w.H, 1e-5, 2e-5)
	kt.Same(t, name+" c", s.C, w.C, 1e-5, 2e-5)
}

func TestCells(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for kind := LSTM; kind <= GRUAfter; kind++ {
			for _, hidden := range []int{1, 7, 16, 33, 128} {
				o := Options{RecurrentBias: kt.Random(t, hidden, 6)}
				compare(t, level, kind, hidden, 5, 1, o, nil, false)
				compare(t, level, kind, hidden, 4, 3, o, nil, true)
				compare(t, level, kind, hidden, 4, 14, o, nil, false)
				o.Clip, o.F = 0.5, act.Act{Func: act.HardSigmoid, A: 0.2, B: 0.5}
				compare(t, level, kind, hidden, 6, 3, o, []int32{6, 0, 2}, true)
				compare(t, level, kind, hidden, 6, 3, o, []int32{1, 6, 0}, false)
			}
		}
		compare(t, level, LSTM, 20, 3, 2, Options{Peep: kt.Random(t, 60, 7)}, nil, false)
		compare(t, level, LSTM, 20, 3, 2, Options{InputForget: true}, nil, true)
		compare(t, level, LSTM, 20, 0, 2, Options{}, nil, false)
	})
}

// The LSTM equations by hand, one unit and one step.
func TestByHand(t *testing.T) {
	c := pack(isa.Generic, LSTM, 1, []float32{0.1, 0.2, 0.3, 0.4}, Options{})
	s := &Sequence{Steps: 1, Batch: 1, Gates: []float32{1, 2, 3, 4}, H: []float32{0.5}, C: []float32{-1}}
	c.Run(s)
	sig := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	cell := sig(3.15)*-1 + sig(1.05)*math.Tanh(4.2)
	kt.Same(t, "cell", s.C, []float32{float32(cell)}, 1e-6, 0)
	kt.Same(t, "state", s.H, []float32{float32(sig(2.1) * math.Tanh(cell))}, 1e-6, 0)
}
