package gbdt

import (
	"context"
	"math"
	"testing"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestExportedModelAnswersAlike runs the ONNX file in our own engine, also on
// missing values, infinities, and values one float beside each threshold.
func TestExportedModelAnswersAlike(t *testing.T) {
	d := table(21, 3000)
	f := func(name string, c Config, d *Dataset) {
		t.Helper()
		m := train(t, c, d, nil)
		rows := append(sampleRows(d, 200), edges(m, d)...)
		got := runExported(t, m, rows)
		for i, row := range rows {
			for k, want := range m.AppendScores(nil, row) {
				if g := float64(got[i*m.Outputs()+k]); math.Abs(g-want) > 1e-4*(1+math.Abs(want)) {
					t.Fatalf("%s: row %d %v output %d: %v in ONNX, %v here", name, i, row, k, g, want)
				}
			}
		}
	}
	c := config()
	f("binary", c, classes(d, 2))
	c.Objective, c.Classes = Multiclass, 3
	f("multiclass", c, classes(d, 3))
	c.Objective = Regression
	f("regression", c, d)
	numeric := &Dataset{Features: d.Features[:5], Columns: d.Columns[:5], Labels: d.Labels}
	f("no categories", c, numeric)
	c.MinRows = d.Rows()
	f("nothing to split", c, d)
}

func sampleRows(d *Dataset, n int) [][]float32 {
	var rows [][]float32
	for r := range n {
		row := make([]float32, len(d.Columns))
		for f := range row {
			row[f] = d.Columns[f][r]
		}
		rows = append(rows, row)
	}
	return rows
}

// edges makes rows that stand on, just below and just above thresholds, and
// rows of missing, infinite and unknown values.
func edges(m *Model, d *Dataset) [][]float32 {
	inf := float32(math.Inf(1))
	base := sampleRows(d, 1)[0]
	with := func(f int32, v float32) []float32 {
		row := append([]float32(nil), base...)
		row[f] = v
		return row
	}
	var rows [][]float32
	for _, t := range m.Trees[:min(3, len(m.Trees))] {
		for _, n := range t.Nodes {
			if n.Feature >= 0 && n.Set == nil {
				rows = append(rows, with(n.Feature, n.Threshold), with(n.Feature, math.Nextafter32(n.Threshold, inf)), with(n.Feature, math.Nextafter32(n.Threshold, -inf)))
			}
		}
	}
	for f, feat := range m.Features {
		values := []float32{nan, inf, -inf}
		if feat.Categorical() {
			values = []float32{-1, -7, 12, 1e6}
		}
		for _, v := range values {
			rows = append(rows, with(int32(f), v))
		}
	}
	return rows
}

func runExported(t *testing.T, m *Model, rows [][]float32) []float32 {
	t.Helper()
	var numeric []float32
	codes := make([][]int64, 0, 1)
	width := 0
	for f, feat := range m.Features {
		if feat.Categorical() {
			col := make([]int64, len(rows))
			for r := range rows {
				col[r] = int64(rows[r][f])
			}
			codes = append(codes, col)
		} else {
			width++
		}
	}
	for _, row := range rows {
		for f, feat := range m.Features {
			if !feat.Categorical() {
				numeric = append(numeric, row[f])
			}
		}
	}
	g := build.New("trees", 17)
	in := []string{g.Input("x", build.Float, build.Sym("N"), build.Size(int64(width)))}
	if len(codes) > 0 {
		in = append(in, g.Input("c", build.Int64, build.Sym("N")))
	}
	out, err := m.AppendONNX(g, in[0], in[1:])
	if err != nil {
		t.Fatal(err)
	}
	g.Output(out, build.Float, build.Sym("N"), build.Size(int64(m.Outputs())))
	file, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := runtime.NewEngine(runtime.Config{}).Read(file)
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Close()
	call := &device.Call{In: []tensor.Value{filled(t, tensor.Float32, tensor.Shape{len(rows), width}, numeric)}}
	if len(codes) > 0 {
		c := tensor.New(tensor.Int64, tensor.Shape{len(rows)})
		if err := tensor.StoreInt64s(c, codes[0]); err != nil {
			t.Fatal(err)
		}
		call.In = append(call.In, c)
	}
	if err := loaded.Run(context.Background(), call); err != nil {
		t.Fatal(err)
	}
	got, err := tensor.Float32s(call.Out[0].(*tensor.Tensor))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(rows)*m.Outputs() {
		t.Fatalf("%d scores for %d rows of %d", len(got), len(rows), m.Outputs())
	}
	return append([]float32(nil), got...)
}

func filled(t *testing.T, dt tensor.DType, s tensor.Shape, v []float32) *tensor.Tensor {
	t.Helper()
	x := tensor.New(dt, s)
	if err := tensor.StoreFloat32s(x, v); err != nil {
		t.Fatal(err)
	}
	return x
}

func TestExportNamesMismatch(t *testing.T) {
	m := train(t, config(), classes(table(1, 300), 2), nil)
	for _, names := range [][]string{nil, {"a", "b"}} {
		g := build.New("trees", 17)
		if _, err := m.AppendONNX(g, "x", names); err == nil {
			t.Errorf("%d names for one categorical feature: no error", len(names))
		}
	}
}
