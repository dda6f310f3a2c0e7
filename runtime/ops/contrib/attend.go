package contrib

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// attn is scaled dot-product attention with everything laid out: q is [batch, heads,
// queries, qk], k [batch, groups, keys, qk], v [batch, groups, keys, width]; heads is a
// multiple of groups.
type attn struct {
	batch, heads, groups     int
	queries, keys, qk, width int
	q, k, v                  []float32
	scale, softcap           float64
	// mask is added to the scores: [batch, queries, keys], nil for none.
	mask []float32
	// bias is added to the scores: [1 or batch, 1 or heads, queries, keys].
	bias      []float32
	biasShape tensor.Shape
	// sink adds a term exp(sink[head]) to the sum of each row's softmax.
	sink []float32
}

// run writes the answer to out, [batch, queries, heads·width].
func (a *attn) run(out []float32) {
	scores := make([]float64, a.keys)
	acc := make([]float64, a.width)
	per := a.heads / a.groups
	for b := range a.batch {
		for h := range a.heads {
			kv := (b*a.groups + h/per) * a.keys
			for i := range a.queries {
				q := a.q[((b*a.heads+h)*a.queries+i)*a.qk:][:a.qk]
				for j := range a.keys {
					scores[j] = a.score(b, h, i, j, q, a.k[(kv+j)*a.qk:][:a.qk])
				}
				a.softmax(scores, h)
				clear(acc)
				for j, p := range scores {
					if p == 0 {
						continue
					}
					for d, x := range a.v[(kv+j)*a.width:][:a.width] {
						acc[d] += p * float64(x)
					}
				}
				dst := out[((b*a.queries+i)*a.heads+h)*a.width:]
				for d, x := range acc {
					dst[d] = float32(x)
				}
			}
		}
	}
}

func (a *attn) score(b, h, i, j int, q, k []float32) float64 {
	var s float32
	for d, x := range q {
		s += x * k[d]
	}
	v := float64(s) * a.scale
	if a.softcap > 0 {
		v = a.softcap * math.Tanh(v/a.softcap)
	}
	if a.mask != nil {
		v += float64(a.mask[(b*a.queries+i)*a.keys+j])
	}
	if a.bias != nil {
		bb, hh := b%a.biasShape[0], h%a.biasShape[1]
		v += float64(a.bias[((bb*a.biasShape[1]+hh)*a.queries+i)*a.keys+j])
	}
	return v
}

func (a *attn) softmax(s []float64, h int) {
	top := math.Inf(-1)
	if a.sink != nil {
		top = float64(a.sink[h])
	}
	for _, v := range s {
		top = max(top, v)
	}
	if math.IsInf(top, -1) {
		clear(s)
		return
	}
	var sum float64
	if a.sink != nil {
		sum = math.Exp(float64(a.sink[h]) - top)
	}
	for j, v := range s {
		s[j] = math.Exp(v - top)
		sum += s[j]
	}
	for j := range s {
		s[j] /= sum
	}
}

// setBias takes the attention bias from input i.
func (a *attn) setBias(c *ops.Call, i int) error {
	b, err := floats(c, i)
	if err != nil || b == nil {
		return err
	}
	s := c.T(i).Shape
	if len(s) != 4 || s[0] != 1 && s[0] != a.batch || s[1] != 1 && s[1] != a.heads || s[2] != a.queries || s[3] != a.keys {
		return fmt.Errorf("input %d is of shape %v, expected [1 or %d, 1 or %d, %d, %d]", i, s, a.batch, a.heads, a.queries, a.keys)
	}
	a.bias, a.biasShape = b, s
	return nil
}

