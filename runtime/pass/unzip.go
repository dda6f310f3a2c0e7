package pass

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Unzip replaces graph outputs that come out of ZipMap (a sequence of maps from label to
// probability, which no inference protocol can carry) by the matrix that went into it,
// one column a label, under the output's name. It is done when a model is opened for
// serving and is no part of List, since it changes what the model answers.
func Unzip(g *graph.Graph) {
	for i, v := range g.Out {
		n := v.Def
		if n == nil || n.OpName() != "ai.onnx.ml.ZipMap" || len(n.In) != 1 || n.In[0] == nil {
			continue
		}
		labels := max(len(n.Attrs.Ints("classlabels_int64s")), len(n.Attrs.Strs("classlabels_strings")))
		id := &graph.Node{Name: n.Name, Op: "Identity", Opset: 1, In: n.In, Attrs: graph.Attrs{}}
		out := &graph.Value{Name: v.Name, Def: id, Type: graph.Type{DType: tensor.Float32, Ranked: true, Shape: []graph.Dim{{Size: -1}, {Size: labels}}}}
		id.Out = []*graph.Value{out}
		g.Out[i] = out
		g.Nodes = append(g.Nodes, id)
	}
}
