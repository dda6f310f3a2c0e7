package lower

import (
	"slices"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/runtime/match"
)

// epilogue is what follows a product or convolution and is done in its tile store:
// act(alpha·P + bias + residual).
type epilogue struct {
	alpha    float32
	bias     []float32
	residual int // slot, −1 for none
	act      act.Act
	out      int   // the slot that is finally written
	nodes    []int // claimed
	reads    []int
	unscaled bool // the kernel has no alpha
	alone    bool // the store's order is not that of a residual
}

// newEpilogue makes an empty one.
func newEpilogue() *epilogue { return &epilogue{residual: -1} }

// follow walks from the product's result through the nodes that alone read it, as far
// as the epilogue can take them. channels is the length of a bias and axis, counted from
// the end of the shape, where it runs: 1 for the columns of a matrix, 3 for NCHW.
func (f *fuser) follow(out, channels, axis int, ep *epilogue) {
	t := match.Tail{Alpha: ep.alpha, Bias: -1, Biased: ep.bias != nil, Residual: ep.residual, Act: ep.act, Out: out, Scales: !ep.unscaled, Alone: ep.alone}
	f.g.Follow(&t, channels, axis)
	for axis == 1 && t.Act.Func == act.None {
		v, nodes := f.views(t.Out, channels)
		past := t
		past.Out, past.Nodes = v, slices.Concat(t.Nodes, nodes)
		taken := len(past.Nodes)
		if len(nodes) > 0 {
			f.g.Follow(&past, channels, axis)
		}
		if len(past.Nodes) == taken {
			break
		}
		t = past
	}
	if ep.alpha = t.Alpha; ep.alpha == 0 {
		ep.alpha = 1
	}
	if t.Bias >= 0 {
		ep.bias = f.constF32(t.Bias)
	}
	if t.Residual != ep.residual {
		ep.residual = t.Residual
		ep.reads = append(ep.reads, t.Residual)
	}
	ep.act, ep.out, ep.nodes = t.Act, t.Out, append(ep.nodes, t.Nodes...)
}

// views walks from slot through the nodes that alone read it while they only change its shape and its rows
// keep their length; it gives where it has come to and the nodes.
func (f *fuser) views(slot, columns int) (int, []int) {
	var nodes []int
	for {
		i, ok := f.onlyUser(slot)
		if !ok {
			return slot, nodes
		}
		switch n := f.node(i); n.OpName() {
		case "Reshape", "Flatten", "Squeeze", "Unsqueeze":
			s := f.shape(n.Out[0])
			if n.In[0] != slot || !f.f32(n.Out[0]) || len(s) == 0 || s[len(s)-1] != columns {
				return slot, nodes
			}
			slot, nodes = n.Out[0], append(nodes, i)
		default:
			return slot, nodes
		}
	}
}
