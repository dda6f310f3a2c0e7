package wire

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/runtime/tensor"
)

// Response is the answer to an inference request.
type Response struct {
	Model, Version string
	// ID is left out where it is empty.
	ID      []byte
	Params  []Param
	Outputs []Result
}

// Result is a tensor of a response.
type Result struct {
	Name   string
	DType  tensor.DType
	Shape  tensor.Shape
	Params []Param
	// Data are little-endian elements of any type but String, Strings those of a String tensor.
	Data    []byte
	Strings []string
	// Binary puts the data behind the JSON.
	Binary bool
	// Elsewhere leaves the data out: Params say where they are.
	Elsewhere bool
}

// AppendResponse appends the body of a response. jsonLen is the length of its JSON part where some output is binary, for
// the header Inference-Header-Content-Length, and else -1. Strings in JSON that are not valid UTF-8 have each bad byte
// replaced by U+FFFD; only the binary form keeps them.
func AppendResponse(dst []byte, r *Response) (body []byte, jsonLen int, err error) {
	start := len(dst)
	dst = append(dst, '{')
	if len(r.ID) > 0 {
		dst = append(dst, `"id":"`...)
		dst = api.AppendJSONEscaped(dst, r.ID)
		dst = append(dst, `",`...)
	}
	dst = append(dst, `"model_name":"`...)
	dst = api.AppendJSONEscaped(dst, r.Model)
	dst = append(dst, `","model_version":"`...)
	dst = api.AppendJSONEscaped(dst, r.Version)
	if len(r.Params) > 0 {
		dst = append(dst, `","parameters":{`...)
		dst = appendParams(dst, r.Params)
		dst = append(dst, `},"outputs":[`...)
	} else {
		dst = append(dst, `","outputs":[`...)
	}
	jsonLen = -1
	for i := range r.Outputs {
		if i > 0 {
			dst = append(dst, ',')
		}
		if r.Outputs[i].Binary {
			jsonLen = 0
		}
		dst = r.Outputs[i].appendJSON(dst)
	}
	dst = append(dst, `]}`...)
	if jsonLen < 0 {
		return dst, -1, nil
	}
	jsonLen = len(dst) - start
	for i := range r.Outputs {
		switch out := &r.Outputs[i]; {
		case !out.Binary:
		case out.DType == tensor.String:
			if dst, err = AppendBytes(dst, out.Strings); err != nil {
				return dst, jsonLen, err
			}
		default:
			dst = append(dst, out.Data...)
		}
	}
	return dst, jsonLen, nil
}

func (o *Result) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"name":"`...)
	dst = api.AppendJSONEscaped(dst, o.Name)
	dst = append(dst, `","datatype":"`...)
	dst = append(dst, o.DType.V2()...)
	dst = append(dst, `","shape":[`...)
	for i, d := range o.Shape {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(d), 10)
	}
	if o.Binary {
		size := len(o.Data)
		if o.DType == tensor.String {
			size = BytesSize(o.Strings)
		}
		dst = append(dst, `],"parameters":{"binary_data_size":`...)
		dst = strconv.AppendInt(dst, int64(size), 10)
		if len(o.Params) > 0 {
			dst = append(dst, ',')
			dst = appendParams(dst, o.Params)
		}
		return append(dst, `}}`...)
	}
	if o.Elsewhere {
		dst = append(dst, `],"parameters":{`...)
		dst = appendParams(dst, o.Params)
		return append(dst, `}}`...)
	}
	if len(o.Params) > 0 {
		dst = append(dst, `],"parameters":{`...)
		dst = appendParams(dst, o.Params)
		dst = append(dst, `},"data":[`...)
	} else {
		dst = append(dst, `],"data":[`...)
	}
	dst = AppendData(dst, o.DType, o.Data, o.Strings)
	return append(dst, `]}`...)
}

// AppendData appends the elements of a tensor as JSON, flat, with commas between them. Half floats are written as the
// float32 that they equal.
func AppendData(dst []byte, d tensor.DType, data []byte, strs []string) []byte {
	switch d {
	case tensor.Float32:
		return appendFloat32s(dst, data)
	case tensor.String:
		for i, s := range strs {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, '"')
			dst = api.AppendJSONEscaped(dst, s)
			dst = append(dst, '"')
		}
		return dst
	}
	width := d.Bytes(1)
	for i := 0; i+width <= len(data); i += width {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendElement(dst, d, data[i:i+width])
	}
	return dst
}

func appendElement(dst []byte, d tensor.DType, e []byte) []byte {
	switch d {
	case tensor.Bool:
		return strconv.AppendBool(dst, e[0] != 0)
	case tensor.Uint8:
		return strconv.AppendUint(dst, uint64(e[0]), 10)
	case tensor.Uint16:
		return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint16(e)), 10)
	case tensor.Uint32:
		return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint32(e)), 10)
	case tensor.Uint64:
		return strconv.AppendUint(dst, binary.LittleEndian.Uint64(e), 10)
	case tensor.Int8:
		return strconv.AppendInt(dst, int64(int8(e[0])), 10)
	case tensor.Int16:
		return strconv.AppendInt(dst, int64(int16(binary.LittleEndian.Uint16(e))), 10)
	case tensor.Int32:
		return strconv.AppendInt(dst, int64(int32(binary.LittleEndian.Uint32(e))), 10)
	case tensor.Int64:
		return strconv.AppendInt(dst, int64(binary.LittleEndian.Uint64(e)), 10)
	case tensor.Float16:
		return appendFloat32(dst, half.ToFloat32(binary.LittleEndian.Uint16(e)))
	case tensor.BFloat16:
		return appendFloat32(dst, half.BrainToFloat32(binary.LittleEndian.Uint16(e)))
	case tensor.Float64:
		return appendFloat64(dst, math.Float64frombits(binary.LittleEndian.Uint64(e)))
	}
	panic("BUG: datatype " + d.String() + " has no JSON form")
}

// appendParams appends the members of a "parameters" object.
func appendParams(dst []byte, params []Param) []byte {
	for i := range params {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendParam(dst, &params[i])
	}
	return dst
}

// AppendParam appends a parameter as a member of a JSON object.
func AppendParam(dst []byte, q *Param) []byte {
	dst = append(dst, '"')
	dst = api.AppendJSONEscaped(dst, q.Key)
	dst = append(dst, `":`...)
	switch q.Kind {
	case ParamString:
		dst = append(dst, '"')
		dst = api.AppendJSONEscaped(dst, q.Str)
		dst = append(dst, '"')
	case ParamInt:
		dst = strconv.AppendInt(dst, q.Int, 10)
	case ParamUint:
		dst = strconv.AppendUint(dst, q.Uint, 10)
	case ParamBool:
		dst = strconv.AppendBool(dst, q.Bool)
	case ParamFloat:
		dst = appendFloat64(dst, q.Float)
	}
	return dst
}
