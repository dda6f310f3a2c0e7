package ml

import (
	"fmt"
	"sort"
	"strconv"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func castMap() []*ops.Op {
	return []*ops.Op{{
		Name: "CastMap", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Str("cast_to", "map_form"), form.Int("max_map")),
		Eval:  evalCastMap,
	}}
}

// evalCastMap lays the values of a map with int64 keys out as one row: in the order of the
// keys (DENSE), or each at the place that its key names, with zeros between (SPARSE).
func evalCastMap(c *ops.Call) error {
	keys, values, err := asMap(c)
	if err != nil {
		return err
	}
	if keys.DType != tensor.Int64 || values.DType != tensor.String && values.DType != tensor.Float32 {
		return fmt.Errorf("input 0 is a map from %v to %v, expected int64 to string or float32", keys.DType, values.DType)
	}
	k := tensor.Data[int64](keys)
	order := make([]int, len(k))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return k[order[a]] < k[order[b]] })
	n := len(k)
	a := c.Node.Attrs
	form := a.Str("map_form", "DENSE")
	switch form {
	case "DENSE":
	case "SPARSE":
		m := a.Int("max_map", 1)
		if m <= 0 || m > maxTargets {
			return fmt.Errorf("max_map is %d, expected 1 to %d", m, maxTargets)
		}
		if len(k) > 0 && (k[order[0]] < 0 || k[order[n-1]] >= m) {
			return fmt.Errorf("a key is outside of 0 to %d", m-1)
		}
		n = int(m)
	default:
		return fmt.Errorf("map_form %q is unknown", form)
	}
	put, err := caster(c, a.Str("cast_to", "TO_FLOAT"), values, n)
	if err != nil {
		return err
	}
	for i, from := range order {
		at := i
		if form == "SPARSE" {
			at = int(k[from])
		}
		if err := put(at, from); err != nil {
			return err
		}
	}
	return nil
}

// caster makes output 0 and gives the function that casts one value into it.
func caster(c *ops.Call, to string, values *tensor.Tensor, n int) (func(at, from int) error, error) {
	text := values.DType == tensor.String
	switch to {
	case "TO_STRING":
		y, err := c.Output(0, tensor.String, tensor.Shape{1, n})
		if err != nil {
			return nil, err
		}
		for i := range y.Strings() {
			if !text {
				y.Strings()[i] = "0.f"
			}
		}
		return func(at, from int) error {
			if text {
				y.Strings()[at] = values.Strings()[from]
			} else {
				y.Strings()[at] = strconv.FormatFloat(float64(tensor.Data[float32](values)[from]), 'f', 6, 32)
			}
			return nil
		}, nil
	case "TO_FLOAT":
		y, err := c.Output(0, tensor.Float32, tensor.Shape{1, n})
		if err != nil {
			return nil, err
		}
		d := tensor.Data[float32](y)
		return func(at, from int) error {
			if !text {
				d[at] = tensor.Data[float32](values)[from]
				return nil
			}
			f, err := strconv.ParseFloat(values.Strings()[from], 32)
			d[at] = float32(f)
			return err
		}, nil
	case "TO_INT64":
		y, err := c.Output(0, tensor.Int64, tensor.Shape{1, n})
		if err != nil {
			return nil, err
		}
		d := tensor.Data[int64](y)
		return func(at, from int) (err error) {
			if text {
				d[at], err = strconv.ParseInt(values.Strings()[from], 10, 64)
			} else {
				d[at] = int64(tensor.Data[float32](values)[from])
			}
			return err
		}, nil
	}
	return nil, fmt.Errorf("cast_to %q is unknown", to)
}
