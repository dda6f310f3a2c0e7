package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func matMulNBits() *ops.Op {
	return &ops.Op{
		Name: "MatMulNBits", Domain: Domain, Since: 1, MinIn: 3, MaxIn: 6, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Required(form.Int("K", "N", "block_size")), form.Int("bits", "accuracy_level")),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[0].DType)
			p, err := planNBits(c.Node.Attrs)
			if err != nil || !c.In[0].Known {
				return err
			}
			s, err := p.shape(c.In[0].Shape)
			if err != nil {
				return err
			}
			c.Set(0, c.In[0].DType, s)
			return nil
		},
		Eval: evalNBits,
	}
}

// NBitsWeights gives the weights of a MatMulNBits node whose inputs but the first are
// constant, as n rows of k floats; in is the node's inputs, of which the first may be nil.
func NBitsWeights(a graph.Attrs, in []tensor.Value) (w []float32, n, k int, err error) {
	p, err := planNBits(a)
	if err != nil {
		return nil, 0, 0, err
	}
	rows, err := p.weights(&ops.Call{In: in})
	if err != nil {
		return nil, 0, 0, err
	}
	if (tensor.Shape{p.n, p.k}).Check() != nil {
		return nil, 0, 0, fmt.Errorf("N %d and K %d are too large", p.n, p.k)
	}
	w = make([]float32, p.n*p.k)
	for r := range p.n {
		rows(r, w[r*p.k:(r+1)*p.k])
	}
	return w, p.n, p.k, nil
}

// BitBlocks are the weights of a MatMulNBits node as they rest: N columns of K codes in blocks of Size,
// of Bits each, the first in the low bits. Plain reports that they lie in order and their zero points, the middle of the
// range if Zero is nil, are codes.
type BitBlocks struct {
	N, K, Bits, Size int
	Codes            []byte
	Scales           []float32
	Zero             func(column, block int) byte
	Plain            bool
}

// NBitsBlocks gives the weights of a node as NBitsWeights takes it.
func NBitsBlocks(a graph.Attrs, in []tensor.Value) (*BitBlocks, error) {
	p, err := planNBits(a)
	if err != nil {
		return nil, err
	}
	return p.resting(&ops.Call{In: in})
}

// resting gives the weights as they are.
func (p *nBits) resting(c *ops.Call) (*BitBlocks, error) {
	if _, err := p.weights(c); err != nil {
		return nil, err
	}
	var err error
	b := &BitBlocks{N: p.n, K: p.k, Bits: p.bits, Size: p.block, Codes: tensor.Data[uint8](c.T(1)), Plain: c.T(4) == nil}
	if b.Scales, err = vector(c, 2, p.n*p.blocks); err != nil {
		return nil, err
	}
	if t := c.T(3); t != nil {
		zero, err := p.zeroPoints(t)
		if err != nil {
			return nil, err
		}
		b.Plain = b.Plain && t.DType == tensor.Uint8
		b.Zero = func(column, block int) byte { return byte(zero(column, block)) }
	}
	return b, nil
}

// nBits is a matrix of N rows of K weights, in blocks along K that share a scale and a
// zero point, bits to a weight, the first in the low bits.
type nBits struct{ n, k, bits, block, blocks int }

func planNBits(a graph.Attrs) (*nBits, error) {
	n, k, bits, block := a.Int("N", 0), a.Int("K", 0), a.Int("bits", 4), a.Int("block_size", 0)
	if bits != 2 && bits != 4 && bits != 8 {
		return nil, fmt.Errorf("bits is %d, expected 2, 4 or 8", bits)
	}
	if n < 1 || k < 1 || n > 1<<31 || k > 1<<31 || block < 16 || block > 1<<20 || block&(block-1) != 0 {
		return nil, fmt.Errorf("N %d, K %d and block_size %d do not go together", n, k, block)
	}
	return &nBits{int(n), int(k), int(bits), int(block), int((k + block - 1) / block)}, nil
}

