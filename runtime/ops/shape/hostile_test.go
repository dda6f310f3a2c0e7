package shape

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// hostile makes calls at random, with shapes, types and parameters that seldom suit the
// operator.
type hostile struct {
	*rand.Rand
	last *tensor.Tensor // often made again, so that some calls suit
}

var extremes = []int64{0, 1, -1, 2, -2, 3, 5, -7, 1 << 31, 1 << 40, 1 << 62, math.MaxInt64, math.MinInt64}

func (h *hostile) int() int64 {
	if h.IntN(4) > 0 {
		return int64(h.IntN(5)) - 1
	}
	return extremes[h.IntN(len(extremes))]
}

func (h *hostile) tensor() *tensor.Tensor {
	if h.last != nil && h.IntN(3) == 0 {
		return h.last
	}
	s := make(tensor.Shape, h.IntN(5))
	for i := range s {
		s[i] = h.IntN(4)
	}
	types := []tensor.DType{tensor.Int64, tensor.Int64, tensor.Float32, tensor.Bool, tensor.String, tensor.Int4, tensor.Float16, tensor.Uint8, tensor.Float8E4M3FN, tensor.Complex64}
	t := tensor.New(types[h.IntN(len(types))], s)
	if t.DType == tensor.Int64 {
		for i, d := 0, tensor.Data[int64](t); i < len(d); i++ {
			d[i] = h.int()
		}
	}
	h.last = t
	return t
}

func (h *hostile) attr(k graph.AttrKind) *graph.Attr {
	a := &graph.Attr{Kind: k, I: h.int(), F: float32(h.NormFloat64()), S: []string{"", "constant", "reflect", "wrap", "CRD", "add", "up"}[h.IntN(7)]}
	for range h.IntN(4) {
		a.Ints = append(a.Ints, h.int())
	}
	if k == graph.AttrTensor {
		a.T = h.tensor()
	}
	return a
}

func (h *hostile) call(o *ops.Op) (n *graph.Node, in []tensor.Value, infos []ops.Info) {
	n = &graph.Node{Op: o.Name, Opset: o.Since, Attrs: graph.Attrs{}}
	for _, a := range o.Attrs {
		if a.Required || h.IntN(2) == 0 {
			n.Attrs[a.Name] = h.attr(a.Kind)
		}
	}
	inputs := o.MinIn
	if o.MaxIn > inputs {
		inputs += h.IntN(o.MaxIn - inputs + 1)
	} else if o.MaxIn < 0 {
		inputs += h.IntN(3)
	}
	for range inputs {
		if h.IntN(20) == 0 {
			n.In, in, infos = append(n.In, nil), append(in, nil), append(infos, ops.Info{})
			continue
		}
		t := h.tensor()
		n.In, in = append(n.In, &graph.Value{}), append(in, t)
		info := ops.Info{Present: true, DType: t.DType, Known: true, Shape: t.Shape}
		if h.IntN(2) == 0 {
			info.Const = t
		}
		infos = append(infos, info)
	}
	for range max(o.MinOut, 1) + h.IntN(2) {
		n.Out = append(n.Out, &graph.Value{})
	}
	return n, in, infos
}

// No call may panic, take much memory, or give what the shape rule did not say.
func TestHostileCalls(t *testing.T) {
	r := ops.NewRegistry()
	Register(r)
	h := &hostile{Rand: rand.New(rand.NewPCG(1, 2))}
	accepted := map[string]int{}
	for _, name := range r.Names() {
		for _, o := range r.Forms(name) {
			for range 4000 {
				n, in, infos := h.call(o)
				text := fmt.Sprintf("%s %d on %v, attributes %v", o.Name, o.Since, in, describe(n.Attrs))
				if _, err := r.Resolve(n); err != nil {
					continue
				}
				ok, err := attempt(o, n, in, infos)
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				if ok {
					accepted[name]++
				}
			}
		}
	}
	for _, name := range r.Names() {
		if accepted[name] == 0 && name != "NonMaxSuppression" {
			t.Errorf("%s: no call was accepted, so its answers were not looked at", name)
		}
	}
}

func describe(a graph.Attrs) string {
	s := ""
	for _, k := range a.Names() {
		s += fmt.Sprintf("%s=(%v %q %v %v) ", k, a[k].I, a[k].S, a[k].Ints, a[k].T)
	}
	return s
}

// attempt reports whether Eval accepted the call, and what is wrong with its behaviour.
func attempt(o *ops.Op, n *graph.Node, in []tensor.Value, infos []ops.Info) (ok bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	sc := &ops.ShapeCall{Node: n, In: infos, Out: make([]ops.Info, len(n.Out))}
	ruleErr := o.Shape(sc)
	c := &ops.Call{Node: n, In: in, Out: make([]tensor.Value, len(n.Out)), MaxBytes: 1 << 16}
	if o.Eval(c) != nil {
		return false, nil
	}
	if ruleErr != nil {
		return true, fmt.Errorf("Eval accepts what the shape rule refuses: %w", ruleErr)
	}
	for i, x := range sc.Out {
		y, isTensor := c.Out[i].(*tensor.Tensor)
		if !isTensor {
			continue
		}
		if x.DType != tensor.Invalid && x.DType != y.DType || x.Known && !x.Shape.Equal(y.Shape) {
			return true, fmt.Errorf("the shape rule says %v%v, Eval made %v", x.DType, x.Shape, y)
		}
		if y.DType != tensor.String && len(y.Bytes()) != y.DType.Bytes(y.Elements()) {
			return true, fmt.Errorf("%v holds %d bytes", y, len(y.Bytes()))
		}
	}
	return true, nil
}
