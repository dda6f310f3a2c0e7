package client_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aimass/aimass/client"
)

// every is one tensor of each type, with the extremes.
func every() []client.Tensor {
	return []client.Tensor{
		client.Float32("f32", []int{2, 2}, []float32{1.5, -0.1, math.MaxFloat32, math.SmallestNonzeroFloat32}),
		client.Float64("f64", []int{3}, []float64{math.Pi, -math.MaxFloat64, 5e-324}),
		client.Int32("i32", []int{2}, []int32{math.MinInt32, math.MaxInt32}),
		client.Int64("i64", []int{1, 2}, []int64{math.MinInt64, math.MaxInt64}),
		client.Of("i16", []int{2}, []int16{math.MinInt16, math.MaxInt16}),
		client.Of("i8", []int{2}, []int8{-128, 127}),
		client.Of("u8", []int{2}, []uint8{0, 255}),
		client.Of("u16", []int{1}, []uint16{65535}),
		client.Of("u32", []int{1}, []uint32{math.MaxUint32}),
		client.Of("u64", []int{2}, []uint64{1 << 62, 7}),
		client.Bool("bool", []int{3}, []bool{true, false, true}),
		client.Strings("text", []int{2, 2}, []string{"", "käse \"quoted\" \\", "a,b]", "\n\x00"}),
		client.Raw("f16", client.FP16, []int{3}, le[uint16](0x3c00, 0x8001, 0x7bff)),
		client.Raw("bf16", client.BF16, []int{2}, le[uint16](0x3f80, 0xff7f)),
		client.Float32("none", []int{0, 4}, nil),
		client.Float32("scalar", nil, []float32{3}),
	}
}

func sameTensors(t *testing.T, got, want []client.Tensor) {
	t.Helper()
	opts := cmp.Options{cmp.AllowUnexported(client.Tensor{}), cmpopts.EquateEmpty()}
	if d := cmp.Diff(want, got, opts); d != "" {
		t.Errorf("(-sent +came back)\n%s", d)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, format := range []client.Format{client.Binary, client.JSON} {
		for _, coding := range []client.Compression{client.None, client.Gzip, client.Zstd} {
			f := &fake{}
			c := start(t, f, client.Options{Format: format, Compression: coding})
			in := every()
			if format == client.JSON { // encoding/json of the fake reads numbers as float64
				in = slicesWithout(in, "i64", "u64")
			}
			res, err := c.Infer(context.Background(), &client.Request{Model: "any/thing", Version: "7", ID: "id \"1\"", Inputs: in})
			if err != nil {
				t.Fatalf("format %d, %q: %v", format, coding, err)
			}
			sameTensors(t, res.Outputs, in)
			if res.ID != "id \"1\"" || res.Version != "7" {
				t.Errorf("id %q, version %q", res.ID, res.Version)
			}
			s := f.last()
			if s.path != "/v2/models/any%2Fthing/versions/7/infer" {
				t.Errorf("path %s", s.path)
			}
			if got := s.header.Get("Content-Encoding"); got != coding.String() {
				t.Errorf("Content-Encoding %q, want %q", got, coding)
			}
			want := map[client.Format]string{client.Binary: "application/octet-stream", client.JSON: "application/json"}[format]
			if got := s.header.Get("Content-Type"); got != want {
				t.Errorf("Content-Type %q, want %q", got, want)
			}
		}
	}
}

func slicesWithout(in []client.Tensor, names ...string) []client.Tensor {
	var out []client.Tensor
	for _, t := range in {
		if !strings.Contains(strings.Join(names, " "), t.Name) {
			out = append(out, t)
		}
	}
	return out
}

// answering is a server that gives one answer.
func answering(header map[string]string, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.Write([]byte(body))
	}
}

