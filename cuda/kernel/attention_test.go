package kernel

import (
	"fmt"
	"math"
)

// attended is one attention that is tried.
type attended struct {
	batch, heads, kv     int
	queries, keys        int
	d, dv                int
	mask, causal, length bool
	past                 int
	offset               float64 // added to the mask: scores that overflow exp
	packed               bool    // [batch, row, head, d] instead of [batch, head, row, d]
	shift                int64
}

func (b *bench) attention(a attended) {
	b.shift = a.shift
	layout := func(rows, heads, d int) ([]float32, [3]int64) {
		s := [3]int64{int64(heads * rows * d), int64(rows * d), int64(d)}
		if a.packed {
			s = [3]int64{int64(heads * rows * d), int64(d), int64(heads * d)}
		}
		return b.normal(a.batch * heads * rows * d), s
	}
	q, sq := layout(a.queries, a.heads, a.d)
	k, sk := layout(a.keys, a.kv, a.d)
	v, sv := layout(a.keys, a.kv, a.dv)
	out, so := layout(a.queries, a.heads, a.dv)
	call := Attention{Q: put(b, q), K: put(b, k), V: put(b, v), Out: room[float32](b, len(out)), Batch: a.batch, Heads: a.heads, KVHeads: a.kv,
		Queries: a.queries, Keys: a.keys, Size: a.d, SizeV: a.dv, StrideQ: sq, StrideK: sk, StrideV: sv, StrideOut: so,
		Scale: float32(1 / math.Sqrt(float64(a.d))), Causal: a.causal, Past: a.past}
	mask := b.normal(a.batch * a.queries * a.keys)
	if a.mask {
		for i := range mask {
			mask[i] += float32(a.offset)
			if b.rng.IntN(5) == 0 {
				mask[i] = float32(math.Inf(-1))
			}
		}
		call.Mask, call.StrideMask = put(b, mask), [4]int64{int64(a.queries * a.keys), 0, int64(a.keys), 1}
	}
	lengths := make([]int32, a.batch)
	for i := range lengths {
		lengths[i] = int32(a.keys)
		if a.length {
			lengths[i] = int32(b.rng.IntN(a.keys + 1))
		}
	}
	if a.length {
		shift := b.shift
		b.shift = 0
		call.Lengths = put(b, lengths)
		b.shift = shift
	}
	b.do(AppendAttention(nil, call))
	want, scale := make([]float64, len(out)), make([]float64, len(out))
	for n := range a.batch {
		for h := range a.heads {
			hk := h / (a.heads / a.kv)
			for i := range a.queries {
				weights, sum := attendWeights(a, n, i, int(lengths[n]), mask, func(j int) float64 {
					var dot float64
					for c := range a.d {
						dot += float64(q[int64(n)*sq[0]+int64(h)*sq[1]+int64(i)*sq[2]+int64(c)]) * float64(k[int64(n)*sk[0]+int64(hk)*sk[1]+int64(j)*sk[2]+int64(c)])
					}
					return dot * float64(call.Scale)
				})
				for c := range a.dv {
					at := int64(n)*so[0] + int64(h)*so[1] + int64(i)*so[2] + int64(c)
					for j, w := range weights {
						if sum > 0 {
							x := w / sum * float64(v[int64(n)*sv[0]+int64(hk)*sv[1]+int64(j)*sv[2]+int64(c)])
							want[at] += x
							scale[at] += math.Abs(x)
						}
					}
				}
			}
		}
	}
	eps := 1e-5
	if a.offset != 0 {
		eps *= math.Abs(a.offset) / 10 // a score of that size is only so exact in float32
	}
	b.near(fmt.Sprintf("%+v", a), get[float32](b, call.Out, len(out)), want, scale, eps)
}

func attendWeights(a attended, n, i, length int, mask []float32, score func(int) float64) (weights []float64, sum float64) {
	weights = make([]float64, a.keys)
	top := math.Inf(-1)
	for j := range weights {
		weights[j] = math.Inf(-1)
		if j >= length || a.causal && j > a.past+i {
			continue
		}
		weights[j] = score(j)
		if a.mask {
			weights[j] += float64(mask[(n*a.queries+i)*a.keys+j])
		}
		top = max(top, weights[j])
	}
	for j := range weights {
		if math.IsInf(top, -1) {
			weights[j] = 0
			continue
		}
		weights[j] = math.Exp(weights[j] - top)
		sum += weights[j]
	}
	return weights, sum
}

func attentionChecks() []check {
	var all []check
	list := []attended{
		{batch: 1, heads: 1, kv: 1, queries: 1, keys: 1, d: 1, dv: 1},
		{batch: 2, heads: 3, kv: 3, queries: 33, keys: 31, d: 32, dv: 32, packed: true, mask: true},
		{batch: 2, heads: 2, kv: 1, queries: 65, keys: 129, d: 31, dv: 20, causal: true, past: 64, shift: 4},
		{batch: 3, heads: 2, kv: 2, queries: 5, keys: 100, d: 64, dv: 64, length: true, mask: true, offset: 100},
		{batch: 1, heads: 2, kv: 2, queries: 127, keys: 65, d: 33, dv: 64, mask: true, offset: -300, packed: true},
		{batch: 1, heads: 2, kv: 1, queries: 34, keys: 67, d: 128, dv: 128, causal: true, mask: true},
		{batch: 2, heads: 1, kv: 1, queries: 67, keys: 70, d: 32, dv: 32, causal: true, mask: true},
		{batch: 2, heads: 1, kv: 1, queries: 33, keys: 97, d: 60, dv: 64, causal: true, mask: true, length: true, past: 31},
		{batch: 2, heads: 1, kv: 1, queries: 35, keys: 67, d: 64, dv: 64, causal: true},
		{batch: 2, heads: 1, kv: 1, queries: 35, keys: 36, d: 252, dv: 255, causal: true, mask: true},
		{batch: 1, heads: 1, kv: 1, queries: 31, keys: 33, d: 32, dv: 31, shift: 4},
		{batch: 1, heads: 1, kv: 1, queries: 31, keys: 33, d: 64, dv: 63, shift: 4},
		{batch: 1, heads: 1, kv: 1, queries: 31, keys: 33, d: 254, dv: 256, shift: 4},
		{batch: 1, heads: 1, kv: 1, queries: 31, keys: 33, d: 65, dv: 127, shift: 4},
		{batch: 1, heads: 2, kv: 2, queries: 33, keys: 64, d: 256, dv: 256, length: true},
		{batch: 1, heads: 1, kv: 1, queries: 7, keys: 35, d: 129, dv: 200, mask: true, packed: true},
	}
	for _, width := range []int{32, 64, 128, 256} {
		// A thread has four keys of a step and every eighth column of the result: the last key and
		// the last column in each of these places, with what else hides keys and without.
		for keys := 37; keys < 64; keys += 8 {
			for hides := range 4 {
				list = append(list, attended{batch: 1, heads: 1, kv: 1, queries: 5, keys: keys, d: width - hides, dv: width - 3 + hides, mask: hides&1 != 0,
					causal: hides&2 != 0, past: 64})
			}
		}
		for dv := 4; dv < width; dv += 8 {
			list = append(list, attended{batch: 1, heads: 1, kv: 1, queries: 2, keys: 3, d: width, dv: dv})
		}
	}
	for _, a := range list {
		all = append(all, check{fmt.Sprintf("attention/%dx%d/%d/%d", a.queries, a.keys, a.d, a.dv), false, func(b *bench) { b.attention(a) }})
	}
	return all
}
