package client

import (
	"net/http"
	"strconv"
	"testing"
)

func FuzzDecodeResult(f *testing.F) {
	f.Add([]byte(`{"outputs":[{"name":"x","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}}]}1234`), 88)
	f.Add([]byte(`{"outputs":[{"name":"x","datatype":"BYTES","shape":[2],"data":["a","\\\""]},{"name":"y","datatype":"FP16","shape":[1,1],"data":[[NaN]]}]}`), -1)
	f.Add([]byte(`{"outputs":[{"datatype":"INT8","shape":[0],"data":[]}]}`), -1)
	f.Fuzz(func(t *testing.T, body []byte, jsonLen int) {
		a := &answer{header: http.Header{}, body: body}
		if jsonLen >= 0 {
			a.header.Set(headerLength, strconv.Itoa(jsonLen))
		}
		r, err := decodeResult(a)
		if err != nil {
			return
		}
		for i := range r.Outputs {
			o := &r.Outputs[i]
			n, _ := elements(o.Shape)
			if len(o.data) != n*o.DType.Size() || o.DType == BYTES && len(o.strs) != n {
				t.Fatalf("%s%v holds %d bytes, %d strings", o.DType, o.Shape, len(o.data), len(o.strs))
			}
		}
	})
}
