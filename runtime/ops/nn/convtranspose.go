package nn

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/linalg"
	"github.com/aimass/aimass/runtime/tensor"
)

var convTransposeAttrs = form.Join(convAttrs, form.Ints("output_padding", "output_shape"))

// newConvTranspose checks an image [N, C, …] against weights [C, M/group, kernel…]. The
// window is that of the convolution that would lead back: it slides over the output.
func newConvTranspose(n *graph.Node, x, w tensor.Shape) (*conv, error) {
	in, err := image("X", x)
	if err != nil {
		return nil, err
	}
	g := n.Attrs.Int("group", 1)
	if len(w) != len(x) || w[0] != x[1] || g < 1 || g > int64(max(1, x[1])) || x[1]%int(g) != 0 {
		return nil, fmt.Errorf("weights %v do not fit image %v in %d groups", w, x, g)
	}
	if k := n.Attrs.Ints("kernel_shape"); len(k) > 0 && !same(k, w[2:]) {
		return nil, fmt.Errorf("kernel_shape %v does not fit weights %v", k, w)
	}
	win, err := readWindow(n, in, w[2:])
	if err != nil {
		return nil, err
	}
	if err := win.transpose(n); err != nil {
		return nil, err
	}
	c := &conv{window: win, batch: x[0], group: int(g), cin: x[1] / int(g), cout: w[1]}
	c.shape = append(tensor.Shape{x[0], w[1] * int(g)}, win.in...)
	return c, c.shape.Check()
}

// transpose turns a window read over the input round: in becomes the output's extents,
// from output_shape, or from padding and output_padding.
func (w *window) transpose(n *graph.Node) error {
	rank := len(w.in)
	extra, err := intsOr(n, "output_padding", rank, 0)
	if err != nil {
		return err
	}
	want := n.Attrs.Ints("output_shape")
	if len(want) == rank+2 {
		want = want[2:]
	}
	if len(want) != 0 && len(want) != rank {
		return fmt.Errorf("output_shape: expected %d values, got %v", rank, want)
	}
	auto := n.Attrs.Str("auto_pad", "NOTSET")
	w.out = w.in
	w.in = make([]int, rank)
	for i := range w.in {
		full := (w.out[i]-1)*w.stride[i] + w.reach(i) + extra[i]
		if w.out[i] == 0 {
			return fmt.Errorf("axis %d of the image is empty", i)
		}
		switch {
		case len(want) > 0:
			if want[i] < 1 || want[i] > maxWindow {
				return fmt.Errorf("output_shape: %d is out of range", want[i])
			}
			w.in[i] = int(want[i])
			total := full - w.in[i]
			if auto == "NOTSET" || auto == "" || total < 0 {
				// Padding below 0 is output that no input reaches; it lies at the end.
				w.same(i, auto != "SAME_UPPER", max(0, total))
			} else {
				w.same(i, auto == "SAME_LOWER", total)
			}
		case auto == "SAME_UPPER" || auto == "SAME_LOWER":
			w.in[i] = w.out[i] * w.stride[i]
			w.same(i, auto == "SAME_LOWER", max(0, full-w.in[i]))
		default:
			if auto == "VALID" {
				w.begin[i], w.end[i] = 0, 0
			}
			w.in[i] = full - w.begin[i] - w.end[i]
		}
		if w.in[i] < 1 || w.in[i] > maxWindow {
			return fmt.Errorf("output axis %d would have %d elements", i, w.in[i])
		}
	}
	return nil
}

// deconvolve adds the transposed convolution to y: each block of the image, multiplied
// by the weights, gives patches that are added back to their places.
func deconvolve[T float32 | float64](g *conv, y, x, w []T) {
	size, spots := tensor.Shape(g.in).Elements(), tensor.Shape(g.out).Elements()
	rows := g.cout * g.taps()
	block := max(1, min(spots, 1<<18/max(1, rows)))
	cols := make([]T, rows*block)
	for gr := range g.group {
		a := linalg.Transpose(w[gr*g.cin*rows:(gr+1)*g.cin*rows], g.cin, rows)
		for n := range g.batch {
			img := x[(n*g.group+gr)*g.cin*spots:]
			out := y[(n*g.group+gr)*g.cout*size:]
			for p := 0; p < spots; p += block {
				q := min(spots, p+block)
				clear(cols)
				linalg.Gemm(rows, q-p, g.cin, a, g.cin, img[p:], spots, cols, q-p)
				scatter(g.window, out, cols, g.cout, p, q)
			}
		}
	}
}
