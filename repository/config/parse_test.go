package config

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"google.golang.org/protobuf/encoding/prototext"
)

const sample = `# a model
name: "m" platform: "onnxruntime_onnx"
max_batch_size: 8
input [
  {
    name: "x"  # the only one
    data_type: TYPE_FP32
    dims: [ -1,
            16 ]
  }
]
output { name: 'y' "z"
  data_type: TYPE_INT64 dims: 4; dims: 5, }
instance_group < count: 2 >
parameters { key: "a" value { string_value: "b\"}" } }
`

func TestParseKnowsLines(t *testing.T) {
	f, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Unknown) != 0 {
		t.Errorf("unknown fields %v", f.Unknown)
	}
	if f.Proto.Output[0].Name != "yz" || !slices.Equal(f.Proto.Output[0].Dims, []int64{4, 5}) || f.Proto.Parameters["a"].StringValue != `b"}` {
		t.Errorf("read %v", f.Proto)
	}
	for path, line := range map[string]int{
		"name": 2, "platform": 2, "max_batch_size": 3, "input": 4, "input[0]": 5, "input[0].name": 6, "input[0].dims": 8,
		"output[0]": 12, "output[0].dims": 13, "instance_group[0].count": 14, "parameters": 15,
		// What isn't written is looked for around it.
		"input[0].reshape.shape": 5, "output[0].label_filename": 12,
	} {
		if got := f.At(path).Line; got != line {
			t.Errorf("%s on line %d, want %d", path, got, line)
		}
	}
	if !f.Has("max_batch_size") || f.Has("version_policy") {
		t.Error("Has is wrong")
	}
}

func TestParseListsUnknownFields(t *testing.T) {
	f, err := Parse([]byte(`
name: "m"
max_bach_size: 8
input { name: "x" dimms: [1, 2]
  deep { name: "of no interest" } }
[an.extension]: 3
output [ { name: "y" }, { shape: [ 1 ] } ]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Field{{"max_bach_size", 3}, {"input[0].dimms", 4}, {"input[0].deep", 5}, {"[an.extension]", 6}, {"output[1].shape", 7}}
	if !slices.Equal(f.Unknown, want) {
		t.Errorf("got %v, want %v", f.Unknown, want)
	}
	if s := f.Unknown[0].String(); s != "config.pbtxt line 3: max_bach_size" {
		t.Error(s)
	}
	if f.Proto.Name != "m" || len(f.Proto.Output) != 2 {
		t.Errorf("read %v", f.Proto)
	}
}

func TestParseRefuses(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := Parse([]byte(text))
		if api.CodeOf(err) != api.CodeConfigInvalid {
			t.Fatalf("%q: got %v", text, err)
		}
		for _, w := range append(want, "config.pbtxt") {
			if !strings.Contains(api.Message(err), w) {
				t.Errorf("%q: %q is not in %q", text, w, api.Message(err))
			}
		}
	}
	f("name: \"m\"\nmax_batch_size: many", "line 2", "max_batch_size")
	f("name: \"m\"\ninput {\n", "unexpected EOF")
	f("\n\n}", "line 3")
	f("input { data_type: TYPE_FP31 }", "line 1", "data_type")
	f("name: \"m\"\nname: \"n\"", "line 2", "repeated")
	f("max_batch_size: 99999999999", "max_batch_size")
	f(strings.Repeat("a{", 70), "nest deeper")
	f(strings.Repeat("#", maxText+1), "limit")
	f("name: \"\xff\"", "UTF-8")
}

func TestParseJSON(t *testing.T) {
	f, err := ParseJSON([]byte(`{"name":"m","max_batch_size":0,"input":[{"name":"x","dims":["4",-1],"dimensions":[]}],"versionPolicy":{"all":{}},
		"model_warmup":[{"inputs":{"x":{"zero_dataa":true,"dims":[1]}}}],"nonsense":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if !f.Has("max_batch_size") || !f.Has("version_policy") || f.Has("output") {
		t.Errorf("presence %v", f.lines)
	}
	want := []string{"input[0].dimensions", "model_warmup[0].inputs[x].zero_dataa", "nonsense"}
	var got []string
	for _, u := range f.Unknown {
		got = append(got, u.Path)
	}
	if !slices.Equal(got, want) || f.Unknown[0].String() != "config: input[0].dimensions" {
		t.Errorf("unknown %v, want %v", got, want)
	}
	for _, bad := range []string{"", "{", "[]", `{"max_batch_size":"x"}`, `{"name":"m"} x`} {
		if _, err := ParseJSON([]byte(bad)); api.CodeOf(err) != api.CodeConfigInvalid {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

// FuzzParse holds the two readers of one text together: the scanner finds an unknown
// field exactly where the strict parser refuses what the lenient one takes.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	for _, s := range []string{"", "a", "a:", "a{", "name:'x'\n#", "input<name:\"x\">", "dims:[1,[2]]", "x:-  1", "[a/b.c]{}", "input:[{},{}]", "name:\"a\\\"", "input{dims:1 dims:[2,3]}", "max_batch_size:-1", "a:b:c"} {
		f.Add([]byte(s))
	}
	if b, err := os.ReadFile("testdata/full.pbtxt"); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := Parse(text)
		if err != nil {
			if api.CodeOf(err) != api.CodeConfigInvalid {
				t.Fatalf("code %s", api.CodeOf(err))
			}
			return
		}
		strict := prototext.Unmarshal(text, &inferencepb.ModelConfig{})
		if (strict == nil) != (len(got.Unknown) == 0) {
			t.Fatalf("the strict parser says %v, the scanner lists %v", strict, got.Unknown)
		}
		lines := strings.Count(string(text), "\n") + 1
		for path, line := range got.lines {
			if line < 1 || line > lines {
				t.Fatalf("%s on line %d of %d", path, line, lines)
			}
		}
	})
}
