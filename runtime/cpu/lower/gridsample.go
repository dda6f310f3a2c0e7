package lower

import (
	"sync"

	"github.com/aimass/aimass/runtime/ops/nn"
)

// lowerGridSample takes linear and other sampling of float32 images and volumes.
func lowerGridSample(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, grid, out := n.In[0], n.In[1], n.Out[0]
	if !f.f32(x) || !f.f32(grid) || !f.f32(out) || f.shape(x).Elements() == 0 || f.shape(out).Elements() == 0 {
		return nil, false
	}
	sx, so := f.shape(x), f.shape(out)
	rank, spots := len(sx)-2, so[2:].Elements()
	if rank < 1 || rank > maxSampled || f.shape(grid).Elements() != so[0]*spots*rank {
		return nil, false
	}
	if _, err := nn.NewSampler(n.Attrs, sx[2:]); err != nil {
		return nil, false // Eval says what is wrong
	}
	// Runs of one plan may be under way at the same time.
	samplers := sync.Pool{New: func() any {
		s, _ := nn.NewSampler(n.Attrs, sx[2:])
		return s
	}}
	channels, size := sx[1], sx[2:].Elements()
	run := func(e *Env) error {
		s := samplers.Get().(*nn.Sampler)
		defer samplers.Put(s)
		src, at, dst := e.f32(x), e.f32(grid), e.f32(out)
		for b := range so[0] {
			sample(s, dst[b*channels*spots:(b+1)*channels*spots], src[b*channels*size:(b+1)*channels*size], at[b*spots*rank:(b+1)*spots*rank], channels)
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x, grid}, writes: []int{out}, run: run}, true
}

// maxSampled is the most axes of an image that is sampled.
const maxSampled = 3

// sample reads the planes of one image at the places of grid.
func sample(s *nn.Sampler, dst, src, grid []float32, channels int) {
	rank := len(s.Dims)
	spots, size := len(grid)/rank, len(src)/channels
	var near near
	for p := range spots {
		at := grid[p*rank : (p+1)*rank]
		if s.Linear() && near.find(s, at) {
			near.mix(dst[p:], spots, src, size, channels)
			continue
		}
		taps := s.Taps(at)
		for c := range channels {
			sum, plane := 0.0, src[c*size:(c+1)*size]
			for _, t := range taps {
				sum += t.Weight * float64(plane[t.At])
			}
			dst[c*spots+p] = float32(sum)
		}
	}
}

// near are the elements that a place of linear sampling mixes, without those that are padded with 0.
type near struct {
	count  int
	at     [1 << maxSampled]int
	weight [1 << maxSampled]float32
}

// find reports false where the sampler has to look itself: beyond a border that reflects.
func (e *near) find(s *nn.Sampler, grid []float32) bool {
	e.count, e.at[0], e.weight[0] = 1, 0, 1
	for a, n := range s.Dims {
		x, end := s.Place(float64(grid[len(grid)-1-a]), a), float64(n-1)
		if !(x >= 0 && x < end) {
			switch {
			case s.Padding == "border" && x == x:
				x = max(0, min(end, x))
			case s.Padding != "zeros":
				return false
			case !(x > -1 && x < end+1):
				e.count = 0
				return true
			}
		}
		i := int(x+1) - 1 // downwards
		e.along(n, i, float32(x-float64(i)))
	}
	return true
}

// along takes the elements i and i+1 of an axis of n, as far as it has them, in the parts 1 − f and f.
func (e *near) along(n, i int, f float32) {
	count := e.count
	if i < 0 || i+1 >= n {
		if i < 0 {
			i, f = 0, 1-f
		}
		for k := range count {
			e.at[k], e.weight[k] = e.at[k]*n+i, e.weight[k]*(1-f)
		}
		return
	}
	for k := range count {
		at, w := e.at[k]*n+i, e.weight[k]
		e.at[k], e.weight[k] = at, w*(1-f)
		e.at[k+count], e.weight[k+count] = at+1, w*f
	}
	e.count = 2 * count
}

// mix writes the mixture of each channel's plane of size elements to every stride-th element of dst.
func (e *near) mix(dst []float32, stride int, src []float32, size, channels int) {
	if e.count == 4 {
		a, b, c, d := e.at[0], e.at[1], e.at[2], e.at[3]
		u, v, w, x := e.weight[0], e.weight[1], e.weight[2], e.weight[3]
		for to := 0; channels > 0; channels, to = channels-1, to+stride {
			dst[to] = u*src[a] + v*src[b] + w*src[c] + x*src[d]
			a, b, c, d = a+size, b+size, c+size, d+size
		}
		return
	}
	for c := range channels {
		var sum float32
		for k, at := range e.at[:e.count] {
			sum += e.weight[k] * src[c*size+at]
		}
		dst[c*stride] = sum
	}
}
