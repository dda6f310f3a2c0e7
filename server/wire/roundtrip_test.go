package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"testing"
	"unicode/utf8"

	_ "github.com/aimass/aimass/internal/rapidseed"
	"pgregory.net/rapid"

	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/runtime/tensor"
)

var v2Types = []tensor.DType{
	tensor.Bool, tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64,
	tensor.Float16, tensor.BFloat16, tensor.Float32, tensor.Float64, tensor.String,
}

// drawResult draws a tensor; NaN have the one form that JSON gives back, half floats are finite or infinite.
func drawResult(t *rapid.T, name string) Result {
	d := rapid.SampledFrom(v2Types).Draw(t, "dtype")
	shape := tensor.Shape(rapid.SliceOfN(rapid.IntRange(0, 3), 0, 4).Draw(t, "shape"))
	n := shape.Elements()
	out := Result{Name: name, DType: d, Shape: shape}
	if d == tensor.String {
		out.Strings = rapid.SliceOfN(rapid.String(), n, n).Draw(t, "strings")
		return out
	}
	size := d.Bytes(n)
	out.Data = rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "data")
	for i := range n {
		canonical(d, out.Data[i*d.Bytes(1):])
	}
	return out
}

func canonical(d tensor.DType, e []byte) {
	switch d {
	case tensor.Bool:
		e[0] &= 1
	case tensor.Float16:
		if h := binary.LittleEndian.Uint16(e); h&0x7fff > 0x7c00 {
			binary.LittleEndian.PutUint16(e, half.FromFloat32(float32(math.NaN())))
		}
	case tensor.BFloat16:
		if h := binary.LittleEndian.Uint16(e); h&0x7fff > 0x7f80 {
			binary.LittleEndian.PutUint16(e, half.BrainFromFloat32(float32(math.NaN())))
		}
	case tensor.Float32:
		if f := math.Float32frombits(binary.LittleEndian.Uint32(e)); f != f {
			binary.LittleEndian.PutUint32(e, math.Float32bits(float32(math.NaN())))
		}
	case tensor.Float64:
		if f := math.Float64frombits(binary.LittleEndian.Uint64(e)); f != f {
			binary.LittleEndian.PutUint64(e, math.Float64bits(math.NaN()))
		}
	}
}

// asRequest writes tensors as a request would, by way of the response's encoder, whose outputs have the same fields.
func asRequest(t interface{ Fatal(...any) }, list []Result) (body []byte, jsonLen int) {
	body, jsonLen, err := AppendResponse(nil, &Response{Model: "m", Version: "1", Outputs: list})
	if err != nil {
		t.Fatal(err)
	}
	head := bytes.Index(body, []byte(`"outputs":[`))
	request := slices.Concat([]byte(`{"inputs":[`), body[head+len(`"outputs":[`):])
	if jsonLen >= 0 {
		jsonLen += len(request) - len(body)
	}
	return request, jsonLen
}

func TestEncodeDecodeIsIdentity(t *testing.T) {
	r := new(Request) // reused, so that nothing of one case may show in the next
	rapid.Check(t, func(t *rapid.T) {
		var list []Result
		for i := range rapid.IntRange(0, 4).Draw(t, "tensors") {
			out := drawResult(t, "T"+strconv.Itoa(i))
			out.Binary = rapid.Bool().Draw(t, "binary")
			list = append(list, out)
		}
		body, jsonLen := asRequest(t, list)
		if err := r.Parse(body, jsonLen, heap{rapid.Bool().Draw(t, "alias")}); err != nil {
			t.Fatalf("%v\n%q", err, body)
		}
		if len(r.Inputs) != len(list) {
			t.Fatalf("%d tensors, want %d", len(r.Inputs), len(list))
		}
		for i, want := range list {
			got := &r.Inputs[i]
			if string(got.Name) != want.Name || got.DType != want.DType || !got.Shape.Equal(want.Shape) ||
				!bytes.Equal(got.Data, want.Data) || !slices.Equal(got.Strings, want.Strings) {
				t.Fatalf("got %+v, want %+v\n%q", got, want, body)
			}
		}
	})
}

