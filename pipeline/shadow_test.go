package pipeline

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// totals serves versions of a model that adds what a sequence has sent so far, each with an error of its own.
func totals(t *testing.T, errors ...float32) (*Pipeline, []*Served) {
	t.Helper()
	hot, err := cache.New(cache.Config{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hot.Close)
	p := New(hot)
	var out []*Served
	for k, e := range errors {
		g := build.New("totals", 17)
		n := build.Sym("n")
		x, state := g.Input("x", build.Float, n, build.Size(1)), g.Input("state", build.Float, n, build.Size(1))
		sum := g.OpAs("next", "Add", []string{x, state})
		g.Output(g.OpAs("sum", "Add", []string{sum, g.Const("e", []float32{e}, 1)}), build.Float, n, build.Size(1))
		g.Output(sum, build.Float, n, build.Size(1))
		b, err := g.Encode()
		if err != nil {
			t.Fatal(err)
		}
		m, err := runtime.NewEngine(runtime.Config{}).Read(b)
		if err != nil {
			t.Fatal(err)
		}
		file, err := config.Parse([]byte(`max_batch_size: 8 sequence_batching { state { input_name: "state" output_name: "next" data_type: TYPE_FP32 dims: [ 1 ] }
			oldest { max_candidate_sequences: 30 } }`))
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := config.Resolve(config.Source{Model: "totals", File: file, Runtime: m})
		if err != nil {
			t.Fatal(err)
		}
		v, err := p.Attach(Spec{Model: "totals", Version: int64(k + 1), Runtime: m, Inputs: ports(c.Inputs), Outputs: ports(c.Outputs), MaxBatch: c.MaxBatch, Config: c,
			Batcher: batcher.Config{}.WithDefaults(2)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Detach(v) })
		out = append(out, v)
	}
	return p, out
}

// add sends one request of a sequence to the stable version and waits until its copy, if it has one, was compared.
func add(t *testing.T, p *Pipeline, v *Served, s Sequence, x, want float32) (copied bool) {
	t.Helper()
	var told atomic.Bool
	c := &Call{Sequence: s, Mirrored: func(*Served, bool, float64, error) { told.Store(true) }}
	c.In = []tensor.Tensor{*tensor.FromSlice([]float32{x}, 1, 1)}
	if err := v.Infer(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	for i, o := range c.Out {
		if got := tensor.Data[float32](o.(*tensor.Tensor))[0]; v.Outputs[i].Name == "sum" && got != want {
			t.Errorf("sequence %v: got %v, want %v", &s, got, want)
		}
	}
	if h := p.Shadow("totals"); h != nil {
		for until := time.Now().Add(10 * time.Second); h.working.Load() || len(h.queue) > 0; time.Sleep(50 * time.Microsecond) {
			if time.Now().After(until) {
				t.Fatal("the shadow does not come to an end")
			}
		}
	}
	return told.Load()
}

// TestShadowOfSequences: a shadow gets whole sequences and keeps the state of each, apart from those who ask its version.
func TestShadowOfSequences(t *testing.T) {
	p, v := totals(t, 0, 0, 0.5)
	rounds := func(sequences uint64) (copies [3]int) {
		for k := range 3 {
			for id := uint64(1); id <= sequences; id++ {
				if add(t, p, v[0], Sequence{Number: id, Start: k == 0, End: k == 2}, float32(id), float32(id)*float32(k+1)) {
					copies[k]++
				}
			}
		}
		return copies
	}
	stats := func() *ShadowStats { return &p.Shadow("totals").Stats }

	add(t, p, v[0], Sequence{Number: 99, Start: true}, 1, 1)
	p.SetRules("totals", Rules{Stable: 1, Shadow: 2, ShadowShare: 1})
	if add(t, p, v[0], Sequence{Number: 99, End: true}, 1, 2) {
		t.Error("a request was copied of a sequence that began before")
	}
	add(t, p, v[1], Sequence{Number: 1, Start: true}, 1000, 1000) // somebody asks the shadow itself
	if n := rounds(10); n != [3]int{10, 10, 10} {
		t.Errorf("%v copies", n)
	}
	add(t, p, v[1], Sequence{Number: 1, End: true}, 1, 1001)
	if s := stats(); s.Mirrored.Load() != 30 || s.Failed.Load()+s.Dropped.Load()+s.Differing.Load() != 0 || s.Values.Load() != 30 {
		t.Errorf("%d mirrored, %d failed, %d dropped, %d differ, %d values", s.Mirrored.Load(), s.Failed.Load(), s.Dropped.Load(), s.Differing.Load(), s.Values.Load())
	}
	if n := v[1].LiveSequences(); n != 0 {
		t.Errorf("%d sequences are left at the shadow", n)
	}

	p.SetRules("totals", Rules{Stable: 1, Shadow: 2, ShadowShare: 0.5})
	if n := rounds(20); n[0] < 8 || n[0] > 12 || n[1] != n[0] || n[2] != n[0] {
		t.Errorf("half of the sequences: %v copies", n)
	}

	p.SetRules("totals", Rules{Stable: 1, Shadow: 3, ShadowShare: 1})
	if rounds(5); stats().Differing.Load() != 15 || stats().MaxDifference() != 0.5 {
		t.Errorf("another model: %d differ by up to %v", stats().Differing.Load(), stats().MaxDifference())
	}
}

// TestShadowLosesASequence: where a copy is lost the rest of its sequence is not compared, the next of its name is; and sequences that
// never end are not followed for ever.
func TestShadowLosesASequence(t *testing.T) {
	p, v := totals(t, 0, 0)
	p.SetRules("totals", Rules{Stable: 1, Shadow: 2, ShadowShare: 1})
	h := p.Shadow("totals")
	if !add(t, p, v[0], Sequence{Number: 1, Start: true}, 1, 1) {
		t.Fatal("not copied")
	}
	h.working.Store(true) // nobody empties the queue
	for range shadowQueue {
		h.queue <- &copied{}
	}
	c := &Call{Sequence: Sequence{Number: 1}}
	c.In = []tensor.Tensor{*tensor.FromSlice([]float32{2}, 1, 1)}
	if err := v[0].Infer(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	c.Release()
	for range shadowQueue {
		<-h.queue
	}
	h.working.Store(false)
	if h.Stats.Dropped.Load() != 1 {
		t.Errorf("%d dropped", h.Stats.Dropped.Load())
	}
	if add(t, p, v[0], Sequence{Number: 1, End: true}, 4, 7) {
		t.Error("a request behind one that was dropped was compared")
	}
	k := &copied{kept: true, key: sequenceKey{number: 2, copied: true}}
	h.followed[k.key] = 1
	h.after(v[0], &Call{place: 3}, k, 1) // overtook the second
	if _, there := h.followed[k.key]; there || h.Stats.Dropped.Load() != 2 || len(h.queue) > 0 {
		t.Errorf("a copy out of its order was taken: %d dropped", h.Stats.Dropped.Load())
	}
	for k, want := range []float32{10, 20} {
		if !add(t, p, v[0], Sequence{Number: 1, Start: k == 0, End: k == 1}, 10, want) {
			t.Error("a new sequence of the same name is not compared")
		}
	}
	if h.Stats.Differing.Load()+h.Stats.Failed.Load() != 0 {
		t.Errorf("%d differ, %d failed", h.Stats.Differing.Load(), h.Stats.Failed.Load())
	}
	for id := uint64(100); id < 200; id++ {
		add(t, p, v[0], Sequence{Number: id, Start: true}, 1, 1)
		v[0].sequences.forget(sequenceKey{number: id}) // as its idle time does
		v[1].sequences.forget(sequenceKey{number: id, copied: true})
	}
	if n := len(h.followed); n > 30 {
		t.Errorf("%d sequences are followed, 30 may be live", n)
	}
}
