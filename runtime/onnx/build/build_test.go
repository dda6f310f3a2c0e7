package build

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/onnx"
)

// sample uses every kind of part once.
func sample() *Graph {
	g := New("all kinds", 17)
	g.Opsets["ai.onnx.ml"] = 3
	g.Version, g.Doc = "7", "a test"
	g.Metadata = map[string]string{"b": "2", "a": "1"}
	x := g.Input("x", Float, Sym("N"), Size(2))
	w := g.Const("w", []float32{1, 2, 3, 4, 5, 6}, 2, 3)
	y := g.Op("MatMul", []string{x, w})
	g.Const("scalar", []int64{-5})
	g.Const("empty", []float64{}, 0, 4)
	g.Const("bits", []uint16{0x3c00}, 1)
	g.Const("bools", []bool{true, false}, 2)
	g.Const("bytes", []uint8{255}, 1)
	g.Const("signed", []int8{-1}, 1)
	g.Const("ints", []int32{-2}, 1)
	g.Const("words", []string{"", "ä", "z"}, 3)
	g.Add(Node{Domain: "ai.onnx.ml", Op: "Scaler", Inputs: []string{y}, Outputs: []string{"z"},
		Attrs: []Attr{Fs("offset", []float32{1, 2, 3}), Fs("scale", []float32{2})}})
	g.Add(Node{Op: "Dropout", Inputs: []string{"z"}, Outputs: []string{"out", ""}, Attrs: []Attr{
		F("f", 1.5), I("i", -3), S("s", ""), Is("is", 1, -2), Ss("ss", "a", ""),
		T("t", Tensor{Dims: []int64{2}, Data: []float32{7, 8}})}})
	g.Output("out", Float, Sym("N"), Size(3))
	return g
}

// TestReaderReadsWhatIsWritten sends the sample through the project's own
// reader.
func TestReaderReadsWhatIsWritten(t *testing.T) {
	b, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnx.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.In) != 1 || m.In[0].Name != "x" || len(m.Out) != 1 || m.Out[0].Name != "out" {
		t.Errorf("inputs %v, outputs %v", m.In, m.Out)
	}
	var ops []string
	if err := m.Walk(func(n *graph.Node) error { ops = append(ops, n.Op); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ops, " "); got != "MatMul Scaler Dropout" {
		t.Errorf("nodes %q", got)
	}
}

func TestSameGraphSameBytes(t *testing.T) {
	a, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		b, err := sample().Encode()
		if err != nil || !bytes.Equal(a, b) {
			t.Fatalf("another encoding of the same graph differs (%v)", err)
		}
	}
}

func TestRawDataIsLittleEndian(t *testing.T) {
	f := func(want string, data any) {
		t.Helper()
		x := Tensor{Data: data}
		if got := string(x.raw()); got != want {
			t.Errorf("%T: % x, want % x", data, got, want)
		}
	}
	f("\x00\x00\x80\x3f", []float32{1})
	f("\x01\x00\x00\x80", []float32{math.Float32frombits(0x80000001)})
	f("\x00\x00\x00\x00\x00\x00\xf0\x3f", []float64{1})
	f("\xfe\xff\xff\xff", []int32{-2})
	f("\x02\x01\x00\x00\x00\x00\x00\x00", []int64{258})
	f("\x00\x3c", []uint16{0x3c00})
	f("\xff\x7f", []int8{-1, 127})
	f("\x01\x00", []bool{true, false})
}

// TestEmptyNamesKeepTheirPlace looks for the two-byte field of an empty output
// name: leaving it out would shift the outputs behind it.
func TestEmptyNamesKeepTheirPlace(t *testing.T) {
	n := Node{Inputs: []string{"", "a"}, Outputs: []string{"", "b"}}
	b := n.append(nil)
	count := map[protowire.Number]int{}
	for len(b) > 0 {
		num, typ, k := protowire.ConsumeTag(b)
		v := protowire.ConsumeFieldValue(num, typ, b[k:])
		if k < 0 || v < 0 {
			t.Fatal("not a message")
		}
		count[num]++
		b = b[k+v:]
	}
	if count[1] != 2 || count[2] != 2 {
		t.Errorf("fields %v, want two inputs and two outputs", count)
	}
}

func TestMalformedGraphsAreRefused(t *testing.T) {
	f := func(want string, change func(g *Graph)) {
		t.Helper()
		g := sample()
		change(g)
		if _, err := g.Encode(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	f("does not exist", func(g *Graph) { g.Op("Relu", []string{"nothing"}) })
	f("is taken", func(g *Graph) { g.OpAs("out", "Relu", []string{"x"}) })
	f("is taken", func(g *Graph) { g.Const("x", []float32{1}, 1) })
	f("without a name", func(g *Graph) { g.Input("", Float) })
	f("has 3 elements", func(g *Graph) { g.Const("c", []float32{1, 2, 3}, 2, 2) })
	f("has the shape", func(g *Graph) { g.Const("c", []float32{}, -1) })
	f("has the shape", func(g *Graph) { g.Const("c", []float32{}, 1<<40, 1<<40) })
	f("no element type", func(g *Graph) { g.Const("c", []uint64{1}, 1) })
	f("twice", func(g *Graph) { g.Output("out", Float) })
	f("twice", func(g *Graph) { g.Op("Relu", []string{"x"}, I("a", 1), F("a", 1)) })
	f("made by no node", func(g *Graph) { g.Output("nowhere", Float) })
	f("no version", func(g *Graph) { g.Add(Node{Domain: "own", Op: "X", Outputs: []string{"q"}}) })
	g := New("empty", 17)
	if _, err := g.Encode(); err == nil {
		t.Error("a graph without outputs was written")
	}
}
