package match

import (
	"math"

	"github.com/aimass/aimass/kernels/act"
)

// Tail is what follows a product or convolution and is done in its tile store:
// act(alpha·P + bias + residual).
type Tail struct {
	Alpha    float32 // 0: 1
	Bias     int     // slot of a constant, −1 for none
	Residual int     // slot, −1 for none
	Act      act.Act
	Out      int   // the slot that is finally written
	Nodes    []int // taken
	// What the kernel can: Scales tells that it has an alpha, Takes which functions it has (nil: all),
	// Biased that it has a bias from elsewhere, Alone that it adds no residual.
	Scales, Biased, Alone bool
	Takes                 func(act.Func) bool
}

// Follow walks from t.Out through the nodes that alone read it, as far as the tail can take
// them. channels is the length of a bias and axis, counted from the end of the shape, where it runs: 1
// for the columns of a matrix, 3 for NCHW.
func (g *Graph) Follow(t *Tail, channels, axis int) {
	for t.Act.Func == act.None {
		if a, ok := g.ActivationAt(t.Out); ok && (t.Takes == nil || t.Takes(a.Act.Func)) {
			t.Act, t.Out = a.Act, a.Out
			t.Nodes = append(t.Nodes, a.Nodes...)
			return
		}
		i, ok := g.OnlyUser(t.Out)
		if !ok {
			return
		}
		n := g.Node(i)
		// Before opset 7 operands were broadcast along an axis of their own.
		if len(n.Out) != 1 || len(n.In) != 2 || n.In[0] == n.In[1] || !g.F32(n.Out[0]) || !g.Shape(n.Out[0]).Equal(g.Shape(t.Out)) || n.Opset < 7 {
			return
		}
		switch n.OpName() {
		case "Add":
			ok = g.addition(n, channels, axis, t)
		case "Mul", "Div":
			ok = t.Scales && t.Bias < 0 && !t.Biased && t.Residual < 0 && g.scaling(n, t)
		default:
			return
		}
		if !ok {
			return
		}
		t.Nodes, t.Out = append(t.Nodes, i), n.Out[0]
	}
}

// addition takes a bias or a residual.
func (g *Graph) addition(n Node, channels, axis int, t *Tail) bool {
	other, _ := Operand(n, t.Out)
	if g.ConstF32(other) != nil && t.Bias < 0 && !t.Biased && AlongAxis(g.Shape(other), channels, axis) {
		t.Bias = other
		return true
	}
	if t.Residual < 0 && !t.Alone && g.F32(other) && g.Shape(other).Equal(g.Shape(t.Out)) {
		t.Residual = other
		return true
	}
	return false
}

func (g *Graph) scaling(n Node, t *Tail) bool {
	other, ok := Operand(n, t.Out)
	if !ok {
		return false
	}
	v, ok := g.Scalar(other)
	if !ok || v == 0 {
		return false
	}
	if n.Op == "Div" {
		// A division by a power of two is the same as a product; others round differently
		// by half a unit in the last place, which docs/numerics.md allows.
		v = 1 / v
	}
	if t.Alpha != 0 {
		v *= t.Alpha
	}
	if v == 0 || v != v || math.IsInf(float64(v), 0) {
		return false
	}
	t.Alpha = v
	return true
}
