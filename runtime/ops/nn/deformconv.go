package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/linalg"
	"github.com/aimass/aimass/runtime/tensor"
)

// deform is a convolution whose kernel elements are moved by learnt offsets.
type deform struct {
	*conv
	groups int // of channels that share offsets
}

func newDeform(n *graph.Node, x, w, offset tensor.Shape) (*deform, error) {
	g, err := newConv(n, x, w)
	if err != nil {
		return nil, err
	}
	og := n.Attrs.Int("offset_group", 1)
	if len(x) != 4 || og < 1 || og > int64(max(1, x[1])) || x[1]%int(og) != 0 {
		return nil, fmt.Errorf("expected an image [N,C,H,W] whose channels %d offset groups divide, got shape %v", og, x)
	}
	want := tensor.Shape{x[0], int(og) * 2 * g.taps(), g.out[0], g.out[1]}
	if !offset.Equal(want) {
		return nil, fmt.Errorf("offset: expected shape %v, got %v", want, offset)
	}
	return &deform{g, int(og)}, nil
}

func shapeDeformConv(c *ops.ShapeCall) error {
	d := c.In[0].DType
	if !known(c, 3, d) {
		return nil
	}
	g, err := newDeform(c.Node, c.In[0].Shape, c.In[1].Shape, c.In[2].Shape)
	if err != nil {
		return err
	}
	c.Set(0, d, g.shape)
	return nil
}

// evalDeformConv samples the image bilinearly at each kernel element's place plus its
// offset, 0 outside, times the mask; the rest is a convolution.
func evalDeformConv(c *ops.Call) error {
	x, w, offset, bias, m := c.T(0), c.T(1), c.T(2), c.T(3), c.T(4)
	if err := sameReal(x, w, offset, bias, m); err != nil {
		return err
	}
	if w == nil || offset == nil {
		return fmt.Errorf("expected W and offset")
	}
	g, err := newDeform(c.Node, x.Shape, w.Shape, offset.Shape)
	if err != nil {
		return err
	}
	spots := g.out[0] * g.out[1]
	if bias != nil && bias.Elements() != w.Shape[0] || m != nil && m.Elements() != x.Shape[0]*g.groups*g.taps()*spots {
		return fmt.Errorf("bias %v or mask %v does not fit W %v and offset %v", bias, m, w, offset)
	}
	y, err := c.Output(0, x.DType, g.shape)
	if err != nil {
		return err
	}
	var in [5][]float64
	for i := range in {
		if t := c.T(i); t != nil {
			if in[i], err = tensor.Float64s(t); err != nil {
				return err
			}
		}
	}
	out, flush := form.Sink[float64](y)
	if bias != nil {
		addBias(out, in[3], g.shape)
	}
	k := g.cin * g.taps()
	cols := make([]float64, k*spots)
	size := g.in[0] * g.in[1]
	for n := range g.batch {
		for gr := range g.group {
			g.gather(cols, in[0][(n*g.group+gr)*g.cin*size:], in[2], in[4], n, gr)
			linalg.Gemm(g.cout, spots, k, in[1][gr*g.cout*k:], k, cols, spots, out[(n*g.group+gr)*g.cout*spots:], spots)
		}
	}
	return flush()
}

// gather samples the patches of one group of channels of one image.
func (g *deform) gather(cols, img, offset, mask []float64, n, gr int) {
	spots, taps, per := g.out[0]*g.out[1], g.taps(), g.cin*g.group/g.groups
	for c := range g.cin {
		og := (gr*g.cin + c) / max(1, per)
		plane := img[c*g.in[0]*g.in[1]:]
		for t := range taps {
			at := (n*g.groups+og)*taps + t
			for p := range spots {
				y := float64(p/g.out[1]*g.stride[0]-g.begin[0]+t/g.kernel[1]*g.dilation[0]) + offset[2*at*spots+p]
				x := float64(p%g.out[1]*g.stride[1]-g.begin[1]+t%g.kernel[1]*g.dilation[1]) + offset[(2*at+1)*spots+p]
				v := bilinear(plane, g.in[0], g.in[1], y, x)
				if mask != nil {
					v *= mask[at*spots+p]
				}
				cols[(c*taps+t)*spots+p] = v
			}
		}
	}
}

// bilinear reads an image of h×w at fractional coordinates, 0 outside.
func bilinear(img []float64, h, w int, y, x float64) float64 {
	if !(y > -1 && y < float64(h) && x > -1 && x < float64(w)) {
		return 0
	}
	y0, x0 := math.Floor(y), math.Floor(x)
	fy, fx := y-y0, x-x0
	get := func(i, j int) float64 {
		if i < 0 || i >= h || j < 0 || j >= w {
			return 0
		}
		return img[i*w+j]
	}
	i, j := int(y0), int(x0)
	return (1-fy)*((1-fx)*get(i, j)+fx*get(i, j+1)) + fy*((1-fx)*get(i+1, j)+fx*get(i+1, j+1))
}
