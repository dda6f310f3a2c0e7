package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/feed"
	"github.com/aimass/aimass/runtime/tensor"
)

// MixedOptions of a measurement of sequences of mixed length: log-normal, cut to a range.
type MixedOptions struct {
	Model     string
	Sequences int
	Batch     int // sequences that run together
	Threads   int
	Rounds    int // the best counts
	Median    float64
	Sigma     float64
	Shortest  int
	Longest   int
	Seed      uint64
}

// MixedResult compares three ways to run the same sequences; times are of all of them.
type MixedResult struct {
	Model     string  `json:"model"`
	Sequences int     `json:"sequences"`
	Tokens    int     `json:"tokens"`
	Padded    int     `json:"padded_tokens"`
	AloneNS   int64   `json:"alone_ns"`
	PaddedNS  int64   `json:"padded_ns"`
	RaggedNS  int64   `json:"ragged_ns"`
	Speedup   float64 `json:"speedup"`
	MinCosine float64 `json:"min_cosine"`
}

// mixed is the load of one measurement.
type mixed struct {
	o       MixedOptions
	m       *runtime.Model
	lengths []int
	in      [][]tensor.Value // by sequence
}

// Mixed measures how fast a model runs sequences of mixed length: each alone, in batches
// padded to their longest, and in batches without padding; and how far answers of the last are
// from those of the first.
func Mixed(o MixedOptions) (*MixedResult, error) {
	engine := runtime.NewEngine(runtime.Config{CPU: cpu.Config{Threads: o.Threads, MaxPlans: 512}})
	m, err := engine.Open(o.Model)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if m.Ragged == nil {
		return nil, fmt.Errorf("the model does not run sequences of different length together: %s", m.Batch.Ragged)
	}
	w := &mixed{o: o, m: m}
	if err := w.draw(); err != nil {
		return nil, err
	}
	r := &MixedResult{Model: o.Model, Sequences: o.Sequences, AloneNS: math.MaxInt64, PaddedNS: math.MaxInt64, RaggedNS: math.MaxInt64, MinCosine: 1}
	for _, n := range w.lengths {
		r.Tokens += n
	}
	alone := make([][]float32, o.Sequences)
	// The first round makes the plans and isn't counted.
	for round := range o.Rounds + 1 {
		for _, way := range []struct {
			best *int64
			run  func() error
		}{
			{&r.AloneNS, func() error { return w.alone(alone) }},
			{&r.PaddedNS, func() (err error) { r.Padded, err = w.padded(); return err }},
			{&r.RaggedNS, func() error { return w.ragged(alone, &r.MinCosine) }},
		} {
			began := time.Now()
			if err := way.run(); err != nil {
				return nil, err
			}
			if round > 0 {
				*way.best = min(*way.best, int64(time.Since(began)))
			}
		}
	}
	r.Speedup = float64(r.PaddedNS) / float64(r.RaggedNS)
	return r, nil
}

// draw makes the sequences.
func (w *mixed) draw() error {
	rng := rand.New(rand.NewPCG(w.o.Seed, 1))
	for range w.o.Sequences {
		n := int(math.Round(w.o.Median * math.Exp(w.o.Sigma*rng.NormFloat64())))
		n = min(max(n, w.o.Shortest), w.o.Longest)
		var in []tensor.Value
		for _, p := range w.m.Inputs {
			s := tensor.Shape{1, n}
			for _, d := range p.Type.Shape[2:] {
				s = append(s, d.Size)
			}
			t, err := feed.Random(rng, p.Name, p.Type, s)
			if err != nil {
				return err
			}
			in = append(in, t)
		}
		w.lengths, w.in = append(w.lengths, n), append(w.in, in)
	}
	if len(w.lengths) == 0 || w.o.Batch < 1 || w.o.Rounds < 1 {
		return errors.New("there must be at least one sequence, one in a batch and one round")
	}
	return nil
}

func (w *mixed) run(call *device.Call) error {
	call.Threads = w.o.Threads
	return w.m.Run(context.Background(), call)
}

// alone runs each sequence by itself and keeps its first output.
func (w *mixed) alone(keep [][]float32) error {
	for i, in := range w.in {
		call := &device.Call{In: in}
		if err := w.run(call); err != nil {
			return err
		}
		if t, ok := call.Out[0].(*tensor.Tensor); ok && keep[i] == nil && t.DType == tensor.Float32 {
			keep[i] = append([]float32(nil), tensor.Data[float32](t)...)
		}
		call.Release()
	}
	return nil
}

// batches calls f with the sequences of each batch.
func (w *mixed) batches(f func(from, to int) error) error {
	for from := 0; from < len(w.in); from += w.o.Batch {
		if err := f(from, min(from+w.o.Batch, len(w.in))); err != nil {
			return err
		}
	}
	return nil
}

// padded fills the sequences of a batch up with zeros to its longest.
func (w *mixed) padded() (tokens int, err error) {
	err = w.batches(func(from, to int) error {
		longest := 0
		for _, n := range w.lengths[from:to] {
			longest = max(longest, n)
		}
		tokens += longest * (to - from)
		return w.together(from, to, tensor.Shape{to - from, longest}, func(i int) int { return (i - from) * longest }, w.run)
	})
	return tokens, err
}

// ragged puts the sequences of a batch one behind the other.
func (w *mixed) ragged(alone [][]float32, least *float64) error {
	return w.batches(func(from, to int) error {
		lengths, at, total := w.lengths[from:to], map[int]int{}, 0
		for i, n := range lengths {
			at[from+i] = total
			total += n
		}
		return w.together(from, to, tensor.Shape{1, w.m.Ragged.Tokens(total)}, func(i int) int { return at[i] }, func(call *device.Call) error {
			call.Threads = w.o.Threads
			if err := w.m.Ragged.Run(context.Background(), call, lengths); err != nil {
				return err
			}
			if t, ok := call.Out[0].(*tensor.Tensor); ok && t.DType == tensor.Float32 && !w.m.Ragged.First[0] {
				per := t.Shape[2:].Elements()
				for i, n := range lengths {
					got := tensor.Data[float32](t)[at[from+i]*per:]
					*least = min(*least, cosine(alone[from+i], got[:n*per]))
				}
			}
			return nil
		})
	})
}

// together copies sequences to their places in inputs of that shape and runs them.
func (w *mixed) together(from, to int, shape tensor.Shape, place func(i int) int, run func(*device.Call) error) error {
	call := &device.Call{}
	for k, p := range w.m.Inputs {
		t := tensor.New(p.Type.DType, append(shape.Clone(), w.in[0][k].(*tensor.Tensor).Shape[2:]...))
		per := p.Type.DType.Bytes(t.Shape[2:].Elements())
		for i := from; i < to; i++ {
			copy(t.Bytes()[place(i)*per:], w.in[i][k].(*tensor.Tensor).Bytes())
		}
		call.In = append(call.In, t)
	}
	if err := run(call); err != nil {
		return err
	}
	call.Release()
	return nil
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}
