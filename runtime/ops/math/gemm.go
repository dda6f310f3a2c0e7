package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/linalg"
	"github.com/aimass/aimass/runtime/tensor"
)

func gemmForms() []*ops.Op {
	one := func(since, minIn int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{Name: "Gemm", Since: since, MinIn: minIn, MaxIn: 3, MinOut: 1, MaxOut: 1, Attrs: attrs, Shape: shapeGemm, Eval: evalGemm}
	}
	attrs := form.Join(form.Float("alpha", "beta"), form.Int("transA", "transB"))
	return []*ops.Op{
		one(1, 3, form.Join(attrs, form.Int("broadcast"))),
		one(7, 3, attrs),
		one(11, 2, attrs),
	}
}

type gemmDims struct{ m, n, k int }

func newGemm(n interface {
	Int(string, int64) int64
}, a, b tensor.Shape) (gemmDims, error) {
	if len(a) != 2 || len(b) != 2 {
		return gemmDims{}, fmt.Errorf("expected matrices, got shapes %v and %v", a, b)
	}
	d := gemmDims{m: a[0], k: a[1], n: b[1]}
	kb := b[0]
	if n.Int("transA", 0) != 0 {
		d.m, d.k = a[1], a[0]
	}
	if n.Int("transB", 0) != 0 {
		d.n, kb = b[0], b[1]
	}
	if kb != d.k {
		return d, fmt.Errorf("shapes %v and %v can't be multiplied: %d against %d", a, b, d.k, kb)
	}
	return d, nil
}

func shapeGemm(c *ops.ShapeCall) error {
	if !c.Known(2) {
		c.SetType(0, c.In[0].DType)
		return nil
	}
	d, err := newGemm(c.Node.Attrs, c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, tensor.Shape{d.m, d.n})
	return nil
}

// evalGemm computes alpha·A'·B' + beta·C, where C broadcasts to the product.
func evalGemm(c *ops.Call) error {
	a, b, z := c.T(0), c.T(1), c.T(2)
	if a == nil || b == nil || a.DType != b.DType || z != nil && z.DType != a.DType {
		return fmt.Errorf("expected inputs of one type, got %v, %v and %v", a, b, z)
	}
	d, err := newGemm(c.Node.Attrs, a.Shape, b.Shape)
	if err != nil {
		return err
	}
	out := tensor.Shape{d.m, d.n}
	if z != nil {
		if s, err := tensor.Broadcast(out, z.Shape); err != nil || !s.Equal(out) {
			return fmt.Errorf("shape %v does not broadcast to %v", z.Shape, out)
		}
	}
	y, err := c.Output(0, a.DType, out)
	if err != nil {
		return err
	}
	switch a.DType {
	case tensor.Float32, tensor.Float16, tensor.BFloat16:
		return gemmReal[float32](c, d, y)
	case tensor.Float64:
		return gemmReal[float64](c, d, y)
	case tensor.Int32:
		gemmInt[int32](c, d, y)
	case tensor.Int64:
		gemmInt[int64](c, d, y)
	case tensor.Uint32:
		gemmInt[uint32](c, d, y)
	case tensor.Uint64:
		gemmInt[uint64](c, d, y)
	default:
		return fmt.Errorf("expected numbers of 16 bits or more, got %v", a)
	}
	return nil
}

func gemmReal[T form.Real](c *ops.Call, d gemmDims, y *tensor.Tensor) error {
	a, err := form.Load[T](c.T(0))
	if err != nil {
		return err
	}
	b, err := form.Load[T](c.T(1))
	if err != nil {
		return err
	}
	var z []T
	if c.Has(2) {
		if z, err = form.Load[T](c.T(2)); err != nil {
			return err
		}
	}
	dst, flush := form.Sink[T](y)
	gemm(c, d, dst, a, b, z, func(f float32) T { return T(f) })
	return flush()
}

func gemmInt[T int32 | int64 | uint32 | uint64](c *ops.Call, d gemmDims, y *tensor.Tensor) {
	var z []T
	if c.Has(2) {
		z = tensor.Data[T](c.T(2))
	}
	gemm(c, d, tensor.Data[T](y), tensor.Data[T](c.T(0)), tensor.Data[T](c.T(1)), z, func(f float32) T { return T(f) })
}

func gemm[T linalg.Scalar](c *ops.Call, d gemmDims, y, a, b, z []T, cast func(float32) T) {
	at := c.Node.Attrs
	if at.Int("transA", 0) != 0 {
		a = linalg.Transpose(a, d.k, d.m)
	}
	if at.Int("transB", 0) != 0 {
		b = linalg.Transpose(b, d.n, d.k)
	}
	linalg.Gemm(d.m, d.n, d.k, a, d.k, b, d.n, y, d.n)
	if alpha := at.Float("alpha", 1); alpha != 1 {
		for i := range y {
			y[i] *= cast(alpha)
		}
	}
	beta := at.Float("beta", 1)
	if z == nil || beta == 0 {
		return
	}
	tensor.NewWalker(tensor.Shape{d.m, d.n}, c.T(2).Shape).Run(func(at, n int, off, step []int) {
		for i := range n {
			y[at+i] += cast(beta) * z[off[0]+i*step[0]]
		}
	})
}
