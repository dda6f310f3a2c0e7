package batcher

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// lookup is a model whose one attention gives every token the mean of its sequence: hidden is the
// token and that mean on [sequences, tokens, 2], first that of the first token. A token that
// met another sequence's, or came out in another's place, would show.
func lookup(t *testing.T) *runtime.Model {
	t.Helper()
	g := build.New("lookup", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Sym("s"))
	col := func(name string) string {
		return g.Op("Unsqueeze", []string{x, g.Const(name, []int64{1, 3}, 2)})
	}
	key := g.Op("Transpose", []string{col("k")}, build.Is("perm", 0, 1, 3, 2))
	// The scores are 0: every token gets the mean of its sequence.
	zero := g.Op("Mul", []string{g.Op("MatMul", []string{col("q"), key}), g.Const("zero", []float32{1e-30})})
	mean := g.Op("MatMul", []string{g.Op("Softmax", []string{zero}, build.I("axis", -1)), col("v")})
	flat := g.Op("Squeeze", []string{mean, g.Const("sq", []int64{1}, 1)})
	own := g.Op("Unsqueeze", []string{x, g.Const("own", []int64{2}, 1)})
	g.Output(g.OpAs("hidden", "Concat", []string{own, flat}, build.I("axis", 2)), build.Float, build.Sym("n"), build.Sym("s"), build.Size(2))
	g.Output(g.OpAs("first", "Gather", []string{"hidden", g.Const("cls", []int64{0})}, build.I("axis", 1)), build.Float, build.Sym("n"), build.Size(2))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.NewEngine(runtime.Config{}).Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.Ragged == nil {
		t.Fatalf("not ragged: %s", m.Batch.Ragged)
	}
	return m
}

// TestRaggedAnswersBelongToRequests: sequences of any length share batches, and each request
// gets its own tokens, the mean of its own sequence and its own first token.
// summed is a request of rows of n numbers, and what their sums are.
func summed(rng *rand.Rand, rows, n int) (r *Request, vals, sums []float32) {
	vals, sums = make([]float32, rows*n), make([]float32, rows)
	for i := range vals {
		vals[i] = float32(rng.IntN(100))
		sums[i/n] += vals[i]
	}
	r = &Request{Rows: rows}
	r.In = append(r.In, *tensor.FromSlice(slices.Clone(vals), rows, n))
	return r, vals, sums
}

func TestRaggedAnswersBelongToRequests(t *testing.T) {
	m := lookup(t)
	b := New("m", m, Config{}.WithDefaults(2))
	b.model = slowly{m, new(atomic.Int64)}
	var wg sync.WaitGroup
	for g := range 24 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 9))
			for range 60 {
				rows, n := 1+rng.IntN(2), 1+rng.IntN(40)
				r, vals, sums := summed(rng, rows, n)
				ctx, cancel := context.Background(), func() {}
				if rng.IntN(4) == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(400))*time.Microsecond)
				}
				err := b.Do(ctx, r)
				cancel()
				if c := api.CodeOf(err); err != nil && c != api.CodeCancelled && c != api.CodeRequestTimeout {
					t.Errorf("unexpected: %v", err)
				}
				if err == nil {
					checkRagged(t, r, vals, sums, n)
					r.Release()
				}
				clear(tensor.Data[float32](&r.In[0]))
			}
		})
	}
	wg.Wait()
	if e, rows := b.stats.Executions.Load(), b.stats.Rows.Load(); rows < e*3/2 {
		t.Errorf("%d sequences in %d runs: they did not share batches", rows, e)
	}
	b.Close()
}

// TestSequencesOfOneLengthRunAsRows: the model itself runs them, and each request gets its own rows.
func TestSequencesOfOneLengthRunAsRows(t *testing.T) {
	m := lookup(t)
	b := New("m", m, Config{}.WithDefaults(1))
	var runs atomic.Int64
	b.model = slowly{m, &runs}
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 11))
			for range 40 {
				const n = 9
				rows := 1 + rng.IntN(3)
				r, vals, sums := summed(rng, rows, n)
				if err := b.Do(context.Background(), r); err != nil {
					t.Error(err)
					return
				}
				checkRagged(t, r, vals, sums, n)
				r.Release()
			}
		})
	}
	wg.Wait()
	if e, rows := b.stats.Executions.Load(), b.stats.Rows.Load(); rows < e*3 || e != runs.Load() {
		t.Errorf("%d sequences in %d runs, %d of them as rows", rows, e, runs.Load())
	}
	b.Close()
}

// slowly makes every run take a while, so that requests gather, and counts those that aren't ragged.
type slowly struct {
	*runtime.Model
	runs *atomic.Int64
}

func (s slowly) Run(ctx context.Context, c *device.Call) error {
	s.runs.Add(1)
	time.Sleep(200 * time.Microsecond)
	return s.Model.Run(ctx, c)
}

func checkRagged(t *testing.T, r *Request, vals, sums []float32, n int) {
	t.Helper()
	hidden, first := r.Out[0].(*tensor.Tensor), r.Out[1].(*tensor.Tensor)
	if s := hidden.Shape; len(s) != 3 || s[0] != r.Rows || s[1] != n || s[2] != 2 || first.Shape[0] != r.Rows {
		t.Fatalf("shapes %v, %v for %d of %d", hidden.Shape, first.Shape, r.Rows, n)
	}
	h, f := tensor.Data[float32](hidden), tensor.Data[float32](first)
	near := func(a, b float32) bool { return a-b < 1e-3 && b-a < 1e-3 }
	for i, v := range vals {
		if h[2*i] != v || !near(h[2*i+1], sums[i/n]/float32(n)) {
			t.Fatalf("token %d: got %v and a mean of %v, want %v and %v", i, h[2*i], h[2*i+1], v, sums[i/n]/float32(n))
		}
	}
	for k := range r.Rows {
		if f[2*k] != vals[k*n] || !near(f[2*k+1], sums[k]/float32(n)) {
			t.Fatalf("first token of sequence %d: got %v", k, f[2*k:2*k+2])
		}
	}
}

func TestRaggedCountsTokens(t *testing.T) {
	req := func(longest int, shapes ...[]int) *Request {
		r := &Request{Rows: shapes[0][0]}
		for _, s := range shapes {
			r.In = append(r.In, *tensor.New(tensor.Float32, s))
		}
		r.prepare(time.Now(), &lag{})
		r.prepareRagged(longest)
		return r
	}
	for _, c := range []struct {
		r    *Request
		want int
	}{
		{req(0, []int{2, 7}), 14}, {req(8, []int{2, 7}, []int{2, 7}), 14},
		{req(6, []int{2, 7}), 0}, {req(0, []int{2, 7}, []int{2, 8}), 0}, {req(0, []int{2}), 0}, {req(0, []int{2, 0}), 0},
	} {
		if c.r.item.Rows != c.want || (c.r.length > 0) != (c.want > 0) {
			t.Errorf("%v: counts %d, want %d", c.r.In[0].Shape, c.r.item.Rows, c.want)
		}
	}
}
