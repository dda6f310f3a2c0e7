package lower

import (
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
