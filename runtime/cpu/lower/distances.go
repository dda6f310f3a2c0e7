package lower

import (
	"fmt"

	"github.com/aimass/aimass/kernels/gemm64"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/tensor"
)

var metrics = map[string]gemm64.Metric{"sqeuclidean": gemm64.SquaredEuclidean, "euclidean": gemm64.Euclidean, "cityblock": gemm64.Cityblock}

// narrowRows is how many rows of distances in float64 are made float32 at a time.
const narrowRows = 24

// lowerDistances takes CDist of floats against constant rows. float32 is computed in float64.
func lowerDistances(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	a, b, out := n.In[0], n.In[1], n.Out[0]
	by, known := metrics[n.Attrs.Str("metric", "sqeuclidean")]
	w := f.constant(b)
	wide := f.f64(a) && f.f64(b) && f.f64(out)
	if w == nil || !known || !wide && !(f.f32(a) && f.f32(b) && f.f32(out)) || len(f.shape(a)) != 2 || len(w.Shape) != 2 ||
		f.shape(out).Elements() == 0 || f.shape(a)[1] != w.Shape[1] {
		return nil, false
	}
	rows, k, cols := f.shape(a)[0], w.Shape[1], w.Shape[0]
	packed := f.pl.Packed.get(w, fmt.Sprintf("gemm64 %dx%d true", k, cols), func(src *tensor.Tensor) (any, int64) {
		v := make([]float64, cols*k)
		if wide {
			v = tensor.Packable[float64](src)
		} else {
			move.Convert(v, tensor.Data[float32](src))
		}
		p := gemm64.Pack(k, cols, v, k, true)
		return p, int64(p.Bytes())
	}).(*gemm64.Packed)
	g := &group{nodes: []int{i}, reads: []int{a}, writes: []int{out}, cost: rows * cols * (1 + k/vectorTerms)}
	if wide {
		g.run = func(e *Env) error {
			gemm64.Distances(rows, e.f64(a), k, packed, e.f64(out), cols, by, e.Threads)
			return nil
		}
		return g, true
	}
	some := min(rows, narrowRows)
	x, y := f.scratch(tensor.Float64, some*k), f.scratch(tensor.Float64, some*cols)
	g.writes = append(g.writes, x, y)
	g.run = func(e *Env) error {
		for r := 0; r < rows; r += some {
			n := min(some, rows-r)
			move.Convert(e.f64(x)[:n*k], e.f32(a)[r*k:(r+n)*k])
			gemm64.Distances(n, e.f64(x), k, packed, e.f64(y), cols, by, e.Threads)
			move.Convert(e.f32(out)[r*cols:(r+n)*cols], e.f64(y)[:n*cols])
		}
		return nil
	}
	return g, true
}
