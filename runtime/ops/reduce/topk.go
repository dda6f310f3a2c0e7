package reduce

import (
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func topKForms() []*ops.Op {
	op := func(since, in int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{Name: "TopK", Since: since, MinIn: in, MaxIn: in, MinOut: 1, MaxOut: 2, Attrs: attrs, Shape: shapeTopK, Eval: evalTopK}
	}
	return []*ops.Op{
		op(1, 1, form.Join(form.Int("axis"), form.Required(form.Int("k")))),
		op(10, 2, form.Int("axis")),
		op(11, 2, form.Int("axis", "largest", "sorted")),
	}
}

func topKShape(s tensor.Shape, n *graph.Node, kt *tensor.Tensor) (tensor.Shape, int, error) {
	axis, err := tensor.Axis(n.Attrs.Int("axis", -1), len(s))
	if err != nil {
		return nil, 0, err
	}
	k := n.Attrs.Int("k", 0)
	if kt != nil {
		if kt.DType != tensor.Int64 || kt.Elements() != 1 {
			return nil, 0, fmt.Errorf("K: expected one int64, got %v", kt)
		}
		k = tensor.Data[int64](kt)[0]
	}
	if k < 0 || k > int64(s[axis]) {
		return nil, 0, fmt.Errorf("K is %d, axis %d of %v has %d elements", k, axis, s, s[axis])
	}
	out := s.Clone()
	out[axis] = int(k)
	return out, axis, nil
}

func shapeTopK(c *ops.ShapeCall) error {
	var k *tensor.Tensor
	if c.Has(1) {
		k = c.In[1].Tensor()
	}
	if !c.Known(1) || c.Has(1) && k == nil {
		c.SetType(0, c.In[0].DType)
		c.SetType(1, tensor.Int64)
		return nil
	}
	s, _, err := topKShape(c.In[0].Shape, c.Node, k)
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, s)
	c.Set(1, tensor.Int64, s)
	return nil
}

// evalTopK gives the k greatest or least elements along an axis in order, with their
// indices; of equals the lower index comes first, NaN counts as greatest.
func evalTopK(c *ops.Call) error {
	x := c.T(0)
	if x == nil {
		return fmt.Errorf("X is missing")
	}
	s, axis, err := topKShape(x.Shape, c.Node, c.T(1))
	if err != nil {
		return err
	}
	values, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	indices, err := c.Output(1, tensor.Int64, s.Clone())
	if err != nil {
		return err
	}
	p := topPass{split(x.Shape, axis), s[axis], c.Node.Attrs.Int("largest", 1) == 0}
	at := tensor.Data[int64](indices)
	if err := p.dispatch(at, x); err != nil {
		return err
	}
	w := x.DType.Bits() / 8
	src, dst := x.Bytes(), values.Bytes()
	for j, i := range at {
		inner, o := j%p.inner, j/p.inner/p.k
		from := ((o*p.n+int(i))*p.inner + inner) * w
		copy(dst[j*w:(j+1)*w], src[from:])
	}
	return nil
}

type topPass struct {
	along
	k     int
	least bool
}

func (p topPass) dispatch(at []int64, x *tensor.Tensor) error {
	switch x.DType {
	case tensor.Float32:
		topOfFloats(p, at, tensor.Data[float32](x))
	case tensor.Float64:
		top(p, at, tensor.Data[float64](x))
	case tensor.Float16, tensor.BFloat16:
		v, err := tensor.Float32s(x)
		if err != nil {
			return err
		}
		topOfFloats(p, at, v)
	case tensor.Uint64:
		top(p, at, tensor.Data[uint64](x))
	default:
		if !x.DType.IsInt() || x.DType.Bits() < 8 {
			return fmt.Errorf("expected numbers, got %v", x)
		}
		v, err := tensor.Int64s(x)
		if err != nil {
			return err
		}
		top(p, at, v)
	}
	return nil
}

// topOfFloats sorts value and index as one number, where most of a lane is wanted anyway.
func topOfFloats(p topPass, at []int64, x []float32) {
	if p.k <= p.n/4 {
		top(p, at, x)
		return
	}
	lane, sort := make([]uint64, p.n), newKeySort(p.n)
	for o := range p.outer {
		for in := range p.inner {
			for i := range lane {
				lane[i] = uint64(floatRank(x[(o*p.n+i)*p.inner+in], p.least))<<32 | uint64(i)
			}
			sort.run(lane)
			for r, key := range lane[:p.k] {
				at[(o*p.k+r)*p.inner+in] = int64(uint32(key))
			}
		}
	}
}

// floatRank is a number that is smaller for what comes first.
func floatRank(v float32, least bool) uint32 {
	rank := math.Float32bits(v)
	switch {
	case v == 0:
		rank = 1 << 31 // −0 is 0
	case v != v:
		rank = math.MaxUint32
	case v < 0:
		rank = ^rank
	default:
		rank |= 1 << 31
	}
	if !least {
		rank = ^rank
	}
	return rank
}

func top[T ordered](p topPass, at []int64, x []T) {
	if p.k == 0 {
		return
	}
	for o := range p.outer {
		for in := range p.inner {
			lane := lane[T]{x[o*p.n*p.inner+in:], p.inner, p.n, p.least}
			best := lane.sorted
			if p.k <= p.n/4 {
				best = lane.kept
			}
			for r, i := range best(p.k) {
				at[(o*p.k+r)*p.inner+in] = int64(i)
			}
		}
	}
}

// lane is n elements, some step apart.
type lane[T ordered] struct {
	x       []T
	step, n int
	least   bool
}

func (l lane[T]) compare(i, j int) int {
	a, b := l.x[i*l.step], l.x[j*l.step]
	switch {
	case before(a, b, l.least):
		return -1
	case before(b, a, l.least):
		return 1
	}
	return i - j
}

// sorted finds the first k by sorting all.
func (l lane[T]) sorted(k int) []int {
	order := make([]int, l.n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, l.compare)
	return order[:k]
}

// kept finds the first k by keeping those of what has been seen: of n elements in no order
// some k·ln(n/k) ever get in.
func (l lane[T]) kept(k int) []int {
	best := make([]int, 0, k+1)
	for i := range k {
		at, _ := slices.BinarySearchFunc(best, i, l.compare)
		best = slices.Insert(best, at, i)
	}
	last := l.x[best[k-1]*l.step]
	for i := k; i < l.n; i++ {
		v := l.x[i*l.step]
		if l.least && v >= last || !l.least && v <= last || !before(v, last, l.least) {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, i, l.compare)
		best = slices.Insert(best, at, i)[:k]
		last = l.x[best[k-1]*l.step]
	}
	return best
}

// before orders by value, NaN above all numbers.
func before[T ordered](a, b T, least bool) bool {
	if a != a || b != b {
		if least {
			return a == a && b != b
		}
		return a != a && b == b
	}
	if least {
		return a < b
	}
	return a > b
}
