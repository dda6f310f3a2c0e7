package config

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

func read(t *testing.T, g *build.Graph) *runtime.Model {
	t.Helper()
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.NewEngine(runtime.Config{}).Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// rowwise has independent rows: x [n,3] float and k [n] int64 give y [n,3] and l [n].
func rowwise(t *testing.T) *runtime.Model {
	g := build.New("rowwise", 17)
	n := build.Sym("n")
	x, k := g.Input("x", build.Float, n, build.Size(3)), g.Input("k", build.Int64, n)
	g.Output(g.OpAs("y", "Relu", []string{x}), build.Float, n, build.Size(3))
	g.Output(g.OpAs("l", "Abs", []string{k}), build.Int64, n)
	return read(t, g)
}

// mixing sums over the rows.
func mixing(t *testing.T) *runtime.Model {
	g := build.New("mixing", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(3))
	g.Output(g.OpAs("y", "Sub", []string{x, g.Op("ReduceSum", []string{x, g.Const("a", []int64{0}, 1)})}), build.Float, build.Sym("n"), build.Size(3))
	return read(t, g)
}

// fixed takes one shape.
func fixed(t *testing.T) *runtime.Model {
	g := build.New("fixed", 17)
	x := g.Input("x", build.Float, build.Size(1), build.Size(3))
	g.Output(g.OpAs("y", "Relu", []string{x}), build.Float, build.Size(1), build.Size(3))
	return read(t, g)
}

func resolve(t *testing.T, text string, m *runtime.Model) (*Config, []string, error) {
	t.Helper()
	var f *File
	if text != "" {
		var err error
		if f, err = Parse([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return Resolve(Source{Model: "m", File: f, Runtime: m, Read: func(name string) ([]byte, error) {
		if name == "labels.txt" {
			return []byte("cat\r\ndog\nlast"), nil
		}
		return nil, fs.ErrNotExist
	}})
}

// TestDerived: with no configuration all comes from the model.
func TestDerived(t *testing.T) {
	f := func(m *runtime.Model, batched bool, want string) {
		t.Helper()
		c, notes, err := resolve(t, "", m)
		if err != nil {
			t.Fatal(err)
		}
		exp := &inferencepb.ModelConfig{}
		if err := prototext.Unmarshal([]byte(want), exp); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(c.Proto, exp) {
			t.Errorf("got %v\nwant %v", c.Proto, exp)
		}
		if c.Batched != batched || c.BatchReason == "" || len(notes) > 0 {
			t.Errorf("batched %v: %s, notes %v", c.Batched, c.BatchReason, notes)
		}
	}
	common := `name: "m" platform: "onnxruntime_onnx" backend: "onnxruntime" default_model_filename: "model.onnx" version_policy { latest { num_versions: 1 } }`
	f(rowwise(t), true, common+` max_batch_size: 4096 dynamic_batching {}
		input { name: "x" data_type: TYPE_FP32 dims: 3 } input { name: "k" data_type: TYPE_INT64 }
		output { name: "y" data_type: TYPE_FP32 dims: 3 } output { name: "l" data_type: TYPE_INT64 }`)
	f(mixing(t), false, common+` input { name: "x" data_type: TYPE_FP32 dims: [-1, 3] } output { name: "y" data_type: TYPE_FP32 dims: [-1, 3] }`)
	f(fixed(t), false, common+` input { name: "x" data_type: TYPE_FP32 dims: [1, 3] } output { name: "y" data_type: TYPE_FP32 dims: [1, 3] }`)
}

// TestMaxBatch: who decides about the batch, and what the shapes then are.
func TestMaxBatch(t *testing.T) {
	f := func(text string, m *runtime.Model, max int, batched bool, shape []int64, note string) {
		t.Helper()
		c, notes, err := resolve(t, text, m)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			return
		}
		if c.MaxBatch != max || c.Batched != batched || !slices.Equal(c.Inputs[0].Shape, shape) || !strings.Contains(strings.Join(notes, "\n"), note) || note == "" && len(notes) > 0 {
			t.Errorf("%q: max %d, batched %v, shape %v, notes %q", text, c.MaxBatch, c.Batched, c.Inputs[0].Shape, notes)
		}
		if c.Proto.MaxBatchSize != int32(max) {
			t.Errorf("%q: the configuration answers %d", text, c.Proto.MaxBatchSize)
		}
	}
	f("max_batch_size: 8", rowwise(t), 8, true, []int64{-1, 3}, "")
	f("max_batch_size: 0", rowwise(t), 0, false, []int64{-1, 3}, "")
	f(`name: "m" input { name: "x" dims: 3 }`, rowwise(t), DerivedMaxBatch, true, []int64{-1, 3}, "")
	f(`input { name: "x" dims: [ -1, 3 ] }`, rowwise(t), 0, false, []int64{-1, 3}, "")
	f(`input { name: "k" dims: [ ] }`, rowwise(t), DerivedMaxBatch, true, []int64{-1, 3}, "")
	f("max_batch_size: 8", mixing(t), 8, false, []int64{-1, 3}, "not proved independent")
	f("max_batch_size: 8\ndynamic_batching { }", mixing(t), 8, true, []int64{-1, 3}, "line 2: dynamic_batching: requests are batched although")
	f("", mixing(t), 0, false, []int64{-1, 3}, "")
	f("input { name: \"x\" dims: [ 5, 3 ] }", mixing(t), 0, false, []int64{5, 3}, "")
}

func TestResolveRefuses(t *testing.T) {
	f := func(text string, m *runtime.Model, want ...string) {
		t.Helper()
		_, _, err := resolve(t, text, m)
		if api.CodeOf(err) != api.CodeConfigInvalid {
			t.Errorf("%q: got %v", text, err)
			return
		}
		for _, w := range want {
			if !strings.Contains(api.Message(err), w) {
				t.Errorf("%q: %q is not in %q", text, w, api.Message(err))
			}
		}
	}
	f(`name: "other"`, rowwise(t), "line 1: name", `got "other", expected the folder's name "m"`)
	f("\nplatform: \"tensorrt_plan\"", rowwise(t), "line 2: platform", `"onnxruntime_onnx"`)
	f(`backend: "python"`, rowwise(t), "line 1: backend", `"native"`)
	f(`default_model_filename: "../x"`, rowwise(t), "default_model_filename")
	f("max_batch_size: -1", rowwise(t), "max_batch_size", "got -1")
	f("max_batch_size: 4", fixed(t), "line 1: max_batch_size", "got 4, expected 0", "input 'x'", "[1 3]")
	f("input {\n name: \"z\" }", rowwise(t), "line 2: input[0].name", "no input 'z', expected one of 'x', 'k'")
	f("output {\n name: \"z\" }", rowwise(t), "line 2: output[0].name", "no output 'z', expected one of 'y', 'l'")
	f("input { name: \"x\" }\ninput { name: \"x\" }", rowwise(t), "line 2", "twice")
	f("input {\n name: \"x\"\n data_type: TYPE_INT32 }", rowwise(t), "line 3: input[0].data_type", "input 'x': got TYPE_INT32, expected TYPE_FP32")
	f("input {\n name: \"x\"\n dims: 4 }", rowwise(t), "line 3: input[0].dims", "input 'x': got [4], expected [3]")
	f("max_batch_size: 4 input { name: \"x\" dims: [-1, 3] }", rowwise(t), "got [-1, 3], expected [3]", "leave the batch dimension out")
	f("max_batch_size: 0 input { name: \"x\" dims: 3 }", rowwise(t), "got [3], expected [-1, 3]", "the batch dimension included")
	f("max_batch_size: 4 input { name: \"k\" dims: 1 }", rowwise(t), "got [1], expected []", "reshape { shape: [ ] }")
	f("max_batch_size: 4 input { name: \"x\" dims: -1 }", rowwise(t), "got [-1], expected [3]")
	f("max_batch_size: 4 input { name: \"x\" dims: 0 }", rowwise(t), "got [0], expected extents of 1 or more")
	f("max_batch_size: 0 input { name: \"x\" dims: [9223372036854775807, 9223372036854775807] }", rowwise(t), "2^40")
	f("max_batch_size: 4 input { name: \"x\" dims: [3] reshape { shape: [4] } }", rowwise(t), "reshape", "as many elements")
	f("max_batch_size: 4 input { name: \"x\" dims: [4] reshape { shape: [2, 2] } }", rowwise(t), "got [2, 2], expected [3]")
	f("sequence_batching { state { input_name: \"z\" } }", rowwise(t), "state[0].input_name", "no input 'z'")
	f("sequence_batching { state { input_name: \"x\" output_name: \"l\" } }", rowwise(t), "state[0]", "must be of one type")
	f("sequence_batching { state { input_name: \"x\" output_name: \"y\" dims: 4 } }", rowwise(t), "state[0].dims", "expected [-1, 3]")
	f("input { name: \"x\" } sequence_batching { state { input_name: \"x\" output_name: \"y\" } }", rowwise(t), "input[0].name", "is the server's")
	f("sequence_batching { control_input { name: \"x\" control { int32_false_true: [0, 1] } } }", rowwise(t), "control_input[0].control[0]", "expected one element")
	f("sequence_batching { control_input { name: \"k\" control { fp32_false_true: [0, 1] } } }", rowwise(t), "control_input[0].control[0]", "two values")
	f("model_transaction_policy { decoupled: true }", rowwise(t), "decoupled", "expected false")
	f("ensemble_scheduling { }", rowwise(t), "ensemble")
	f("instance_group { count: -1 }", rowwise(t), "instance_group[0].count")
	f("max_batch_size: 4 dynamic_batching { preferred_batch_size: [ 2, 5 ] }", rowwise(t), "preferred_batch_size", "got 5, expected 1 to max_batch_size, 4")
	f("dynamic_batching { max_queue_delay_microseconds: 18446744073709551615 }", rowwise(t), "max_queue_delay_microseconds")
	f("dynamic_batching { priority_levels: 2 default_priority_level: 3 }", rowwise(t), "priority")
	f("output { name: \"y\"\n label_filename: \"../../secret\" }", rowwise(t), "line 2", "got \"../../secret\", expected a file in the model's folder")
	f("output { name: \"y\"\n label_filename: \"none.txt\" }", rowwise(t), "line 2", "no file \"none.txt\"")
	f("batch_input { }", rowwise(t), "batch_input")
}

func TestResolveReads(t *testing.T) {
	c, notes, err := resolve(t, `
		name: "m" backend: "onnxruntime" max_batch_size: 16
		input { name: "k" dims: 1 reshape { shape: [ ] } }
		output { name: "l" label_filename: "labels.txt" }
		instance_group { count: 2 kind: KIND_GPU } instance_group { count: 1 }
		dynamic_batching { preferred_batch_size: [ 8, 4 ] max_queue_delay_microseconds: 300 preserve_ordering: true
			priority_levels: 3 default_priority_level: 2
			default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 5000 allow_timeout_override: true max_queue_size: 7 } }
		response_cache { enable: true }
		parameters { key: "a" value { string_value: "b" } } parameters { key: "reject_nan" value { string_value: "true" } }
		optimization { priority: PRIORITY_MAX }`, rowwise(t))
	if err != nil {
		t.Fatal(err)
	}
	if c.Instances != 3 || c.QueueDelay != 300*time.Microsecond || !slices.Equal(c.PreferredBatch, []int{4, 8}) || c.MaxQueue != 7 || c.Timeout != 5*time.Millisecond ||
		!c.TimeoutDelays || !c.TimeoutOverride || c.PriorityLevels != 3 || c.DefaultPriority != 2 || !c.PreserveOrdering || !c.CacheEnabled || c.Decoupled || c.Parameters["a"] != "b" {
		t.Errorf("%+v", c)
	}
	for name := range serverParameters {
		_, notes, err := resolve(t, `backend: "onnxruntime" parameters { key: "`+name+`" value { string_value: "" } }`, rowwise(t))
		if err == nil && len(notes) > 0 {
			t.Errorf("parameter %s is the server's, notes %q", name, notes)
		}
	}
	for _, name := range []string{"check", "feature_policy", "gpu_tf32"} {
		if !serverParameters[name] {
			t.Errorf("parameter %s counts as unknown", name)
		}
	}
	if k := c.Inputs[1]; !k.Reshaped || len(k.Reshape) != 0 || !slices.Equal(k.Shape, []int64{-1, 1}) || k.DType != tensor.Int64 {
		t.Errorf("%+v", k)
	}
	if l := c.Output("l"); !slices.Equal(l.Labels, []string{"cat", "dog", "last"}) || c.Output("none") != nil {
		t.Errorf("%+v", l)
	}
	all := strings.Join(notes, "\n")
	for _, w := range []string{"KIND_GPU", "line 11: optimization", "line 10: parameters (key \"a\")"} {
		if !strings.Contains(all, w) {
			t.Errorf("%q is not in %q", w, all)
		}
	}
}

func TestVersions(t *testing.T) {
	have := []int64{1, 2, 5}
	f := func(text string, serve, missing []int64) {
		t.Helper()
		file, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		s, m := file.Versions(have)
		if !slices.Equal(s, serve) || !slices.Equal(m, missing) {
			t.Errorf("%q: %v and %v", text, s, m)
		}
	}
	f("", []int64{5}, nil)
	f("version_policy { latest { num_versions: 2 } }", []int64{2, 5}, nil)
	f("version_policy { latest { num_versions: 9 } }", have, nil)
	f("version_policy { all { } }", have, nil)
	f("version_policy { specific { versions: [ 5, 1, 7, 5 ] } }", []int64{1, 5}, []int64{7})
	var none *File
	if s, _ := none.Versions(have); !slices.Equal(s, []int64{5}) {
		t.Error(s)
	}
}

func TestNames(t *testing.T) {
	for s, want := range map[string]bool{"m": true, "a.b-c_D9": true, "": false, ".": false, "..": false, ".a": false, "a/b": false, `a\b`: false, "a b": false, "é": false, "a\x00": false, strings.Repeat("a", 256): false} {
		if ValidName(s) != want {
			t.Errorf("ValidName(%q) is not %v", s, want)
		}
	}
	for s, want := range map[string]int64{"1": 1, "10": 10, "9223372036854775807": 1<<63 - 1, "0": 0, "01": 0, "-1": 0, "+1": 0, "1.0": 0, "": 0, "9223372036854775808": 0, "１": 0} {
		if n, ok := ParseVersion(s); ok != (want != 0) || ok && n != want {
			t.Errorf("ParseVersion(%q) is %d, %v", s, n, ok)
		}
	}
}
