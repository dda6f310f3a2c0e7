package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/linalg"
	"github.com/aimass/aimass/runtime/tensor"
)

// integerProducts are the matrix products of integers that end in floats, and MatMul of
// 16-bit integers.
func integerProducts() []*ops.Op {
	op := func(name string, least, most int, d func(*ops.ShapeCall) tensor.DType, eval func(*ops.Call) error) *ops.Op {
		return &ops.Op{
			Name: name, Domain: Domain, Since: 1, MinIn: least, MaxIn: most, MinOut: 1, MaxOut: 1,
			Shape: func(c *ops.ShapeCall) error {
				c.SetType(0, d(c))
				if !c.Known(2) {
					return nil
				}
				p, err := planMatMul(graph.Attrs{}, c.In[0].Shape, c.In[1].Shape)
				if err != nil {
					return err
				}
				c.Set(0, d(c), p.out)
				return nil
			},
			Eval: eval,
		}
	}
	gemm := &ops.Op{
		Name: "QGemm", Domain: Domain, Since: 1, MinIn: 6, MaxIn: 9, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Float("alpha"), form.Int("transA", "transB")), Eval: evalQGemm,
	}
	return []*ops.Op{
		op("MatMulIntegerToFloat", 4, 7, func(c *ops.ShapeCall) tensor.DType { return c.In[2].DType }, evalIntegerToFloat),
		op("DynamicQuantizeMatMul", 3, 5, func(c *ops.ShapeCall) tensor.DType { return c.In[0].DType }, evalDynamicMatMul),
		op("MatMulInteger16", 2, 2, func(c *ops.ShapeCall) tensor.DType {
			if c.In[0].DType == tensor.Uint16 && c.In[1].DType == tensor.Uint16 {
				return tensor.Uint32
			}
			return tensor.Int32
		}, evalInteger16),
		gemm,
	}
}

// integerSide is a quantised operand with the zero points taken off.
func integerSide(t *tensor.Tensor, zero []int32) ([]int32, error) {
	v, _, _, err := bytesOf(t)
	if err != nil {
		return nil, err
	}
	for i := range v {
		v[i] -= zero[i%len(zero)]
	}
	return v, nil
}

// product multiplies stacks of integer matrices, a by b, and hands each cell to put: at
// is the cell's place in the output, column its place in the row.
func (p *matMulPlan) product(a, b []int32, put func(at, column int, sum int32)) {
	bufA, bufB := make([]int32, p.m*p.k), make([]int32, p.k*p.n)
	sums := make([]int32, p.m*p.n)
	for i := range p.batch.Elements() {
		clear(sums)
		copyMatrix(p.a, bufA, a, p.batch, i)
		copyMatrix(p.b, bufB, b, p.batch, i)
		linalg.Gemm(p.m, p.n, p.k, bufA, p.k, bufB, p.n, sums, p.n)
		for j, s := range sums {
			put(i*p.m*p.n+j, j%p.n, s)
		}
	}
}

func evalIntegerToFloat(c *ops.Call) error {
	p, err := planMatMul(graph.Attrs{}, c.T(0).Shape, c.T(1).Shape)
	if err != nil {
		return err
	}
	za, err := zeros(c.T(4), c.T(0).DType, 1)
	if err != nil {
		return err
	}
	a, err := integerSide(c.T(0), za)
	if err != nil {
		return err
	}
	sa, err := number(c, 2, 1)
	if err != nil {
		return err
	}
	return floatProduct(c, p, a, sa, 3, 5, 6, c.T(2).DType)
}

// floatProduct multiplies a, scaled by sa, with input 1, scaled by input scaleAt and with
// the zero points of input zeroAt, and adds the bias of input biasAt.
func floatProduct(c *ops.Call, p *matMulPlan, a []int32, sa float32, scaleAt, zeroAt, biasAt int, d tensor.DType) error {
	if p.n == 0 {
		_, err := c.Output(0, d, p.out)
		return err
	}
	zb, err := zeros(c.T(zeroAt), c.T(1).DType, p.n)
	if err != nil {
		return err
	}
	b, err := integerSide(c.T(1), zb)
	if err != nil {
		return err
	}
	sb, err := scales(c, scaleAt, p.n)
	if err != nil {
		return err
	}
	bias, err := vector(c, biasAt, p.n)
	if err != nil {
		return err
	}
	t, err := c.Output(0, d, p.out)
	if err != nil {
		return err
	}
	out, store := form.Sink[float32](t)
	p.product(a, b, func(at, column int, sum int32) {
		v := float32(sum) * (sa * sb[column])
		if bias != nil {
			v += bias[column]
		}
		out[at] = v
	})
	return store()
}

