// Package match finds in a plan's nodes what one kernel can do: functions that exporters spell
// out in several nodes, what follows a product, attention around a softmax, a layer norm from its first mean on. It
// says which nodes these are and what the kernel needs to know; which kernel that is, and whether it takes
// the sizes, is the device's.
//
// Neighbours: runtime/cpu/lower and runtime/gpu make a Graph of a plan whose shapes are known and ask it.
//
// Ownership: a Graph reads what it is given and changes nothing; the one who lowers marks in Claimed what
// has been taken.
//
// Concurrency: a Graph belongs to the goroutine that lowers the plan.
package match

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// Node is a node with its values as slots.
type Node struct {
	*graph.Node
	In, Out  []int // −1: left out
	Captured []int // what nested graphs read
}

// Input is the slot of input i, −1 if it is left out.
func (n *Node) Input(i int) int {
	if i < len(n.In) {
		return n.In[i]
	}
	return -1
}

// Plan is what a device gives: nodes in an order in which they can run, and what is known of slots.
type Plan struct {
	Nodes  int
	Node   func(i int) Node
	Out    []int                    // slots that the graph returns
	Info   func(slot int) *ops.Info // of a slot from 0 on
	Direct func(slot int) bool      // kernels may address the slot's memory, and its shape is known
}

// Graph is a plan with who reads and who makes what.
type Graph struct {
	plan    Plan
	Users   map[int][]int // slot → nodes that read it
	Maker   map[int]int   // slot → node that writes it
	Output  map[int]bool  // slots that the graph returns
	Claimed []bool        // nodes that have been taken
}

// New makes the graph of a plan.
func New(p Plan) *Graph {
	g := &Graph{plan: p, Users: map[int][]int{}, Maker: map[int]int{}, Output: map[int]bool{}, Claimed: make([]bool, p.Nodes)}
	for i := range p.Nodes {
		n := p.Node(i)
		for _, list := range [][]int{n.In, n.Captured} {
			for _, s := range list {
				if s >= 0 {
					g.Users[s] = append(g.Users[s], i)
				}
			}
		}
		for _, s := range n.Out {
			if s >= 0 {
				g.Maker[s] = i
			}
		}
	}
	for _, s := range p.Out {
		g.Output[s] = true
	}
	return g
}

// Node is the i-th node.
func (g *Graph) Node(i int) Node { return g.plan.Node(i) }

// F32 reports a float32 tensor of known shape that kernels may address.
func (g *Graph) F32(slot int) bool {
	return slot >= 0 && g.plan.Info(slot).DType == tensor.Float32 && g.plan.Direct(slot)
}

// Shape is a slot's known shape.
func (g *Graph) Shape(slot int) tensor.Shape { return g.plan.Info(slot).Shape }

// Constant is a slot's constant tensor, nil if it is none.
func (g *Graph) Constant(slot int) *tensor.Tensor {
	if slot < 0 {
		return nil
	}
	return g.plan.Info(slot).Tensor()
}

// ConstF32 is a slot's constant elements, nil if it is no constant of float32.
func (g *Graph) ConstF32(slot int) []float32 {
	if t := g.Constant(slot); t != nil && t.DType == tensor.Float32 {
		return tensor.Data[float32](t)
	}
	return nil
}

// Scalar is the value of a constant of one float32.
func (g *Graph) Scalar(slot int) (float32, bool) {
	if t := g.Constant(slot); t == nil || t.Elements() != 1 {
		return 0, false // nobody asks for the elements of large ones
	}
	v := g.ConstF32(slot)
	if len(v) != 1 {
		return 0, false
	}
	return v[0], true
}

// number reports a constant of one element, of any type, that is v.
func (g *Graph) number(slot int, v float64) bool {
	t := g.Constant(slot)
	if t == nil || t.Elements() != 1 || t.DType.Bits() < 8 || !t.DType.IsInt() && !t.DType.IsFloat() {
		return false
	}
	x, err := tensor.Float64s(t)
	return err == nil && x[0] == v
}

// OnlyUser is the one node that reads a slot, if there is exactly one, it is not claimed
// and the graph does not return the slot.
func (g *Graph) OnlyUser(slot int) (int, bool) {
	u := g.Users[slot]
	if len(u) != 1 || g.Output[slot] || g.Claimed[u[0]] {
		return 0, false
	}
	return u[0], true
}

// onlyMade is the node that makes a slot for one reader, if it is not claimed and the graph does not
// return the slot.
func (g *Graph) onlyMade(slot int) (int, bool) {
	i, ok := g.Maker[slot]
	return i, ok && !g.Claimed[i] && len(g.Users[slot]) == 1 && !g.Output[slot]
}

// AlongAxis reports a shape of n values on the axis-th axis from the end and ones else.
func AlongAxis(s tensor.Shape, n, axis int) bool {
	return len(s) >= axis && s[len(s)-axis] == n && s.Elements() == n
}

// Wanted reports that some of the slots are not left out.
func Wanted(slots []int) bool {
	for _, s := range slots {
		if s >= 0 {
			return true
		}
	}
	return false
}
