package onnx

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	f := func(name string, b []byte, want string) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(p)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", name, err, want)
		}
	}
	f("empty", nil, "no graph")
	f("garbage", []byte("this is not a model at all"), "malformed")
	f("truncated", []byte{0x3a, 0x7f, 0x0a}, "malformed")
}

func TestOpenRefusesBeyond2GiB(t *testing.T) {
	p := filepath.Join(t.TempDir(), "big.onnx")
	f, err := os.Create(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(MaxFile + 1); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := Open(p); err == nil || !strings.Contains(err.Error(), "external data") {
		t.Errorf("got %v, want a hint at external data", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{0x08, 0x08, 0x3a, 0x00})
	for _, b := range smallModels(f) {
		f.Add(b)
	}
	f.Add(modelOf(join(bytesField(1, ownOp(nodeOf("f", []string{"x"}, []string{"y"}))), portOf(11, "x", rank1()), portOf(12, "y", rank1())),
		bytesField(8, text(1, "own"), number(2, 1)), functionOf("f", "a", "b", nodeOf("Relu", []string{"a"}, []string{"b"}))))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(b)
		if err == nil {
			if err := m.Check(); err != nil {
				t.Fatalf("a graph that was read is not sound: %v", err)
			}
		}
	})
}

// TestProblems looks at the kind that an error carries, through whatever wraps it.
func TestProblems(t *testing.T) {
	f := func(want Problem, b []byte) {
		t.Helper()
		_, err := Read(b)
		if err == nil || ProblemOf(err) != want {
			t.Errorf("kind %d of %v, want %d", ProblemOf(err), err, want)
		}
	}
	field := func(b []byte, num protowire.Number, v ...[]byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), bytes.Join(v, nil))
	}
	node := func(op, in, out string) []byte {
		return field(nil, 1, field(field(field(nil, 1, []byte(in)), 2, []byte(out)), 4, []byte(op)))
	}
	model := func(graph ...[]byte) []byte {
		return field(field(nil, 7, graph...), 8, protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 17))
	}
	f(Truncated, nil)
	good := model(node("Relu", "x", "y"))
	f(Truncated, good[:len(good)-3])
	f(Truncated, good[:9])
	f(Malformed, []byte("this is not a model"))
	f(Malformed, model([]byte{0x0a, 0x7f, 0x0a})) // a node that is longer than the graph around it
	f(Malformed, model(node("Relu", "nowhere", "y")))
	f(Cyclic, model(node("Relu", "a", "b"), node("Relu", "b", "a")))
	dims := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 3)
	float := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1)
	f(Weights, model(field(nil, 5, dims, float, field(nil, 9, make([]byte, 8)), field(nil, 8, []byte("w")))))
	odd := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 99)
	f(Unsupported, model(field(nil, 5, dims, odd, field(nil, 9, make([]byte, 12)), field(nil, 8, []byte("w")))))
}

// TestOverwrittenInPlace writes over the file of an open model, as a careless copy does:
// the open one keeps its weights.
func TestOverwrittenInPlace(t *testing.T) {
	g := build.New("g", 17)
	g.Output(g.OpAs("y", "Add", []string{g.Input("x", build.Float, build.Sym("n")), g.Const("w", []float32{7}, 1)}), build.Float, build.Sym("n"))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "m.onnx")
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := os.WriteFile(p, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if w := tensor.Data[float32](m.Model.Nodes[0].In[1].Tensor()); w[0] != 7 {
		t.Errorf("the weight became %v", w)
	}
}
