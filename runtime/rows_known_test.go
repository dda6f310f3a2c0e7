package runtime_test

import (
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/onnx/build"
)

// TestKnownRows holds the proof to models of which it is known whether they mix rows.
func TestKnownRows(t *testing.T) {
	e := runtime.NewEngine(runtime.Config{})
	f32 := build.Float
	f := func(name string, opset int64, rows bool, why string, make func(g *build.Graph, x string) string) {
		t.Helper()
		g := build.New("g", opset)
		x := g.Input("x", f32, build.Sym("n"), build.Size(4))
		g.Output(make(g, x), f32, syms("y", 2)...)
		m, err := e.Read(encode(t, g))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		defer m.Close()
		if m.Batch.Rows != rows || !strings.Contains(m.Batch.Reason, why) {
			t.Errorf("%s: %t, because %s; want %t, because of %q", name, m.Batch.Rows, m.Batch.Reason, rows, why)
		}
	}
	size := func(g *build.Graph, x string) string {
		return g.Op("Gather", []string{g.Op("Shape", []string{x}), g.Const("zeroth", []int64{0}, 1)})
	}
	float := func(g *build.Graph, n string) string { return g.Op("Cast", []string{n}, build.I("to", 1)) }
	with := func(op string, attrs ...build.Attr) func(*build.Graph, string) string {
		return func(g *build.Graph, x string) string { return g.Op(op, []string{x}, attrs...) }
	}
	mixes := func(name string, why string, make func(g *build.Graph, x string) string) {
		t.Helper()
		f(name, 17, false, why, make)
	}

	mixes("the mean over the batch", "batch", with("ReduceMean", build.Is("axes", 0)))
	mixes("the mean over everything", "all axes", with("ReduceMean"))
	mixes("softmax over the batch", "batch axis", with("Softmax", build.I("axis", 0)))
	mixes("softmax over the batch from the end", "batch axis", with("Softmax", build.I("axis", -2)))
	f("softmax over two axes as one", 11, false, "batch axis", with("Softmax", build.I("axis", 0)))
	f("softmax of the last axis", 11, true, "", with("Softmax"))
	attended := func(perm ...int64) func(g *build.Graph, x string) string {
		return func(g *build.Graph, x string) string { // x as [n, 1, 1, 4], then permuted and back
			h := g.Op("Transpose", []string{g.Op("Unsqueeze", []string{x, g.Const("axes", []int64{1, 2}, 2)})}, build.Is("perm", perm...))
			y := g.Op("Attention", []string{h, h, h, g.Const("mask", []float32{0}, 1, 1)})
			return g.Op("Squeeze", []string{g.Op("Transpose", []string{y}, build.Is("perm", perm...)), g.Const("back", []int64{1, 2}, 2)})
		}
	}
	f("attention within rows", 23, true, "", attended(0, 1, 2, 3))
	f("attention between rows", 23, false, "rows on axis 0", attended(2, 1, 0, 3))
	shaped := func(g *build.Graph, v, name string, dims ...int64) string {
		return g.Op("Reshape", []string{v, g.Const(name, dims, int64(len(dims)))})
	}
	// As torch's MultiheadAttention writes its products: two tokens of two features, tokens before the batch.
	tokens := func(g *build.Graph, x string) string {
		return g.Op("Transpose", []string{shaped(g, x, "split", -1, 2, 2)}, build.Is("perm", 1, 0, 2))
	}
	flat := func(g *build.Graph, x string) string {
		y := shaped(g, tokens(g, x), "flat", -1, 2)
		return g.Op("Gemm", []string{y, g.Const("w", []float32{1, 2, 3, 4}, 2, 2)})
	}
	f("tokens·batch in one axis", 17, true, "", func(g *build.Graph, x string) string {
		y := g.Op("Transpose", []string{shaped(g, flat(g, x), "apart", 2, -1, 2)}, build.Is("perm", 1, 0, 2))
		return shaped(g, y, "rows", -1, 4)
	})
	mixes("tokens·batch taken for the batch", "mixed", func(g *build.Graph, x string) string { return shaped(g, flat(g, x), "rows", -1, 4) })
	mixes("tokens·batch given as rows", "one row for each", flat)
	mixes("tokens·batch beside batch·tokens", "different axes", func(g *build.Graph, x string) string {
		return g.Op("Add", []string{flat(g, x), shaped(g, x, "other", -1, 2)})
	})
	bytes := func(weights func(g *build.Graph, q string) string) func(g *build.Graph, x string) string {
		return func(g *build.Graph, x string) string {
			scale, zero := g.Const("scale", []float32{.1}), g.Const("zero", []uint8{128})
			q := g.Op("QuantizeLinear", []string{x, scale, zero})
			y := g.Op("QLinearMatMul", []string{q, scale, zero, weights(g, q), scale, zero, scale, zero})
			return g.Op("DequantizeLinear", []string{y, scale, zero})
		}
	}
	f("a product of bytes", 17, true, "", bytes(func(g *build.Graph, _ string) string {
		return g.Const("w", []uint8{1, 2, 3, 4, 5, 6, 7, 8}, 4, 2)
	}))
	mixes("a product of bytes with all rows", "both operands carry rows", bytes(func(g *build.Graph, q string) string {
		return g.Op("Transpose", []string{q}, build.Is("perm", 1, 0))
	}))
	reversed := func(batch, time int64, lengths func(g *build.Graph, x string) string) func(g *build.Graph, x string) string {
		return func(g *build.Graph, x string) string {
			return g.Op("ReverseSequence", []string{x, lengths(g, x)}, build.I("batch_axis", batch), build.I("time_axis", time))
		}
	}
	largest := func(g *build.Graph, x string) string {
		return g.Op("ArgMax", []string{x}, build.I("axis", 1), build.I("keepdims", 0))
	}
	f("each row reversed by its length", 17, true, "", reversed(0, 1, largest))
	mixes("rows reversed", "not on its batch axis", reversed(1, 0, func(g *build.Graph, _ string) string { return g.Const("lengths", []int64{1, 1, 1, 1}, 4) }))
	rotated := func(positions func(g *build.Graph, x string) string) func(g *build.Graph, x string) string {
		return func(g *build.Graph, x string) string { // one head of one token
			h := shaped(g, x, "heads", -1, 1, 4)
			cos, sin := g.Const("cos", []float32{1, .5, .25, .125, 1, .5, .25, .125}, 4, 2), g.Const("sin", []float32{0, .5, .75, .875, 0, .5, .75, .875}, 4, 2)
			return shaped(g, g.Op("RotaryEmbedding", []string{h, cos, sin, positions(g, x)}, build.I("num_heads", 1)), "rows", -1, 4)
		}
	}
	f("rotated by positions of each row", 23, true, "", rotated(func(g *build.Graph, x string) string { return shaped(g, largest(g, x), "at", -1, 1) }))

	// The token of each row that is found where its largest feature is: as x[arange(n), at], and through one axis of all rows.
	sequence := func(g *build.Graph, x string) string { return shaped(g, x, "sequence", -1, 4, 1) }
	rangeOf := func(g *build.Graph, x string) string {
		n := g.Op("Reshape", []string{size(g, x), g.Const("scalar", []int64{}, 0)})
		return g.Op("Range", []string{g.Const("from", []int64{0}), n, g.Const("step", []int64{1})})
	}
	paired := func(number func(g *build.Graph, x string) string) func(g *build.Graph, x string) string {
		return func(g *build.Graph, x string) string {
			last := g.Const("last", []int64{-1}, 1)
			at := g.Op("Concat", []string{g.Op("Unsqueeze", []string{number(g, x), last}), g.Op("Unsqueeze", []string{largest(g, x), last})}, build.I("axis", -1))
			return g.Op("GatherND", []string{sequence(g, x), at})
		}
	}
	counted := func(stride int64, at func(g *build.Graph, x string) string) func(g *build.Graph, x string) string {
		return func(g *build.Graph, x string) string {
			first := g.Op("Mul", []string{rangeOf(g, x), g.Const("stride", []int64{stride})})
			return g.Op("Gather", []string{shaped(g, x, "all", -1, 1), g.Op("Add", []string{at(g, x), first})})
		}
	}
	f("one token of each row", 17, true, "", paired(rangeOf))
	mixes("one token of other rows", "", paired(func(g *build.Graph, x string) string {
		return g.Op("Neg", []string{rangeOf(g, x)})
	}))
	f("one token of each row of all in a row", 17, true, "", counted(4, largest))
	mixes("one token of all in a row, counted otherwise", "number", counted(3, largest))
	mixes("one token of all in a row, anywhere", "number", counted(4, func(g *build.Graph, x string) string {
		return g.Op("Cast", []string{g.Op("ReduceMax", []string{x}, build.Is("axes", 1), build.I("keepdims", 0))}, build.I("to", 7))
	}))
	f("one token of each row, by what is left of a division", 17, true, "", counted(4, func(g *build.Graph, x string) string {
		back := g.Op("Sub", []string{largest(g, x), g.Const("back", []int64{1})})
		return g.Op("Mod", []string{back, g.Const("four", []int64{4})})
	}))

	einsum := func(equation string, more ...func(g *build.Graph) string) func(*build.Graph, string) string {
		return func(g *build.Graph, x string) string {
			in := []string{x}
			for _, m := range more {
				in = append(in, m(g))
			}
			return g.Op("Einsum", in, build.S("equation", equation))
		}
	}
	// An extent of 1 beside another under one label is what is not made a MatMul.
	line := func(g *build.Graph) string { return g.Const("line", []float32{1, 2, 3, 4}, 1, 4) }
	own := func(*build.Graph) string { return "x" }
	f("a sum of products", 13, true, "", einsum("bi,ij->bj", line))
	f("a sum of products of rows", 13, true, "", einsum("... i, ... i, ij -> ... j", own, line))
	f("a sum of products of rows under two labels", 13, false, "different labels", einsum("bi,ci,ij->bc", own, line))
	f("a sum of products over the batch", 13, false, "sums over the batch", einsum("bi,bj,ik->jk", own, line))
	mixes("a running sum", "batch axis", func(g *build.Graph, x string) string { return g.Op("CumSum", []string{x, g.Const("a", []int64{-2})}) })
	mixes("the greatest rows", "batch axis", func(g *build.Graph, x string) string {
		g.Add(build.Node{Op: "TopK", Inputs: []string{x, g.Const("k", []int64{1}, 1)}, Outputs: []string{"v", "i"}, Attrs: []build.Attr{build.I("axis", 0)}})
		return "v"
	})
	mixes("division by the batch size", "batch size", func(g *build.Graph, x string) string { return g.Op("Div", []string{x, float(g, size(g, x))}) })
	mixes("division by the batch size repeated", "batch", func(g *build.Graph, x string) string {
		return g.Op("Div", []string{x, g.Op("Expand", []string{float(g, size(g, x)), g.Op("Shape", []string{x})})})
	})
	mixes("a column chosen by the batch size", "batch of 1", func(g *build.Graph, x string) string {
		n := size(g, x)
		m := g.Op("Mod", []string{n, g.Const("four", []int64{4}, 1)})
		return g.Op("Slice", []string{x, m, g.Op("Add", []string{m, g.Const("one", []int64{1}, 1)}), g.Const("axis", []int64{1}, 1)})
	})
	mixes("padding by the batch size", "", func(g *build.Graph, x string) string {
		n, z := size(g, x), g.Const("z", []int64{0}, 1)
		return g.Op("Pad", []string{x, g.Op("Concat", []string{z, n, z, g.Op("Neg", []string{n})}, build.I("axis", 0))})
	})
	mixes("the row's number", "", func(g *build.Graph, x string) string {
		n := g.Op("Squeeze", []string{size(g, x)})
		r := float(g, g.Op("Range", []string{g.Const("from", []int64{0}), n, g.Const("by", []int64{1})}))
		return g.Op("Add", []string{x, g.Op("Unsqueeze", []string{r, g.Const("u", []int64{1}, 1)})})
	})
	mixes("at most ten rows", "batch", func(g *build.Graph, x string) string {
		return g.Op("Slice", []string{x, g.Const("f", []int64{0}, 1), g.Const("t", []int64{10}, 1), g.Const("a", []int64{0}, 1)})
	})
	f("at most ten rows", 9, false, "batch", with("Slice", build.Is("starts", 0), build.Is("ends", 10)))
	f("all rows", 9, true, "", with("Slice", build.Is("starts", 0, 1), build.Is("ends", 1<<31-1, 3)))
	mixes("rows in reverse", "batch", func(g *build.Graph, x string) string {
		return g.Op("Slice", []string{x, g.Const("f", []int64{-1}, 1), g.Const("t", []int64{-1 << 40}, 1), g.Const("a", []int64{0}, 1), g.Const("s", []int64{-1}, 1)})
	})
	mixes("the first row for all", "", func(g *build.Graph, x string) string {
		return g.Op("Add", []string{x, g.Op("Gather", []string{x, g.Const("i", []int64{0}, 1)})})
	})
	mixes("every row against every row", "", func(g *build.Graph, x string) string {
		return g.Op("MatMul", []string{g.Op("MatMul", []string{x, g.Op("Transpose", []string{x})}), x})
	})
	f("weights of few bits", 17, true, "", func(g *build.Graph, x string) string {
		g.Opsets["com.microsoft"] = 1
		g.Add(build.Node{Op: "MatMulNBits", Domain: "com.microsoft", Inputs: []string{x, g.Const("q", make([]uint8, 32), 4, 1, 8), g.Const("s", make([]float32, 4), 4)}, Outputs: []string{"few"},
			Attrs: []build.Attr{build.I("K", 4), build.I("N", 4), build.I("block_size", 16)}})
		return "few"
	})
	named := func(g *build.Graph, best string) string {
		g.Opsets["ai.onnx.ml"] = 3
		g.Add(build.Node{Op: "ArrayFeatureExtractor", Domain: "ai.onnx.ml", Inputs: []string{g.Const("classes", []float32{7, 8, 9, 10}, 4), best}, Outputs: []string{"named"}})
		return g.Op("Reshape", []string{"named", g.Const("to", []int64{-1, 1}, 2)})
	}
	best := func(g *build.Graph, x string, axis int64) string {
		return g.Op("ArgMax", []string{x}, build.I("axis", axis))
	}
	f("the best class by its name", 17, true, "", func(g *build.Graph, x string) string { return named(g, best(g, x, 1)) })
	mixes("names of the best of all", "", func(g *build.Graph, x string) string { return named(g, best(g, x, 0)) })
	mixes("names with the rows last", "", func(g *build.Graph, x string) string {
		two := g.Op("Concat", []string{best(g, x, 1), best(g, x, 1)}, build.I("axis", 1))
		return named(g, g.Op("Transpose", []string{two}))
	})
	mixes("one row of all", "", func(g *build.Graph, x string) string {
		return g.Op("Reshape", []string{g.Op("Softmax", []string{g.Op("Reshape", []string{x, g.Const("s", []int64{1, -1}, 2)})}), g.Const("b", []int64{-1, 4}, 2)})
	})
	mixes("an axis dropped at a batch of one", "batch of 1", func(g *build.Graph, x string) string { return g.Op("Squeeze", []string{x}) })
	mixes("two rows for one", "one row for each", func(g *build.Graph, x string) string {
		return g.Op("Reshape", []string{x, g.Const("s", []int64{-1, 2}, 2)})
	})
	mixes("rows and columns exchanged", "one row for each", with("Transpose"))
	mixes("rows interleaved", "", func(g *build.Graph, x string) string {
		h := g.Op("Reshape", []string{g.Op("Transpose", []string{x}), g.Const("s", []int64{-1, 4}, 2)})
		return g.Op("Relu", []string{h})
	})
	mixes("each row twice", "batch", func(g *build.Graph, x string) string {
		return g.Op("Tile", []string{x, g.Const("r", []int64{2, 1}, 2)})
	})
	mixes("a row put in front", "", func(g *build.Graph, x string) string {
		return g.Op("Concat", []string{g.Const("c", make([]float32, 4), 1, 4), x}, build.I("axis", 0))
	})
	mixes("the batch normalised", "batch axis", func(g *build.Graph, x string) string {
		return g.Op("LayerNormalization", []string{x, g.Const("s", make([]float32, 4), 4)}, build.I("axis", 0))
	})
	mixes("range of all values quantised", "DynamicQuantizeLinear", func(g *build.Graph, x string) string {
		g.Add(build.Node{Op: "DynamicQuantizeLinear", Inputs: []string{x}, Outputs: []string{"q", "s", "z"}})
		return g.Op("DequantizeLinear", []string{"q", "s", "z"})
	})
	mixes("a scale for each row", "", func(g *build.Graph, x string) string {
		s, z := g.Const("s", []float32{1, 2, 3}, 3), g.Const("z", []uint8{0, 0, 0}, 3)
		return g.Op("DequantizeLinear", []string{g.Op("QuantizeLinear", []string{x, s, z}, build.I("axis", 0)), s, z}, build.I("axis", 0))
	})
	mixes("noise", "not a function", func(g *build.Graph, x string) string {
		return g.Op("Add", []string{x, g.Op("RandomNormal", nil, build.Is("shape", 1, 4))})
	})
	mixes("dropout in training", "random", func(g *build.Graph, x string) string {
		return g.Op("Dropout", []string{x, g.Const("r", []float32{0.5}), g.Const("t", []bool{true})})
	})
	f("dropout", 17, true, "", func(g *build.Graph, x string) string { return g.Op("Dropout", []string{x}) })
	mixes("places in the whole tensor", "across the batch", func(g *build.Graph, x string) string {
		h := g.Op("Unsqueeze", []string{x, g.Const("u", []int64{1}, 1)})
		g.Add(build.Node{Op: "MaxPool", Inputs: []string{h}, Outputs: []string{"v", "i"}, Attrs: []build.Attr{build.Is("kernel_shape", 2)}})
		return float(g, "i")
	})
	mixes("time taken for the batch", "axis 0", func(g *build.Graph, x string) string {
		h := g.Op("Unsqueeze", []string{x, g.Const("u", []int64{1}, 1)})
		return g.Op("Squeeze", []string{g.Op("RNN", []string{h, g.Const("w", make([]float32, 8), 1, 2, 4), g.Const("r", make([]float32, 4), 1, 2, 2)}, build.I("hidden_size", 2)), g.Const("q", []int64{1, 2}, 2)})
	})
	mixes("the batch resized", "", func(g *build.Graph, x string) string {
		return g.Op("Resize", []string{x, "", g.Const("sc", []float32{1.1, 1}, 2)})
	})
	mixes("an addend for each row", "", func(g *build.Graph, x string) string {
		return g.Op("Gemm", []string{x, g.Const("w", make([]float32, 8), 4, 2), g.Const("c", make([]float32, 6), 3, 2)})
	})
	mixes("statistics of the batch", "training mode", func(g *build.Graph, x string) string {
		c := func(n string) string { return g.Const(n, make([]float32, 4), 4) }
		g.Add(build.Node{Op: "BatchNormalization", Inputs: []string{x, c("s"), c("b"), c("m"), c("v")}, Outputs: []string{"y", "m2", "v2"}, Attrs: []build.Attr{build.I("training_mode", 1)}})
		return "y"
	})
	mixes("the sums of a product", "", func(g *build.Graph, x string) string {
		return g.Op("Gemm", []string{x, x}, build.I("transA", 1))
	})

	f("legacy broadcast", 6, true, "", func(g *build.Graph, x string) string {
		return g.Op("Add", []string{x, g.Const("b", make([]float32, 4), 4)}, build.I("broadcast", 1), build.I("axis", 1))
	})
	f("a dense layer", 17, true, "", func(g *build.Graph, x string) string {
		return g.Op("Softmax", []string{g.Op("Gemm", []string{x, g.Const("w", make([]float32, 8), 2, 4), g.Const("c", make([]float32, 2), 1, 2)}, build.I("transB", 1))})
	})
	f("shapes taken from the batch", 17, true, "", func(g *build.Graph, x string) string {
		s := g.Op("Concat", []string{size(g, x), g.Const("two", []int64{2, 2}, 2)}, build.I("axis", 0))
		h := g.Op("Transpose", []string{g.Op("Reshape", []string{x, s})}, build.Is("perm", 0, 2, 1))
		return g.Op("Reshape", []string{h, g.Const("back", []int64{0, -1}, 2)})
	})
	f("a mask of ones", 17, true, "", func(g *build.Graph, x string) string {
		ones := g.Op("ConstantOfShape", []string{g.Op("Shape", []string{x})}, build.T("value", build.Tensor{Dims: []int64{1}, Data: []float32{1}}))
		return g.Op("Sub", []string{ones, x})
	})
}

