package compress

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// raiseOpset has a model import a version of the standard's operators that the step's are in. A node
// whose operator is the same in both stays as it is; those that are only written otherwise are written
// anew. The error names a node that would mean something else.
func (e *env) raiseOpset(m *graph.Model, least int, what string) error {
	have := m.Opsets[""]
	if have >= least {
		return nil
	}
	ranks, err := e.ranks(m)
	if err != nil {
		return err
	}
	err = m.Walk(func(n *graph.Node) error {
		if n.Domain != "" {
			return nil
		}
		if err := raise(e.reg, ranks, n, least); err != nil {
			return fmt.Errorf("%s is written with operators of opset %d, the model imports opset %d, and its node %s (%s) can't be written under "+
				"both: %w: export it anew",
				what, least, have, n.Label(), n.OpName(), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.Opsets[""] = least
	m.IR = max(m.IR, 7) // that of opset 13
	e.note("opset %d instead of %d, for what %s is written with", least, have, what)
	return nil
}

func raise(reg *ops.Registry, ranks map[*graph.Value]int, n *graph.Node, to int) error {
	before, err := reg.Find("", n.Op, n.Opset)
	if err != nil {
		return err
	}
	after, err := reg.Find("", n.Op, to)
	if err != nil {
		return err
	}
	if before != after {
		switch rewrite := rewrites[n.Op]; {
		case softened[n.Op]:
			err = overLastAxis(n, ranks)
		case rewrite != nil:
			err = rewrite(n)
		default:
			err = fmt.Errorf("it has changed in opset %d", after.Since)
		}
		if err != nil {
			return err
		}
	}
	n.Opset = to
	_, err = reg.Resolve(n)
	return err
}

// rewrites say how a node of before opset 13 is written since, by operator; what is left of its
// attributes must be known to the newer form. The versions are those of the standard's changelog.
var rewrites = map[string]func(n *graph.Node) error{
	"BatchNormalization": without("spatial", 1), // 9
	"Gemm":               unchanged,             // 11: the third input may be left out
	"MaxPool":            unchanged,             // 10: more attributes
	"AveragePool":        unchanged,
	"ArgMax":             unchanged, // 12: an attribute more
	"ArgMin":             unchanged,
	"Constant":           unchanged,
	"QuantizeLinear":     unchanged, // 13: along an axis
	"DequantizeLinear":   unchanged,
	"Slice":              toInputs("starts", "ends", "axes"), // 10
	"Dropout":            dropout,                            // 12: an input, and random only where another says so
	"Clip":               toInputs("min", "max"),             // 11
	"Split":              toInputs("split"),                  // 13
	"Squeeze":            toInputs("axes"),                   // 13
	"Unsqueeze":          toInputs("axes"),                   // 13
	"ReduceSum":          toInputs("axes"),                   // 13
	"Pad":                toInputs("pads", "value"),
	"Resize":             resize, // 13: region and scales may be left out
}

// softened are the operators that since opset 13 run over one axis instead of all from it on.
var softened = map[string]bool{"Softmax": true, "LogSoftmax": true, "Hardmax": true}

// ranks finds the ranks of what softened operators read, from the inputs where the model does not
// tell.
func (e *env) ranks(m *graph.Model) (map[*graph.Value]int, error) {
	out := map[*graph.Value]int{}
	var watch []*graph.Value
	for _, n := range m.Nodes {
		if n.Domain != "" || !softened[n.Op] || n.Opset >= 13 {
			continue
		}
		if x := n.In[0]; x.Type.Ranked {
			out[x] = len(x.Type.Shape)
		} else if x.Def != nil && !slices.Contains(watch, x) {
			watch = append(watch, x)
		}
	}
	if len(watch) == 0 {
		return out, nil
	}
	return out, observe(e, m, watch, func(v *graph.Value, t *tensor.Tensor) { out[v] = t.Rank() })
}

func unchanged(*graph.Node) error { return nil }

func dropout(n *graph.Node) error {
	if len(n.Out) > 1 && n.Out[1] != nil {
		return fmt.Errorf("its mask is used")
	}
	delete(n.Attrs, "ratio")
	return nil
}

func resize(n *graph.Node) error {
	if n.Opset < 11 {
		return fmt.Errorf("it has changed in opset 11")
	}
	if n.Attrs.Str("coordinate_transformation_mode", "") == "tf_half_pixel_for_nn" {
		return fmt.Errorf("tf_half_pixel_for_nn went in opset 13")
	}
	return nil
}

// without drops an attribute that has the one value that is still meant.
func without(name string, value int64) func(n *graph.Node) error {
	return func(n *graph.Node) error {
		if n.Attrs.Int(name, value) != value {
			return fmt.Errorf("it has %s other than %d", name, value)
		}
		delete(n.Attrs, name)
		return nil
	}
}

// toInputs makes constant inputs of attributes, in their order after the first input.
func toInputs(names ...string) func(n *graph.Node) error {
	return func(n *graph.Node) error {
		for i, name := range names {
			a := n.Attrs[name]
			if a == nil {
				continue
			}
			var t *tensor.Tensor
			switch a.Kind {
			case graph.AttrInts:
				t = tensor.FromSlice(a.Ints, len(a.Ints))
			case graph.AttrFloat:
				if d := n.In[0].Type.DType; d != tensor.Float32 && d != tensor.Invalid {
					return fmt.Errorf("its elements are %v", d)
				}
				t = tensor.Scalar(a.F)
			default:
				return fmt.Errorf("its attribute %s is of another kind", name)
			}
			for len(n.In) < i+2 {
				n.In = append(n.In, nil)
			}
			n.In[i+1] = &graph.Value{Name: n.Out[0].Name + "/" + name, Type: graph.TensorType(t.DType, t.Shape...), Const: t}
			delete(n.Attrs, name)
		}
		return nil
	}
}

// overLastAxis takes a node whose axis is the last: then one axis and all from it on are the same.
func overLastAxis(n *graph.Node, ranks map[*graph.Value]int) error {
	axis := int(n.Attrs.Int("axis", 1))
	if rank, known := ranks[n.In[0]]; axis != -1 && (!known || axis != rank-1) {
		return fmt.Errorf("it is over more than the last axis")
	}
	n.Attrs["axis"] = intAttr(-1)
	return nil
}
