package pass

import (
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops/contrib"
	"github.com/aimass/aimass/runtime/tensor"
)

// distances is a Scan over rows whose body finds the distances of each from all rows of a matrix that it carries along: what
// exporters of scikit-learn spell for neighbours and kernels. It becomes CDist.
func distances(x *expansion) {
	n, body := x.n, x.n.Attrs.Graph("body")
	if body == nil || len(n.In) != 2 || len(n.Out) == 0 || len(body.In) != 2 || len(body.Out) != 2 || n.Attrs.Int("num_scan_inputs", 0) != 1 || n.Opset < 9 {
		x.fail()
		return
	}
	for _, a := range []string{"scan_input_axes", "scan_output_axes", "scan_input_directions", "scan_output_directions"} {
		x.need(!slices.ContainsFunc(n.Attrs.Ints(a), func(v int64) bool { return v != 0 }))
	}
	rows, each := x.e.of(n.In[0]), x.e.of(n.In[1])
	x.need(rows.ranked && each.ranked && len(rows.shape) == 2 && len(each.shape) == 2 && rows.dtype == each.dtype &&
		(rows.dtype == tensor.Float32 || rows.dtype == tensor.Float64))
	x.need(origin(body.Out[0]) == body.In[0])
	if x.failed {
		return
	}
	for k := range rows.seen {
		x.need(rows.seen[k][1] == each.seen[k][1])
	}
	metric := rowDistance(origin(body.Out[1]), body.In[0], body.In[1])
	x.need(metric != "")
	if x.failed {
		return
	}
	y := &graph.Node{Name: n.Label(), Domain: contrib.Domain, Op: "CDist", Opset: 1, In: slices.Clone(n.In), Attrs: graph.Attrs{"metric": graph.StrAttr(metric)}}
	y.Out = []*graph.Value{{Name: n.Label() + " (CDist)", Def: y}}
	x.nodes = append(x.nodes, y)
	x.e.node(y)
	x.hand(0, n.In[0])
	if len(n.Out) > 1 && n.Out[1] != nil {
		x.hand(1, x.transpose(y.Out[0], 1, 0))
	}
}

// rowDistance names the metric by which v is the distances of the rows of a matrix from a row, "" if it is none.
func rowDistance(v, matrix, row *graph.Value) string {
	made := func(v *graph.Value, op string) *graph.Node {
		if v = origin(v); v.Def != nil && v.Def.OpName() == op {
			return v.Def
		}
		return nil
	}
	between := func(v *graph.Value) bool {
		d := made(v, "Sub")
		if d == nil || d.Opset < 7 {
			return false
		}
		a, b := origin(d.In[0]), origin(d.In[1])
		return a == matrix && b == row || a == row && b == matrix
	}
	if n := made(v, "Sqrt"); n != nil {
		if rowDistance(n.In[0], matrix, row) == "sqeuclidean" {
			return "euclidean"
		}
		return ""
	}
	if v.Def == nil || !alongRows(v.Def) {
		return ""
	}
	of := v.Def.In[0]
	switch v.Def.OpName() {
	case "ReduceSumSquare":
		if between(of) {
			return "sqeuclidean"
		}
	case "ReduceL2":
		if between(of) {
			return "euclidean"
		}
	case "ReduceL1":
		if between(of) {
			return "cityblock"
		}
	case "ReduceSum":
		if n := made(of, "Abs"); n != nil && between(n.In[0]) {
			return "cityblock"
		}
		if n := made(of, "Mul"); n != nil && origin(n.In[0]) == origin(n.In[1]) && between(n.In[0]) {
			return "sqeuclidean"
		}
		if n := made(of, "Pow"); n != nil && isTwo(n.In[1]) && between(n.In[0]) {
			return "sqeuclidean"
		}
	}
	return ""
}

// alongRows reports a reduction of a matrix over its columns that drops the axis.
func alongRows(n *graph.Node) bool {
	axes := n.Attrs.Ints("axes")
	if len(n.In) > 1 && n.In[1] != nil {
		t, ok := n.In[1].Const.(*tensor.Tensor)
		if !ok || t.DType != tensor.Int64 {
			return false
		}
		axes = tensor.Data[int64](t)
	}
	return len(axes) == 1 && (axes[0] == 1 || axes[0] == -1) && n.Attrs.Int("keepdims", 1) == 0
}

// isTwo reports a constant of one 2.
func isTwo(v *graph.Value) bool {
	if v == nil {
		return false
	}
	t, ok := v.Const.(*tensor.Tensor)
	if !ok || t.Elements() != 1 {
		return false
	}
	x, err := tensor.Float64s(t)
	return err == nil && x[0] == 2
}
