package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/linalg"
	"github.com/aimass/aimass/runtime/tensor"
)

// product is the geometry of numpy's matmul: batches of m×k by k×n.
type product struct {
	m, k, n int
	a, b    tensor.Shape // the batch axes of the operands
	batch   tensor.Shape // their broadcast
	out     tensor.Shape
}

// newProduct applies numpy's rule: a vector on the left becomes a row, on the right a
// column, and the axis so added is dropped from the result.
func newProduct(a, b tensor.Shape) (product, error) {
	if len(a) == 0 || len(b) == 0 {
		return product{}, fmt.Errorf("expected operands of rank 1 or more, got shapes %v and %v", a, b)
	}
	row, col := len(a) == 1, len(b) == 1
	if row {
		a = tensor.Shape{1, a[0]}
	}
	if col {
		b = tensor.Shape{b[0], 1}
	}
	p := product{m: a[len(a)-2], k: a[len(a)-1], n: b[len(b)-1], a: a[:len(a)-2], b: b[:len(b)-2]}
	if b[len(b)-2] != p.k {
		return p, fmt.Errorf("shapes %v and %v can't be multiplied: %d against %d", a, b, p.k, b[len(b)-2])
	}
	var err error
	if p.batch, err = tensor.Broadcast(p.a, p.b); err != nil {
		return p, err
	}
	p.out = p.batch.Clone()
	if !row {
		p.out = append(p.out, p.m)
	}
	if !col {
		p.out = append(p.out, p.n)
	}
	if p.out == nil {
		p.out = tensor.Shape{}
	}
	return p, p.out.Check()
}

func shapeMatMul(c *ops.ShapeCall) error { return productShape(c, c.In[0].DType) }

func productShape(c *ops.ShapeCall, d tensor.DType) error {
	if !c.Known(2) {
		c.SetType(0, d)
		return nil
	}
	p, err := newProduct(c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(0, d, p.out)
	return nil
}

func evalMatMul(c *ops.Call) error {
	a, b := c.T(0), c.T(1)
	if a == nil || b == nil || a.DType != b.DType {
		return fmt.Errorf("expected two inputs of one type, got %v and %v", a, b)
	}
	p, err := newProduct(a.Shape, b.Shape)
	if err != nil {
		return err
	}
	y, err := c.Output(0, a.DType, p.out)
	if err != nil {
		return err
	}
	switch a.DType {
	case tensor.Float32:
		multiplyAs[float32](p, y, a, b)
	case tensor.Float64:
		multiplyAs[float64](p, y, a, b)
	case tensor.Int32:
		multiplyAs[int32](p, y, a, b)
	case tensor.Int64:
		multiplyAs[int64](p, y, a, b)
	case tensor.Uint32:
		multiplyAs[uint32](p, y, a, b)
	case tensor.Uint64:
		multiplyAs[uint64](p, y, a, b)
	case tensor.Float16, tensor.BFloat16:
		return multiplyHalf(p, y, a, b)
	default:
		return fmt.Errorf("expected numbers of 16 bits or more, got %v", a)
	}
	return nil
}

func multiplyAs[T linalg.Scalar](p product, y, a, b *tensor.Tensor) {
	multiply(p, tensor.Data[T](y), tensor.Data[T](a), tensor.Data[T](b))
}

func multiplyHalf(p product, y, a, b *tensor.Tensor) error {
	va, err := tensor.Float32s(a)
	if err != nil {
		return err
	}
	vb, err := tensor.Float32s(b)
	if err != nil {
		return err
	}
	dst := make([]float32, y.Elements())
	multiply(p, dst, va, vb)
	return tensor.StoreFloat32s(y, dst)
}

// multiply computes all batches into the zeroed y. A right operand without batch axes
// makes one product of them all.
func multiply[T linalg.Scalar](p product, y, a, b []T) {
	if p.b.Elements() == 1 && p.a.Equal(p.batch) {
		linalg.Gemm(p.batch.Elements()*p.m, p.n, p.k, a, p.k, b, p.n, y, p.n)
		return
	}
	sa, sb, sc := p.m*p.k, p.k*p.n, p.m*p.n
	tensor.NewWalker(p.batch, p.a, p.b).Run(func(at, n int, off, step []int) {
		for i := range n {
			ia, ib := (off[0]+i*step[0])*sa, (off[1]+i*step[1])*sb
			linalg.Gemm(p.m, p.n, p.k, a[ia:ia+sa], p.k, b[ib:ib+sb], p.n, y[(at+i)*sc:(at+i+1)*sc], p.n)
		}
	})
}