func evalDynamicMatMul(c *ops.Call) error {
	p, err := planMatMul(graph.Attrs{}, c.T(0).Shape, c.T(1).Shape)
	if err != nil {
		return err
	}
	x, err := floats(c, 0)
	if err != nil {
		return err
	}
	q := dynamic(x)
	a := make([]int32, len(x))
	for i, v := range x {
		a[i] = q.quant(v) - q.zero
	}
	return floatProduct(c, p, a, q.scale, 2, 3, 4, c.T(0).DType)
}

func evalInteger16(c *ops.Call) error {
	p, err := planMatMul(graph.Attrs{}, c.T(0).Shape, c.T(1).Shape)
	if err != nil {
		return err
	}
	none := []int32{0}
	a, err := integerSide(c.T(0), none)
	if err != nil {
		return err
	}
	b, err := integerSide(c.T(1), none)
	if err != nil {
		return err
	}
	d := tensor.Int32
	if c.T(0).DType == tensor.Uint16 && c.T(1).DType == tensor.Uint16 {
		d = tensor.Uint32
	}
	t, err := c.Output(0, d, p.out)
	if err != nil {
		return err
	}
	out := tensor.Data[int32](t)
	p.product(a, b, func(at, _ int, sum int32) { out[at] = sum })
	return nil
}

// evalQGemm computes alpha·A·B + C of quantised matrices; C counts in units of the
// product of the scales and alpha. Without a scale for Y the answer is float.
func evalQGemm(c *ops.Call) error {
	if c.T(0).Rank() != 2 || c.T(3).Rank() != 2 {
		return fmt.Errorf("inputs 0 and 3 are %v and %v, expected matrices", c.T(0), c.T(3))
	}
	p, err := planMatMul(c.Node.Attrs, c.T(0).Shape, c.T(3).Shape)
	if err != nil {
		return err
	}
	qa, err := pointAt(c, 1, c.T(0).DType)
	if err != nil {
		return err
	}
	a, err := integerSide(c.T(0), []int32{qa.zero})
	if err != nil {
		return err
	}
	zb, err := zeros(c.T(5), c.T(3).DType, max(p.n, 1))
	if err != nil {
		return err
	}
	b, _, _, err := bytesOf(c.T(3))
	if err != nil {
		return err
	}
	for i := range b {
		column := i % max(p.n, 1)
		if c.Node.Attrs.Int("transB", 0) != 0 {
			column = i / max(p.k, 1)
		}
		b[i] -= zb[column]
	}
	sb, err := scales(c, 4, max(p.n, 1))
	if err != nil {
		return err
	}
	add, err := gemmBias(c, p)
	if err != nil {
		return err
	}
	alpha := c.Node.Attrs.Float("alpha", 1)
	var qy point
	d := tensor.Float32
	if c.Has(7) {
		if !c.Has(8) {
			return fmt.Errorf("y_scale is given without y_zero_point")
		}
		d = c.T(8).DType
		if qy, err = pointAt(c, 7, d); err != nil {
			return err
		}
	}
	t, err := c.Output(0, d, p.out)
	if err != nil {
		return err
	}
	out := make([]float32, p.m*p.n)
	p.product(a, b, func(at, column int, sum int32) {
		out[at] = float32(sum+add(at/p.n, column)) * (alpha * qa.scale * sb[column])
	})
	if d == tensor.Float32 {
		return tensor.StoreFloat32s(t, out)
	}
	q := make([]int32, len(out))
	for i, v := range out {
		q[i] = qy.quant(v)
	}
	storeBytes(t, q)
	return nil
}

// gemmBias reads C, which broadcasts to the output.
func gemmBias(c *ops.Call, p *matMulPlan) (func(row, column int) int32, error) {
	t := c.T(6)
	if t == nil {
		return func(int, int) int32 { return 0 }, nil
	}
	s, err := tensor.Broadcast(t.Shape, p.out)
	if err != nil || t.DType != tensor.Int32 || !s.Equal(p.out) {
		return nil, fmt.Errorf("input 6 is %v, expected int32 that broadcasts to %v", t, p.out)
	}
	v := tensor.Data[int32](t)
	rows, columns := 1, 1
	if t.Rank() > 0 {
		columns = t.Shape[t.Rank()-1]
	}
	if t.Rank() > 1 {
		rows = t.Shape[t.Rank()-2]
	}
	return func(r, k int) int32 { return v[r%rows*columns+k%columns] }, nil
}
