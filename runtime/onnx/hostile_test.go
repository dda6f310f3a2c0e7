package onnx

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/onnx/build"
	"google.golang.org/protobuf/encoding/protowire"
)

// The tests write messages by field numbers of onnx.proto, for what they hold no writer
// of models would write.

func bytesField(num protowire.Number, parts ...[]byte) []byte {
	var v []byte
	for _, p := range parts {
		v = append(v, p...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), v)
}

func text(num protowire.Number, s string) []byte { return bytesField(num, []byte(s)) }

func number(num protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), uint64(v))
}

func join(parts ...[]byte) []byte {
	var v []byte
	for _, p := range parts {
		v = append(v, p...)
	}
	return v
}

// nodeOf is a NodeProto; attrs are whole AttributeProtos.
func nodeOf(op string, in, out []string, attrs ...[]byte) []byte {
	var b []byte
	for _, s := range in {
		b = append(b, text(1, s)...)
	}
	for _, s := range out {
		b = append(b, text(2, s)...)
	}
	b = append(b, text(4, op)...)
	for _, a := range attrs {
		b = append(b, bytesField(5, a)...)
	}
	return b
}

func opsetOf(version int64) []byte { return bytesField(8, number(2, version)) }

func modelOf(graph []byte, more ...[]byte) []byte {
	return join(append([][]byte{number(1, 8), bytesField(7, graph), opsetOf(17)}, more...)...)
}

func functionOf(name string, in, out string, nodes ...[]byte) []byte {
	b := join(text(1, name), text(4, in), text(5, out), text(10, "own"), bytesField(9, number(2, 17)), bytesField(9, text(1, "own"), number(2, 1)))
	for _, n := range nodes {
		b = append(b, bytesField(7, n)...)
	}
	return bytesField(25, b)
}

func ownOp(n []byte) []byte { return join(n, text(7, "own")) }

func rank1() []byte {
	return join(bytesField(1, number(1, 1), bytesField(2, bytesField(1, number(1, 3)))))
}

func portOf(num protowire.Number, name string, typ []byte) []byte {
	return bytesField(num, text(1, name), bytesField(2, typ))
}

// refused reads a hostile file under watch: it must be an error of the kind, and without
// much memory, which bounds the work, too.
func refused(t *testing.T, name string, b []byte, want Problem, contains string) {
	t.Helper()
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	_, err := Read(b)
	goruntime.ReadMemStats(&after)
	switch {
	case err == nil:
		t.Errorf("%s: it was taken", name)
	case ProblemOf(err) != want || !strings.Contains(err.Error(), contains):
		t.Errorf("%s: kind %d of %.300v, want %d and %q", name, ProblemOf(err), err, want, contains)
	case len(err.Error()) > 4<<10:
		t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 6<<30 {
		t.Errorf("%s: %d MiB were allocated", name, grown>>20)
	}
}

func TestNestingBombs(t *testing.T) {
	deep := nodeOf("Relu", []string{"x"}, []string{"y"})
	typ := rank1()
	for range 2000 {
		deep = nodeOf("If", []string{"c"}, []string{"y"}, join(text(1, "then_branch"), number(20, 5), bytesField(6, bytesField(1, deep))))
		typ = join(bytesField(4, bytesField(1, typ)))
	}
	graph := func(n []byte, more ...[]byte) []byte {
		return join(append([][]byte{bytesField(1, n), portOf(11, "x", rank1()), portOf(11, "c", rank1()), portOf(12, "y", rank1())}, more...)...)
	}
	relu := nodeOf("Relu", []string{"x"}, []string{"y"})
	refused(t, "graphs in graphs", modelOf(graph(deep)), TooLarge, "nest deeper")
	refused(t, "types in types", modelOf(graph(relu, portOf(11, "z", typ))), TooLarge, "nest deeper")

	call := func(f string, in, out string) []byte { return ownOp(nodeOf(f, []string{in}, []string{out})) }
	own := bytesField(8, text(1, "own"), number(2, 1))
	loop := functionOf("f", "a", "b", call("f", "a", "b"))
	refused(t, "a function that calls itself", modelOf(graph(call("f", "x", "y")), own, loop), TooLarge, "deeper")

	double := func(leaf []byte, levels int) []byte {
		b := join(modelOf(graph(call("f0", "x", "y"))), own)
		for i := range levels {
			next := fmt.Sprintf("f%d", i+1)
			b = append(b, functionOf(fmt.Sprintf("f%d", i), "a", "b", call(next, "a", "m"), call(next, "m", "b"))...)
		}
		return append(b, functionOf(fmt.Sprintf("f%d", levels), "a", "b", leaf)...)
	}
	refused(t, "2^28 calls", double(nodeOf("Relu", []string{"a"}, []string{"b"}), 28), TooLarge, "more than")

	many := make([]string, 1<<16)
	many[0] = "a"
	refused(t, "2^14 nodes of 2^16 inputs", double(nodeOf("Concat", many, []string{"b"}), 14), TooLarge, "names")

	numbers := protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), make([]byte, 4<<18))
	tensor := join(number(1, 1<<18), number(2, 1), numbers)
	heavy := nodeOf("Constant", nil, []string{"b"}, join(text(1, "value"), number(20, 4), bytesField(5, tensor)))
	refused(t, "2^14 copies of 1 MiB", double(heavy, 14), TooLarge, "copied")
}

