package service

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strconv"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/server/wire"
)

// classify makes the classification form of an output: the best classes of each row as "value:index" or,
// where the model has labels, "value:index:label", in a BYTES tensor
// [rows, k], or [k] for a model without a batch.
func (c *Call) classify(port *pipeline.Port, t *tensor.Tensor, o *Output) (wire.Result, error) {
	rows, width := 1, t.Elements()
	if c.Served.MaxBatch > 0 && len(t.Shape) > 0 {
		rows = t.Shape[0]
		width = tensor.Shape(t.Shape[1:]).Elements()
	}
	values, err := numbers(port.Name, t)
	if err != nil {
		return wire.Result{}, err
	}
	k := min(o.Classes, width)
	r := wire.Result{Name: port.Name, DType: tensor.String, Shape: tensor.Shape{rows, k}, Binary: o.Binary, Strings: make([]string, 0, rows*k)}
	if c.Served.MaxBatch == 0 {
		r.Shape = tensor.Shape{k}
	}
	order := make([]int, width)
	for row := range rows {
		v := values[row*width : (row+1)*width]
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(v[b], v[a]) })
		for _, i := range order[:k] {
			text := valueText(t, row*width+i) + ":" + strconv.Itoa(i)
			if i < len(port.Labels) {
				text += ":" + port.Labels[i]
			}
			r.Strings = append(r.Strings, text)
		}
	}
	return r, nil
}

// numbers widens a tensor's elements, for comparing them; 64-bit integers lose their low bits, which can only change the
// order of classes that differ by less than one part in 2^53.
func numbers(name string, t *tensor.Tensor) ([]float64, error) {
	data, width := t.Bytes(), t.DType.Bytes(1)
	out := make([]float64, 0, t.Elements())
	for i := 0; i+width <= len(data) && width > 0; i += width {
		e := data[i : i+width]
		var v float64
		switch t.DType {
		case tensor.Float32:
			v = float64(math.Float32frombits(binary.LittleEndian.Uint32(e)))
		case tensor.Float64:
			v = math.Float64frombits(binary.LittleEndian.Uint64(e))
		case tensor.Float16:
			v = float64(half.ToFloat32(binary.LittleEndian.Uint16(e)))
		case tensor.BFloat16:
			v = float64(half.BrainToFloat32(binary.LittleEndian.Uint16(e)))
		case tensor.Int8:
			v = float64(int8(e[0]))
		case tensor.Int16:
			v = float64(int16(binary.LittleEndian.Uint16(e)))
		case tensor.Int32:
			v = float64(int32(binary.LittleEndian.Uint32(e)))
		case tensor.Int64:
			v = float64(int64(binary.LittleEndian.Uint64(e)))
		case tensor.Uint8:
			v = float64(e[0])
		case tensor.Uint16:
			v = float64(binary.LittleEndian.Uint16(e))
		case tensor.Uint32:
			v = float64(binary.LittleEndian.Uint32(e))
		case tensor.Uint64:
			v = float64(binary.LittleEndian.Uint64(e))
		}
		out = append(out, v)
	}
	if len(out) != t.Elements() || t.DType == tensor.Bool {
		return nil, api.Errorf(api.CodeUnsupported, "class result not available for output '%s' due to unsupported type '%s'", name, t.DType.V2())
	}
	return out, nil
}

// valueText writes an element as C's printf does by default: six decimals for floating point.
func valueText(t *tensor.Tensor, i int) string {
	width := t.DType.Bytes(1)
	if !t.DType.IsFloat() {
		return string(wire.AppendData(nil, t.DType, t.Bytes()[i*width:(i+1)*width], nil))
	}
	one := tensor.Tensor{}
	one.View(t.DType, tensor.Shape{1}, t.Bytes()[i*width:(i+1)*width])
	v, _ := numbers("", &one)
	return strconv.FormatFloat(v[0], 'f', 6, 64)
}