func TestResponseJSON(t *testing.T) {
	resp := &Response{Model: `m"`, Version: "2", ID: []byte("i\n"),
		Params: []Param{{Key: []byte("k"), Kind: ParamFloat, Float: 0.25}, {Key: []byte("u"), Kind: ParamUint, Uint: math.MaxUint64}},
		Outputs: []Result{
			{Name: "a", DType: tensor.Int8, Shape: tensor.Shape{1, 2}, Data: []byte{255, 1}},
			{Name: "b", DType: tensor.String, Shape: tensor.Shape{1}, Strings: []string{"xyz"}, Binary: true,
				Params: []Param{{Key: []byte("p"), Kind: ParamBool, Bool: true}}},
			{Name: "c", DType: tensor.Uint8, Shape: tensor.Shape{}, Data: []byte{7}, Binary: true},
			{Name: "d", DType: tensor.String, Shape: tensor.Shape{1}, Strings: []string{"\xff\""}, Params: []Param{{Key: []byte("q"), Str: []byte("s")}}},
		}}
	body, jsonLen, err := AppendResponse([]byte("before"), resp)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"i\n","model_name":"m\"","model_version":"2","parameters":{"k":0.25,"u":18446744073709551615},"outputs":[` +
		`{"name":"a","datatype":"INT8","shape":[1,2],"data":[-1,1]},` +
		`{"name":"b","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":7,"p":true}},` +
		`{"name":"c","datatype":"UINT8","shape":[],"parameters":{"binary_data_size":1}},` +
		`{"name":"d","datatype":"BYTES","shape":[1],"parameters":{"q":"s"},"data":["` + "\uFFFD" + `\""]}]}`
	if got := string(body[6 : 6+jsonLen]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := string(body[6+jsonLen:]); got != "\x03\x00\x00\x00xyz\x07" {
		t.Errorf("binary part %q", got)
	}
	if !json.Valid(body[6:6+jsonLen]) || !utf8.Valid(body[6:6+jsonLen]) {
		t.Error("not JSON")
	}
	resp.Outputs = resp.Outputs[:1]
	if _, jsonLen, _ = AppendResponse(nil, resp); jsonLen != -1 {
		t.Errorf("no binary output, but a JSON length of %d", jsonLen)
	}
}

// tensorsOf turns what a request held into tensors to be written again.
func tensorsOf(r *Request) []Result {
	var list []Result
	for i := range r.Inputs {
		in := &r.Inputs[i]
		if in.DType != tensor.String {
			for k := range in.Shape.Elements() {
				canonical(in.DType, in.Data[k*in.DType.Bytes(1):])
			}
		}
		list = append(list, Result{Name: string(in.Name), DType: in.DType, Shape: in.Shape.Clone(),
			Data: slices.Clone(in.Data), Strings: in.Strings, Binary: in.BinarySize >= 0})
	}
	return list
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"id":"1","inputs":[{"name":"A","datatype":"FP32","shape":[2,2],"data":[[1,2.5],[-3e-1,4]]}],"outputs":[{"name":"Y"}]}`), -1)
	f.Add([]byte(`{"inputs":[{"data":["a\u00e9","b"],"name":"S","datatype":"BYTES","shape":[2]}],"parameters":{"k":1,"l":"x"}}`), -1)
	f.Add([]byte(`{"inputs":[{"name":"B","datatype":"INT16","shape":[1],"parameters":{"binary_data_size":2}}]}ab`), 86)
	f.Add([]byte("{\"inputs\":[{\"name\":\"S\",\"datatype\":\"BYTES\",\"shape\":[1],\"parameters\":{\"binary_data_size\":6}}]}\x02\x00\x00\x00ab"), 86)
	f.Add([]byte(`{"inputs":[{"name":"H","datatype":"FP16","shape":[3],"data":[NaN,-Infinity,65504]}],"x":[{"y":null}]}`), -1)
	f.Fuzz(func(t *testing.T, body []byte, jsonLen int) {
		if jsonLen < -1 {
			return
		}
		original := slices.Clone(body)
		r := new(Request)
		err := r.Parse(body, jsonLen, heap{})
		if !bytes.Equal(body, original) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			return
		}
		text := body
		if jsonLen >= 0 {
			text = body[:jsonLen]
		}
		if !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("Inf")) && !json.Valid(text) {
			t.Fatalf("accepted what is not JSON: %q", text)
		}
		list := tensorsOf(r)
		again, jsonLen := asRequest(t, list)
		if err := r.Parse(again, jsonLen, heap{}); err != nil {
			t.Fatalf("%v\n%q", err, again)
		}
		for i, want := range list {
			got := &r.Inputs[i]
			same := slices.Equal(got.Strings, want.Strings) || !want.Binary // a bad byte in JSON is replaced
			if !got.Shape.Equal(want.Shape) || !bytes.Equal(got.Data, want.Data) || !same {
				t.Fatalf("got %+v, want %+v", got, want)
			}
		}
	})
}

// FuzzSkip: skip takes a text as one value exactly where encoding/json does.
func FuzzSkip(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,true,false,null,"\u00e9\n"],"b":{}}`, `[[],{},[{}]]`, `"`, `[1,]`, `{"a":1,}`, `{"a"}`, `[}`, `01`, `nul`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p := parser{b: text}
		err := p.skip()
		p.ws()
		got := err == nil && p.i == len(text)
		if bytes.Contains(text, []byte("N")) || bytes.Contains(text, []byte("I")) || bytes.Contains(text, []byte(`\u`)) ||
			bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) > MaxDepth {
			return // literals, lone surrogates and depth are judged otherwise on purpose
		}
		if want := json.Valid(text); got != want {
			t.Fatalf("%q: %v (%v at %d), encoding/json says %v", text, got, err, p.i, want)
		}
	})
}

func FuzzSplitBytes(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00a\x00\x00\x00\x00"), 2)
	f.Add([]byte("\xff\xff\xff\xff"), 1)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		if n < 0 {
			return
		}
		list, err := SplitBytes(data, n)
		if err != nil {
			return
		}
		back, err := AppendBytes(nil, list)
		if err != nil || !bytes.Equal(back, data) || len(list) != n || BytesSize(list) != len(data) {
			t.Fatalf("%q gave %q (%v)", data, list, err)
		}
	})
}