func TestSparseBombs(t *testing.T) {
	one := join(number(1, 1), number(2, 1), bytesField(9, make([]byte, 4)), text(8, "w"))
	at := join(number(1, 1), number(2, 7), bytesField(9, make([]byte, 8)))
	sparse := func(name string, dims ...int64) []byte {
		b := join(bytesField(1, one, text(8, name)), bytesField(2, at))
		for _, d := range dims {
			b = append(b, number(3, d)...)
		}
		return bytesField(15, b)
	}
	y := join(bytesField(1, nodeOf("Relu", []string{"w0"}, []string{"y"})), portOf(12, "y", rank1()))
	refused(t, "a dense form of 4 TiB", modelOf(join(y, sparse("w0", 1<<20, 1<<20))), TooLarge, "dense form")
	refused(t, "extents that overflow", modelOf(join(y, sparse("w0", 1<<40, 1<<40, 1<<40))), Malformed, "elements")
	refused(t, "a negative extent", modelOf(join(y, sparse("w0", -5))), Malformed, "out of range")
	lots := y
	for i := range 64 {
		lots = append(lots, sparse(fmt.Sprintf("w%d", i), 60<<20)...)
	}
	refused(t, "64 dense forms of 240 MiB", modelOf(lots), TooLarge, "copied")
}

func TestNames(t *testing.T) {
	x, y := portOf(11, "x", rank1()), portOf(12, "y", rank1())
	relu := func(in, out string) []byte { return bytesField(1, nodeOf("Relu", []string{in}, []string{out})) }
	w := bytesField(5, number(1, 1), number(2, 1), bytesField(9, make([]byte, 4)), text(8, "w"))
	refused(t, "a value made twice", modelOf(join(x, y, relu("x", "y"), relu("x", "y"))), Malformed, "already")
	refused(t, "a node that makes the input", modelOf(join(x, y, relu("x", "x"), relu("x", "y"))), Malformed, "x")
	refused(t, "two initialisers of a name", modelOf(join(x, y, relu("x", "y"), w, w)), Malformed, "twice")
	refused(t, "two inputs of a name", modelOf(join(x, x, y, relu("x", "y"))), Malformed, "twice")
	refused(t, "an input without a name", modelOf(join(portOf(11, "", rank1()), x, y, relu("x", "y"))), Malformed, "no name")
	refused(t, "an initialiser without a name", modelOf(join(x, y, relu("x", "y"), bytesField(5, number(1, 1), number(2, 1), bytesField(9, make([]byte, 4))))), Malformed, "no name")
	refused(t, "an output that nothing makes", modelOf(join(x, y)), Malformed, "not computed")
	refused(t, "an output without a name", modelOf(join(x, y, portOf(12, "", rank1()), relu("x", "y"))), Malformed, "not computed")
	refused(t, "a domain that is not imported", modelOf(join(x, y, bytesField(1, nodeOf("Scaler", []string{"x"}, []string{"y"}), text(7, "ai.onnx.ml")))), Malformed, "not imported")
	refused(t, "no imports at all", join(number(1, 8), bytesField(7, join(x, y, relu("x", "y")))), Malformed, "not imported")
	ring := join(x, y, relu("b", "a"), relu("a", "b"), relu("a", "y"))
	refused(t, "a ring", modelOf(ring), Cyclic, "cycle")
}

