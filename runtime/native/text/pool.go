package text

import (
	"context"
	"fmt"
	"math"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// pool makes one vector of a text's hidden states.
type pool struct {
	native.Alone
	how       string
	normalize bool
}

// newPool takes the parameters "pooling", which is mean (of the pieces that the mask keeps), cls
// (the first piece's) or max, and "normalize", which scales vectors to length 1 unless false.
func newPool(from native.Source) (native.Model, error) {
	if p := unknown(from.Params, "pooling", "normalize"); p != "" {
		return nil, fmt.Errorf("parameter %q is not known, expected pooling or normalize", p)
	}
	m := &pool{how: "mean", normalize: true}
	switch v := from.Params["pooling"]; v {
	case "":
	case "mean", "cls", "max":
		m.how = v
	default:
		return nil, fmt.Errorf("parameter pooling: got %q, expected mean, cls or max", v)
	}
	switch v := from.Params["normalize"]; v {
	case "", "true":
	case "false":
		m.normalize = false
	default:
		return nil, fmt.Errorf("parameter normalize: got %q, expected true or false", v)
	}
	return m, nil
}

func (*pool) Inputs() []native.Port {
	return []native.Port{native.Tensor("hidden", tensor.Float32, -1, -1, -1), native.Tensor("attention_mask", tensor.Int64, -1, -1)}
}

func (*pool) Outputs() []native.Port {
	return []native.Port{native.Tensor("embedding", tensor.Float32, -1, -1)}
}

// Rowwise implements native.Rowwise: each text is pooled by itself.
func (*pool) Rowwise() bool { return true }

// Sample implements native.Sampler.
func (*pool) Sample(rows int) []tensor.Value {
	return []tensor.Value{tensor.New(tensor.Float32, tensor.Shape{rows, 1, 8}), tensor.New(tensor.Int64, tensor.Shape{rows, 1})}
}

// Run implements native.Model.
func (m *pool) Run(_ context.Context, in []tensor.Value, alloc native.Alloc) ([]tensor.Value, error) {
	s, hidden, mask := shape(in[0]), data[float32](in[0]), data[int64](in[1])
	if ms := shape(in[1]); ms[0] != s[0] || ms[1] != s[1] {
		return nil, api.Errorf(api.CodeShapeMismatch, "input 'attention_mask' has shape %v, expected %v as in 'hidden'", ms, s[:2])
	}
	rows, pieces, width := s[0], s[1], s[2]
	out, err := alloc(tensor.Float32, tensor.Shape{rows, width})
	if err != nil {
		return nil, err
	}
	for r := range rows {
		to := data[float32](out)[r*width : (r+1)*width]
		m.row(to, hidden[r*pieces*width:(r+1)*pieces*width], mask[r*pieces:(r+1)*pieces])
		if m.normalize {
			scale(to)
		}
	}
	return []tensor.Value{out}, nil
}

// row pools one text; one of which the mask keeps nothing gives zeros.
func (m *pool) row(to, hidden []float32, mask []int64) {
	width, kept := len(to), 0
	for p := range mask {
		if mask[p] == 0 {
			continue
		}
		from := hidden[p*width : (p+1)*width]
		kept++
		switch {
		case kept == 1:
			copy(to, from)
			if m.how == "cls" {
				return
			}
		case m.how == "max":
			for i, v := range from {
				to[i] = max(to[i], v)
			}
		default:
			for i, v := range from {
				to[i] += v
			}
		}
	}
	if m.how == "mean" && kept > 1 {
		for i := range to {
			to[i] /= float32(kept)
		}
	}
}

// scale makes a vector's length 1, unless it is 0.
func scale(v []float32) {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return
	}
	k := float32(1 / math.Sqrt(sum))
	for i := range v {
		v[i] *= k
	}
}
