package golden

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// hostile makes calls at random, with shapes, types and parameters that seldom suit the
// operator.
type hostile struct {
	*rand.Rand
	last  *tensor.Tensor // often made again, so that some calls suit
	kinds int            // 3 to make sequences and optionals too
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

// value is mostly a tensor, for operators on sequences often something else.
func (h *hostile) value() tensor.Value {
	switch h.IntN(3 + h.kinds) {
	case 3:
		t := h.tensor()
		return &tensor.Sequence{Of: t.DType, Elem: []tensor.Value{t, t}[:h.IntN(3)]}
	case 4:
		return &tensor.Optional{}
	case 5:
		return &tensor.Optional{Elem: h.tensor()}
	}
	return h.tensor()
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
		v := h.value()
		n.In, in = append(n.In, &graph.Value{}), append(in, v)
		info := ops.Info{Present: true}
		if t, ok := v.(*tensor.Tensor); ok {
			info.DType, info.Known, info.Shape = t.DType, true, t.Shape
		}
		if h.IntN(2) == 0 {
			info.Const = v
		}
		infos = append(infos, info)
	}
	for range max(o.MinOut, 1) + h.IntN(2) {
		n.Out = append(n.Out, &graph.Value{})
	}
	return n, in, infos
}

// Hostile holds the operators that register adds to what a server needs of them: no call,
// however wrong, may panic, take much memory, or give what the shape rule did not say.
// values says whether sequences and optionals are among the inputs. Operators in rare may
// refuse every call; of others some must be accepted, or nothing was looked at.
func Hostile(t *testing.T, register func(*ops.Registry), values bool, rare ...string) {
	t.Helper()
	r := ops.NewRegistry()
	register(r)
	h := &hostile{Rand: rand.New(rand.NewPCG(1, 2))}
	if values {
		h.kinds = 3
	}
	for _, name := range r.Names() {
		accepted := 0
		for _, o := range r.Forms(name) {
			for range 4000 {
				n, in, infos := h.call(o)
				if _, err := r.Resolve(n); err != nil {
					continue
				}
				ok, err := attempt(o, n, in, infos)
				if err != nil {
					t.Fatalf("%s %d on %v, attributes %v: %v", o.Name, o.Since, in, describe(n.Attrs), err)
				}
				if ok {
					accepted++
				}
			}
		}
		if accepted == 0 && !slices.Contains(rare, name) {
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
		// Call.T refuses values of another kind by a panic that executors expect.
		if p := recover(); p != nil && !strings.HasSuffix(fmt.Sprint(p), "not a tensor") {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	sc := &ops.ShapeCall{Node: n, In: infos, Out: make([]ops.Info, len(n.Out))}
	var ruleErr error
	if o.Shape != nil {
		ruleErr = o.Shape(sc)
	}
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
