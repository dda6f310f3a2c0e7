package feed

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/tensor"
)

func TestReadRequests(t *testing.T) {
	text := `{"id":"a","inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[[1,2.5],[-3,4e1]]},{"name":"s","shape":[1],"datatype":"BYTES","data":["hé"]}],"labels":[1,0]}

{"inputs":[{"name":"i","shape":[3],"datatype":"INT64","data":[-9223372036854775808,0,9223372036854775807]},{"name":"b","shape":[2],"datatype":"BOOL","data":[true,false]},
`
	text = strings.TrimSuffix(text, ",\n") + `,{"name":"h","shape":[1],"datatype":"FP16","data":[1.5]},{"name":"u","shape":[1],"datatype":"UINT8","data":[255]},{"name":"z","shape":[1],"datatype":"BYTES","data":["AP8="],"parameters":{"content_type":"base64"}}]}`
	var got []*Request
	if err := ReadRequests(strings.NewReader(text), func(q *Request) error { got = append(got, q); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || fmt.Sprint(got[0].Labels) != "[1 0]" {
		t.Fatalf("%d requests, %v", len(got), got[0].Labels)
	}
	x, i, h := got[0].Inputs["x"], got[1].Inputs["i"], got[1].Inputs["h"]
	if fmt.Sprint(x.Shape, tensor.Data[float32](x)) != "[2,2] [1 2.5 -3 40]" || got[0].Inputs["s"].Strings()[0] != "hé" {
		t.Errorf("%v %v", x.Shape, tensor.Data[float32](x))
	}
	if v := tensor.Data[int64](i); v[0] != -1<<63 || v[2] != 1<<63-1 {
		t.Errorf("%v", v)
	}
	if f, _ := tensor.Float64s(h); f[0] != 1.5 || got[1].Inputs["u"].Bytes()[0] != 255 || string(got[1].Inputs["b"].Bytes()) != "\x01\x00" || got[1].Inputs["z"].Strings()[0] != "\x00\xff" {
		t.Errorf("%v %v", f, got[1].Inputs)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		`a,b`:           "no inference request",
		`{"inputs":[]}`: "no inputs",
		`{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1]}]}`:       `"x": 1 elements, expected 2`,
		`{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":["1"]}]}`:     "element 1",
		`{"inputs":[{"name":"x","shape":[1],"datatype":"INT8","data":[128]}]}`:     "128 is no INT8",
		`{"inputs":[{"name":"x","shape":[1],"datatype":"INT8","data":[1.5]}]}`:     "1.5 is no INT8",
		`{"inputs":[{"name":"x","shape":[-1],"datatype":"FP32","data":[]}]}`:       `"x"`,
		`{"inputs":[{"name":"x","shape":[1],"datatype":"FLOAT","data":[1]}]}`:      "FLOAT",
		`{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":[1]}]}`:      "expected a text",
		`{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[{"a":1}]}]}`: "object",
	} {
		err := ReadRequests(strings.NewReader("\n"+text+"\n"), func(*Request) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: %v, want line 2 and %q", text, err, want)
		}
	}
}
