package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// kernel is how Resize computes an element from its neighbours.
type kernel struct {
	mode, nearest, coord string
	a                    float64 // the cubic coefficient
	antialias, exclude   bool
	extrapolation        float64
}

func newKernel(n *graph.Node) (*kernel, error) {
	at := n.Attrs
	k := &kernel{
		mode: at.Str("mode", "nearest"), nearest: at.Str("nearest_mode", "round_prefer_floor"),
		coord: at.Str("coordinate_transformation_mode", "half_pixel"),
		a:     float64(at.Float("cubic_coeff_a", -0.75)), antialias: at.Int("antialias", 0) != 0,
		exclude: at.Int("exclude_outside", 0) != 0, extrapolation: float64(at.Float("extrapolation_value", 0)),
	}
	if n.Op == "Upsample" || n.Opset < 11 {
		k.coord, k.nearest = "asymmetric", "floor"
	}
	switch k.mode {
	case "bilinear":
		k.mode = "linear"
	case "nearest", "linear", "cubic":
	default:
		return nil, fmt.Errorf("mode: unknown value %q", k.mode)
	}
	switch k.nearest {
	case "round_prefer_floor", "round_prefer_ceil", "floor", "ceil":
	default:
		return nil, fmt.Errorf("nearest_mode: unknown value %q", k.nearest)
	}
	if k.antialias && k.mode == "nearest" {
		return nil, fmt.Errorf("antialias does not go with mode nearest")
	}
	return k, nil
}

// taps are the neighbours and weights of each position along one axis.
type taps struct {
	n       int // neighbours a position
	index   []int
	weight  []float64
	outside []bool // positions that get the extrapolation value
}

// axis computes the taps along axis a of n elements.
func (k *kernel) axis(s *scaling, a, n int) (*taps, error) {
	out := s.out[a]
	t := &taps{outside: make([]bool, out)}
	for o := range out {
		x, outside, err := k.source(s, a, n, float64(o))
		if err != nil {
			return nil, err
		}
		base := math.Floor(x)
		ratio := x - base
		if ratio == 0 {
			// Of the two neighbours of a whole coordinate the right one is the point itself.
			ratio = 1
		}
		w, err := k.weights(ratio, s.scale[a])
		if err != nil {
			return nil, err
		}
		t.n, t.outside[o] = len(w), outside
		t.add(k, w, x, n)
	}
	return t, nil
}

// add appends one position at x: its neighbours are the len(w) whole coordinates
// nearest to x, the lower of equals.
func (t *taps) add(k *kernel, w []float64, x float64, n int) {
	m := len(w)
	base := math.Floor(x)
	frac := x - base
	first := base
	switch {
	case m%2 == 0 && frac == 0:
		first -= float64(m / 2)
	case m%2 == 0:
		first -= float64(m/2 - 1)
	default:
		first -= float64((m - 1) / 2)
		if frac > 0.5 {
			first++
		}
	}
	if k.exclude {
		sum := 0.0
		for i := range w {
			if p := first + float64(i); p < 0 || p >= float64(n) {
				w[i] = 0
			}
			sum += w[i]
		}
		for i := range w {
			if sum != 0 {
				w[i] /= sum
			}
		}
	}
	for i, v := range w {
		t.index = append(t.index, int(max(0, min(float64(n-1), first+float64(i)))))
		t.weight = append(t.weight, v)
	}
}

// source maps position y of the output to a coordinate of the input.
func (k *kernel) source(s *scaling, a, n int, y float64) (x float64, outside bool, err error) {
	scale, in := s.scale[a], float64(n)
	length := scale * in
	switch k.coord {
	case "half_pixel":
		x = (y+0.5)/scale - 0.5
	case "pytorch_half_pixel":
		if x = -0.5; length != 1 {
			x = (y+0.5)/scale - 0.5
		}
	case "half_pixel_symmetric":
		x = in/2*(1-float64(s.out[a])/length) + (y+0.5)/scale - 0.5
	case "align_corners":
		if length != 1 {
			x = y * (in - 1) / (length - 1)
		}
	case "asymmetric":
		x = y / scale
	case "tf_crop_and_resize":
		from, to := s.roi[a], s.roi[len(s.out)+a]
		if length == 1 {
			x = (to - from) * (in - 1) / 2
		} else {
			x = y * (to - from) * (in - 1) / (length - 1)
		}
		x += from * (in - 1)
		outside = x < 0 || x > in-1
	default:
		return 0, false, fmt.Errorf("coordinate_transformation_mode: unknown value %q", k.coord)
	}
	if math.IsNaN(x) || math.Abs(x) > 1<<52 {
		return 0, false, fmt.Errorf("axis %d: coordinate %v is out of range", a, x)
	}
	return x, outside, nil
}

