package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// moments are the mean and variance of a line.
func moments(line []float64) (mean, variance float64) {
	for _, v := range line {
		mean += v
	}
	mean /= float64(len(line))
	for _, v := range line {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(line))
}

// grouped normalises each of the groups of channels of each image and scales each
// channel; a group of one channel is InstanceNormalization.
func grouped(c *ops.Call, groups int, perGroup bool) error {
	x := c.T(0)
	if err := sameReal(x, c.T(1), c.T(2)); err != nil {
		return err
	}
	if x.Rank() < 2 || groups < 1 || x.Shape[1]%groups != 0 {
		return fmt.Errorf("%v can't be split into %d groups of channels", x, groups)
	}
	ch, size := x.Shape[1], x.Shape[2:].Elements()
	want := ch
	if perGroup {
		want = groups
	}
	if !c.Has(1) || !c.Has(2) || c.T(1).Elements() != want || c.T(2).Elements() != want {
		return fmt.Errorf("expected scale and bias of %d values, got %v and %v", want, c.T(1), c.T(2))
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	scale, err := tensor.Float64s(c.T(1))
	if err != nil {
		return err
	}
	bias, err := tensor.Float64s(c.T(2))
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	eps := float64(c.Node.Attrs.Float("epsilon", 1e-5))
	out := make([]float64, len(v))
	block := ch / groups * size
	for b := range x.Shape[0] * groups {
		line := v[b*block : (b+1)*block]
		mean, variance := moments(line)
		inv := 1 / math.Sqrt(variance+eps)
		for i, e := range line {
			k := (b*block + i) / size % ch
			if perGroup {
				k = b % groups
			}
			out[b*block+i] = (e-mean)*inv*scale[k] + bias[k]
		}
	}
	return tensor.StoreFloat64s(y, out)
}

func evalInstanceNorm(c *ops.Call) error {
	if x := c.T(0); x != nil && x.Rank() >= 2 && x.Shape[1] > 0 {
		return grouped(c, x.Shape[1], false)
	}
	return grouped(c, 1, false)
}

// evalGroupNorm scales by group before opset 21, by channel since.
func evalGroupNorm(c *ops.Call) error {
	g := c.Node.Attrs.Int("num_groups", 1)
	if g < 1 || g > maxWindow {
		return fmt.Errorf("num_groups: %d is out of range", g)
	}
	return grouped(c, int(g), c.Node.Opset < 21)
}

// layerDims splits a shape at an axis, from which on LayerNormalization reduces.
func layerDims(s tensor.Shape, axis int64) (rows, cols int, reduced tensor.Shape, err error) {
	a, err := tensor.Axis(axis, len(s))
	if err != nil {
		return 0, 0, nil, err
	}
	reduced = append(tensor.Shape{}, s[:a]...)
	for range s[a:] {
		reduced = append(reduced, 1)
	}
	return s[:a].Elements(), s[a:].Elements(), reduced, nil
}

func shapeLayerNorm(c *ops.ShapeCall) error {
	form.Like(c, 0, c.In[0].DType, 0)
	if !c.Known(1) {
		c.SetType(1, tensor.Float32)
		c.SetType(2, tensor.Float32)
		return nil
	}
	_, _, s, err := layerDims(c.In[0].Shape, c.Node.Attrs.Int("axis", -1))
	if err != nil {
		return err
	}
	d := stash(c.Node.Attrs.Int("stash_type", 1))
	c.Set(1, d, s)
	c.Set(2, d, s)
	return nil
}

// stash is the type of the intermediate results: the ONNX code 11 is float64, 1 float32.
func stash(code int64) tensor.DType {
	switch code {
	case 10:
		return tensor.Float16
	case 11:
		return tensor.Float64
	case 16:
		return tensor.BFloat16
	}
	return tensor.Float32
}

// evalLayerNorm normalises all axes from axis on together, then scales and shifts by
// tensors that broadcast to the input.
func evalLayerNorm(c *ops.Call) error {
	x := c.T(0)
	if err := form.NeedReal("X", x); err != nil {
		return err
	}
	rows, cols, reduced, err := layerDims(x.Shape, c.Node.Attrs.Int("axis", -1))
	if err != nil {
		return err
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	eps := float64(c.Node.Attrs.Float("epsilon", 1e-5))
	out := make([]float64, len(v))
	means, invs := make([]float64, rows), make([]float64, rows)
	for r := range rows {
		line := v[r*cols : (r+1)*cols]
		mean, variance := moments(line)
		inv := 1 / math.Sqrt(variance+eps)
		for i, e := range line {
			out[r*cols+i] = (e - mean) * inv
		}
		means[r], invs[r] = mean, inv
	}
	d := stash(c.Node.Attrs.Int("stash_type", 1))
	for i, w := range [][]float64{nil, means, invs} {
		if i == 0 || !c.Wanted(i) {
			continue
		}
		t, err := c.Output(i, d, reduced)
		if err != nil {
			return err
		}
		if err := tensor.StoreFloat64s(t, w); err != nil {
			return err
		}
	}
	return affine(c, x.DType, x.Shape, out)
}

// affine scales by input 1 and shifts by input 2, if given, and stores output 0. Before
// that the normalised values are rounded to the input's type, as the standard says.
func affine(c *ops.Call, d tensor.DType, s tensor.Shape, v []float64) error {
	y, err := c.Output(0, d, s)
	if err != nil {
		return err
	}
	r := form.Rounder(d)
	for i, e := range v {
		v[i] = r(e)
	}
	for i := 1; i < 3; i++ {
		t := c.T(i)
		if t == nil {
			continue
		}
		if b, err := tensor.Broadcast(s, t.Shape); err != nil || !b.Equal(s) {
			return fmt.Errorf("input %d: %v does not broadcast to %v", i, t, s)
		}
		p, err := tensor.Float64s(t)
		if err != nil {
			return err
		}
		tensor.NewWalker(s, t.Shape).Run(func(at, n int, off, step []int) {
			for k := range n {
				if i == 1 {
					v[at+k] = r(v[at+k] * p[off[0]+k*step[0]])
				} else {
					v[at+k] += p[off[0]+k*step[0]]
				}
			}
		})
	}
	return tensor.StoreFloat64s(y, v)
}

// shapeRMSNorm gives the output the scale's type.
func shapeRMSNorm(c *ops.ShapeCall) error {
	form.Like(c, 0, c.In[1].DType, 0)
	return nil
}

// evalRMSNorm divides by the root of the mean square over all axes from axis on, then
// scales.
func evalRMSNorm(c *ops.Call) error {
	x := c.T(0)
	if err := form.NeedReal("X", x); err != nil {
		return err
	}
	if err := form.NeedReal("scale", c.T(1)); err != nil {
		return err
	}
	rows, cols, _, err := layerDims(x.Shape, c.Node.Attrs.Int("axis", -1))
	if err != nil {
		return err
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	eps := float64(c.Node.Attrs.Float("epsilon", 1e-5))
	out := make([]float64, len(v))
	for r := range rows {
		line, sum := v[r*cols:(r+1)*cols], 0.0
		for _, e := range line {
			sum += e * e
		}
		inv := 1 / math.Sqrt(sum/float64(cols)+eps)
		for i, e := range line {
			out[r*cols+i] = e * inv
		}
	}
	return affine(c, c.T(1).DType, x.Shape, out)
}

// evalLRN divides by a power of the sum of squares over neighbouring channels.
func evalLRN(c *ops.Call) error {
	x, a := c.T(0), c.Node.Attrs
	if err := form.NeedReal("X", x); err != nil {
		return err
	}
	size := a.Int("size", 0)
	if x.Rank() < 2 || size < 1 || size > maxWindow {
		return fmt.Errorf("expected rank 2 or more and a positive size, got %v and %d", x, size)
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	ch, plane := x.Shape[1], x.Shape[2:].Elements()
	lo, hi := int(size-1)/2, int(size)/2
	k := float64(a.Float("alpha", 1e-4)) / float64(size)
	beta, bias := float64(a.Float("beta", 0.75)), float64(a.Float("bias", 1))
	out := make([]float64, len(v))
	for i := range out {
		at := i / plane % ch
		sum := 0.0
		for n := max(0, at-lo); n <= min(ch-1, at+hi); n++ {
			e := v[i+(n-at)*plane]
			sum += e * e
		}
		out[i] = v[i] / math.Pow(bias+k*sum, beta)
	}
	return tensor.StoreFloat64s(y, out)
}