func TestAnswersInJSON(t *testing.T) {
	c := start(t, answering(nil, `{"model_name":"m","parameters":{"k":1},"outputs":[
		{"name":"nested","datatype":"FP32","shape":[2,2],"data":[[1, NaN],[Infinity,-Infinity]]},
		{"name":"text","datatype":"BYTES","shape":[2],"data":["NaN","say \"Infinity\""]},
		{"name":"big","datatype":"INT64","shape":[2],"data":[-9223372036854775808,9223372036854775807]},
		{"name":"yes","datatype":"BOOL","shape":[1],"data":[true]},
		{"name":"half","datatype":"FP16","shape":[3],"data":[0.1,1e9,6e-8]},
		{"name":"brain","datatype":"BF16","shape":[1],"data":[3.14159]}]}`), client.Options{})
	res, err := c.Infer(context.Background(), &client.Request{Model: "m", Format: client.JSON})
	if err != nil {
		t.Fatal(err)
	}
	f, err := res.Float32s("nested")
	if err != nil || f[0] != 1 || !math.IsNaN(float64(f[1])) || !math.IsInf(float64(f[2]), 1) || !math.IsInf(float64(f[3]), -1) {
		t.Errorf("nested: %v, %v", f, err)
	}
	s, err := res.Strings("text")
	if err != nil || !reflect.DeepEqual(s, []string{"NaN", `say "Infinity"`}) {
		t.Errorf("text: %q, %v", s, err)
	}
	i, err := res.Int64s("big")
	if err != nil || i[0] != math.MinInt64 || i[1] != math.MaxInt64 {
		t.Errorf("big: %v, %v", i, err)
	}
	b, err := res.Bools("yes")
	if err != nil || !b[0] {
		t.Errorf("yes: %v, %v", b, err)
	}
	// 0.1 and 3.14159 rounded to 11 and 8 bits; 1e9 is beyond binary16; 6e-8 is its smallest number, 2^-24, rounded.
	h, err := res.Float64s("half")
	if err != nil || h[0] != 0.0999755859375 || !math.IsInf(h[1], 1) || h[2] != math.Ldexp(1, -24) {
		t.Errorf("half: %v, %v", h, err)
	}
	if v, err := res.Float32s("brain"); err != nil || v[0] != 3.140625 {
		t.Errorf("brain: %v, %v", v, err)
	}
	if _, err := res.Int64s("nested"); err == nil || !strings.Contains(err.Error(), `"nested" is FP32`) {
		t.Errorf("wrong type: %v", err)
	}
	if _, err := res.Float32s("absent"); err == nil || !strings.Contains(err.Error(), `no output "absent"`) {
		t.Errorf("absent: %v", err)
	}
	if res.Parameters["k"] != 1.0 {
		t.Errorf("parameters %v", res.Parameters)
	}
}

