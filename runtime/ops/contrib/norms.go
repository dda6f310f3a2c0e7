package contrib

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// norms are the layer normalisations that are fused with a residual sum, and the root
// mean square form of the plain one.
func norms() []*ops.Op {
	skip := func(name string, least, most, bias int, rms bool) *ops.Op {
		return &ops.Op{
			Name: name, Domain: Domain, Since: 1, MinIn: least, MaxIn: most, MinOut: 1, MaxOut: 4,
			Attrs: form.Float("epsilon"),
			Shape: func(c *ops.ShapeCall) error {
				form.Like(c, 0, c.In[0].DType, 0)
				form.Like(c, 3, c.In[0].DType, 0)
				return momentShape(c, 1, 2)
			},
			Eval: func(c *ops.Call) error { return evalSkipNorm(c, bias, rms) },
		}
	}
	simple := &ops.Op{
		Name: "SimplifiedLayerNormalization", Since: 1, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 2,
		Attrs: form.Join(form.Int("axis", "stash_type"), form.Float("epsilon")),
		Shape: func(c *ops.ShapeCall) error {
			form.Like(c, 0, c.In[1].DType, 0)
			c.SetType(1, tensor.Float32)
			return nil
		},
		Eval: evalSimplified,
	}
	return []*ops.Op{
		skip("SkipLayerNormalization", 3, 5, 4, false),
		skip("SkipSimplifiedLayerNormalization", 3, 4, 3, true),
		simple,
	}
}

// momentShape states the outputs that hold one float32 a row.
func momentShape(c *ops.ShapeCall, outputs ...int) error {
	for _, i := range outputs {
		c.SetType(i, tensor.Float32)
		if c.In[0].Known && len(c.In[0].Shape) > 0 {
			s := c.In[0].Shape.Clone()
			s[len(s)-1] = 1
			c.Set(i, tensor.Float32, s)
		}
	}
	return nil
}

// normRow normalises one row: to mean 0 and variance 1, or (rms) to mean square 1.
func normRow(dst, x, gamma, beta []float32, epsilon float64, rms bool) (mean, inv float64) {
	var sq float64
	if !rms {
		for _, v := range x {
			mean += float64(v)
		}
		mean /= float64(len(x))
	}
	for _, v := range x {
		d := float64(v) - mean
		sq += d * d
	}
	inv = 1 / math.Sqrt(sq/float64(len(x))+epsilon)
	for i, v := range x {
		y := (float64(v) - mean) * inv * float64(gamma[i])
		if beta != nil {
			y += float64(beta[i])
		}
		dst[i] = float32(y)
	}
	return mean, inv
}

// evalSkipNorm normalises input + skip + bias along the last axis. The skip may leave out
// the batch or have it as 1.
func evalSkipNorm(c *ops.Call, biasAt int, rms bool) error {
	x, skip := c.T(0), c.T(1)
	n, err := lastAxis(x)
	if err != nil {
		return err
	}
	in, err := floats(c, 0)
	if err != nil {
		return err
	}
	add, err := floats(c, 1)
	if err != nil {
		return err
	}
	if s, err := tensor.Broadcast(x.Shape, skip.Shape); err != nil || !s.Equal(x.Shape) || len(add) > 0 && len(in)%len(add) != 0 || len(add) > 0 && len(add)%n != 0 {
		return fmt.Errorf("input 1 is %v, which does not fit %v", skip, x)
	}
	gamma, err := vector(c, 2, n)
	if err != nil {
		return err
	}
	var beta []float32
	if !rms {
		if beta, err = vector(c, 3, n); err != nil {
			return err
		}
	}
	bias, err := vector(c, biasAt, n)
	if err != nil {
		return err
	}
	sum := make([]float32, len(in))
	for i, v := range in {
		v += add[i%len(add)]
		if bias != nil {
			v += bias[i%n]
		}
		sum[i] = v
	}
	if c.Wanted(3) {
		t, err := c.Output(3, x.DType, x.Shape)
		if err != nil {
			return err
		}
		if err := tensor.StoreFloat32s(t, sum); err != nil {
			return err
		}
	}
	return normOutputs(c, sum, n, gamma, beta, float64(c.Node.Attrs.Float("epsilon", 1e-12)), rms)
}

// normOutputs writes output 0 and, where they are wanted, the rows' means and inverse
// deviations to outputs 1 and 2.
func normOutputs(c *ops.Call, x []float32, n int, gamma, beta []float32, epsilon float64, rms bool) error {
	t := c.T(0)
	y, err := c.Output(0, t.DType, t.Shape)
	if err != nil {
		return err
	}
	out, store := form.Sink[float32](y)
	rows := 0
	if n > 0 {
		rows = len(x) / n
	}
	means, invs := make([]float32, rows), make([]float32, rows)
	for r := range rows {
		m, i := normRow(out[r*n:(r+1)*n], x[r*n:(r+1)*n], gamma, beta, epsilon, rms)
		means[r], invs[r] = float32(m), float32(i)
	}
	for i, v := range [][]float32{means, invs} {
		if !c.Wanted(i + 1) {
			continue
		}
		s := t.Shape.Clone()
		s[len(s)-1] = 1
		m, err := c.Output(i+1, tensor.Float32, s)
		if err != nil {
			return err
		}
		copy(tensor.Data[float32](m), v)
	}
	return store()
}

// evalSimplified normalises the axes from axis on by their root mean square.
func evalSimplified(c *ops.Call) error {
	x := c.T(0)
	if err := form.NeedReal("input 0", x); err != nil {
		return err
	}
	axis, err := tensor.Axis(c.Node.Attrs.Int("axis", -1), x.Rank())
	if err != nil {
		return err
	}
	in, err := floats(c, 0)
	if err != nil {
		return err
	}
	n := x.Shape[axis:].Elements()
	gamma, err := vector(c, 1, n)
	if err != nil {
		return err
	}
	if gamma == nil {
		return fmt.Errorf("input 1 is missing")
	}
	y, err := c.Output(0, c.T(1).DType, x.Shape)
	if err != nil {
		return err
	}
	out, store := form.Sink[float32](y)
	rows := x.Shape[:axis].Elements()
	invs := make([]float32, rows)
	eps := float64(c.Node.Attrs.Float("epsilon", 1e-5))
	for r := range rows {
		_, inv := normRow(out[r*n:(r+1)*n], in[r*n:(r+1)*n], gamma, nil, eps, true)
		invs[r] = float32(inv)
	}
	if c.Wanted(1) {
		s := x.Shape.Clone()
		for i := axis; i < len(s); i++ {
			s[i] = 1
		}
		t, err := c.Output(1, tensor.Float32, s)
		if err != nil {
			return err
		}
		copy(tensor.Data[float32](t), invs)
	}
	return store()
}
