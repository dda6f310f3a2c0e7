package cpu_test

import (
	"math"
	"slices"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// needs fails where no step runs a kernel.
func needs(t *testing.T, b *builder, kernel string) {
	t.Helper()
	for _, s := range b.check(t, close32) {
		if s.Kernel == kernel {
			return
		}
	}
	_, steps := b.run(t, false, 1)
	t.Errorf("no step runs %s\n%s", kernel, b.describe(steps))
}

// bools are true with probability p.
func (b *builder) bools(p float64, shape ...int) *tensor.Tensor {
	t := tensor.New(tensor.Bool, shape)
	for i, d := 0, tensor.Data[bool](t); i < len(d); i++ {
		d[i] = b.Float64() < p
	}
	return t
}

// TestLoweredSpelledAttention holds attention as PyTorch writes its fused form to Eval: the root of the scale
// on both operands, heads of keys repeated for several of queries, masks of all kinds, and no NaN where
// all keys are hidden.
func TestLoweredSpelledAttention(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		batch, queries, keys, few, repeat, width := one(b, 1, 2), one(b, 1, 3, 9), one(b, 1, 7, 17), one(b, 1, 2), one(b, 1, 2, 3), one(b, 4, 8)
		heads := few * repeat
		scaled := func(v *graph.Value) *graph.Value {
			if b.IntN(2) == 0 {
				return b.node("Mul", nil, v, b.scalar(0.7))
			}
			return v
		}
		expand := repeat > 1 && (few > 1 || b.IntN(2) == 0) // else a single head broadcasts
		stored := func() *graph.Value {
			v := b.input(b.floats(batch, few, keys, width))
			if b.IntN(3) == 0 {
				v = b.node("Transpose", attrs{"perm": ints(0, 2, 1, 3)}, b.input(b.floats(batch, keys, few, width)))
			}
			if b.IntN(3) == 0 {
				v = b.node("Concat", attrs{"axis": graph.IntAttr(2)}, b.input(b.floats(batch, few, 1, width)), v)
				b.output(v)
				v = b.node("Slice", nil, v, b.int64s(1), b.int64s(int64(keys)+1), b.int64s(2))
			}
			if expand {
				e := b.node("Expand", nil, b.node("Unsqueeze", nil, v, b.int64s(2)), b.int64s(int64(batch), int64(few), int64(repeat), int64(keys), int64(width)))
				v = b.node("Reshape", nil, e, b.int64s(int64(batch), int64(heads), int64(keys), int64(width)))
			}
			return v
		}
		q := scaled(b.node("Transpose", attrs{"perm": ints(0, 2, 1, 3)}, b.input(b.floats(batch, queries, heads, width))))
		k := scaled(b.node("Transpose", attrs{"perm": ints(0, 1, 3, 2)}, scaled(stored())))
		s := b.node("MatMul", nil, q, k)
		if b.IntN(4) == 0 {
			s = b.node("Mul", nil, b.node("Tanh", nil, b.node("Div", nil, s, b.scalar(2))), b.scalar(2))
		}
		masked := b.IntN(5)
		mask := tensor.Shape(one(b, []int{batch, 1, queries, keys}, []int{1, 1, 1, keys}, []int{heads, queries, 1}, []int{keys}))
		fill := b.scalar(one(b, float32(math.Inf(-1)), -math.MaxFloat32))
		hide := 0.7
		switch masked {
		case 0:
			s = b.node("Add", nil, s, b.input(b.floats(mask...)))
		case 1:
			s = b.node("Add", nil, b.node("Where", nil, b.input(b.bools(hide, mask...)), b.scalar(0), fill), s)
		case 2:
			s = b.node("Where", nil, b.input(b.bools(hide, mask...)), s, fill)
		case 3:
			s = b.node("Where", nil, b.input(b.bools(1-hide, mask...)), fill, s)
		}
		p := b.node("Softmax", nil, s)
		if b.IntN(2) == 0 {
			p = b.node("Where", nil, b.node("IsNaN", nil, p), b.scalar(0), p)
		}
		o := b.node("MatMul", nil, p, stored())
		if b.IntN(2) == 0 {
			o = b.node("Transpose", attrs{"perm": ints(0, 2, 1, 3)}, o)
		}
		b.output(o)
		needs(t, b, "attention")
	})
}

