package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/linalg"
	"github.com/aimass/aimass/runtime/tensor"
)

func fusedMatMul() []*ops.Op {
	op := func(name string, attrs []ops.Attr) *ops.Op {
		return &ops.Op{
			Name: name, Domain: Domain, Since: 1, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
			Attrs: form.Join(form.Float("alpha"), form.Int("transA", "transB"), attrs),
			Shape: func(c *ops.ShapeCall) error {
				c.SetType(0, c.In[0].DType)
				if !c.Known(2) {
					return nil
				}
				p, err := planMatMul(c.Node.Attrs, c.In[0].Shape, c.In[1].Shape)
				if err != nil {
					return err
				}
				c.Set(0, c.In[0].DType, p.out)
				return nil
			},
			Eval: func(c *ops.Call) error {
				if c.T(0).DType == tensor.Float64 {
					return evalMatMul[float64](c)
				}
				return evalMatMul[float32](c)
			},
		}
	}
	return []*ops.Op{op("FusedMatMul", form.Int("transBatchA", "transBatchB")), op("TransposeMatMul", nil)}
}

// operand is one side of a product: a stack of matrices read through strides.
type operand struct {
	batch      tensor.Shape
	strides    []int // of batch
	rows, cols int
	rowStep    int
	colStep    int
}

// sideOf reads a shape as a stack of matrices. With swap, the first axis takes the place
// of the rows, and the axes between move forward; trans exchanges rows and columns.
func sideOf(s tensor.Shape, trans, swap bool) operand {
	st := s.Strides()
	n := len(s)
	if swap && n > 2 {
		s = append(append(s[1:n-1].Clone(), s[0]), s[n-1])
		st = append(append(append([]int(nil), st[1:n-1]...), st[0]), st[n-1])
	}
	o := operand{s[:n-2], st[:n-2], s[n-2], s[n-1], st[n-2], st[n-1]}
	if trans {
		o.rows, o.cols, o.rowStep, o.colStep = o.cols, o.rows, o.colStep, o.rowStep
	}
	return o
}

type matMulPlan struct {
	a, b    operand
	batch   tensor.Shape
	out     tensor.Shape
	m, n, k int
}

func planMatMul(attrs graph.Attrs, a, b tensor.Shape) (*matMulPlan, error) {
	if len(a) == 0 || len(b) == 0 {
		return nil, fmt.Errorf("shapes %v and %v, expected rank 1 or more", a, b)
	}
	row, col := len(a) == 1, len(b) == 1
	transA, transB := attrs.Int("transA", 0) != 0, attrs.Int("transB", 0) != 0
	if row {
		a, transA = tensor.Shape{1, a[0]}, false
	}
	if col {
		b, transB = tensor.Shape{b[0], 1}, false
	}
	p := &matMulPlan{
		a: sideOf(a, transA, attrs.Int("transBatchA", 0) != 0),
		b: sideOf(b, transB, attrs.Int("transBatchB", 0) != 0),
	}
	if p.a.cols != p.b.rows {
		return nil, fmt.Errorf("shapes %v and %v do not multiply", a, b)
	}
	p.m, p.n, p.k = p.a.rows, p.b.cols, p.a.cols
	var err error
	if p.batch, err = tensor.Broadcast(p.a.batch, p.b.batch); err != nil {
		return nil, err
	}
	p.out = p.batch.Clone()
	if !row {
		p.out = append(p.out, p.m)
	}
	if !col {
		p.out = append(p.out, p.n)
	}
	return p, p.out.Check()
}

func evalMatMul[T form.Real](c *ops.Call) error {
	p, err := planMatMul(c.Node.Attrs, c.T(0).Shape, c.T(1).Shape)
	if err != nil {
		return err
	}
	a, err := form.Load[T](c.T(0))
	if err != nil {
		return err
	}
	b, err := form.Load[T](c.T(1))
	if err != nil {
		return err
	}
	t, err := c.Output(0, c.T(0).DType, p.out)
	if err != nil {
		return err
	}
	out, store := form.Sink[T](t)
	if len(out) == 0 {
		return nil
	}
	alpha := T(c.Node.Attrs.Float("alpha", 1))
	bufA, bufB := make([]T, p.m*p.k), make([]T, p.k*p.n)
	for i := range p.batch.Elements() {
		copyMatrix(p.a, bufA, a, p.batch, i)
		copyMatrix(p.b, bufB, b, p.batch, i)
		dst := out[i*p.m*p.n : (i+1)*p.m*p.n]
		linalg.Gemm(p.m, p.n, p.k, bufA, p.k, bufB, p.n, dst, p.n)
		if alpha != 1 {
			for j := range dst {
				dst[j] *= alpha
			}
		}
	}
	return store()
}

// copyMatrix copies the matrix of batch element i, counted in the broadcast batch,
// row-major.
func copyMatrix[T any](o operand, dst, src []T, batch tensor.Shape, i int) {
	off := 0
	for ax := len(batch) - 1; ax >= 0; ax-- {
		x := i % batch[ax]
		i /= batch[ax]
		if k := ax - (len(batch) - len(o.batch)); k >= 0 && o.batch[k] != 1 {
			off += x * o.strides[k]
		}
	}
	at := 0
	for r := range o.rows {
		for c := range o.cols {
			dst[at] = src[off+r*o.rowStep+c*o.colStep]
			at++
		}
	}
}
