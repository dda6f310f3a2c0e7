package wire

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/tensor"
)

func TestBinaryRequest(t *testing.T) {
	head := `{"inputs":[{"name":"A","datatype":"INT16","shape":[2],"parameters":{"binary_data_size":4}},` +
		`{"name":"J","datatype":"UINT8","shape":[1],"data":[9]},` +
		`{"name":"S","datatype":"BYTES","shape":[2,1],"parameters":{"binary_data_size":11}},` +
		`{"name":"E","datatype":"FP32","shape":[0],"parameters":{"binary_data_size":0}}],` +
		`"parameters":{"binary_data_output":true}}`
	body := []byte(head + "\x01\x02\x03\x04" + "\x03\x00\x00\x00a\x00b" + "\x00\x00\x00\x00")
	for _, alias := range []bool{false, true} {
		r := new(Request)
		if err := r.Parse(body, len(head), heap{alias}); err != nil {
			t.Fatal(err)
		}
		a, s := &r.Inputs[0], &r.Inputs[2]
		if !bytes.Equal(a.Data, []byte{1, 2, 3, 4}) || (&a.Data[0] == &body[len(head)]) != alias {
			t.Errorf("A: %v, aliases the body: %v", a.Data, &a.Data[0] == &body[len(head)])
		}
		if !bytes.Equal(r.Inputs[1].Data, []byte{9}) || !slices.Equal(s.Strings, []string{"a\x00b", ""}) || len(r.Inputs[3].Data) != 0 {
			t.Errorf("J %v, S %q, E %v", r.Inputs[1].Data, s.Strings, r.Inputs[3].Data)
		}
		clear(body[len(head):])
		if s.Strings[0] != "a\x00b" {
			t.Error("strings share the body")
		}
		copy(body[len(head):], "\x01\x02\x03\x04"+"\x03\x00\x00\x00a\x00b")
	}
}

func TestBadBinaryRequests(t *testing.T) {
	f := func(datatype, shape string, size int, tail string, code api.Code, text string) {
		t.Helper()
		head := one(fmt.Sprintf(`"name":"X","datatype":"%s","shape":%s,"parameters":{"binary_data_size":%d}`, datatype, shape, size))
		bad(t, head+tail, len(head), code, text)
	}
	f("INT16", "[2]", 4, "abc", api.CodeSizeMismatch, "binary_data_size is 4, but only 3 bytes")
	f("INT16", "[2]", 4, "abcde", api.CodeTrailingBytes, "1 bytes follow the last binary tensor")
	f("INT16", "[2]", 6, "abcdef", api.CodeSizeMismatch, "input byte size mismatch for input 'X' for model 'm'. Expected 4, got 6")
	f("INT16", "[1099511627776]", 6, "abcdef", api.CodeSizeMismatch, "Expected 2199023255552, got 6")
	f("BYTES", "[2]", 6, "abcdef", api.CodeSizeMismatch, "2 BYTES elements need at least 8")
	f("BYTES", "[1099511627776]", 6, "abcdef", api.CodeSizeMismatch, "BYTES elements need at least")
	f("BYTES", "[1]", 6, "\x03\x00\x00\x00ab", api.CodeBytesElementInvalid, "BYTES element 0 claims 3 bytes, only 2 are left")
	f("BYTES", "[1]", 6, "\xff\xff\xff\xffab", api.CodeBytesElementInvalid, "claims 4294967295")
	f("BYTES", "[1]", 6, "\x01\x00\x00\x00ab", api.CodeSizeMismatch, "1 bytes follow the last of 1")
	f("BYTES", "[2]", 8, "\x03\x00\x00\x00abcd", api.CodeSizeMismatch, "data end after 1")
	f("BYTES", "[0]", 1, "a", api.CodeSizeMismatch, "follow the last of 0")

	text := one(`"name":"X","datatype":"INT8","shape":[1],"data":[1]`)
	bad(t, text, len(text)+1, api.CodeHeaderLengthInvalid, "but the body has only")
	bad(t, text, len(text)-1, api.CodeInvalidJSON, "JSON ends")
	bad(t, text+"\n", len(text), api.CodeTrailingBytes, "1 bytes follow")
	bad(t, text+"x", len(text)+1, api.CodeTrailingBytes, "1 bytes follow the JSON object")
}

func TestRawRequest(t *testing.T) {
	f := func(d tensor.DType, shape []int, body, wantShape string, code api.Code, text string) {
		t.Helper()
		r := new(Request)
		err := r.ParseRaw([]byte(body), []byte("X"), d, shape, heap{})
		if code != "" {
			if api.CodeOf(err) != code || !strings.Contains(err.Error(), text) {
				t.Errorf("%v%v: got %v, want %s %q", d, shape, err, code, text)
			}
			return
		}
		if err != nil {
			t.Errorf("%v%v: %v", d, shape, err)
			return
		}
		in := &r.Inputs[0]
		if in.Shape.String() != wantShape || !r.BinaryOutput || string(in.Name) != "X" {
			t.Errorf("%v%v: shape %v", d, shape, in.Shape)
		}
		if d == tensor.String && !slices.Equal(in.Strings, []string{body}) || d != tensor.String && string(in.Data) != body {
			t.Errorf("%v%v: data %q %q", d, shape, in.Data, in.Strings)
		}
	}
	f(tensor.Int16, []int{-1}, "abcd", "[2]", "", "")
	f(tensor.Int16, []int{1, -1, 2}, "abcdefgh", "[1,2,2]", "", "")
	f(tensor.Int16, []int{2}, "abcd", "[2]", "", "")
	f(tensor.Int16, []int{-1}, "", "[0]", "", "")
	f(tensor.String, []int{-1}, "abcde", "[1]", "", "")
	f(tensor.String, []int{1}, "", "[1]", "", "")
	f(tensor.Int16, []int{-1, -1}, "abcd", "", api.CodeShapeMismatch, "at most one variable dimension")
	f(tensor.Int16, []int{-1, 2}, "abcdef", "", api.CodeSizeMismatch, "not a multiple of the 4")
	f(tensor.Int16, []int{-1, 0}, "ab", "", api.CodeSizeMismatch, "not a multiple")
	f(tensor.Int16, []int{3}, "ab", "", api.CodeSizeMismatch, "Expected 6, got 2")
	f(tensor.String, []int{2}, "ab", "", api.CodeShapeMismatch, "one BYTES element")
}
