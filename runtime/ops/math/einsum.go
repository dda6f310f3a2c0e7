package math

import (
	"fmt"
	"sort"
	"strings"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// einsum is a parsed equation over given shapes. Labels are letters; the axes of an
// ellipsis become labels of their own, below 0.
type einsum struct {
	size    map[rune]int
	terms   [][]rune
	out     []rune
	sum     []rune
	strides [][]int // by operand: for out's labels, then sum's
}

const ellipsis = "..."

// Equation is an Einsum's: a label for each axis of each operand and of the result. The axes of an ellipsis
// have labels of their own, below 0.
type Equation struct {
	Terms [][]rune
	Out   []rune
}

// ParseEinsum reads an equation over operands of the given shapes.
func ParseEinsum(equation string, shapes []tensor.Shape) (Equation, error) {
	e, err := parseEinsum(equation, shapes)
	if err != nil {
		return Equation{}, err
	}
	return Equation{e.terms, e.out}, nil
}

func parseEinsum(equation string, shapes []tensor.Shape) (*einsum, error) {
	eq := strings.ReplaceAll(equation, " ", "")
	left, right, explicit := strings.Cut(eq, "->")
	parts := strings.Split(left, ",")
	if len(parts) != len(shapes) {
		return nil, fmt.Errorf("equation %q has %d terms for %d inputs", equation, len(parts), len(shapes))
	}
	e := &einsum{size: map[rune]int{}}
	dots := -1
	for i, p := range parts {
		if strings.Contains(p, ellipsis) {
			n := len(shapes[i]) - (len(p) - len(ellipsis))
			dots = max(dots, n)
		}
	}
	for i, p := range parts {
		t, err := expand(p, max(0, len(shapes[i])-(len(p)-len(ellipsis))), max(dots, 0))
		if err != nil {
			return nil, fmt.Errorf("equation %q: %w", equation, err)
		}
		if len(t) != len(shapes[i]) {
			return nil, fmt.Errorf("equation %q: term %q does not fit shape %v", equation, p, shapes[i])
		}
		for k, l := range t {
			d, ok := e.size[l]
			if n := shapes[i][k]; !ok || d == 1 {
				e.size[l] = n
			} else if n != d && n != 1 {
				return nil, fmt.Errorf("equation %q: label %q is %d and %d", equation, l, d, n)
			}
		}
		e.terms = append(e.terms, t)
	}
	if err := e.output(right, explicit, max(dots, 0)); err != nil {
		return nil, fmt.Errorf("equation %q: %w", equation, err)
	}
	e.layout(shapes)
	return e, nil
}

// expand turns a term into labels. An ellipsis of n axes takes the last n of the labels
// that stand for the widest one.
func expand(p string, n, dots int) ([]rune, error) {
	var t []rune
	for len(p) > 0 {
		c := rune(p[0])
		switch {
		case strings.HasPrefix(p, ellipsis):
			for i := dots - min(n, dots); i < dots; i++ {
				t = append(t, rune(-1-i))
			}
			p = p[len(ellipsis):]
			if strings.Contains(p, ".") {
				return nil, fmt.Errorf("more than one ellipsis in a term")
			}
			continue
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			t = append(t, c)
		default:
			return nil, fmt.Errorf("unexpected %q", c)
		}
		p = p[1:]
	}
	return t, nil
}

func (e *einsum) output(right string, explicit bool, dots int) error {
	if explicit {
		t, err := expand(right, dots, dots)
		if err != nil {
			return err
		}
		e.out = t
	} else {
		e.implicit(dots)
	}
	seen := map[rune]bool{}
	for _, l := range e.out {
		if _, ok := e.size[l]; !ok || seen[l] {
			return fmt.Errorf("output label %q is unknown or repeated", l)
		}
		seen[l] = true
	}
	for l := range e.size {
		if !seen[l] {
			e.sum = append(e.sum, l)
		}
	}
	sort.Slice(e.sum, func(i, j int) bool { return e.sum[i] < e.sum[j] })
	return nil
}

// implicit makes the output of an equation without "->": the ellipsis, then the labels
// that occur once, sorted.
func (e *einsum) implicit(dots int) {
	for i := range dots {
		e.out = append(e.out, rune(-1-i))
	}
	count := map[rune]int{}
	for _, t := range e.terms {
		for _, l := range t {
			count[l]++
		}
	}
	var once []rune
	for l, n := range count {
		if n == 1 && l > 0 {
			once = append(once, l)
		}
	}
	sort.Slice(once, func(i, j int) bool { return once[i] < once[j] })
	e.out = append(e.out, once...)
}

func (e *einsum) layout(shapes []tensor.Shape) {
	labels := append(append([]rune{}, e.out...), e.sum...)
	for i, t := range e.terms {
		st := make([]int, len(labels))
		for k, s := range shapes[i].Strides() {
			if shapes[i][k] == 1 {
				continue
			}
			for j, l := range labels {
				if l == t[k] {
					st[j] += s
				}
			}
		}
		e.strides = append(e.strides, st)
	}
}

func (e *einsum) extent(labels []rune) tensor.Shape {
	s := make(tensor.Shape, len(labels))
	for i, l := range labels {
		s[i] = e.size[l]
	}
	return s
}

func shapeEinsum(c *ops.ShapeCall) error {
	if !c.Known(len(c.In)) {
		c.SetType(0, c.In[0].DType)
		return nil
	}
	shapes := make([]tensor.Shape, len(c.In))
	for i := range c.In {
		shapes[i] = c.In[i].Shape
	}
	e, err := parseEinsum(c.Node.Attrs.Str("equation", ""), shapes)
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, e.extent(e.out))
	return nil
}