func TestAnswersThatLie(t *testing.T) {
	f := func(want string, header map[string]string, body string) {
		t.Helper()
		c := start(t, answering(header, body), client.Options{})
		_, err := c.Infer(context.Background(), &client.Request{Model: "m"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v, want %q", body, err, want)
		}
	}
	length := func(s string) map[string]string { return map[string]string{"Inference-Header-Content-Length": s} }
	parts := func(want, head, tail string) {
		t.Helper()
		f(want, length(strconv.Itoa(len(head))), head+tail)
	}
	f("the body has 2 bytes", length("3"), `{}`)
	f("the body has 2 bytes", length("-1"), `{}`)
	f("no JSON", nil, `{"outputs":`)
	f("no JSON", nil, `<html>`)
	parts("8 bytes are announced, 4 are there", `{"outputs":[{"name":"x","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}}]}`, "1234")
	parts("there are 4 bytes", `{"outputs":[{"name":"x","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":4}}]}`, "1234")
	parts("1 bytes follow", `{"outputs":[{"name":"x","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}}]}`, "12345")
	parts("is cut off", `{"outputs":[{"name":"x","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":4}}]}`, "\xff\xff\xff\xff")
	f("neither data", nil, `{"outputs":[{"name":"x","datatype":"FP32","shape":[1]}]}`)
	f("takes 2 elements", nil, `{"outputs":[{"name":"x","datatype":"FP32","shape":[2],"data":[1]}]}`)
	f(`no datatype "FP8"`, nil, `{"outputs":[{"name":"x","datatype":"FP8","shape":[1],"data":[1]}]}`)
	f("300 is no UINT8", nil, `{"outputs":[{"name":"x","datatype":"UINT8","shape":[1],"data":[300]}]}`)
	f("is not valid", nil, `{"outputs":[{"name":"x","datatype":"FP32","shape":[4611686018427387904,8],"data":[1]}]}`)
	f("is not valid", nil, `{"outputs":[{"name":"x","datatype":"FP32","shape":[-1],"data":[1]}]}`)
	f("unknown Content-Encoding", map[string]string{"Content-Encoding": "br"}, `{}`)
	f("not valid gzip", map[string]string{"Content-Encoding": "gzip"}, `{}`)
}

func TestRequestsThatCannotBe(t *testing.T) {
	fk := &fake{}
	c := start(t, fk, client.Options{})
	f := func(want string, r *client.Request) {
		t.Helper()
		_, err := c.Infer(context.Background(), r)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	in := func(x client.Tensor) *client.Request { return &client.Request{Model: "m", Inputs: []client.Tensor{x}} }
	f("name is empty", &client.Request{})
	f(`"x": FP32[2 2] takes 4 elements of 4 bytes, there are 12 bytes`, in(client.Float32("x", []int{2, 2}, make([]float32, 3))))
	f("takes 2 strings", in(client.Strings("x", []int{2}, []string{"a"})))
	f("is not valid", in(client.Float32("x", []int{-2, -2}, make([]float32, 4))))
	f(`no datatype "FP8"`, in(client.Raw("x", "FP8", []int{1}, []byte{1})))
	f("not valid UTF-8", &client.Request{Model: "m", Format: client.JSON, Inputs: []client.Tensor{client.Strings("x", []int{1}, []string{"\xff"})}})
	f(`parameter "p"`, &client.Request{Model: "m", Parameters: map[string]any{"p": []int{1}}})
	if n := fk.count(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestWhatARequestSays(t *testing.T) {
	f := &fake{}
	c := start(t, f, client.Options{Token: "secret", Tenant: "clinic-a"})
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	x := client.Float32("x", []int{1}, []float32{1})
	params := func(r *client.Request) map[string]any {
		t.Helper()
		r.Model, r.Inputs = "m", []client.Tensor{x}
		if _, err := c.Infer(ctx, r); err != nil {
			t.Fatal(err)
		}
		p, _ := f.last().body["parameters"].(map[string]any)
		return p
	}
	p := params(&client.Request{Timeout: 250 * time.Millisecond, Priority: 2, Parameters: map[string]any{"own": "v"}})
	if p["timeout"] != 250000.0 || p["priority"] != 2.0 || p["own"] != "v" || p["binary_data_output"] != true {
		t.Errorf("parameters %v", p)
	}
	if h := f.last().header; h.Get("Authorization") != "Bearer secret" || h.Get("X-Aimass-Tenant") != "clinic-a" || h.Get("Idempotency-Key") != "" {
		t.Errorf("headers %v", h)
	}
	if left, _ := params(&client.Request{Tenant: "b"})["timeout"].(float64); left < 1e6 || left > 90e6 {
		t.Errorf("timeout %v, want what the context leaves", left)
	}
	if got := f.last().header.Get("X-Aimass-Tenant"); got != "b" {
		t.Errorf("tenant %q", got)
	}
	r := &client.Request{Outputs: []client.Output{{Name: "x"}, {Name: "y", Classes: 3}}, Format: client.JSON}
	params(r)
	want := []any{
		map[string]any{"name": "x", "parameters": map[string]any{"binary_data": false}},
		map[string]any{"name": "y", "parameters": map[string]any{"binary_data": false, "classification": 3.0}},
	}
	if got := f.last().body["outputs"]; !reflect.DeepEqual(got, want) {
		t.Errorf("outputs %v", got)
	}
}

func TestAnswerBounds(t *testing.T) {
	big := answering(nil, `{"outputs":[],"x":"`+strings.Repeat("a", 5000)+`"}`)
	c := start(t, big, client.Options{MaxResponse: 4000})
	if _, err := c.Infer(context.Background(), &client.Request{Model: "m"}); !errors.Is(err, client.ErrResponseTooLarge) {
		t.Errorf("plain: %v", err)
	}
	for _, coding := range []client.Compression{client.Gzip, client.Zstd} {
		c := start(t, &fake{}, client.Options{MaxResponse: 100_000, Compression: coding})
		in := client.Float32("zeros", []int{1 << 20}, make([]float32, 1<<20))
		if _, err := c.Infer(context.Background(), &client.Request{Model: "m", Inputs: []client.Tensor{in}}); !errors.Is(err, client.ErrResponseTooLarge) {
			t.Errorf("%s: %v", coding, err)
		}
	}
}
