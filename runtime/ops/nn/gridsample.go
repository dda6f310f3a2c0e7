package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// gridShape checks X [N, C, spatial…] against grid [N, out…, axes].
func gridShape(x, grid tensor.Shape) (tensor.Shape, error) {
	in, err := image("X", x)
	if err != nil {
		return nil, err
	}
	if len(grid) != len(x) || grid[0] != x[0] || grid[len(grid)-1] != len(in) {
		return nil, fmt.Errorf("grid %v does not fit X %v", grid, x)
	}
	s := append(tensor.Shape{x[0], x[1]}, grid[1:len(grid)-1]...)
	return s, s.Check()
}

func shapeGridSample(c *ops.ShapeCall) error {
	d := c.In[0].DType
	if !known(c, 2, d) {
		return nil
	}
	s, err := gridShape(c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(0, d, s)
	return nil
}

// sampler reads an image at fractional coordinates.
type sampler struct {
	dims    []int
	mode    string
	padding string
	align   bool
}

func newSampler(c *ops.Call, dims []int) (*sampler, error) {
	a := c.Node.Attrs
	s := &sampler{dims: dims, mode: a.Str("mode", "linear"), padding: a.Str("padding_mode", "zeros"), align: a.Int("align_corners", 0) != 0}
	switch s.mode {
	case "bilinear":
		s.mode = "linear"
	case "bicubic":
		s.mode = "cubic"
	case "linear", "cubic", "nearest":
	default:
		return nil, fmt.Errorf("mode: unknown value %q", s.mode)
	}
	if s.padding != "zeros" && s.padding != "border" && s.padding != "reflection" {
		return nil, fmt.Errorf("padding_mode: unknown value %q", s.padding)
	}
	return s, nil
}

// evalGridSample reads each position of the output at the coordinates that the grid
// gives, −1 to 1 over the image, last axis first.
func evalGridSample(c *ops.Call) error {
	x, grid := c.T(0), c.T(1)
	if err := form.NeedReal("X", x); err != nil {
		return err
	}
	if err := form.NeedReal("grid", grid); err != nil {
		return err
	}
	shape, err := gridShape(x.Shape, grid.Shape)
	if err != nil {
		return err
	}
	s, err := newSampler(c, x.Shape[2:])
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, shape)
	if err != nil {
		return err
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	g, err := tensor.Float64s(grid)
	if err != nil {
		return err
	}
	size, spots, rank := x.Shape[2:].Elements(), shape[2:].Elements(), len(s.dims)
	out := make([]float64, y.Elements())
	if size == 0 && len(out) > 0 {
		return fmt.Errorf("X %v is empty", x)
	}
	at := make([]float64, rank)
	for n := range x.Shape[0] {
		for p := range spots {
			for a := range at {
				at[a] = s.coordinate(g[(n*spots+p)*rank+rank-1-a], a)
			}
			taps := s.taps(at)
			for ch := range x.Shape[1] {
				img := v[(n*x.Shape[1]+ch)*size:]
				sum := 0.0
				for _, t := range taps {
					sum += t.weight * img[t.at]
				}
				out[(n*x.Shape[1]+ch)*spots+p] = sum
			}
		}
	}
	return tensor.StoreFloat64s(y, out)
}

// coordinate maps −1..1 onto an axis and applies the padding to it. The reference keeps
// coordinates in float32.
func (s *sampler) coordinate(g float64, a int) float64 {
	n := float64(s.dims[a])
	x := ((g+1)*n - 1) / 2
	if s.align {
		x = (g + 1) / 2 * (n - 1)
	}
	x = float64(float32(x))
	if s.mode == "nearest" {
		x = math.RoundToEven(x)
	}
	if math.IsNaN(x) || math.Abs(x) > 1<<52 {
		return math.Copysign(1<<52, x)
	}
	lo, hi := s.border(a)
	if x < lo || x > hi {
		switch s.padding {
		case "border":
			x = max(0, min(n-1, x))
		case "reflection":
			x = reflect(x, lo, hi)
		}
	}
	return x
}

func (s *sampler) border(a int) (lo, hi float64) {
	if s.align {
		return 0, float64(s.dims[a] - 1)
	}
	return -0.5, float64(s.dims[a]) - 0.5
}

// reflect folds x back and forth at the borders until it lies between them.
func reflect(x, lo, hi float64) float64 {
	span := hi - lo
	if span <= 0 {
		return lo
	}
	d := lo - x
	if x > hi {
		d = x - hi
	}
	n := math.Floor(d / span)
	r := d - n*span
	if (math.Mod(n, 2) == 0) == (x < lo) {
		return lo + r
	}
	return hi - r
}

// tap is one element of a plane and its weight.
type tap struct {
	at     int
	weight float64
}

// taps combines the neighbours along every axis.
func (s *sampler) taps(x []float64) []tap {
	out := []tap{{0, 1}}
	for a, n := range s.dims {
		first, w := s.weights(x[a])
		next := make([]tap, 0, len(out)*len(w))
		for _, t := range out {
			for i, v := range w {
				if p, ok := s.pixel(first+float64(i), a); ok {
					next = append(next, tap{t.at*n + p, t.weight * v})
				}
			}
		}
		out = next
	}
	return out
}

// gridCubic is the coefficient of GridSample's cubic kernel.
var gridCubic = kernel{a: -0.75}

// weights gives the first neighbour along an axis and the weights from there on.
func (s *sampler) weights(x float64) (first float64, w []float64) {
	base := math.Floor(x)
	f := x - base
	switch s.mode {
	case "nearest":
		return x, []float64{1}
	case "linear":
		return base, []float64{1 - f, f}
	}
	k := &gridCubic
	return base - 1, []float64{k.cubic(1 + f), k.cubic(f), k.cubic(1 - f), k.cubic(2 - f)}
}

// pixel maps a whole coordinate to an index; ok is false where padding is 0.
func (s *sampler) pixel(p float64, a int) (i int, ok bool) {
	n := float64(s.dims[a])
	if p >= 0 && p < n {
		return int(p), true
	}
	switch s.padding {
	case "border":
		return int(max(0, min(n-1, p))), true
	case "reflection":
		lo, hi := s.border(a)
		return int(max(0, min(n-1, reflect(p, lo, hi)))), true
	}
	return 0, false
}