// setMask takes the mask of input i, in one of the forms that ONNX Runtime knows, and
// the causal one. What is masked out gets the value filter; what lies after a query, the
// least float.
func (a *attn) setMask(c *ops.Call, i int, causal bool, filter float32) error {
	if !c.Has(i) && !causal {
		return nil
	}
	a.mask = make([]float32, a.batch*a.queries*a.keys)
	if c.Has(i) {
		keep, err := a.keeper(c.T(i))
		if err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		for at := range a.mask {
			if !keep(at/(a.queries*a.keys), at/a.keys%a.queries, at%a.keys) {
				a.mask[at] = filter
			}
		}
	}
	if causal {
		for at := range a.mask {
			if at%a.keys > a.keys-a.queries+at/a.keys%a.queries {
				a.mask[at] = -math.MaxFloat32
			}
		}
	}
	return nil
}

// keeper reads a mask: [batch] ends of the keys; [2·batch] ends, then starts; [batch,
// keys], [batch, queries, keys] or [batch, 1, most, most] of zeros and ones.
func (a *attn) keeper(t *tensor.Tensor) (func(b, i, j int) bool, error) {
	m, err := tensor.Int64s(t)
	if err != nil {
		return nil, err
	}
	s := t.Shape
	switch {
	case s.Equal(tensor.Shape{a.batch}):
		return func(b, _, j int) bool { return int64(j) < m[b] }, nil
	case s.Equal(tensor.Shape{2 * a.batch}):
		return func(b, _, j int) bool { return int64(j) < m[b] && int64(j) >= m[a.batch+b] }, nil
	case s.Equal(tensor.Shape{a.batch, a.keys}):
		return func(b, _, j int) bool { return m[b*a.keys+j] > 0 }, nil
	case s.Equal(tensor.Shape{a.batch, a.queries, a.keys}):
		return func(b, i, j int) bool { return m[(b*a.queries+i)*a.keys+j] > 0 }, nil
	case len(s) == 4 && s[0] == a.batch && s[1] == 1 && s[2] == s[3] && s[2] >= a.keys:
		n := s[2]
		return func(b, i, j int) bool { return m[(b*n+a.keys-a.queries+i)*n+j] > 0 }, nil
	}
	return nil, fmt.Errorf("a mask of shape %v does not fit %d × %d queries and %d keys", s, a.batch, a.queries, a.keys)
}

// scaleOf is the attribute scale, or 1/√size where it is absent or zero.
func scaleOf(a graph.Attrs, size int) float64 {
	if s := a.Float("scale", 0); s != 0 {
		return float64(s)
	}
	return 1 / math.Sqrt(float64(size))
}

// toHeads lays [batch, rows, heads·size] out as [batch, heads, rows, size]. Rows lie
// stride elements apart, and the first begins at from.
func toHeads(x []float32, batch, rows, heads, size, from, stride int) []float32 {
	out := make([]float32, batch*heads*rows*size)
	at := 0
	for b := range batch {
		for h := range heads {
			for r := range rows {
				copy(out[at:at+size], x[(b*rows+r)*stride+from+h*size:])
				at += size
			}
		}
	}
	return out
}

// join puts the rows of past, [n, old, size], before those of x, [n, rows, size].
func join(past, x []float32, n, old, rows, size int) []float32 {
	if old == 0 {
		return x
	}
	out := make([]float32, 0, len(past)+len(x))
	for i := range n {
		out = append(out, past[i*old*size:(i+1)*old*size]...)
		out = append(out, x[i*rows*size:(i+1)*rows*size]...)
	}
	return out
}

// attend runs a into output 0, [batch, queries, heads·width] of type d.
func (a *attn) attend(c *ops.Call, d tensor.DType) error {
	y, err := c.Output(0, d, tensor.Shape{a.batch, a.queries, a.heads * a.width})
	if err != nil {
		return err
	}
	out, store := form.Sink[float32](y)
	a.run(out)
	return store()
}

// give writes v to output i if it is wanted.
func give(c *ops.Call, i int, d tensor.DType, v []float32, shape ...int) error {
	if !c.Wanted(i) {
		return nil
	}
	t, err := c.Output(i, d, shape)
	if err != nil {
		return err
	}
	return tensor.StoreFloat32s(t, v)
}