func (p *nBits) shape(x tensor.Shape) (tensor.Shape, error) {
	if len(x) == 0 || x[len(x)-1] != p.k {
		return nil, fmt.Errorf("input 0 is of shape %v, expected rows of %d", x, p.k)
	}
	s := x.Clone()
	s[len(s)-1] = p.n
	return s, nil
}

// weights gives the rows of the matrix as floats.
func (p *nBits) weights(c *ops.Call) (func(row int, dst []float32), error) {
	b := c.T(1)
	stride := p.block * p.bits / 8
	if b == nil || b.DType != tensor.Uint8 || b.Elements() != p.n*p.blocks*stride {
		return nil, fmt.Errorf("input 1 is %v, expected uint8[%d,%d,%d]", b, p.n, p.blocks, stride)
	}
	q := tensor.Data[uint8](b)
	sc, err := vector(c, 2, p.n*p.blocks)
	if err != nil {
		return nil, err
	}
	zero, err := p.zeroPoints(c.T(3))
	if err != nil {
		return nil, err
	}
	var group []int64
	if t := c.T(4); t != nil {
		if group, err = tensor.Int64s(t); err != nil || len(group) < p.k {
			return nil, fmt.Errorf("input 4 is %v, expected %d block numbers", t, p.k)
		}
		for _, g := range group {
			if g < 0 || g >= int64(p.blocks) {
				return nil, fmt.Errorf("input 4 names block %d of %d", g, p.blocks)
			}
		}
	}
	mask, per := uint8(1<<p.bits-1), 8/p.bits
	return func(row int, dst []float32) {
		data := q[row*p.blocks*stride:]
		for k := range dst {
			blk := k / p.block
			if group != nil {
				blk = int(group[k])
			}
			v := data[k/per] >> (k % per * p.bits) & mask
			dst[k] = (float32(v) - zero(row, blk)) * sc[row*p.blocks+blk]
		}
	}, nil
}

// zeroPoints reads packed integers, each row filled up to a byte, or floats; without them
// it is the middle of the range.
func (p *nBits) zeroPoints(t *tensor.Tensor) (func(row, block int) float32, error) {
	if t == nil {
		return func(int, int) float32 { return float32(int(1) << (p.bits - 1)) }, nil
	}
	if t.DType == tensor.Uint8 {
		stride, per := (p.blocks*p.bits+7)/8, 8/p.bits
		if t.Elements() != p.n*stride {
			return nil, fmt.Errorf("input 3 is %v, expected uint8[%d]", t, p.n*stride)
		}
		z := tensor.Data[uint8](t)
		return func(row, block int) float32 {
			return float32(z[row*stride+block/per] >> (block % per * p.bits) & uint8(1<<p.bits-1))
		}, nil
	}
	z, err := tensor.Float32s(t)
	if err != nil || len(z) != p.n*p.blocks {
		return nil, fmt.Errorf("input 3 is %v, expected %d zero points", t, p.n*p.blocks)
	}
	return func(row, block int) float32 { return z[row*p.blocks+block] }, nil
}

func evalNBits(c *ops.Call) error {
	p, err := planNBits(c.Node.Attrs)
	if err != nil {
		return err
	}
	s, err := p.shape(c.T(0).Shape)
	if err != nil {
		return err
	}
	x, err := floats(c, 0)
	if err != nil {
		return err
	}
	weights, err := p.weights(c)
	if err != nil {
		return err
	}
	bias, err := vector(c, 5, p.n)
	if err != nil {
		return err
	}
	t, err := c.Output(0, c.T(0).DType, s)
	if err != nil {
		return err
	}
	out, store := form.Sink[float32](t)
	row := make([]float32, p.k)
	for n := range p.n {
		weights(n, row)
		for m := range len(x) / p.k {
			var sum float64
			for k, v := range x[m*p.k : (m+1)*p.k] {
				sum += float64(v * row[k])
			}
			if bias != nil {
				sum += float64(bias[n])
			}
			out[m*p.n+n] = float32(sum)
		}
	}
	return store()
}
