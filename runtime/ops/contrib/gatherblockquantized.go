package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func gatherBlockQuantized() *ops.Op {
	return &ops.Op{
		Name: "GatherBlockQuantized", Domain: Domain, Since: 1, MinIn: 3, MaxIn: 4, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("bits", "block_size", "gather_axis", "quantize_axis"),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[2].DType)
			if !c.In[0].Known || !c.In[1].Known {
				return nil
			}
			p, err := planBlockGather(c.Node.Attrs, c.In[0].DType, c.In[0].Shape)
			if err != nil {
				return err
			}
			c.Set(0, c.In[2].DType, p.out(c.In[1].Shape))
			return nil
		},
		Eval: evalBlockGather,
	}
}

// blockGather is a gather from codes in blocks along one axis, which share a scale and a zero point. Codes of
// uint8 may be two to a byte along the last axis, the first in the low bits.
type blockGather struct {
	dtype                 tensor.DType
	shape                 tensor.Shape // of the codes, one by one
	bits, block           int
	gather, axis          int
	before, size, after   int // about the axis of the blocks
	blocks                int
	packed                bool
	codes, zeros          []byte
	codeStride, zeroWidth int // bytes a row of packed codes, and of their zero points
}

func planBlockGather(a graph.Attrs, d tensor.DType, data tensor.Shape) (*blockGather, error) {
	p := &blockGather{dtype: d, shape: data.Clone(), bits: 4}
	bits, block := a.Int("bits", 4), a.Int("block_size", 128)
	switch d {
	case tensor.Int4, tensor.Uint4:
	case tensor.Uint8:
		if bits != 4 && bits != 8 {
			return nil, fmt.Errorf("bits is %d, expected 4 or 8", bits)
		}
		p.bits, p.packed = int(bits), bits == 4
	default:
		return nil, fmt.Errorf("input 0 is of type %v, expected int4, uint4 or uint8", d)
	}
	if block < 16 || block > 1<<20 || block&(block-1) != 0 || len(data) < 1 {
		return nil, fmt.Errorf("block_size is %d for data of shape %v, expected a power of two from 16 on", block, data)
	}
	var err error
	if p.gather, err = tensor.Axis(a.Int("gather_axis", 0), len(data)); err != nil {
		return nil, err
	}
	if p.axis, err = tensor.Axis(a.Int("quantize_axis", 1), len(data)); err != nil {
		return nil, err
	}
	last := len(data) - 1
	if p.packed {
		if p.axis != last || p.gather == last {
			return nil, fmt.Errorf("packed codes: quantize_axis is %d and gather_axis %d, expected the last axis %d and another", p.axis, p.gather, last)
		}
		p.shape[last] *= 2
	}
	p.block = int(block)
	p.before, p.size, p.after = p.shape[:p.axis].Elements(), p.shape[p.axis], p.shape[p.axis+1:].Elements()
	p.blocks = (p.size + p.block - 1) / p.block
	p.codeStride, p.zeroWidth = p.shape[last]/2, (p.blocks+1)/2
	return p, nil
}

func (p *blockGather) out(indices tensor.Shape) tensor.Shape {
	return append(append(p.shape[:p.gather].Clone(), indices...), p.shape[p.gather+1:]...)
}

// nibble is element i of two to a byte.
func nibble(b []byte, i int) byte { return b[i/2] >> (i % 2 * 4) & 15 }

// code is a code as it counts, before its zero point is taken off.
func (p *blockGather) code(b byte) int {
	if p.dtype == tensor.Int4 {
		return int(int8(b<<4) >> 4)
	}
	return int(b)
}

// weight is element i less its zero point, and the number of its scale.
func (p *blockGather) weight(i int) (v, scale int) {
	row, c, b := i/(p.size*p.after), i/p.after%p.size, i%p.after
	scale = (row*p.blocks+c/p.block)*p.after + b
	switch {
	case p.bits == 8:
		v = int(p.codes[i])
	case p.packed:
		v = int(nibble(p.codes[row*p.codeStride:], c))
	default:
		v = p.code(nibble(p.codes, i))
	}
	switch {
	case p.zeros == nil && p.dtype == tensor.Uint8:
		return v - 1<<(p.bits-1), scale
	case p.zeros == nil:
		return v, scale
	case p.bits == 8:
		return v - int(p.zeros[scale]), scale
	case p.packed:
		return v - int(nibble(p.zeros[row*p.zeroWidth:], c/p.block)), scale
	}
	return v - p.code(nibble(p.zeros, scale)), scale
}

func evalBlockGather(c *ops.Call) error {
	data, at := c.T(0), c.T(1)
	p, err := planBlockGather(c.Node.Attrs, data.DType, data.Shape)
	if err != nil {
		return err
	}
	indices, err := tensor.Int64s(at)
	if err != nil {
		return err
	}
	n := int64(p.shape[p.gather])
	for _, i := range indices {
		if i < -n || i >= n {
			return fmt.Errorf("index %d is outside of the %d along axis %d", i, n, p.gather)
		}
	}
	scales, err := vector(c, 2, p.before*p.blocks*p.after)
	if err != nil {
		return err
	}
	p.codes = data.Bytes()
	if z := c.T(3); z != nil {
		want := len(scales)
		if p.packed {
			want = p.before * p.zeroWidth
		}
		if z.DType != data.DType || z.Elements() != want {
			return fmt.Errorf("input 3 is %v, expected %v[%d]", z, data.DType, want)
		}
		p.zeros = z.Bytes()
	}
	t, err := c.Output(0, c.T(2).DType, p.out(at.Shape))
	if err != nil {
		return err
	}
	out, store := form.Sink[float32](t)
	inner, k := p.shape[p.gather+1:].Elements(), 0
	for o := range p.shape[:p.gather].Elements() {
		for _, i := range indices {
			from := (o*int(n) + int((i+n)%n)) * inner
			for j := range inner {
				v, scale := p.weight(from + j)
				out[k] = float32(v) * scales[scale]
				k++
			}
		}
	}
	return store()
}
