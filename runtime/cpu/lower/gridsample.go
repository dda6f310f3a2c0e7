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
	var in surrounded
	for p := range spots {
		at := grid[p*rank : (p+1)*rank]
		if s.Linear() && in.find(s, at) {
			for c := range channels {
				dst[c*spots+p] = in.mix(src[c*size : (c+1)*size])
			}
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

// surrounded is a place with elements on all sides: no padding has a part in it.
type surrounded struct {
	count  int
	at     [1 << maxSampled]int
	weight [1 << maxSampled]float32
}

// find reports false for a place at the border or beyond.
func (in *surrounded) find(s *nn.Sampler, grid []float32) bool {
	in.count, in.at[0], in.weight[0] = 1, 0, 1
	for a, n := range s.Dims {
		x := s.Place(float64(grid[len(grid)-1-a]), a)
		if !(x >= 0 && x < float64(n-1)) {
			return false
		}
		i := int(x)
		f := float32(x - float64(i))
		for k := range in.count {
			at, w := in.at[k]*n+i, in.weight[k]
			in.at[k], in.weight[k] = at, w*(1-f)
			in.at[k+in.count], in.weight[k+in.count] = at+1, w*f
		}
		in.count *= 2
	}
	return true
}

func (in *surrounded) mix(plane []float32) float32 {
	if in.count == 4 {
		return in.weight[0]*plane[in.at[0]] + in.weight[1]*plane[in.at[1]] + in.weight[2]*plane[in.at[2]] + in.weight[3]*plane[in.at[3]]
	}
	var sum float32
	for k, at := range in.at[:in.count] {
		sum += in.weight[k] * plane[at]
	}
	return sum
}
