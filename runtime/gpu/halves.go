package gpu

import (
	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernel"
	"github.com/aimass/aimass/runtime/tensor"
)

// halves lets a plan compute values of float16 as float32 between operations, so that every kernel
// takes them and less is rounded than on the host. Products read constant matrices as they are, on
// the tensor cores; tables that are looked up stay as they are too. What the host reads or writes, and the
// graph's own inputs and outputs, is converted where it passes.
type halves struct {
	*values
	derived  *derived
	wide     map[int]int // float16 → its float32
	narrow   map[int]int // and back
	original map[*node]*node
}

func newHalves(v *values, d *derived) *halves {
	return &halves{values: v, derived: d, wide: map[int]int{}, narrow: map[int]int{}, original: map[*node]*node{}}
}

// half reports a value that is computed in float32 instead.
func (h *halves) half(slot int) bool {
	return slot >= 0 && h.info[slot].Known && h.info[slot].DType == tensor.Float16
}

// widened is the slot that stands for one on the device.
func (h *halves) widened(slot int) int {
	if !h.half(slot) {
		return slot
	}
	if w, ok := h.wide[slot]; ok {
		return w
	}
	var w int
	if t := h.tensor(slot); t != nil {
		w = h.constant(h.derived.get("float32 of "+h.derived.key(t), func() *tensor.Tensor {
			v, err := tensor.Float64s(t)
			if err != nil {
				panic("BUG: gpu: " + err.Error())
			}
			return floats(v, t.Shape)
		}))
	} else {
		w = h.values.add(tensor.Float32, h.info[slot].Shape...)
		h.narrow[w] = slot
	}
	h.wide[slot] = w
	return w
}

// nodes gives the nodes with their values widened.
func (h *halves) nodes(work []*node) []*node {
	out := make([]*node, len(work))
	for i, n := range work {
		out[i] = h.node(n)
		h.original[out[i]] = n
	}
	return out
}

func (h *halves) node(n *node) *node {
	table := n.OpName() == "Gather" && h.half(n.in[0]) && h.tensor(n.in[0]) != nil
	if table || len(n.captured) > 0 || len(n.Subgraphs()) > 0 {
		return n
	}
	c := *n
	c.in, c.out = make([]int, len(n.in)), make([]int, len(n.out))
	for k, s := range n.in {
		c.in[k] = s
		if matrix := k == 1 && (n.OpName() == "MatMul" || n.OpName() == "Gemm"); !matrix || !h.halfMatrix(s) {
			c.in[k] = h.widened(s)
		}
	}
	for k, s := range n.out {
		c.out[k] = h.widened(s)
	}
	return &c
}

// halves reports that some value is computed in float32 instead.
func (v *values) halves() bool {
	for _, x := range v.info {
		if x.Known && x.DType == tensor.Float16 {
			return true
		}
	}
	return false
}

// halfMatrix reports a constant matrix of float16.
func (v *values) halfMatrix(slot int) bool {
	t := v.tensor(slot)
	return t != nil && t.DType == tensor.Float16 && len(t.Shape) == 2
}

// converted puts conversions between the pieces, where one reads a form of a value that another
// has not made, and gives the nodes back as they were.
func (h *halves) converted(pieces []piece, inputs, outputs []int) []piece {
	have := map[int]bool{} // slots of either form that hold their value
	for _, s := range inputs {
		have[s] = true
	}
	var out []piece
	// convert makes a slot from its other form.
	convert := func(slot int) *operation {
		have[slot] = true
		if from, ok := h.narrow[slot]; ok {
			return h.cast("f16", "f32", from, slot)
		}
		return h.cast("f32", "f16", h.wide[slot], slot)
	}
	lacks := func(slot int) bool {
		if slot < 0 || have[slot] || h.info[slot].Const != nil {
			return false
		}
		from, wide := h.narrow[slot]
		to, half := h.wide[slot]
		return wide && have[from] || half && have[to]
	}
	for _, x := range pieces {
		if x.host != nil {
			n := h.original[x.host]
			for _, list := range [][]int{n.in, n.captured} {
				for _, s := range list {
					if lacks(s) {
						out = append(out, piece{ops: []*operation{convert(s)}})
					}
				}
			}
			for _, s := range n.out {
				have[s] = true
			}
			out = append(out, piece{host: n})
			continue
		}
		var list []*operation
		for _, o := range x.ops {
			for _, s := range o.in {
				if lacks(s) {
					list = append(list, convert(s))
				}
			}
			for _, s := range o.out {
				have[s] = true
			}
			for k, n := range o.nodes {
				if was := h.original[n]; was != nil { // operations may share a list
					o.nodes[k] = was
				}
			}
			list = append(list, o)
		}
		out = append(out, piece{ops: list})
	}
	for _, s := range outputs {
		if lacks(s) {
			out = append(out, piece{ops: []*operation{convert(s)}})
		}
	}
	return out
}

func (h *halves) cast(from, to string, in, out int) *operation {
	n := int64(h.shape(out).Elements())
	return &operation{kind: "cast", in: []int{in}, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr, _ cuda.Ptr) ([]cuda.Launch, error) {
		return kernel.AppendCast(dst, from, to, in[0], out[0], n)
	}}
}