// TestSpelledAttentionRefused takes no attention where nodes between look alike but are not.
func TestSpelledAttentionRefused(t *testing.T) {
	for name, scores := range map[string]func(b *builder, s *graph.Value) *graph.Value{
		"fill that is no mask": func(b *builder, s *graph.Value) *graph.Value {
			return b.node("Where", nil, b.input(b.bools(0.5, 5)), s, b.scalar(-2))
		},
		"scale behind the mask": func(b *builder, s *graph.Value) *graph.Value {
			return b.node("Mul", nil, b.node("Add", nil, s, b.input(b.floats(5))), b.scalar(2))
		},
		"scores that are wanted": func(b *builder, s *graph.Value) *graph.Value { b.output(s); return s },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(3)
			s := b.node("MatMul", nil, b.input(b.floats(1, 2, 5, 8)), b.node("Transpose", attrs{"perm": ints(0, 1, 3, 2)}, b.input(b.floats(1, 2, 5, 8))))
			b.output(b.node("MatMul", nil, b.node("Softmax", nil, scores(b, s)), b.input(b.floats(1, 2, 5, 8))))
			steps := b.check(t, close32)
			for _, st := range steps {
				if st.Kernel == "attention" && slices.ContainsFunc(st.Nodes, func(n *graph.Node) bool { return n.Op == "Softmax" }) {
					t.Errorf("taken\n%s", b.describe(steps))
				}
			}
		})
	}
}

// TestLoweredAttentionNode holds the standard's Attention to Eval: both layouts, caches, groups of
// queries, masks and lengths.
func TestLoweredAttentionNode(t *testing.T) {
	seeds(t, 80, func(t *testing.T, b *builder) {
		batch, queries, fresh, few, repeat, qk, width := one(b, 1, 2), one(b, 1, 3, 9), one(b, 3, 7, 17), one(b, 1, 2), one(b, 1, 2, 3), one(b, 4, 8), one(b, 4, 8)
		heads := few * repeat
		a := attrs{"is_causal": graph.IntAttr(int64(b.IntN(2)))}
		if b.IntN(2) == 0 {
			a["scale"] = graph.FloatAttr(0.4)
		}
		if b.IntN(3) == 0 {
			a["softcap"] = graph.FloatAttr(1.5)
		}
		opset, window := 24, b.IntN(3) == 0
		if window {
			opset, a["left_window_size"] = 25, graph.IntAttr(one(b, int64(0), 2, 8))
		}
		flat := b.IntN(2) == 0
		operand := func(tokens, heads, width int) *graph.Value {
			switch {
			case flat:
				return b.input(b.floats(batch, tokens, heads*width))
			case b.IntN(2) == 0:
				return b.node("Transpose", attrs{"perm": ints(0, 2, 1, 3)}, b.input(b.floats(batch, tokens, heads, width)))
			}
			return b.input(b.floats(batch, heads, tokens, width))
		}
		if flat {
			a["q_num_heads"], a["kv_num_heads"] = graph.IntAttr(int64(heads)), graph.IntAttr(int64(few))
		}
		in := []*graph.Value{operand(queries, heads, qk), operand(fresh, few, qk), operand(fresh, few, width), nil}
		past := 0
		cached := b.IntN(3)
		if cached == 1 {
			past = one(b, 0, 1, 6)
			in = append(in, b.input(b.floats(batch, few, past, qk)), b.input(b.floats(batch, few, past, width)))
		}
		keys := past + fresh
		mask := tensor.Shape(one(b, []int{queries, keys}, []int{1, keys}, []int{batch, 1, 1, keys}, []int{heads, queries, keys}))
		switch b.IntN(3) {
		case 0:
			in[3] = b.input(b.floats(mask...))
		case 1:
			in[3] = b.input(b.bools(0.5, mask...))
		}
		if cached == 2 {
			lens := tensor.New(tensor.Int64, tensor.Shape{batch})
			for i, d := 0, tensor.Data[int64](lens); i < len(d); i++ {
				d[i] = int64(b.IntN(keys + 1))
			}
			in = append(in, nil, nil, b.input(lens))
		}
		o := b.nodes("Attention", 1+2*b.IntN(2), a, in...)
		o[0].Def.Opset = opset
		y := o[0]
		if !flat && b.IntN(2) == 0 {
			y = b.node("Transpose", attrs{"perm": ints(0, 2, 1, 3)}, y)
		}
		b.output(append(slices.Clone(o[1:]), y)...)
		if cached != 2 && (a["is_causal"].I == 1 && queries > fresh || a["is_causal"].I == 0 && window && queries != fresh) {
			b.check(t, close32) // left to Eval
			return
		}
		needs(t, b, "attentionNode")
	})
}

