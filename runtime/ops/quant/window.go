package quant

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// window is the geometry of a convolution of any number of spatial axes.
type window struct {
	x, w, out             tensor.Shape // batch, channels, spatial axes
	group                 int
	stride, dilation, pad []int
}

func newWindow(n *graph.Node, x, w tensor.Shape) (window, error) {
	rank := len(x) - 2
	g := window{x: x, w: w, group: int(n.Attrs.Int("group", 1))}
	if rank < 1 || len(w) != len(x) {
		return g, fmt.Errorf("the input has shape %v and the weights %v, expected equal ranks of 3 or more", x, w)
	}
	if g.group < 1 || x[1] != w[1]*g.group || w[0]%g.group != 0 {
		return g, fmt.Errorf("the input has %d channels, the weights %v and %d groups", x[1], w, g.group)
	}
	if k := n.Attrs.Ints("kernel_shape"); len(k) > 0 {
		if s, err := tensor.ShapeOf(k); err != nil || !s.Equal(w[2:]) {
			return g, fmt.Errorf("kernel_shape is %v, the weights have shape %v", k, w)
		}
	}
	var err error
	if g.stride, err = perAxis(n, "strides", rank, 1, 1); err != nil {
		return g, err
	}
	if g.dilation, err = perAxis(n, "dilations", rank, 1, 1); err != nil {
		return g, err
	}
	pads, err := perAxis(n, "pads", 2*rank, 0, 0)
	if err != nil {
		return g, err
	}
	g.pad = pads[:rank]
	auto := n.Attrs.Str("auto_pad", "NOTSET")
	g.out = tensor.Shape{x[0], w[0]}
	for i := range rank {
		size, reach := x[2+i], (w[2+i]-1)*g.dilation[i]+1
		switch auto {
		case "NOTSET":
			size += pads[i] + pads[rank+i]
		case "VALID":
			g.pad[i] = 0
		case "SAME_UPPER", "SAME_LOWER":
			steps := (size + g.stride[i] - 1) / g.stride[i]
			total := max((steps-1)*g.stride[i]+reach-size, 0)
			if g.pad[i] = total / 2; auto == "SAME_LOWER" {
				g.pad[i] = total - total/2
			}
			size += total
		default:
			return g, fmt.Errorf("auto_pad is %q", auto)
		}
		if reach > size || w[2+i] < 1 {
			return g, fmt.Errorf("a kernel of %v with dilations %v does not fit %v", w[2:], g.dilation, x)
		}
		g.out = append(g.out, (size-reach)/g.stride[i]+1)
	}
	return g, g.out.Check()
}

// perAxis reads a list of n small numbers not below least.
func perAxis(n *graph.Node, name string, count, def, least int) ([]int, error) {
	v := n.Attrs.Ints(name)
	out := make([]int, count)
	for i := range out {
		out[i] = def
	}
	if len(v) == 0 {
		return out, nil
	}
	if len(v) != count {
		return nil, fmt.Errorf("%s is %v, expected %d numbers", name, v, count)
	}
	for i, k := range v {
		if k < int64(least) || k > 1<<31 {
			return nil, fmt.Errorf("%s is %v, expected numbers from %d on", name, v, least)
		}
		out[i] = int(k)
	}
	return out, nil
}

// convolve adds the convolution of x with w to y, in float64, which is exact for
// quantised values.
func (g window) convolve(y, x, w []float64) {
	xPlane, wPlane, yPlane := g.x[2:].Elements(), g.w[2:].Elements(), g.out[2:].Elements()
	outs, ins := g.w[0]/g.group, g.w[1]
	for b := range g.x[0] {
		for oc := range g.w[0] {
			dst := y[(b*g.w[0]+oc)*yPlane:][:yPlane]
			for ic := range ins {
				src := x[(b*g.x[1]+oc/outs*ins+ic)*xPlane:][:xPlane]
				ker := w[(oc*ins+ic)*wPlane:][:wPlane]
				for k, f := range ker {
					if f != 0 {
						g.tap(dst, src, k, f)
					}
				}
			}
		}
	}
}

// tap adds f times the input, moved by kernel position k, to one output plane.
func (g window) tap(dst, src []float64, k int, f float64) {
	rank := len(g.stride)
	shift := make([]int, rank)
	for i := rank - 1; i >= 0; i-- {
		shift[i] = k%g.w[2+i]*g.dilation[i] - g.pad[i]
		k /= g.w[2+i]
	}
	last := rank - 1
	width, in := g.out[2+last], g.x[2+last]
	pos := make([]int, last)
	for at := 0; at < len(dst); at += width {
		base, inside := 0, true
		for i := range last {
			j := pos[i]*g.stride[i] + shift[i]
			inside = inside && j >= 0 && j < g.x[2+i]
			base = base*g.x[2+i] + j
		}
		if inside {
			row := src[base*in : (base+1)*in]
			for o, j := 0, shift[last]; o < width; o, j = o+1, j+g.stride[last] {
				if j >= 0 && j < in {
					dst[at+o] += f * row[j]
				}
			}
		}
		for i := last - 1; i >= 0; i-- {
			if pos[i]++; pos[i] < g.out[2+i] {
				break
			}
			pos[i] = 0
		}
	}
}