// evalEinsum sums products over the labels that the output lacks.
func evalEinsum(c *ops.Call) error {
	shapes := make([]tensor.Shape, len(c.In))
	for i := range c.In {
		t := c.T(i)
		if t == nil || t.DType != c.T(0).DType {
			return fmt.Errorf("expected inputs of one type, got %v and %v", c.T(0), t)
		}
		shapes[i] = t.Shape
	}
	e, err := parseEinsum(c.Node.Attrs.Str("equation", ""), shapes)
	if err != nil {
		return err
	}
	if err := e.extent(e.sum).Check(); err != nil {
		return err
	}
	d := c.T(0).DType
	y, err := c.Output(0, d, e.extent(e.out))
	if err != nil {
		return err
	}
	switch {
	case d == tensor.Float32 || d == tensor.Float16 || d == tensor.BFloat16:
		return einsumReal[float32](e, c, y)
	case d == tensor.Float64:
		return einsumReal[float64](e, c, y)
	case d.IsInt():
		in := make([][]int64, len(c.In))
		for i := range in {
			if in[i], err = tensor.Int64s(c.T(i)); err != nil {
				return err
			}
		}
		dst := make([]int64, y.Elements())
		contract(e, dst, in)
		return tensor.StoreInt64s(y, dst)
	}
	return fmt.Errorf("expected numbers, got %v", c.T(0))
}

func einsumReal[T form.Real](e *einsum, c *ops.Call, y *tensor.Tensor) error {
	in := make([][]T, len(c.In))
	for i := range in {
		v, err := form.Load[T](c.T(i))
		if err != nil {
			return err
		}
		in[i] = v
	}
	dst, flush := form.Sink[T](y)
	contract(e, dst, in)
	return flush()
}

// contract walks output and summed labels as one row-major index space, the last summed
// label innermost.
func contract[T float32 | float64 | int64](e *einsum, dst []T, in [][]T) {
	sizes := append(e.extent(e.out), e.extent(e.sum)...)
	if len(e.sum) == 0 {
		sizes = append(sizes, 1)
	}
	last := len(sizes) - 1
	n, nout := sizes[last], len(e.out)
	if sizes.Elements() == 0 {
		return
	}
	idx, off, step := make([]int, last), make([]int, len(in)), make([]int, len(in))
	for k := range in {
		if len(e.sum) > 0 {
			step[k] = e.strides[k][last]
		}
	}
	for at := 0; ; {
		dst[at] += dot(in, off, step, n)
		i := last - 1
		for ; i >= 0; i-- {
			idx[i]++
			for k := range off {
				off[k] += e.strides[k][i]
			}
			if idx[i] < sizes[i] {
				break
			}
			idx[i] = 0
			for k := range off {
				off[k] -= e.strides[k][i] * sizes[i]
			}
		}
		if i < 0 {
			return
		}
		if i < nout {
			at++
		}
	}
}

// dot sums the products of all operands along one label.
func dot[T float32 | float64 | int64](in [][]T, off, step []int, n int) T {
	var s T
	if len(in) == 2 {
		a, b, sa, sb := in[0][off[0]:], in[1][off[1]:], step[0], step[1]
		for i := range n {
			s += a[i*sa] * b[i*sb]
		}
		return s
	}
	for i := range n {
		p := T(1)
		for k, v := range in {
			p *= v[off[k]+i*step[k]]
		}
		s += p
	}
	return s
}
