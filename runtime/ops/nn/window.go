package nn

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// window is how a kernel slides over an image, by spatial axis.
type window struct {
	in, out          []int
	kernel           []int
	stride, dilation []int
	begin, end       []int // padding
}

// maxWindow bounds every number of a window, so that no product of two overflows.
const maxWindow = 1 << 30

var windowAttrs = form.Join(form.Str("auto_pad"), form.Ints("kernel_shape", "pads", "strides"))

func intsOr(n *graph.Node, name string, rank, def int) ([]int, error) {
	v := n.Attrs.Ints(name)
	out := make([]int, rank)
	if len(v) == 0 {
		for i := range out {
			out[i] = def
		}
		return out, nil
	}
	if len(v) != rank {
		return nil, fmt.Errorf("%s: expected %d values, got %v", name, rank, v)
	}
	for i, x := range v {
		if x < int64(min(def, 1)) || x > maxWindow {
			return nil, fmt.Errorf("%s: %d is out of range", name, x)
		}
		out[i] = int(x)
	}
	return out, nil
}

// newWindow reads strides, dilations and padding of a node whose kernel slides over an
// image of the given spatial extents, and computes the output's.
func newWindow(n *graph.Node, in tensor.Shape, kernel []int) (*window, error) {
	w, err := readWindow(n, in, kernel)
	if err != nil {
		return nil, err
	}
	auto := n.Attrs.Str("auto_pad", "NOTSET")
	w.out = make([]int, len(in))
	for i := range in {
		reach := w.reach(i)
		switch auto {
		case "SAME_UPPER", "SAME_LOWER":
			w.out[i] = (in[i] + w.stride[i] - 1) / w.stride[i]
			w.same(i, auto == "SAME_LOWER", max(0, (w.out[i]-1)*w.stride[i]+reach-in[i]))
			continue
		case "VALID":
			w.begin[i], w.end[i] = 0, 0
		case "NOTSET", "":
		default:
			return nil, fmt.Errorf("auto_pad: unknown value %q", auto)
		}
		room := in[i] + w.begin[i] + w.end[i] - reach
		if room < 0 {
			return nil, fmt.Errorf("kernel of reach %d does not fit axis %d of %v with padding %d and %d", reach, i, in, w.begin[i], w.end[i])
		}
		w.out[i] = room/w.stride[i] + 1
		if n.Attrs.Int("ceil_mode", 0) != 0 && room%w.stride[i] != 0 && w.out[i]*w.stride[i] < in[i]+w.begin[i] {
			// The last window must begin inside the image or its leading padding.
			w.out[i]++
		}
	}
	return w, nil
}

// readWindow reads the attributes alone.
func readWindow(n *graph.Node, in tensor.Shape, kernel []int) (*window, error) {
	rank := len(in)
	if len(kernel) != rank {
		return nil, fmt.Errorf("kernel %v does not fit %d spatial axes", kernel, rank)
	}
	for i := range in {
		if kernel[i] < 1 || kernel[i] > maxWindow || in[i] > maxWindow {
			return nil, fmt.Errorf("kernel %v over %v is out of range", kernel, in)
		}
	}
	w := &window{in: in, kernel: kernel}
	var err error
	if w.stride, err = intsOr(n, "strides", rank, 1); err != nil {
		return nil, err
	}
	if w.dilation, err = intsOr(n, "dilations", rank, 1); err != nil {
		return nil, err
	}
	pads, err := intsOr(n, "pads", 2*rank, 0)
	if err != nil {
		return nil, err
	}
	w.begin, w.end = pads[:rank], pads[rank:]
	return w, nil
}

// reach is the extent that a dilated kernel covers.
func (w *window) reach(i int) int { return (w.kernel[i]-1)*w.dilation[i] + 1 }

// same shares out padding, the odd one at the end unless lower.
func (w *window) same(i int, lower bool, total int) {
	w.begin[i], w.end[i] = total/2, total-total/2
	if lower {
		w.begin[i], w.end[i] = w.end[i], w.begin[i]
	}
}

// taps is the number of elements of the kernel.
func (w *window) taps() int { return tensor.Shape(w.kernel).Elements() }