// maxFootprint bounds the neighbours of one position under antialias.
const maxFootprint = 1 << 24

// weights are the neighbours' weights for a point at ratio between the middle two.
func (k *kernel) weights(ratio, scale float64) ([]float64, error) {
	if !k.antialias {
		switch k.mode {
		case "linear":
			return []float64{1 - ratio, ratio}, nil
		case "cubic":
			w := make([]float64, 4)
			for i := range w {
				w[i] = k.cubic(ratio + 1 - float64(i))
			}
			return w, nil
		}
		return k.nearestWeights(ratio), nil
	}
	scale = min(scale, 1)
	radius, f := 1.0, func(x float64) float64 { return max(0, 1-math.Abs(x)) }
	if k.mode == "cubic" {
		radius, f = 2, k.cubic
	}
	if radius/scale > maxFootprint {
		return nil, fmt.Errorf("scale %v is too small to antialias", scale)
	}
	start := int(math.Floor(-radius/scale)) + 1
	w := make([]float64, 2-2*start)
	sum := 0.0
	for i := range w {
		w[i] = f(scale * (float64(start+i) - ratio))
		sum += w[i]
	}
	for i := range w {
		w[i] /= sum
	}
	return w, nil
}

func (k *kernel) nearestWeights(ratio float64) []float64 {
	right := false
	switch {
	case ratio == 1:
		right = true
	case k.nearest == "round_prefer_floor":
		right = ratio > 0.5
	case k.nearest == "round_prefer_ceil":
		right = ratio >= 0.5
	case k.nearest == "ceil":
		right = true
	}
	if right {
		return []float64{0, 1}
	}
	return []float64{1, 0}
}

// cubic is the cubic convolution kernel (R. Keys, 1981) with coefficient a.
func (k *kernel) cubic(x float64) float64 {
	x, a := math.Abs(x), k.a
	switch {
	case x <= 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return ((x-5)*x+8)*x*a - 4*a
	}
	return 0
}

// apply resizes v, of shape s, along one axis.
func (t *taps) apply(v []float64, s tensor.Shape, axis int, extrapolation float64) []float64 {
	outer, n, inner := s[:axis].Elements(), s[axis], s[axis+1:].Elements()
	m := len(t.outside)
	out := make([]float64, outer*m*inner)
	for o := range outer {
		src := v[o*n*inner:]
		for p := range m {
			dst := out[(o*m+p)*inner : (o*m+p+1)*inner]
			if t.outside[p] {
				for i := range dst {
					dst[i] = extrapolation
				}
				continue
			}
			for k := p * t.n; k < (p+1)*t.n; k++ {
				w := t.weight[k]
				if w == 0 {
					continue
				}
				line := src[t.index[k]*inner:][:inner]
				for i, e := range line {
					dst[i] += w * e
				}
			}
		}
	}
	return out
}

// Taps say how Resize and Upsample make one axis: position o of the output is
// Σ Weight[o·N+k] · input[Index[o·N+k]] over k < N. Indices are in range.
type Taps struct {
	Axis, N int
	Index   []int32
	Weight  []float32
}

// Lone leaves out taps of weight 0 where each element is just one other.
func (t Taps) Lone() Taps {
	one := Taps{Axis: t.Axis, N: 1}
	for k, w := range t.Weight {
		switch w {
		case 0:
		case 1:
			one.Index, one.Weight = append(one.Index, t.Index[k]), append(one.Weight, 1)
		default:
			return t
		}
	}
	if len(one.Index)*t.N != len(t.Index) {
		return t
	}
	return one
}

// ResizeTaps gives the taps of each axis that the node changes, in the order in which
// Eval resizes them; roi, scales and sizes are its inputs, nil where left out. It errs
// where the node asks for an extrapolation value, which taps can't say.
func ResizeTaps(n *graph.Node, x tensor.Shape, roi, scales, sizes *tensor.Tensor) ([]Taps, error) {
	s, err := newScaling(n, x, roi, scales, sizes)
	if err != nil {
		return nil, err
	}
	k, err := newKernel(n)
	if err != nil {
		return nil, err
	}
	var out []Taps
	for _, a := range s.axes {
		if s.identity(a, x[a]) {
			continue
		}
		if x[a] == 0 {
			return nil, fmt.Errorf("axis %d of %v is empty", a, x)
		}
		t, err := k.axis(s, a, x[a])
		if err != nil {
			return nil, err
		}
		r := Taps{Axis: a, N: t.n}
		for i, at := range t.index {
			r.Index = append(r.Index, int32(at))
			r.Weight = append(r.Weight, float32(t.weight[i]))
		}
		for _, o := range t.outside {
			if o {
				return nil, fmt.Errorf("axis %d is extrapolated", a)
			}
		}
		out = append(out, r)
	}
	return out, nil
}
