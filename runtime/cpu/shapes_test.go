package cpu

import (
	"context"
	"slices"
	"testing"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops/all"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestWeightsOfManyShapes runs a convolution on images of ever other lengths: what a plan packed for one
// length, where fewer taps meet the image, is not taken for another.
func TestWeightsOfManyShapes(t *testing.T) {
	for _, dilation := range []int64{1, 2} {
		for _, channels := range []int{3, 16} {
			w := tensor.New(tensor.Float32, tensor.Shape{channels, channels, 3})
			for i, d := 0, tensor.Data[float32](w); i < len(d); i++ {
				d[i] = float32(i%7) - 3
			}
			open := graph.Type{DType: tensor.Float32, Ranked: true, Shape: []graph.Dim{{Size: 1}, {Size: channels}, {Size: -1}}}
			compile := func() device.Program {
				x, y := &graph.Value{Name: "x", Type: open}, &graph.Value{Name: "y"}
				y.Def = &graph.Node{Op: "Conv", Opset: 11, In: []*graph.Value{x, {Name: "w", Const: w}}, Out: []*graph.Value{y},
					Attrs: graph.Attrs{"pads": graph.IntsAttr(dilation, dilation), "dilations": graph.IntsAttr(dilation)}}
				p, err := New(all.Registry(), Config{Threads: 1}).Compile(&graph.Graph{In: []*graph.Value{x}, Out: []*graph.Value{y}, Nodes: []*graph.Node{y.Def}})
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			run := func(p device.Program, n int) []float32 {
				in := tensor.New(tensor.Float32, tensor.Shape{1, channels, n})
				for i, d := 0, tensor.Data[float32](in); i < len(d); i++ {
					d[i] = float32(i%5) - 2
				}
				c := &device.Call{In: []tensor.Value{in}}
				if err := p.Run(context.Background(), c); err != nil {
					t.Fatalf("%d channels, length %d: %v", channels, n, err)
				}
				defer c.Release()
				return slices.Clone(tensor.Data[float32](c.Out[0].(*tensor.Tensor)))
			}
			kept := compile()
			for _, n := range []int{2, 1, 3, 12, 1, 2, 5} {
				if got, want := run(kept, n), run(compile(), n); !slices.Equal(got, want) {
					t.Errorf("dilation %d, %d channels, length %d: %v, a program of its own gives %v", dilation, channels, n, got, want)
				}
			}
		}
	}
}
