package feed

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

func TestParseShapes(t *testing.T) {
	got, err := ParseShapes([]string{"a:0=1x2x3", "s=", "b=c=4:int64"})
	if err != nil || !reflect.DeepEqual(got, map[string]tensor.Shape{"a:0": {1, 2, 3}, "s": {}, "b=c": {4}}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"a", "=1", "a=1x", "a=x", "a=-1", "a=1.5", "a=4611686018427387904x4"} {
		if _, err := ParseShapes([]string{bad}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestRandomFollowsTheName(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	f := func(name string, d tensor.DType, ok func(v int64) bool) {
		t.Helper()
		x, err := Random(rng, name, graph.Type{DType: d}, tensor.Shape{50})
		if err != nil {
			t.Fatal(err)
		}
		v, err := tensor.Int64s(x)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range v {
			if !ok(n) {
				t.Errorf("%s: %d", name, n)
			}
		}
	}
	f("attention_mask", tensor.Int64, func(v int64) bool { return v == 1 })
	f("token_type_ids", tensor.Int32, func(v int64) bool { return v == 0 })
	f("input_ids", tensor.Int64, func(v int64) bool { return v >= 1 && v <= 999 })
	f("small", tensor.Int8, func(v int64) bool { return v >= 0 && v <= 127 })
}
