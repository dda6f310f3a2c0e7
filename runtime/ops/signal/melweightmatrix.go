package signal

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func melWeightMatrix() *ops.Op {
	return &ops.Op{
		Name: "MelWeightMatrix", Since: 17, MinIn: 5, MaxIn: 5, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("output_datatype"),
		Shape: func(c *ops.ShapeCall) error {
			d, err := outputType(c.Node)
			if err != nil {
				return err
			}
			c.SetType(0, d)
			bins, length := tensorOf(c, 0), tensorOf(c, 1)
			if bins == nil || length == nil {
				return nil
			}
			m, err := extent(bins, "num_mel_bins")
			if err != nil {
				return err
			}
			n, err := extent(length, "dft_length")
			if err != nil {
				return err
			}
			s := tensor.Shape{n/2 + 1, m}
			c.Set(0, d, s)
			return s.Check()
		},
		Eval: evalMel,
	}
}

func oneFloat(t *tensor.Tensor, name string) (float64, error) {
	if t == nil || t.Elements() != 1 {
		return 0, fmt.Errorf("%s is %v, expected one number", name, t)
	}
	v, err := tensor.Float64s(t)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return v[0], nil
}

// evalMel makes the matrix [dft_length/2+1, num_mel_bins] whose columns are triangles
// between the frequencies of three neighbouring mel bins.
func evalMel(c *ops.Call) error {
	d, err := outputType(c.Node)
	if err != nil {
		return err
	}
	bins, err := extent(c.T(0), "num_mel_bins")
	if err != nil {
		return err
	}
	length, err := extent(c.T(1), "dft_length")
	if err != nil {
		return err
	}
	rate, err := scalar(c.T(2), "sample_rate")
	if err != nil {
		return err
	}
	low, err := oneFloat(c.T(3), "lower_edge_hertz")
	if err != nil {
		return err
	}
	high, err := oneFloat(c.T(4), "upper_edge_hertz")
	if err != nil {
		return err
	}
	rows := length/2 + 1
	t, err := c.Output(0, d, tensor.Shape{rows, bins})
	if err != nil {
		return err
	}
	edges, err := melEdges(bins, length, rate, low, high, rows)
	if err != nil {
		return err
	}
	v := make([]float64, rows*bins)
	for i := range bins {
		from, mid, to := edges[i], edges[i+1], edges[i+2]
		if mid == from {
			v[mid*bins+i] = 1
		} else {
			for j := from; j <= mid; j++ {
				v[j*bins+i] = float64(j-from) / float64(mid-from)
			}
		}
		for j := mid; j < to; j++ {
			v[j*bins+i] = float64(to-j) / float64(to-mid)
		}
	}
	return store(t, v)
}

// melEdges are the DFT bins of bins+2 frequencies equally spaced in mels.
func melEdges(bins, length int, rate int64, low, high float64, rows int) ([]int, error) {
	if rate <= 0 {
		return nil, fmt.Errorf("sample_rate is %d", rate)
	}
	mel := func(hz float64) float64 { return 2595 * math.Log1p(hz/700) / math.Ln10 }
	first := mel(low)
	step := (mel(high) - first) / float64(bins+2)
	out := make([]int, bins+2)
	for i := range out {
		hz := 700 * math.Expm1((first+step*float64(i))/2595*math.Ln10)
		at := math.Floor(float64(length+1) * hz / float64(rate))
		if !(at >= 0 && at < float64(rows)) {
			return nil, fmt.Errorf("mel bin %d lies at %g Hz, outside of the spectrum at %d samples a second", i, hz, rate)
		}
		out[i] = int(at)
	}
	return out, nil
}
