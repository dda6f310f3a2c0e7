package client

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/half"
)

const headerLength = "Inference-Header-Content-Length"

// encodeRequest writes the body of an inference. jsonLen is the length of the JSON in front of binary tensors, -1 where
// all of the body is JSON.
func encodeRequest(ctx context.Context, r *Request, format Format) (body []byte, jsonLen int, err error) {
	size := 0
	for i := range r.Inputs {
		t := &r.Inputs[i]
		if err := t.check(); err != nil {
			return nil, 0, fmt.Errorf("client: input %w", err)
		}
		size += t.binarySize()
	}
	b := make([]byte, 0, 256+128*len(r.Inputs)+size)
	b = append(b, '{')
	if r.ID != "" {
		b = append(appendString(append(b, `"id":`...), r.ID), ',')
	}
	if b, err = appendParameters(ctx, b, r, format); err != nil {
		return nil, 0, err
	}
	b = append(b, `"inputs":[`...)
	for i := range r.Inputs {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = r.Inputs[i].appendJSON(b, format); err != nil {
			return nil, 0, fmt.Errorf("client: input %w", err)
		}
	}
	b = append(b, ']')
	b = appendOutputs(b, r.Outputs, format)
	b = append(b, '}')
	if format == JSON {
		return b, -1, nil
	}
	jsonLen = len(b)
	for i := range r.Inputs {
		b = r.Inputs[i].appendBinary(b)
	}
	return b, jsonLen, nil
}

// appendParameters writes the request's parameters and the comma behind them, or nothing.
func appendParameters(ctx context.Context, b []byte, r *Request, format Format) ([]byte, error) {
	own := map[string]any{}
	for k, v := range r.Parameters {
		own[k] = v
	}
	timeout := r.Timeout
	if end, ok := ctx.Deadline(); ok && timeout == 0 {
		timeout = max(time.Until(end), time.Microsecond)
	}
	if timeout > 0 {
		own["timeout"] = max(timeout.Microseconds(), 1)
	}
	if r.Priority > 0 {
		own["priority"] = r.Priority
	}
	if len(r.Outputs) == 0 && format == Binary {
		own["binary_data_output"] = true
	}
	if len(own) == 0 {
		return b, nil
	}
	b = append(b, `"parameters":{`...)
	for i, k := range slices.Sorted(maps.Keys(own)) {
		if i > 0 {
			b = append(b, ',')
		}
		v, err := parameter(own[k])
		if err != nil {
			return nil, fmt.Errorf("client: parameter %q: %w", k, err)
		}
		b = append(append(appendString(b, k), ':'), v...)
	}
	return append(b, "},"...), nil
}

func parameter(v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return appendString(nil, v), nil
	case bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		return json.Marshal(v)
	}
	return nil, fmt.Errorf("a %T; expected a string, a bool or a number", v)
}

func appendOutputs(b []byte, outputs []Output, format Format) []byte {
	if len(outputs) == 0 {
		return b
	}
	b = append(b, `,"outputs":[`...)
	for i, o := range outputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"name":`...), o.Name)
		b = strconv.AppendBool(append(b, `,"parameters":{"binary_data":`...), format == Binary)
		if o.Classes != 0 {
			b = strconv.AppendInt(append(b, `,"classification":`...), int64(o.Classes), 10)
		}
		b = append(b, "}}"...)
	}
	return append(b, ']')
}

func appendString(b []byte, s string) []byte {
	return append(api.AppendJSONEscaped(append(b, '"'), s), '"')
}

func (t *Tensor) binarySize() int {
	if t.DType != BYTES {
		return len(t.data)
	}
	n := 4 * len(t.strs)
	for _, s := range t.strs {
		n += len(s)
	}
	return n
}

func (t *Tensor) appendBinary(b []byte) []byte {
	if t.DType != BYTES {
		return append(b, t.data...)
	}
	for _, s := range t.strs {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	return b
}

func (t *Tensor) appendJSON(b []byte, format Format) ([]byte, error) {
	b = appendString(append(b, `{"name":`...), t.Name)
	b = appendString(append(b, `,"datatype":`...), string(t.DType))
	b = append(b, `,"shape":[`...)
	for i, d := range t.Shape {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(d), 10)
	}
	b = append(b, ']')
	if format == Binary {
		for i, s := range t.strs {
			if len(s) > math.MaxUint32 {
				return nil, fmt.Errorf("%q: string %d is longer than 4 GiB", t.Name, i)
			}
		}
		b = strconv.AppendInt(append(b, `,"parameters":{"binary_data_size":`...), int64(t.binarySize()), 10)
		return append(b, "}}"...), nil
	}
	b, err := t.appendElements(append(b, `,"data":[`...))
	return append(b, "]}"...), err
}

// appendElements writes the elements as JSON, flat. Not a number and the infinities have no JSON; the literals are those
// of the protocol's other clients.
func (t *Tensor) appendElements(b []byte) ([]byte, error) {
	for i, s := range t.strs {
		if !utf8.ValidString(s) {
			return nil, fmt.Errorf("%q: string %d is not valid UTF-8, which JSON needs: send it in the binary format", t.Name, i)
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	size := t.DType.Size()
	for i := 0; i < len(t.data); i += size {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendElement(b, t.DType, t.data[i:i+size])
	}
	return b, nil
}

func appendElement(b []byte, d DType, e []byte) []byte {
	le := binary.LittleEndian
	switch d {
	case BOOL:
		return strconv.AppendBool(b, e[0] != 0)
	case UINT8:
		return strconv.AppendUint(b, uint64(e[0]), 10)
	case INT8:
		return strconv.AppendInt(b, int64(int8(e[0])), 10)
	case UINT16:
		return strconv.AppendUint(b, uint64(le.Uint16(e)), 10)
	case INT16:
		return strconv.AppendInt(b, int64(int16(le.Uint16(e))), 10)
	case UINT32:
		return strconv.AppendUint(b, uint64(le.Uint32(e)), 10)
	case INT32:
		return strconv.AppendInt(b, int64(int32(le.Uint32(e))), 10)
	case UINT64:
		return strconv.AppendUint(b, le.Uint64(e), 10)
	case INT64:
		return strconv.AppendInt(b, int64(le.Uint64(e)), 10)
	case FP16:
		return appendFloat(b, float64(half.ToFloat32(le.Uint16(e))), 32)
	case BF16:
		return appendFloat(b, float64(half.BrainToFloat32(le.Uint16(e))), 32)
	case FP32:
		return appendFloat(b, float64(math.Float32frombits(le.Uint32(e))), 32)
	}
	return appendFloat(b, math.Float64frombits(le.Uint64(e)), 64)
}

func appendFloat(b []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, bits)
}
