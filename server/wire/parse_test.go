package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/tensor"
)

// heap is a Sink that accepts every input and gives each memory of its own, or binary inputs a part of the body.
type heap struct{ alias bool }

func (heap) Model() string      { return "m" }
func (heap) Check(*Input) error { return nil }
func (h heap) Buffer(in *Input, size int) []byte {
	if h.alias && in.BinarySize >= 0 {
		return nil
	}
	return make([]byte, size)
}

func parse(t *testing.T, text string) *Request {
	t.Helper()
	r := new(Request)
	if err := r.Parse([]byte(text), -1, heap{}); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

// one wraps an input's fields into a request.
func one(fields string) string { return `{"inputs":[{` + fields + `}]}` }

func TestParseRequest(t *testing.T) {
	r := parse(t, ` { "id" : "a\"b" , "unknown": [1,{"x":[]},"y\\",null,true,-1.5e3], "parameters":{"sequence_id":7,"priority":-1,
		"big":18446744073709551615,"f":0.5,"s":"é\n","t":true,"binary_data_output":true},
		"inputs":[
			{"name":"A","datatype":"FP32","shape":[2,2],"data":[1, 2.5 ,-3e-1,4], "more":{}},
			{"data":[[1,-2,3]],"parameters":{"k":"v"},"shape":[1,3],"name":"B","datatype":"INT64"}],
		"outputs":[{"name":"Y","parameters":{"binary_data":false,"classification":3}},{"name":"Z"}] } `)
	if string(r.ID) != `a"b` || !r.BinaryOutput {
		t.Errorf("id %q, binary output %v", r.ID, r.BinaryOutput)
	}
	want := "[sequence_id:int 7 priority:int -1 big:uint 18446744073709551615 f:float 0.5 s:string é\n t:bool true binary_data_output:bool true]"
	if got := paramText(r.Params); got != want {
		t.Errorf("parameters %s, want %s", got, want)
	}
	a, b := &r.Inputs[0], &r.Inputs[1]
	if string(a.Name) != "A" || a.DType != tensor.Float32 || !a.Shape.Equal(tensor.Shape{2, 2}) || a.BinarySize != -1 {
		t.Errorf("input A: %+v", a)
	}
	for i, v := range []float32{1, 2.5, -0.3, 4} {
		if got := math.Float32frombits(binary.LittleEndian.Uint32(a.Data[4*i:])); got != v {
			t.Errorf("A[%d] = %v, want %v", i, got, v)
		}
	}
	for i, v := range []int64{1, -2, 3} {
		if got := int64(binary.LittleEndian.Uint64(b.Data[8*i:])); got != v {
			t.Errorf("B[%d] = %v, want %v", i, got, v)
		}
	}
	if got := paramText(b.Params); got != "[k:string v]" || len(a.Params) != 0 {
		t.Errorf("parameters of B: %s, of A: %d", got, len(a.Params))
	}
	y, z := &r.Outputs[0], &r.Outputs[1]
	if string(y.Name) != "Y" || y.Binary || y.Classification != 3 || string(z.Name) != "Z" || !z.Binary || z.Classification != 0 {
		t.Errorf("outputs: %+v %+v", y, z)
	}
}

func paramText(params []Param) string {
	var parts []string
	for _, q := range params {
		switch q.Kind {
		case ParamString:
			parts = append(parts, fmt.Sprintf("%s:string %s", q.Key, q.Str))
		case ParamInt:
			parts = append(parts, fmt.Sprintf("%s:int %d", q.Key, q.Int))
		case ParamUint:
			parts = append(parts, fmt.Sprintf("%s:uint %d", q.Key, q.Uint))
		case ParamBool:
			parts = append(parts, fmt.Sprintf("%s:bool %v", q.Key, q.Bool))
		case ParamFloat:
			parts = append(parts, fmt.Sprintf("%s:float %v", q.Key, q.Float))
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func TestParseData(t *testing.T) {
	f := func(datatype, shape, data, want string) {
		t.Helper()
		r := parse(t, one(`"name":"X","datatype":"`+datatype+`","shape":`+shape+`,"data":`+data))
		in := &r.Inputs[0]
		if got := string(AppendData(nil, in.DType, in.Data, in.Strings)); got != want {
			t.Errorf("%s%s %s: got %s, want %s", datatype, shape, data, got, want)
		}
	}
	f("BOOL", "[4]", "[true,false, 1 ,0]", "true,false,true,false")
	f("UINT8", "[2]", "[0,255]", "0,255")
	f("UINT16", "[2]", "[0,65535]", "0,65535")
	f("UINT32", "[2]", "[0,4294967295]", "0,4294967295")
	f("UINT64", "[3]", "[0,18446744073709551615,10000000000000000000]", "0,18446744073709551615,10000000000000000000")
	f("INT8", "[3]", "[-128,127,-0]", "-128,127,0")
	f("INT16", "[2]", "[-32768,32767]", "-32768,32767")
	f("INT32", "[2]", "[-2147483648,2147483647]", "-2147483648,2147483647")
	f("INT64", "[2]", "[-9223372036854775808,9223372036854775807]", "-9223372036854775808,9223372036854775807")
	f("FP16", "[5]", "[0.1,65504,65519.9,-1e-9,NaN]", "0.099975586,65504,65504,-0.0,NaN")
	f("BF16", "[3]", "[1.00390625,3.3895314e38,Infinity]", "1,3.3895314e38,Infinity")
	f("FP32", "[6]", "[NaN,Infinity,-Infinity,Inf,-Inf,1e-50]", "NaN,Infinity,-Infinity,Infinity,-Infinity,0")
	f("FP64", "[4]", "[0.1,1.7976931348623157e308,-0,123456789012345678]", "0.1,1.7976931348623157e+308,-0.0,123456789012345680")
	f("BYTES", "[4]", `["", "a\u00e9\"\\\/\b\f\n\r\t" ,"\ud83d\ude00","]"]`, `"","aé\"\\/\u0008\u000c\n\r\t","😀","]"`)
	f("INT32", "[]", "5", "5")
	f("INT32", "[]", "[5]", "5")
	f("INT32", "[0]", "[ ]", "")
	f("INT32", "[2,0]", "[[],[ ]]", "")
	f("INT32", "[2,0]", "[]", "")
	f("INT32", "[0,3]", "[]", "")
	f("INT32", "[2,3]", "[1,2,3,4,5,6]", "1,2,3,4,5,6")
	f("INT32", "[2,3]", " [ [1 ,2,3] , [4,5, 6] ] ", "1,2,3,4,5,6")
	f("FP32", "[2,1,2]", "[[[1,2]],[[3,4]]]", "1,2,3,4")
	f("BYTES", "[2,1]", `[["a"],["b"]]`, `"a","b"`)
}

// bad says what a request is refused with.
func bad(t *testing.T, body string, jsonLen int, code api.Code, text string) {
	t.Helper()
	r := new(Request)
	err := r.Parse([]byte(body), jsonLen, heap{})
	if api.CodeOf(err) != code || err == nil || !strings.Contains(err.Error(), text) {
		if len(body) > 200 {
			body = body[:200]
		}
		t.Errorf("%s\n got %s: %v\nwant %s with %q", body, api.CodeOf(err), err, code, text)
	}
}

func TestBadData(t *testing.T) {
	f := func(datatype, shape, data string, code api.Code, text string) {
		t.Helper()
		fields := `"name":"X","datatype":"` + datatype + `","shape":` + shape
		bad(t, one(fields+`,"data":`+data), -1, code, text)
		bad(t, one(`"data":`+data+`,`+fields), -1, code, text)
	}
	f("FP32", "[2]", `[1,"a"]`, api.CodeValueInvalid, `input 'X': element 1 is "a", not a FP32 value`)
	f("FP32", "[2]", `[1,null]`, api.CodeValueInvalid, `element 1 is null, not a FP32 value; a missing number is written NaN`)
	f("FP32", "[2]", `[true,1]`, api.CodeValueInvalid, "element 0 is true")
	f("FP32", "[2]", `[{"a":1},1]`, api.CodeValueInvalid, `element 0 is {"a":1}`)
	f("FP32", "[1]", `[1e39]`, api.CodeNumberOutOfRange, "element 0 is 1e39, out of range for FP32")
	f("FP64", "[1]", `[1e309]`, api.CodeNumberOutOfRange, "1e309")
	f("FP16", "[1]", `[65520]`, api.CodeNumberOutOfRange, "65520")
	f("BF16", "[1]", `[3.4e38]`, api.CodeNumberOutOfRange, "3.4e38")
	f("INT8", "[1]", `[128]`, api.CodeNumberOutOfRange, "128")
	f("INT8", "[1]", `[-129]`, api.CodeNumberOutOfRange, "-129")
	f("UINT8", "[1]", `[-1]`, api.CodeNumberOutOfRange, "-1")
	f("UINT32", "[1]", `[4294967296]`, api.CodeNumberOutOfRange, "4294967296")
	f("INT64", "[1]", `[9223372036854775808]`, api.CodeNumberOutOfRange, "9223372036854775808")
	f("INT64", "[1]", `[-9223372036854775809]`, api.CodeNumberOutOfRange, "-9223372036854775809")
	f("UINT64", "[1]", `[18446744073709551616]`, api.CodeNumberOutOfRange, "18446744073709551616")
	f("UINT64", "[1]", `[1844674407370955161600]`, api.CodeNumberOutOfRange, "18446744073709551616")
	f("INT32", "[1]", `[1.5]`, api.CodeValueInvalid, "element 0 is 1.5, not a INT32 value")
	f("INT32", "[1]", `[1e3]`, api.CodeValueInvalid, "1e3")
	f("INT32", "[1]", `[NaN]`, api.CodeValueInvalid, "NaN")
	f("INT32", "[1]", `["1"]`, api.CodeValueInvalid, `"1"`)
	f("BOOL", "[1]", `[2]`, api.CodeNumberOutOfRange, "2")
	f("BOOL", "[1]", `[-1]`, api.CodeNumberOutOfRange, "-1")
	f("BOOL", "[1]", `["true"]`, api.CodeValueInvalid, `"true"`)
	f("BYTES", "[1]", `[1]`, api.CodeValueInvalid, "1")
	f("BYTES", "[1]", `["\ud800"]`, api.CodeInvalidJSON, "escape")
	f("BYTES", "[1]", `["\ud800\u0041"]`, api.CodeInvalidJSON, "escape")
	f("BYTES", "[1]", `["\x"]`, api.CodeInvalidJSON, "escape")
	f("BYTES", "[1]", "[\"a\nb\"]", api.CodeInvalidJSON, "control character 0x0a")
	f("FP32", "[3]", `[1,2]`, api.CodeSizeMismatch, "data have 2 elements, shape [3] needs 3")
	f("FP32", "[3]", `[]`, api.CodeSizeMismatch, "data have 0 elements")
	f("FP32", "[2]", `[1,2,3,[4,"x"],5]`, api.CodeSizeMismatch, "data have 5 elements, shape [2] needs 2")
	f("FP32", "[0]", `[1]`, api.CodeSizeMismatch, "data have 1 elements")
	many := strings.Repeat("0.25,", 99) + "0.25"
	for n := 15; n < 100; n += 12 { // of long arrays several numbers are read at once
		f("FP32", fmt.Sprintf("[%d]", n), "["+many+"]", api.CodeSizeMismatch, fmt.Sprintf("data have 100 elements, shape [%d] needs %d", n, n))
		f("FP32", fmt.Sprintf("[2,%d]", n), "[["+many+"],["+many+"]]", api.CodeShapeMismatch, fmt.Sprintf("an array at axis 1 has 100 elements, shape [2,%d] needs %d", n, n))
		f("FP32", fmt.Sprintf("[%d]", 100+n), "["+many+"]", api.CodeSizeMismatch, fmt.Sprintf("data have 100 elements, shape [%d] needs %d", 100+n, 100+n))
		f("FP32", "[100]", "["+strings.Repeat("0.25,", n)+`null,`+many+"]", api.CodeValueInvalid, fmt.Sprintf("element %d is null", n))
	}
	f("FP32", "[]", `[1,2]`, api.CodeSizeMismatch, "data have 2 elements, shape [] needs 1")
	f("FP32", "[1]", `1`, api.CodeInvalidJSON, "expected the data's array")
	f("FP32", "[2]", `[1 2]`, api.CodeInvalidJSON, "got '2'")
	f("FP32", "[2]", `[1,2,]`, api.CodeInvalidJSON, "another element")
	f("FP32", "[2]", `[1,]`, api.CodeInvalidJSON, "")
	f("FP32", "[2]", `[,1]`, api.CodeInvalidJSON, "")
	f("FP32", "[2]", `[1,01]`, api.CodeInvalidJSON, "")
	f("FP32", "[2]", `[1,+1]`, api.CodeInvalidJSON, "")
	f("FP32", "[2]", `[1,.5]`, api.CodeInvalidJSON, "")
	f("FP32", "[2]", `[1,nan]`, api.CodeInvalidJSON, "")
	f("FP32", "[2]", `[[1,2]]`, api.CodeShapeMismatch, "nested deeper than shape [2]")
	f("FP32", "[2,2]", `[1,[2]]`, api.CodeShapeMismatch, "nested")
	f("FP32", "[2,2]", `[[1,2],3]`, api.CodeShapeMismatch, "nested")
	f("FP32", "[2,2]", `[[1,2],[3]]`, api.CodeShapeMismatch, "an array at axis 1 has 1 elements, shape [2,2] needs 2")
	f("FP32", "[2,2]", `[[1,2],[3,4,5]]`, api.CodeShapeMismatch, "an array at axis 1 has 3 elements, shape [2,2] needs 2")
	f("FP32", "[2,2]", `[[1,2]]`, api.CodeShapeMismatch, "an array at axis 0 has 1 elements, shape [2,2] needs 2")
	f("FP32", "[2,2]", `[[1,2],[3,4],[5,6]]`, api.CodeShapeMismatch, "an array at axis 0 has more than 2 elements")
	f("FP32", "[1,2,2]", `[[1,2]]`, api.CodeShapeMismatch, "data are nested 2 deep, shape [1,2,2] needs 3")
	f("FP32", "[1099511627776]", `[1]`, api.CodeSizeMismatch, "more than the request can hold")
	f("BYTES", "[1099511627776]", `["a"]`, api.CodeSizeMismatch, "more than the request can hold")
}

func TestBadRequests(t *testing.T) {
	f := func(body string, code api.Code, text string) { t.Helper(); bad(t, body, -1, code, text) }
	tensorA := `"name":"A","datatype":"INT8","shape":[1],"data":[1]`

	f("", api.CodeInvalidJSON, "JSON ends where the request (an object) is expected (at byte 0)")
	f("[]", api.CodeInvalidJSON, "expected the request")
	f("{", api.CodeInvalidJSON, "ends")
	f("{}", api.CodeFieldMissing, "'inputs'")
	f(`{"inputs":[]} x`, api.CodeTrailingBytes, "1 bytes follow the JSON object (at byte 14)")
	f(`{"inputs":[]}{}`, api.CodeTrailingBytes, "2 bytes")
	f(`{"inputs":[],}`, api.CodeInvalidJSON, "another element of an object")
	f(`{"inputs":[] "id":""}`, api.CodeInvalidJSON, "expected ',' or the end of an object")
	f(`{"inputs":[],"id":5}`, api.CodeInvalidJSON, "expected 'id' (a string), got '5'")
	f(`{"inputs":[],"id":"a","id":"b"}`, api.CodeInvalidJSON, "field 'id' comes twice")
	f(`{"inputs":[],"inputs":[]}`, api.CodeInvalidJSON, "twice")
	f(`{"inputs":{}}`, api.CodeInvalidJSON, "'inputs' (an array)")
	f(`{"inputs":[1]}`, api.CodeInvalidJSON, "an element of 'inputs'")
	f(`{"inputs":[],"x":tru}`, api.CodeInvalidJSON, "a value")
	f(`{"inputs":[],"x":"`, api.CodeInvalidJSON, "ends inside a string")
	f(`{"inputs":[],"x":"\u12`, api.CodeInvalidJSON, "escape")
	f(`{"inputs":[],"x":[1,2}}`, api.CodeInvalidJSON, "expected ','")
	f(`{"inputs":[],"x":{1:2}}`, api.CodeInvalidJSON, "a key")
	f(`{"inputs":[],"x":{"a" 2}}`, api.CodeInvalidJSON, "':'")
	f(`{"inputs":[],"x":`+strings.Repeat("[", 99)+strings.Repeat("]", 99)+`, "y"}`, api.CodeInvalidJSON, "':'")
	f(`{"inputs":[],"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}`, api.CodeJSONTooDeep, "deeper than 100")
	f(`{"inputs":[],"x":`+strings.Repeat(`{"a":`, 1000000), api.CodeJSONTooDeep, "deeper than 100")
	f(one(`"datatype":"INT8","shape":[1],"data":[1]`), api.CodeFieldMissing, "'name'")
	f(one(`"name":"A","shape":[1],"data":[1]`), api.CodeFieldMissing, "input 'A': field 'datatype'")
	f(one(`"name":"A","datatype":"INT8","data":[1]`), api.CodeFieldMissing, "'shape'")
	f(one(`"name":"A","datatype":"INT8","shape":[1]`), api.CodeFieldMissing, "'data'")
	f(one(tensorA+`,"parameters":{"binary_data_size":1}`), api.CodeInvalidJSON, "both")
	f(one(tensorA+`},{`+tensorA), api.CodeInputDuplicate, "input 'A' comes twice")
	f(one(`"name":"A","datatype":"INT4","shape":[1],"data":[1]`), api.CodeDtypeMismatch, "unknown datatype 'INT4'")
	f(one(`"name":"A","datatype":"INT8","shape":[-1],"data":[1]`), api.CodeShapeInvalid, "dimension 0 is negative: -1")
	f(one(`"name":"A","datatype":"INT8","shape":[1.5],"data":[1]`), api.CodeShapeInvalid, "1.5, not a whole number")
	f(one(`"name":"A","datatype":"INT8","shape":["1"],"data":[1]`), api.CodeInvalidJSON, "a dimension")
	f(one(`"name":"A","datatype":"INT8","shape":[4294967296,4294967296,4294967296],"data":[1]`), api.CodeShapeInvalid, "more than")
	f(one(`"name":"A","datatype":"INT8","shape":[0,18446744073709551617],"data":[1]`), api.CodeShapeInvalid, "more than")
	f(one(`"name":"A","datatype":"INT8","shape":[`+strings.Repeat("1,", 64)+`1],"data":[1]`), api.CodeShapeInvalid, "more than 64 dimensions")
	f(one(tensorA+`,"parameters":{"shared_memory_region":"r"}`), api.CodeParameterInvalid, "shared_memory_byte_size")
	f(one(tensorA+`,"parameters":{"shared_memory_region":""}`), api.CodeParameterInvalid, "not empty")
	f(one(tensorA+`,"parameters":{"shared_memory_region":"r","shared_memory_byte_size":8,"shared_memory_offset":-1}`), api.CodeParameterInvalid, "shared_memory_offset")
	f(one(tensorA+`,"parameters":{"binary_data_size":-1}`), api.CodeParameterInvalid, "-1")
	f(one(tensorA+`,"parameters":{"binary_data_size":"1"}`), api.CodeParameterInvalid, "binary_data_size")
	f(one(tensorA+`,"parameters":{"a":[1]}`), api.CodeParameterInvalid, "parameter 'a'")
	f(one(tensorA+`,"parameters":{"a":null}`), api.CodeParameterInvalid, "parameter 'a'")
	f(one(tensorA+`,"parameters":{"a":1e999}`), api.CodeNumberOutOfRange, "parameter 'a'")
	f(one(tensorA+`,"parameters":{"a":1,"a":2}`), api.CodeInvalidJSON, "twice")
	f(one(tensorA+`,"parameters":[]`), api.CodeInvalidJSON, "'parameters'")
	f(`{"inputs":[],"parameters":{"binary_data_output":1}}`, api.CodeParameterInvalid, "binary_data_output")
	f(`{"inputs":[],"outputs":[{}]}`, api.CodeFieldMissing, "'name'")
	f(`{"inputs":[],"outputs":[{"name":"y"},{"name":"y"}]}`, api.CodeOutputUnexpected, "twice")
	f(`{"inputs":[],"outputs":[{"name":"y","parameters":{"binary_data":1}}]}`, api.CodeParameterInvalid, "binary_data")
	f(`{"inputs":[],"outputs":[{"name":"y","parameters":{"classification":-1}}]}`, api.CodeParameterInvalid, "-1")
	f(`{"inputs":[],"outputs":[{"name":"y","parameters":{"shared_memory_region":"x"}}]}`, api.CodeParameterInvalid, "shared_memory_byte_size")
	var outs, params []string
	for i := range 1100 {
		outs = append(outs, fmt.Sprintf(`{"name":"y%d"}`, i))
		params = append(params, fmt.Sprintf(`"p%d":1`, i))
	}
	f(`{"inputs":[],"outputs":[`+strings.Join(outs, ",")+`]}`, api.CodeOutputUnexpected, "more than 1024")
	f(`{"inputs":[],"parameters":{`+strings.Join(params, ",")+`}}`, api.CodeParameterInvalid, "more than 1024")
}

type refuse struct {
	heap
	err error
}

func (r refuse) Check(in *Input) error {
	if string(in.Name) == "B" {
		return r.err
	}
	return nil
}

func TestSinkRefuses(t *testing.T) {
	want := errors.New("no B")
	r := new(Request)
	for _, order := range []string{`"shape":[1],"data":[1]`, `"data":[1],"shape":[1]`, `"shape":[1],"parameters":{"binary_data_size":1}`} {
		body := []byte(`{"inputs":[{"name":"A","datatype":"INT8","shape":[1],"data":[1]},{"name":"B","datatype":"INT8",` + order + `}]}`)
		jsonLen := -1
		if strings.Contains(order, "binary") {
			jsonLen = len(body)
			body = append(body, 7)
		}
		if err := r.Parse(body, jsonLen, refuse{err: want}); err != want {
			t.Errorf("%s: got %v", order, err)
		}
	}
}
