package lower

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/kernels/coded"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/runtime/ops/contrib"
	"github.com/aimass/aimass/runtime/tensor"
)

// lowerMatMulNBits takes products with constant weights that rest in few bits, and leaves them there. Where
// the order of the weights or the zero points are not such as the kernel has, they become floats.
func lowerMatMulNBits(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	if !f.f32(x) || !f.f32(out) || f.shape(out).Elements() == 0 {
		return nil, false
	}
	in := make([]tensor.Value, len(n.In))
	for k, slot := range n.In[1:] {
		if slot < 0 {
			continue
		}
		t := f.constant(slot)
		if t == nil {
			return nil, false
		}
		in[k+1] = t
	}
	k, cols := int(n.Attrs.Int("K", 0)), int(n.Attrs.Int("N", 0))
	ep := newEpilogue()
	if len(in) > 5 && in[5] != nil {
		if ep.bias = f.constF32(n.In[5]); len(ep.bias) != cols {
			return nil, false
		}
	}
	if sx := f.shape(x); len(sx) == 0 || sx[len(sx)-1] != k {
		return nil, false
	}
	switch w := f.bitWeights(n, in).(type) {
	case *coded.Weights:
		return f.times([]int{i}, x, out, k, cols, ep, func(m int, a, c []float32, ep *gemm.Epilogue, threads int) {
			coded.Gemm(m, a, k, w, c, cols, ep, threads)
		}), true
	case *gemm.PackedB:
		return f.times([]int{i}, x, out, k, cols, ep, func(m int, a, c []float32, ep *gemm.Epilogue, threads int) {
			gemm.Gemm(m, a, k, w, c, cols, ep, threads)
		}), true
	}
	return nil, false // Eval says what is wrong
}

// halfRows is the most rows for which weights that the file has in float16 or bfloat16 are read as such: reading
// takes longer than multiplying then.
const halfRows = 4

// halfWeights is the product d with its weights as the file has them.
func (f *fuser) halfWeights(d *denseNode, h *tensor.Tensor) *group {
	w := f.pl.Packed.get(h, fmt.Sprintf("coded %dx%d %t", d.k, d.cols, d.trans), func(src *tensor.Tensor) (any, int64) {
		ld := d.cols
		if d.trans {
			ld = d.k
		}
		w := coded.PackHalves(d.k, d.cols, halves(h.DType), tensor.Data[uint16](src), ld, d.trans)
		return w, int64(w.Bytes())
	}).(*coded.Weights)
	return f.times(d.nodes(), d.x, d.out(f), d.k, d.cols, d.ep, func(m int, a, c []float32, ep *gemm.Epilogue, threads int) {
		coded.Gemm(m, a, d.k, w, c, d.cols, ep, threads)
	})
}

// bitWeights gives a MatMulNBits node's weights, packed: *coded.Weights, *gemm.PackedB, or nil.
func (f *fuser) bitWeights(n *Node, in []tensor.Value) any {
	return f.pl.Packed.get(in[1].(*tensor.Tensor), "product by blocks", func(src *tensor.Tensor) (any, int64) {
		in := slices.Clone(in)
		in[1] = src
		b, err := contrib.NBitsBlocks(n.Attrs, in)
		if err != nil {
			return nil, 0
		}
		if b.Plain {
			w := coded.PackBlocks(b.K, b.N, &coded.Blocks{Bits: b.Bits, Size: b.Size, Codes: b.Codes, Scales: b.Scales, Zero: b.Zero})
			return w, int64(w.Bytes())
		}
		w, cols, k, err := contrib.NBitsWeights(n.Attrs, in)
		if err != nil {
			return nil, 0
		}
		p := gemm.PackB(k, cols, w, k, true)
		return p, int64(p.Bytes())
	})
}
