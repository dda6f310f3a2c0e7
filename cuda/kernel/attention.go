package kernel

import (
	"fmt"

	"github.com/aimass/aimass/cuda"
)

// Attention is out = softmax(Scale·Q·Kᵀ + mask)·V in float32, with no intermediate tensor.
// Elements of a head are contiguous; everything else is by strides in elements: {batch, head, row}.
// KVHeads heads of K and V are shared by groups of Heads/KVHeads (0 counts as Heads).
type Attention struct {
	Q, K, V, Out          cuda.Ptr
	Batch, Heads, KVHeads int
	Queries, Keys         int
	Size, SizeV           int // of a head of Q and K, at most 256, and of V (0 counts as Size)
	StrideQ, StrideK      [3]int64
	StrideV, StrideOut    [3]int64
	// Mask is added to the scores: {batch, head, query, key} strides, 0 where it repeats; 0: none.
	Mask       cuda.Ptr
	StrideMask [4]int64
	// Lengths, if given, holds an int32 a batch: keys from there on are not seen.
	Lengths cuda.Ptr
	Scale   float32 // 0 is 0: the caller computes 1/√Size
	// Causal: query i sees keys up to Past + i.
	Causal bool
	Past   int
}

// AppendAttention appends the Launch of a. A query that sees no key gets zeros.
func AppendAttention(dst []cuda.Launch, a Attention) ([]cuda.Launch, error) {
	if a.KVHeads == 0 {
		a.KVHeads = a.Heads
	}
	if a.SizeV == 0 {
		a.SizeV = a.Size
	}
	size := max(a.Size, a.SizeV)
	blocks, ok := elements(a.Batch, a.Heads)
	if !ok || a.Queries < 0 || a.Keys < 0 || a.Queries > maxIndex-64 || a.Keys > maxIndex-64 || a.Past < 0 || a.Past > maxIndex-a.Queries-64 ||
		size > 256 || a.Size < 1 || a.SizeV < 1 {
		return dst, limit("attention of %d×%d heads of %d and %d, %d queries, %d keys", a.Batch, a.Heads, a.Size, a.SizeV, a.Queries, a.Keys)
	}
	if blocks == 0 || a.Queries == 0 {
		return dst, nil
	}
	if a.KVHeads < 1 || a.Heads%a.KVHeads != 0 {
		return dst, fmt.Errorf("kernel: attention: %d heads over %d of keys", a.Heads, a.KVHeads)
	}
	per := maxGrid / a.Heads // batches a launch
	if per == 0 {
		return dst, limit("attention of %d heads", a.Heads)
	}
	width, queries := 32, int64(64)
	for width < size {
		width *= 2
	}
	if width > 64 {
		queries = 32
	}
	vec := uint32(0)
	for i, o := range []struct {
		p cuda.Ptr
		s [3]int64
		n int
	}{{a.Q, a.StrideQ, a.Size}, {a.K, a.StrideK, a.Size}, {a.V, a.StrideV, a.SizeV}} {
		if aligned(o.p) && (o.s[0]|o.s[1]|o.s[2]|int64(o.n))%4 == 0 {
			vec |= 1 << i
		}
	}
	for b := 0; b < a.Batch; b += per {
		move := func(p cuda.Ptr, stride int64) cuda.Ptr {
			if p == 0 {
				return 0
			}
			return p + cuda.Ptr(4*int64(b)*stride)
		}
		l := launch("attention", fmt.Sprintf("attention_%d", width), ceilDiv(int64(a.Queries), queries), 128,
			move(a.Q, a.StrideQ[0]), move(a.K, a.StrideK[0]), move(a.V, a.StrideV[0]), move(a.Out, a.StrideOut[0]), move(a.Mask, a.StrideMask[0]), move(a.Lengths, 1),
			a.Queries, a.Keys, a.Size, a.SizeV, a.Heads, a.Heads/a.KVHeads,
			a.StrideQ[0], a.StrideQ[1], a.StrideQ[2], a.StrideK[0], a.StrideK[1], a.StrideK[2],
			a.StrideV[0], a.StrideV[1], a.StrideV[2], a.StrideOut[0], a.StrideOut[1], a.StrideOut[2],
			a.StrideMask[0], a.StrideMask[1], a.StrideMask[2], a.StrideMask[3], a.Scale, a.Causal, a.Past, vec)
		l.Grid.Y = uint32(min(per, a.Batch-b) * a.Heads)
		dst = append(dst, l)
	}
	return dst, nil
}
