//go:build !race

package wire

import (
	"testing"

	"github.com/aimass/aimass/runtime/tensor"
)

func TestNoAllocations(t *testing.T) {
	r, sink := new(Request), new(fixed)
	text := []byte(`{"id":"é\n1","parameters":{"a\n":1,"b":"c"},"inputs":[{"name":"x","datatype":"FP32","shape":[2,2],"data":[[1.5,2],[3e-5,4]]},` +
		`{"data":[1,2],"name":"i","datatype":"INT64","shape":[2],"parameters":{"q":true}}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}`)
	head := one(`"name":"x","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}`)
	binaryBody := append([]byte(head), make([]byte, 8)...)
	resp := &Response{Model: "m", Version: "1", ID: []byte("7"), Outputs: []Result{
		{Name: "y", DType: tensor.Float32, Shape: tensor.Shape{2}, Data: []byte{0, 0, 128, 63, 1, 2, 3, 4}},
		{Name: "z", DType: tensor.Int64, Shape: tensor.Shape{1}, Data: make([]byte, 8), Binary: true}}}
	shape := []int{-1, 2}
	var body []byte
	var err error
	f := func(name string, run func()) {
		t.Helper()
		run()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	f("parse JSON", func() { err = r.Parse(text, -1, sink) })
	f("parse binary", func() { err = r.Parse(binaryBody, len(head), sink) })
	f("parse raw", func() { err = r.ParseRaw(binaryBody[:8], binaryBody[20:21], tensor.Float32, shape, sink) })
	f("append response", func() { body, _, err = AppendResponse(body[:0], resp) })
}