// TestLoweredRotary holds both rotary embeddings to Eval.
func TestLoweredRotary(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		batch, rows, heads, pairs, positions := one(b, 1, 2), one(b, 1, 5), one(b, 1, 3), one(b, 2, 4), 9
		size := 2*pairs + one(b, 0, 2)
		a := attrs{"interleaved": graph.IntAttr(int64(b.IntN(2))), "num_heads": graph.IntAttr(int64(heads)), "rotary_embedding_dim": graph.IntAttr(int64(2 * pairs))}
		x := b.input(b.floats(batch, rows, heads*size))
		switch b.IntN(3) {
		case 0:
			x = b.input(b.floats(batch, heads, rows, size))
		case 1:
			x = b.node("Transpose", attrs{"perm": ints(0, 2, 1, 3)}, b.input(b.floats(batch, rows, heads, size)))
		}
		ids := tensor.New(tensor.Int64, tensor.Shape{batch, rows})
		microsoft := b.IntN(2) == 0
		if microsoft && b.IntN(2) == 0 {
			ids = tensor.New(tensor.Int64, tensor.Shape{1})
		}
		for i, d := 0, tensor.Data[int64](ids); i < len(d); i++ {
			d[i] = int64(b.IntN(positions - rows))
		}
		var o *graph.Value
		switch cos, sin := b.floats(positions, pairs), b.floats(positions, pairs); {
		case microsoft:
			o = b.node("com.microsoft.RotaryEmbedding", a, x, b.input(ids), b.constant(cos), b.constant(sin))
			o.Def.Opset = 1
		case b.IntN(2) == 0:
			o = b.node("RotaryEmbedding", a, x, b.constant(cos), b.constant(sin), b.input(ids))
			o.Def.Opset = 23
		default:
			o = b.node("RotaryEmbedding", a, x, b.input(b.floats(batch, rows, pairs)), b.input(b.floats(batch, rows, pairs)))
			o.Def.Opset = 23
		}
		b.output(o)
		needs(t, b, "rotary")
	})
}

// TestLoweredGroupQuery holds com.microsoft's GroupQueryAttention to Eval: first runs and later ones, caches
// that grow and caches with room, with rotation and without.
func TestLoweredGroupQuery(t *testing.T) {
	seeds(t, 80, func(t *testing.T, b *builder) {
		batch, queries, groups, repeat, size := one(b, 1, 2), one(b, 1, 3, 6), one(b, 1, 2), one(b, 1, 3), one(b, 4, 8)
		heads := groups * repeat
		a := attrs{"num_heads": graph.IntAttr(int64(heads)), "kv_num_heads": graph.IntAttr(int64(groups)), "do_rotary": graph.IntAttr(int64(b.IntN(2))),
			"rotary_interleaved": graph.IntAttr(int64(b.IntN(2)))}
		old, total := 0, queries
		if b.IntN(3) > 0 {
			old = one(b, 1, 7)
			total = old + queries - b.IntN(min(old, queries)+1)
		}
		in := []*graph.Value{b.input(b.floats(batch, queries, heads*size)), b.input(b.floats(batch, queries, groups*size)), b.input(b.floats(batch, queries, groups*size)), nil, nil}
		if b.IntN(2) == 0 {
			in = []*graph.Value{b.input(b.floats(batch, queries, (heads+2*groups)*size)), nil, nil, nil, nil}
		}
		if old > 0 {
			in[3], in[4] = b.input(b.floats(batch, groups, old, size)), b.input(b.floats(batch, groups, old, size))
		}
		lens := tensor.New(tensor.Int32, tensor.Shape{batch})
		for i, d := 0, tensor.Data[int32](lens); i < len(d); i++ {
			if least := min(queries, total); total == queries {
				d[i] = int32(b.IntN(total))
			} else {
				d[i] = int32(least + b.IntN(total-least+1) - 1)
			}
		}
		in = append(in, b.input(lens), b.constant(tensor.Scalar(int32(total))))
		if a["do_rotary"].I == 1 {
			in = append(in, b.constant(b.floats(20, size/2)), b.constant(b.floats(20, size/2)))
		}
		if b.IntN(3) == 0 {
			a["softcap"] = graph.FloatAttr(1.5)
		}
		if b.IntN(3) == 0 {
			a["local_window_size"] = graph.IntAttr(one(b, int64(1), 3, 8))
		}
		for len(in) < 12 {
			in = append(in, nil)
		}
		if b.IntN(3) == 0 {
			in[10] = b.input(b.floats(one(b, 1, batch), one(b, 1, heads), queries, max(old, total)))
		}
		switch b.IntN(4) {
		case 0:
			a["smooth_softmax"] = graph.IntAttr(1)
		case 1:
			in[11] = b.input(b.floats(heads))
		}
		o := b.nodes("com.microsoft.GroupQueryAttention", 3, a, in...)
		o[0].Def.Opset = 1
		b.output(o...)
		needs(t, b, "groupQuery")
	})
}
