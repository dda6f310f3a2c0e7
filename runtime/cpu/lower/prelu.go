package lower

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/nchwc"
)

// preluSteps are max(x, 0) + slope·min(x, 0) of inputs 0 and 1.
var preluSteps = []elementwise.Step{
	{Unary: true, Act: act.Act{Func: act.Clip, A: float32(math.Inf(-1))}, Dst: valueReg, X: 0},
	{Op: elementwise.Mul, Dst: valueReg, X: valueReg, Y: 1},
	{Unary: true, Act: act.Act{Func: act.Relu}, Dst: extraReg, X: 0},
	{Op: elementwise.Add, Dst: valueReg, X: extraReg, Y: valueReg},
}

// finiteSlope reports that a slope's product with 0 is 0.
func finiteSlope(slope []float32) bool {
	for _, v := range slope {
		if v-v != 0 {
			return false
		}
	}
	return len(slope) > 0
}

// lowerPRelu takes PRelu with constant slopes, one for each channel or such that repeat along
// rows or columns; one slope for all is read as a LeakyRelu (match).
func lowerPRelu(f *fuser, i int) (*group, bool) {
	if g, ok := lowerUnary(f, i); ok {
		return g, true
	}
	n := f.node(i)
	x, slope, out := n.In[0], n.In[1], n.Out[0]
	if !f.f32(x) || !f.f32(out) || n.Opset < 7 || !finiteSlope(f.constF32(slope)) || f.shape(out).Elements() == 0 {
		return nil, false
	}
	s := f.shape(x)
	outer, layout, cols, ok := 1, elementwise.Col, 0, true
	if perChannel(f.shape(slope), len(s), s[min(1, len(s)-1)]) {
		outer, cols = s[0], s[2:].Elements()
	} else if layout, cols, ok = repeats(f.shape(slope), s); !ok {
		return nil, false
	}
	if cols == 0 {
		cols = s.Elements()
	}
	size := s.Elements() / outer
	prog, err := elementwise.NewProgram([]elementwise.Layout{elementwise.Full, layout}, preluSteps)
	if err != nil {
		return nil, false
	}
	run := func(e *Env) error {
		to, from := e.f32(out), e.f32(x)
		for k := range outer {
			prog.Run(to[k*size:(k+1)*size], size/cols, cols, append(e.inputs[:0], from[k*size:(k+1)*size], e.f32(slope)), e.Threads)
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x, slope}, writes: []int{out}, run: run}, true
}

// prelu takes PRelu of a blocked image with a slope for each channel.
func (b *blocking) prelu(i int) *group {
	f, n := b.f, b.f.node(i)
	x, out := n.In[0], n.Out[0]
	batch, c, h, w, ok := f.images(x)
	slope := f.constF32(n.In[1])
	if !ok || !b.made[x] || !f.f32(out) || n.Opset < 7 || !finiteSlope(slope) || len(slope) != c || c == 1 || !perChannel(f.shape(n.In[1]), len(f.shape(x)), c) {
		return nil
	}
	prog, err := elementwise.NewProgram([]elementwise.Layout{elementwise.Full, elementwise.Row}, preluSteps)
	if err != nil {
		panic(fmt.Sprintf("BUG: %v", err))
	}
	width, blocks, size := nchwc.Width(), nchwc.Blocks(c), h*w
	slopes := make([]float32, blocks*width)
	copy(slopes, slope)
	src, dst := b.of(x), b.makes(out)
	run := func(e *Env) error {
		to, from := e.f32(dst), e.f32(src)
		for p := range batch * blocks {
			at, end, k := p*size*width, (p+1)*size*width, p%blocks*width
			prog.Run(to[at:end], size, width, append(e.inputs[:0], from[at:end], slopes[k:k+width]), e.Threads)
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{src}, writes: []int{dst}, run: run}
}

// perChannel reports a shape of c values along the second axis of rank axes.
func perChannel(s []int, rank, c int) bool {
	if rank < 2 || len(s) > rank || len(s) < rank-1 {
		return false
	}
	at := len(s) - (rank - 1)
	for k, n := range s {
		if k == at && n != c || k != at && n != 1 {
			return false
		}
	}
	return true
}
