package nn

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/linalg"
	"github.com/aimass/aimass/runtime/tensor"
)

var convAttrs = form.Join(windowAttrs, form.Ints("dilations"), form.Int("group"))

// conv is the geometry of a convolution.
type conv struct {
	*window
	batch, group int
	cin, cout    int // channels of one group
	shape        tensor.Shape
}

// newConv checks an image [N, C, …] against weights [M, C/group, kernel…].
func newConv(n *graph.Node, x, w tensor.Shape) (*conv, error) {
	in, err := image("X", x)
	if err != nil {
		return nil, err
	}
	if len(w) != len(x) {
		return nil, fmt.Errorf("weights %v do not fit image %v", w, x)
	}
	g := n.Attrs.Int("group", 1)
	if g < 1 || g > int64(max(1, x[1])) || x[1]%int(g) != 0 || w[0]%int(g) != 0 || w[1] != x[1]/int(g) {
		return nil, fmt.Errorf("weights %v do not fit image %v in %d groups", w, x, g)
	}
	if k := n.Attrs.Ints("kernel_shape"); len(k) > 0 && !same(k, w[2:]) {
		return nil, fmt.Errorf("kernel_shape %v does not fit weights %v", k, w)
	}
	win, err := newWindow(n, in, w[2:])
	if err != nil {
		return nil, err
	}
	c := &conv{window: win, batch: x[0], group: int(g), cin: w[1], cout: w[0] / int(g)}
	c.shape = append(tensor.Shape{x[0], w[0]}, win.out...)
	return c, c.shape.Check()
}

func same(a []int64, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != int64(b[i]) {
			return false
		}
	}
	return true
}

// convolution is what Conv and ConvTranspose have in common: an image, weights, an optional bias for each channel of the output.
type convolution struct {
	geometry func(n *graph.Node, x, w tensor.Shape) (*conv, error)
	// single and double add the products to y.
	single func(g *conv, y, x, w []float32)
	double func(g *conv, y, x, w []float64)
}

var (
	forward    = convolution{newConv, convolve[float32], convolve[float64]}
	transposed = convolution{newConvTranspose, deconvolve[float32], deconvolve[float64]}
)

func (v convolution) shape(c *ops.ShapeCall) error {
	d := c.In[0].DType
	if !known(c, 2, d) {
		return nil
	}
	g, err := v.geometry(c.Node, c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(0, d, g.shape)
	return nil
}

func (v convolution) eval(c *ops.Call) error {
	x, w := c.T(0), c.T(1)
	if err := given(c, 2); err != nil {
		return err
	}
	if err := sameReal(x, w, c.T(2)); err != nil {
		return err
	}
	g, err := v.geometry(c.Node, x.Shape, w.Shape)
	if err != nil {
		return err
	}
	if b := c.T(2); b != nil && b.Elements() != g.shape[1] {
		return fmt.Errorf("bias: expected %d values, got %v", g.shape[1], b)
	}
	if x.DType == tensor.Float64 {
		return convReal(c, g, v.double)
	}
	return convReal(c, g, v.single)
}

// given checks that the first n inputs are there.
func given(c *ops.Call, n int) error {
	for i := range n {
		if !c.Has(i) {
			return fmt.Errorf("input %d is missing", i)
		}
	}
	return nil
}

// sameReal checks that all given tensors are of one floating-point type.
func sameReal(first *tensor.Tensor, more ...*tensor.Tensor) error {
	if err := form.NeedReal("input", first); err != nil {
		return err
	}
	for _, t := range more {
		if t != nil && t.DType != first.DType {
			return fmt.Errorf("expected inputs of one type, got %v and %v", first, t)
		}
	}
	return nil
}

// convReal sets the output to the bias and lets add do the rest.
func convReal[T form.Real](c *ops.Call, g *conv, add func(g *conv, y, x, w []T)) error {
	y, err := c.Output(0, c.T(0).DType, g.shape)
	if err != nil {
		return err
	}
	x, err := form.Load[T](c.T(0))
	if err != nil {
		return err
	}
	w, err := form.Load[T](c.T(1))
	if err != nil {
		return err
	}
	dst, flush := form.Sink[T](y)
	if b := c.T(2); b != nil {
		v, err := form.Load[T](b)
		if err != nil {
			return err
		}
		addBias(dst, v, g.shape)
	}
	add(g, dst, x, w)
	return flush()
}

// addBias sets each plane of y to its channel's bias.
func addBias[T any](y, bias []T, s tensor.Shape) {
	plane := s[2:].Elements()
	for i := range s[0] * s[1] {
		p := y[i*plane : (i+1)*plane]
		for j := range p {
			p[j] = bias[i%s[1]]
		}
	}
}

// convolve adds the convolution to y: the patches of a block of positions are gathered
// into a matrix that the weights multiply.
func convolve[T float32 | float64 | int32](g *conv, y, x, w []T) {
	size, spots, taps := tensor.Shape(g.in).Elements(), tensor.Shape(g.out).Elements(), g.taps()
	k := g.cin * taps
	block := max(1, min(spots, 1<<18/max(1, k)))
	var cols []T
	if !g.pointwise() {
		cols = make([]T, k*block)
	}
	for n := range g.batch {
		for gr := range g.group {
			img := x[(n*g.group+gr)*g.cin*size:][:g.cin*size]
			out := y[(n*g.group+gr)*g.cout*spots:]
			a := w[gr*g.cout*k:]
			if cols == nil {
				linalg.Gemm(g.cout, spots, k, a, k, img, size, out, spots)
				continue
			}
			for p := 0; p < spots; p += block {
				q := min(spots, p+block)
				columns(g.window, cols, img, g.cin, p, q)
				linalg.Gemm(g.cout, q-p, k, a, k, cols, q-p, out[p:], spots)
			}
		}
	}
}

// pointwise reports a kernel of one tap that visits each element once in order.
func (w *window) pointwise() bool {
	for i := range w.kernel {
		if w.kernel[i] != 1 || w.stride[i] != 1 || w.begin[i] != 0 || w.end[i] != 0 {
			return false
		}
	}
	return true
}
