package inspect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/tensor"
)

// The fields of onnx.proto that the model below needs, by message.
func msg(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func sub(field protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), msg(parts...))
}

func str(field protowire.Number, s string) []byte { return sub(field, []byte(s)) }

func num(field protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), n)
}

func node(op, in, out string, attrs ...[]byte) []byte {
	var b []byte
	for _, s := range strings.Fields(in) {
		b = append(b, str(1, s)...)
	}
	return sub(1, b, str(2, out), str(4, op), msg(attrs...))
}

func value(field protowire.Number, name string, elem uint64, dims ...[]byte) []byte {
	var shape []byte
	for _, d := range dims {
		shape = append(shape, sub(1, d)...)
	}
	return sub(field, str(1, name), sub(2, sub(1, num(1, elem), sub(2, shape))))
}

// branching takes x of N×4 and gives x·w·w where N is 1, else x·w; w is 4×4.
func branching(t *testing.T) string {
	t.Helper()
	const float, integer = 1, 7
	y := value(12, "r", float, num(1, 1), num(1, 4))
	branch := func(name string, nodes ...[]byte) []byte {
		return sub(5, str(1, name), sub(6, msg(nodes...), str(2, name), y), num(20, 5))
	}
	constant := func(name string, dims []uint64, elem uint64, raw []byte) []byte {
		var b []byte
		for _, d := range dims {
			b = append(b, num(1, d)...)
		}
		return sub(5, b, num(2, elem), str(8, name), sub(9, raw))
	}
	one := make([]byte, 8)
	one[0] = 1
	graph := sub(7,
		node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Equal", "n one", "c"),
		node("If", "c", "y",
			branch("then_branch", node("MatMul", "x w", "a"), node("MatMul", "a w", "r")),
			branch("else_branch", node("MatMul", "x w", "r"))),
		str(2, "g"),
		constant("w", []uint64{4, 4}, float, make([]byte, 64)), constant("zero", nil, integer, make([]byte, 8)), constant("one", nil, integer, one),
		value(11, "x", float, str(2, "N"), num(1, 4)), value(12, "y", float, str(2, "N"), num(1, 4)))
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, msg(num(1, 8), graph, sub(8, num(2, 17))), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBranchThatShapesDecide: an If over a shape is no question any more once shapes are
// known; the branch's work counts, and its nodes are told of.
func TestBranchThatShapesDecide(t *testing.T) {
	path := branching(t)
	for rows, want := range map[int]int64{1: 2 * 16, 3: 3 * 16} {
		r, err := File(runtime.NewEngine(runtime.Config{}), path, Options{Shapes: map[string]tensor.Shape{"x": {rows, 4}}})
		if err != nil {
			t.Fatal(err)
		}
		products := 0
		for _, at := range r.Where {
			if at.Operator == "MatMul" && at.Path == "fast" && at.Device == "cpu" {
				products++
			}
		}
		if r.Work.MACs != want || r.Work.Uncounted != nil || int64(products*16*rows) != want || r.Plan.Nested != 0 || r.Plan.Folded != 4 {
			t.Errorf("%d rows: %+v, %+v\n%+v", rows, r.Work, r.Plan, r.Where)
		}
	}
}
