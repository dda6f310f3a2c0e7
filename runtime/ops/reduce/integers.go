package reduce

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/tensor"
)

// signBit flips the order of uint64 seen as int64 into that of int64.
const signBit = math.MinInt64

// reduceInts reduces integers and truth values in 64 bits.
func reduceInts(k kind, p plan, y, x *tensor.Tensor) error {
	if x.DType == tensor.Bool && k != maximum && k != minimum {
		return fmt.Errorf("expected numbers, got %v", x)
	}
	v, err := tensor.Int64s(x)
	if err != nil {
		return err
	}
	flip := x.DType == tensor.Uint64 && (k == maximum || k == minimum)
	if flip {
		v = flipped(v)
	}
	acc := make([]int64, y.Elements())
	switch k {
	case sum, mean:
		run(p, acc, v, 0, func(a, x int64) int64 { return a + x })
	case prod:
		run(p, acc, v, 1, func(a, x int64) int64 { return a * x })
	case maximum:
		run(p, acc, v, bounds(x.DType).lo, func(a, x int64) int64 { return max(a, x) })
	case minimum:
		run(p, acc, v, bounds(x.DType).hi, func(a, x int64) int64 { return min(a, x) })
	case l1:
		run(p, acc, v, 0, func(a, x int64) int64 {
			if x < 0 && x != math.MinInt64 {
				x = -x
			}
			return a + x
		})
	case sumSquare:
		run(p, acc, v, 0, func(a, x int64) int64 { return a + x*x })
	}
	if k == mean {
		if p.count == 0 && len(acc) > 0 {
			return fmt.Errorf("mean of no integers")
		}
		for i := range acc {
			acc[i] /= int64(p.count)
		}
	}
	if flip {
		acc = flipped(acc)
	}
	return tensor.StoreInt64s(y, acc)
}

func flipped(v []int64) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = x ^ signBit
	}
	return out
}

type limits struct{ lo, hi int64 }

// bounds are a type's least and greatest value as int64; those of Uint64 in flipped order.
func bounds(d tensor.DType) limits {
	switch d {
	case tensor.Bool:
		return limits{0, 1}
	case tensor.Uint64, tensor.Int64:
		return limits{math.MinInt64, math.MaxInt64}
	}
	if d.IsUnsigned() {
		return limits{0, 1<<d.Bits() - 1}
	}
	return limits{-1 << (d.Bits() - 1), 1<<(d.Bits()-1) - 1}
}