// kernelAttr is the kernel_shape attribute as extents.
func kernelAttr(n *graph.Node) []int {
	v := n.Attrs.Ints("kernel_shape")
	k := make([]int, len(v))
	for i, x := range v {
		k[i] = int(max(0, min(x, maxWindow+1)))
	}
	return k
}

// image checks for [N, C, spatial…] and gives the spatial extents.
func image(what string, s tensor.Shape) (tensor.Shape, error) {
	if len(s) < 3 {
		return nil, fmt.Errorf("%s: expected rank 3 or more, got shape %v", what, s)
	}
	return s[2:], nil
}

// known reports whether inputs 0..n−1 have shapes; where not, it states the type.
func known(c *ops.ShapeCall, n int, d tensor.DType) bool {
	if c.Known(n) {
		return true
	}
	c.SetType(0, d)
	return false
}

// odometer counts through an index space, the last axis fastest.
func odometer(idx, size []int) bool {
	for i := len(size) - 1; i >= 0; i-- {
		idx[i]++
		if idx[i] < size[i] {
			return true
		}
		idx[i] = 0
	}
	return false
}

// unravel writes the coordinates of flat index p.
func unravel(idx, size []int, p int) {
	for i := len(size) - 1; i >= 0; i-- {
		idx[i] = p % size[i]
		p /= size[i]
	}
}

// visit calls f for each run of output positions p0..p1−1 that lie in one output row,
// and each kernel tap that meets the image there: tap is the tap's flat index, at the
// first position's place after p0, n the number of positions, from the offset in the
// image of the first one and step the distance between them. Taps that fall into the
// padding are left out.
func (w *window) visit(p0, p1 int, f func(tap, at, n, from, step int)) {
	last := len(w.out) - 1
	ow := w.out[last]
	st := tensor.Shape(w.in).Strides()
	row, tap := make([]int, last), make([]int, last)
	for p := p0; p < p1; {
		a := p % ow
		b := min(ow, a+p1-p)
		unravel(row, w.out[:last], p/ow)
		for i := range tap {
			tap[i] = 0
		}
		for flat, more := 0, true; more; flat, more = flat+w.kernel[last], odometer(tap, w.kernel[:last]) {
			base, inside := 0, true
			for i := range tap {
				x := row[i]*w.stride[i] - w.begin[i] + tap[i]*w.dilation[i]
				if x < 0 || x >= w.in[i] {
					inside = false
					break
				}
				base += x * st[i]
			}
			if inside {
				w.visitRow(flat, p-p0-a, a, b, base, f)
			}
		}
		p += b - a
	}
}

func (w *window) visitRow(flat, at, a, b, base int, f func(tap, at, n, from, step int)) {
	last := len(w.out) - 1
	s := w.stride[last]
	for k := range w.kernel[last] {
		shift := k*w.dilation[last] - w.begin[last]
		lo, hi := a, b
		if shift < 0 {
			lo = max(lo, (-shift+s-1)/s)
		}
		if room := w.in[last] - 1 - shift; room < 0 {
			continue
		} else {
			hi = min(hi, room/s+1)
		}
		if lo < hi {
			f(flat+k, at+lo, hi-lo, base+lo*s+shift, s)
		}
	}
}

// columns gathers the patches of output positions p0..p1−1 into dst
// [channels·taps × (p1−p0)], zero where the kernel meets padding.
func columns[T any](w *window, dst, x []T, channels, p0, p1 int) {
	n, taps := p1-p0, w.taps()
	size := tensor.Shape(w.in).Elements()
	clear(dst[:channels*taps*n])
	w.visit(p0, p1, func(tap, at, m, from, step int) {
		for c := range channels {
			to := dst[(c*taps+tap)*n+at:]
			src := x[c*size+from:]
			if step == 1 {
				copy(to[:m], src[:m])
				continue
			}
			for i := range m {
				to[i] = src[i*step]
			}
		}
	})
}

// scatter is the inverse of columns: it adds every patch back to its place in y.
func scatter[T float32 | float64 | int32](w *window, y, cols []T, channels, p0, p1 int) {
	n, taps := p1-p0, w.taps()
	size := tensor.Shape(w.in).Elements()
	w.visit(p0, p1, func(tap, at, m, from, step int) {
		for c := range channels {
			src := cols[(c*taps+tap)*n+at:]
			to := y[c*size+from:]
			for i := range m {
				to[i*step] += src[i]
			}
		}
	})
}
