package lower

import (
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/runtime/tensor"
)

// sliding is a window over one or two spatial axes, seen as two: in one dimension the
// first has extent 1.
type sliding struct {
	conv.Window
	h, w, oh, ow int
}

// plane sees the spatial axes of [N, C, …] as two.
func plane(s tensor.Shape) (h, w int, ok bool) {
	switch len(s) {
	case 3:
		return 1, s[2], true
	case 4:
		return s[2], s[3], true
	}
	return 0, 0, false
}

// window reads the strides, dilations and padding of a node whose kernel slides over an
// image of shape in and gives out. It reports false where they are not to be had in one
// or two dimensions, or where the kernels' idea of the output's extents differs from
// the operator's; with loose, an output that is larger by one passes (ceil_mode).
func window(n *Node, in, out tensor.Shape, kernel []int, loose bool) (s sliding, ok bool) {
	rank := len(in) - 2
	if len(kernel) != rank {
		return s, false
	}
	if s.h, s.w, ok = plane(in); !ok {
		return s, false
	}
	s.oh, s.ow, _ = plane(out)
	stride, ok1 := intsOr(n.Attrs.Ints("strides"), rank, 1)
	dilation, ok2 := intsOr(n.Attrs.Ints("dilations"), rank, 1)
	pads, ok3 := intsOr(n.Attrs.Ints("pads"), 2*rank, 0)
	if !ok1 || !ok2 || !ok3 {
		return s, false
	}
	begin, end := pads[:rank], pads[rank:]
	auto := n.Attrs.Str("auto_pad", "NOTSET")
	for i := range rank {
		switch auto {
		case "SAME_UPPER", "SAME_LOWER":
			total := max(0, (out[2+i]-1)*stride[i]+(kernel[i]-1)*dilation[i]+1-in[2+i])
			begin[i], end[i] = total/2, total-total/2
			if auto == "SAME_LOWER" {
				begin[i], end[i] = end[i], begin[i]
			}
		case "VALID":
			begin[i], end[i] = 0, 0
		}
		if kernel[i] < 1 || stride[i] < 1 || dilation[i] < 1 || begin[i] < 0 || end[i] < 0 {
			return s, false
		}
	}
	last := rank - 1
	s.Window = conv.Window{KH: 1, StrideH: 1, DilationH: 1, KW: kernel[last], StrideW: stride[last], DilationW: dilation[last], PadLeft: begin[last], PadRight: end[last]}
	if rank == 2 {
		s.KH, s.StrideH, s.DilationH, s.PadTop, s.PadBottom = kernel[0], stride[0], dilation[0], begin[0], end[0]
	}
	oh, ow := s.Out(s.h, s.w)
	more := 0
	if loose {
		more = 1
	}
	return s, s.oh >= oh && s.oh <= oh+more && s.ow >= ow && s.ow <= ow+more && s.oh > 0 && s.ow > 0
}

// intsOr is a list of n numbers, all def where it is left out.
func intsOr(v []int64, n, def int) ([]int, bool) {
	out := make([]int, n)
	for i := range out {
		out[i] = def
		if len(v) == n {
			out[i] = int(v[i])
		}
	}
	return out, len(v) == 0 || len(v) == n
}

// ints converts a list.
func ints(v []int64) []int {
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}