// TestDamage cuts and damages models that are real: no answer but an error, or a sound
// graph.
func TestDamage(t *testing.T) {
	try := func(name string, b []byte) {
		t.Helper()
		m, err := Read(b)
		if err == nil {
			err = m.Check()
			if err != nil {
				t.Errorf("%s: a graph that was read is not sound: %v", name, err)
			}
		}
	}
	for name, b := range smallModels(t) {
		for n := range len(b) {
			try(fmt.Sprintf("%s cut to %d", name, n), b[:n])
		}
		r := rand.New(rand.NewPCG(1, 2))
		for k := range 3000 {
			c := append([]byte(nil), b...)
			for range 1 + r.IntN(3) {
				c[r.IntN(len(c))] ^= 1 << r.IntN(8)
			}
			try(fmt.Sprintf("%s with damage %d", name, k), c)
		}
	}
}

// smallModels are the files that damage begins with.
func smallModels(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	add := func(name string, g *build.Graph) {
		b, err := g.Encode()
		if err != nil {
			t.Fatal(err)
		}
		out[name] = b
	}
	g := build.New("dense", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(4))
	h := g.Op("Gemm", []string{x, g.Const("w", make([]float32, 12), 4, 3), g.Const("b", make([]float32, 3), 3)}, build.F("alpha", 2))
	g.Output(g.OpAs("y", "Softmax", []string{h}, build.I("axis", -1)), build.Float, build.Sym("n"), build.Size(3))
	add("dense", g)
	g = build.New("forest", 17)
	g.Opsets["ai.onnx.ml"] = 3
	x = g.Input("x", build.Float, build.Sym("n"), build.Size(2))
	g.Add(build.Node{Domain: "ai.onnx.ml", Op: "TreeEnsembleRegressor", Inputs: []string{x}, Outputs: []string{"y"}, Attrs: []build.Attr{
		build.I("n_targets", 1), build.Is("nodes_treeids", 0, 0, 0), build.Is("nodes_nodeids", 0, 1, 2), build.Is("nodes_featureids", 0, 0, 0),
		build.Ss("nodes_modes", "BRANCH_LEQ", "LEAF", "LEAF"), build.Fs("nodes_values", []float32{1, 0, 0}), build.Is("nodes_truenodeids", 1, 0, 0),
		build.Is("nodes_falsenodeids", 2, 0, 0), build.Is("target_treeids", 0, 0), build.Is("target_nodeids", 1, 2), build.Is("target_ids", 0, 0), build.Fs("target_weights", []float32{1, 2})}})
	g.Output("y", build.Float, build.Sym("n"), build.Size(1))
	add("forest", g)
	g = build.New("words", 17)
	x = g.Input("x", build.String, build.Sym("n"))
	eq := g.Op("Reshape", []string{x, g.Const("shape", []int64{-1, 1}, 2)})
	g.Const("names", []string{"", "ä", "z"}, 3)
	g.Output(g.OpAs("y", "Concat", []string{eq, eq}, build.I("axis", 1)), build.String, build.Sym("n"), build.Size(2))
	add("words", g)
	return out
}

// TestRealModels cuts each model of the zoo at every fiftieth of its length.
func TestRealModels(t *testing.T) {
	zoo := os.Getenv("AIMASS_ZOO")
	if zoo == "" {
		zoo = "../../build/zoo"
	}
	files, _ := filepath.Glob(filepath.Join(zoo, "*", "model.onnx"))
	if len(files) == 0 {
		t.Skip("NOT RUN: there is no zoo (make zoo)")
	}
	for _, p := range files {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for k := range 50 {
			if _, err := Read(b[:len(b)*k/50]); err == nil {
				t.Errorf("%s cut to %d of 50 was taken", filepath.Base(filepath.Dir(p)), k)
			}
		}
	}
}
