package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
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

// Sampler reads images at fractional coordinates, −1 to 1 over an image. It is not safe for
// concurrent use.
type Sampler struct {
	Dims    []int  // of the image
	Padding string // zeros, border or reflection
	mode    string
	align   bool
	at      []float64
	tapped  [2][]Tap // by one axis more in turns
}

// NewSampler is what a GridSample node asks for on images of the given extents.
func NewSampler(a graph.Attrs, dims []int) (*Sampler, error) {
	s := &Sampler{Dims: dims, mode: a.Str("mode", "linear"), Padding: a.Str("padding_mode", "zeros"), align: a.Int("align_corners", 0) != 0, at: make([]float64, len(dims))}
	switch s.mode {
	case "bilinear":
		s.mode = "linear"
	case "bicubic":
		s.mode = "cubic"
	case "linear", "cubic", "nearest":
	default:
		return nil, fmt.Errorf("mode: unknown value %q", s.mode)
	}
	if s.Padding != "zeros" && s.Padding != "border" && s.Padding != "reflection" {
		return nil, fmt.Errorf("padding_mode: unknown value %q", s.Padding)
	}
	return s, nil
}

// Linear reports that a place mixes its two neighbours along each axis.
func (s *Sampler) Linear() bool { return s.mode == "linear" }

// Place is where a coordinate lies among the elements of an axis. The reference keeps places in float32.
func (s *Sampler) Place(g float64, axis int) float64 {
	n := float64(s.Dims[axis])
	if s.align {
		return float64(float32((g + 1) / 2 * (n - 1)))
	}
	return float64(float32(((g+1)*n - 1) / 2))
}

// Taps are the elements that a place mixes; grid holds its coordinates, last axis first. They are valid until
// the next call.
func (s *Sampler) Taps(grid []float32) []Tap {
	for a := range s.at {
		s.at[a] = s.coordinate(float64(grid[len(s.at)-1-a]), a)
	}
	return s.taps(s.at)
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
	s, err := NewSampler(c.Node.Attrs, x.Shape[2:])
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
	size, spots, rank := x.Shape[2:].Elements(), shape[2:].Elements(), len(s.Dims)
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
					sum += t.Weight * img[t.At]
				}
				out[(n*x.Shape[1]+ch)*spots+p] = sum
			}
		}
	}
	return tensor.StoreFloat64s(y, out)
}

// coordinate maps −1..1 onto an axis and applies the padding to it.
func (s *Sampler) coordinate(g float64, a int) float64 {
	n, x := float64(s.Dims[a]), s.Place(g, a)
	if s.mode == "nearest" {
		x = math.RoundToEven(x)
	}
	if math.IsNaN(x) || math.Abs(x) > 1<<52 {
		return math.Copysign(1<<52, x)
	}
	lo, hi := s.border(a)
	if x < lo || x > hi {
		switch s.Padding {
		case "border":
			x = max(0, min(n-1, x))
		case "reflection":
			x = reflect(x, lo, hi)
		}
	}
	return x
}

func (s *Sampler) border(a int) (lo, hi float64) {
	if s.align {
		return 0, float64(s.Dims[a] - 1)
	}
	return -0.5, float64(s.Dims[a]) - 0.5
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

// Tap is one element of a plane and its weight.
type Tap struct {
	At     int
	Weight float64
}

// taps combines the neighbours along every axis.
func (s *Sampler) taps(x []float64) []Tap {
	out := append(s.tapped[0][:0], Tap{0, 1})
	for a, n := range s.Dims {
		first, count, w := s.weights(x[a])
		next := s.tapped[1][:0]
		for _, t := range out {
			for i, v := range w[:count] {
				if p, ok := s.pixel(first+float64(i), a); ok {
					next = append(next, Tap{t.At*n + p, t.Weight * v})
				}
			}
		}
		s.tapped = [2][]Tap{next, out}
		out = next
	}
	return out
}

// gridCubic is the coefficient of GridSample's cubic kernel.
var gridCubic = kernel{a: -0.75}

// weights gives the first neighbour along an axis, and the number and the weights of those from there on.
func (s *Sampler) weights(x float64) (first float64, n int, w [4]float64) {
	base := math.Floor(x)
	f := x - base
	switch s.mode {
	case "nearest":
		return x, 1, [4]float64{1}
	case "linear":
		return base, 2, [4]float64{1 - f, f}
	}
	k := &gridCubic
	return base - 1, 4, [4]float64{k.cubic(1 + f), k.cubic(f), k.cubic(1 - f), k.cubic(2 - f)}
}

// pixel maps a whole coordinate to an index; ok is false where padding is 0.
func (s *Sampler) pixel(p float64, a int) (i int, ok bool) {
	n := float64(s.Dims[a])
	if p >= 0 && p < n {
		return int(p), true
	}
	switch s.Padding {
	case "border":
		return int(max(0, min(n-1, p))), true
	case "reflection":
		lo, hi := s.border(a)
		return int(max(0, min(n-1, reflect(p, lo, hi)))), true
	}
	return 0, false
}