// TestRowsByNumber: constants with elements for each row. A class token is the same in every row; indices may say
// which row they read, as exporters of attention masks write it, and then it must be the row itself.
func TestRowsByNumber(t *testing.T) {
	e := runtime.NewEngine(runtime.Config{})
	size := func(g *build.Graph, x, axis string) string {
		return g.Op("Gather", []string{g.Op("Shape", []string{x}), axis})
	}
	count := func(g *build.Graph, x, axis string) string { // 0 1 2 …, one for each place of an axis
		return g.Op("Range", []string{g.Const("from"+axis, []int64{0}), size(g, x, axis), g.Const("by"+axis, []int64{1})})
	}
	lifted := func(g *build.Graph, v, axes string) string { return g.Op("Unsqueeze", []string{v, axes}) }
	flat := func(shift int64, times string) func(g *build.Graph, x string) string {
		return func(g *build.Graph, x string) string { // x, which has 4 columns, flattened and read again
			zero, one := g.Const("zeroth", []int64{0}), g.Const("first", []int64{1})
			first := g.Op("Mul", []string{lifted(g, count(g, x, zero), g.Const("last", []int64{1}, 1)), g.Const("columns", []int64{4})})
			at := g.Op("Add", []string{first, lifted(g, count(g, x, one), g.Const("begin", []int64{0}, 1))})
			at = g.Op("Mod", []string{g.Op("Add", []string{at, g.Const("shift", []int64{shift})}), g.Op("Mul", []string{size(g, x, zero), g.Const("all", []int64{4})})})
			return g.Op(times, []string{g.Op("Gather", []string{g.Op("Reshape", []string{x, g.Const("flat", []int64{-1}, 1)}), at})})
		}
	}
	pairs := func(column int64) func(g *build.Graph, x string) string {
		return func(g *build.Graph, x string) string { // x[row, column] by GatherND
			n := lifted(g, count(g, x, g.Const("zeroth", []int64{0})), g.Const("last", []int64{1}, 1))
			c := g.Op("Add", []string{g.Op("Mul", []string{n, g.Const("none", []int64{0})}), g.Const("column", []int64{column})})
			if column < 0 { // the row's number as the column
				c = g.Op("Mod", []string{n, g.Const("four", []int64{4})})
			}
			picked := g.Op("GatherND", []string{x, g.Op("Concat", []string{n, c}, build.I("axis", 1))})
			return lifted(g, picked, g.Const("column axis", []int64{1}, 1))
		}
	}
	token := func(g *build.Graph, x string) string {
		n := g.Op("Slice", []string{g.Op("Shape", []string{x}), g.Const("f", []int64{0}, 1), g.Const("t", []int64{1}, 1)})
		return g.Op("Expand", []string{g.Const("token", []float32{1, 2, 3, 4}, 1, 4), g.Op("Concat", []string{n, g.Const("four", []int64{4}, 1)}, build.I("axis", 0))})
	}
	elements := func(axis int64) func(g *build.Graph, x string) string {
		return func(g *build.Graph, x string) string {
			at := g.Op("Cast", []string{g.Op("Clip", []string{x, g.Const("low", []float32{0}), g.Const("high", []float32{0})})}, build.I("to", 7))
			return g.Op("GatherElements", []string{x, at}, build.I("axis", axis))
		}
	}
	counted := func(axis int64) func(g *build.Graph, x string) string {
		return func(g *build.Graph, x string) string {
			at := g.Op("Cast", []string{g.Op("Clip", []string{x, g.Const("low", []float32{0}), g.Const("high", []float32{0})})}, build.I("to", 7))
			return g.Op("ScatterElements", []string{x, at, g.Op("Relu", []string{x})}, build.I("axis", axis), build.S("reduction", "add"))
		}
	}
	for _, c := range []struct {
		name string
		rows bool
		make func(g *build.Graph, x string) string
	}{
		{"a class token", true, func(g *build.Graph, x string) string {
			return g.Op("Concat", []string{token(g, x), x}, build.I("axis", 1))
		}},
		{"every row's own elements", true, flat(0, "Relu")},
		{"the next element", false, flat(1, "Relu")},
		{"the next row", false, flat(4, "Relu")},
		{"a column of the row", true, pairs(2)},
		{"a column by the row's number", false, pairs(-1)},
		{"elements along the row", true, elements(1)},
		{"elements across the rows", false, elements(0)},
		{"sums along the row", true, counted(1)},
		{"sums across the rows", false, counted(0)},
		{"sums of one row's places", false, func(g *build.Graph, x string) string {
			return g.Op("ScatterElements", []string{x, g.Const("at", []int64{1, 2}, 1, 2), g.Const("added", []float32{3, 4}, 1, 2)}, build.I("axis", 1), build.S("reduction", "add"))
		}},
		{"a table by the row's number", false, func(g *build.Graph, x string) string {
			n := g.Op("Mod", []string{count(g, x, g.Const("zeroth", []int64{0})), g.Const("two", []int64{2})})
			return g.Op("Add", []string{x, g.Op("Gather", []string{g.Const("table", []float32{1, 2, 3, 4, 5, 6, 7, 8}, 2, 4), n})})
		}},
	} {
		g := build.New("g", 17)
		g.Input("x", build.Float, build.Sym("n"), build.Size(4), build.Size(3))
		z := g.Input("z", build.Float, build.Sym("n"), build.Size(4))
		g.Input("i", build.Int64, build.Sym("n"))
		g.Output(c.make(g, z), build.Float, syms("y", 2)...)
		m, err := e.Read(encode(t, g))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if m.Batch.Rows != c.rows {
			t.Errorf("%s: %t, because %s; want %t", c.name, m.Batch.Rows, m.Batch.Reason, c.rows)
		}
		if c.rows {
			if err := rowwise(m, []uint64{1, 2, 3, 4, 5}); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		m.Close()
	}
}

// TestRowsOfOpenExtents looks at models whose other extents are open too: what holds for
// one size need not for the next.
func TestRowsOfOpenExtents(t *testing.T) {
	f := func(name string, rows bool, make func(g *build.Graph, x string) string) {
		t.Helper()
		g := build.New("g", 17)
		x := g.Input("x", build.Float, build.Sym("n"), build.Sym("l"))
		g.Output(make(g, x), build.Float, syms("y", 2)...)
		m := open(t, g)
		if m.Batch.Rows != rows {
			t.Errorf("%s: %t, because %s", name, m.Batch.Rows, m.Batch.Reason)
		}
	}
	f("rows of 64, however many there are", false, func(g *build.Graph, x string) string {
		return g.Op("Reshape", []string{x, g.Const("s", []int64{-1, 64}, 2)})
	})
	f("rows of their own length", true, func(g *build.Graph, x string) string { return g.Op("Softmax", []string{x}) })
	f("rows of 16 in each row", true, func(g *build.Graph, x string) string {
		h := g.Op("Softmax", []string{g.Op("Reshape", []string{x, g.Const("s", []int64{0, -1, 16}, 3)})})
		return g.Op("ReduceMean", []string{h}, build.Is("axes", 1), build.I("keepdims", 0))
	})
}
