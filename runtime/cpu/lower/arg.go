package lower

import (
	"math"

	"github.com/aimass/aimass/kernels/elementwise64"
	"github.com/aimass/aimass/kernels/reduce"
	"github.com/aimass/aimass/runtime/tensor"
)

// argBlock is how many neighbouring answers are found at a time, so that they stay in the cache.
const argBlock = 1024

// lowerArg finds where the greatest or least elements are that a reduction gives.
func lowerArg(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	wide := f.f64(x)
	if !wide && !f.f32(x) || !f.known(out, tensor.Int64) || f.shape(x).Elements() == 0 {
		return nil, false
	}
	s := f.shape(x)
	axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(s))
	if err != nil {
		return nil, false
	}
	op, last := reduce.Max, n.Attrs.Int("select_last_index", 0) != 0
	if n.Op == "ArgMin" {
		op = reduce.Min
	}
	outer, count, inner := s[:axis].Elements(), s[axis], s[axis+1:].Elements()
	if inner == 1 && count <= fewPlaces {
		run := func(e *Env) error {
			if at := tensor.Data[int64](e.Tensor(out)); wide {
				fewest(at, e.f64(x), count, op == reduce.Min, last)
			} else {
				fewest(at, e.f32(x), count, op == reduce.Min, last)
			}
			return nil
		}
		return &group{nodes: []int{i}, reads: []int{x}, writes: []int{out}, run: run}, true
	}
	best := f.scratch(f.pl.Info[x].DType, outer*inner)
	run := func(e *Env) error {
		at := tensor.Data[int64](e.Tensor(out))
		if wide {
			elementwise64.Fold(wideFolds[op], e.f64(best), e.f64(x), outer, count, inner)
			places(at, e.f64(x), e.f64(best), count, inner, last)
			return nil
		}
		reduce.Axis(op, e.f32(best), e.f32(x), outer, count, inner, e.Threads)
		places(at, e.f32(x), e.f32(best), count, inner, last)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: []int{out, best}, run: run}, true
}

// fewPlaces is how many elements side by side are quicker to go through one by one than to reduce first.
const fewPlaces = 16

// fewest finds where in each row of count values the greatest or least is; the first or last NaN counts as that.
func fewest[T float32 | float64](at []int64, x []T, count int, least, last bool) {
	sign := T(1)
	if least {
		sign = -1
	}
	for r := range at {
		row := x[r*count : (r+1)*count]
		k, best := 0, T(math.Inf(-1))
		if last {
			for j, v := range row {
				v *= sign
				if v >= best {
					k = j
				}
				best = max(best, v)
			}
		} else {
			for j, v := range row {
				v *= sign
				if v > best {
					k = j
				}
				best = max(best, v)
			}
		}
		if best != best {
			k = position(row, best, last)
		}
		at[r] = int64(k)
	}
}

// places finds where along the middle of three axes the values are that were found.
func places[T float32 | float64](at []int64, x, found []T, count, inner int, last bool) {
	for o := range len(found) / inner {
		rows, found, at := x[o*count*inner:(o+1)*count*inner], found[o*inner:(o+1)*inner], at[o*inner:(o+1)*inner]
		if inner == 1 {
			at[0] = int64(position(rows, found[0], last))
			continue
		}
		for from := 0; from < inner; from += argBlock {
			to := min(inner, from+argBlock)
			for k := range count {
				if !last {
					k = count - 1 - k
				}
				mark(at[from:to], rows[k*inner+from:k*inner+to], found[from:to], int64(k))
			}
		}
	}
}

// position is the first or last index of v in x; with a NaN in x v is NaN, and NaN is meant.
func position[T float32 | float64](x []T, v T, last bool) int {
	if last {
		for k := len(x) - 1; k > 0; k-- {
			if x[k] == v || x[k] != x[k] {
				return k
			}
		}
		return 0
	}
	for k, w := range x {
		if w == v || w != w {
			return k
		}
	}
	return 0
}

// mark writes k where x holds what is sought.
func mark[T float32 | float64](at []int64, x, sought []T, k int64) {
	for j, v := range x {
		if v == sought[j] || v != v {
			at[j] = k
		}
	}
}
