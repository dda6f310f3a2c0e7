package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func roiForms() []*ops.Op {
	attrs := form.Join(form.Str("mode"), form.Int("output_height", "output_width", "sampling_ratio"), form.Float("spatial_scale"))
	align := func(since int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{Name: "RoiAlign", Since: since, MinIn: 3, MaxIn: 3, MinOut: 1, MaxOut: 1, Attrs: attrs, Shape: shapeRoi(4), Eval: evalRoiAlign}
	}
	pool := form.Join(form.Required(form.Ints("pooled_shape")), form.Float("spatial_scale"))
	return []*ops.Op{
		align(10, attrs),
		align(16, form.Join(attrs, form.Str("coordinate_transformation_mode"))),
		{Name: "MaxRoiPool", Since: 1, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1, Attrs: pool, Shape: shapeRoi(5), Eval: evalMaxRoiPool},
	}
}

// roiShape checks X [N, C, H, W] and regions [count, columns].
func roiShape(n *graph.Node, x, rois tensor.Shape, columns int) (tensor.Shape, error) {
	if len(x) != 4 || len(rois) != 2 || rois[1] != columns {
		return nil, fmt.Errorf("expected X [N,C,H,W] and regions [count,%d], got shapes %v and %v", columns, x, rois)
	}
	h, w := n.Attrs.Int("output_height", 1), n.Attrs.Int("output_width", 1)
	if p := n.Attrs.Ints("pooled_shape"); n.Op == "MaxRoiPool" {
		if len(p) != 2 {
			return nil, fmt.Errorf("pooled_shape: expected 2 values, got %v", p)
		}
		h, w = p[0], p[1]
	}
	if h < 1 || w < 1 || h > maxWindow || w > maxWindow {
		return nil, fmt.Errorf("output size %d×%d is out of range", h, w)
	}
	s := tensor.Shape{rois[0], x[1], int(h), int(w)}
	return s, s.Check()
}

func shapeRoi(columns int) func(*ops.ShapeCall) error {
	return func(c *ops.ShapeCall) error {
		d := c.In[0].DType
		if !known(c, 2, d) {
			return nil
		}
		s, err := roiShape(c.Node, c.In[0].Shape, c.In[1].Shape, columns)
		if err != nil {
			return err
		}
		c.Set(0, d, s)
		return nil
	}
}

// region is one region's bins and the grid of samples in each. Coordinates are in T, the
// tensors' own precision: whether a sample lies just inside of the image depends on it.
type region[T form.Real] struct {
	y, x, binH, binW T
	gridH, gridW     int
}

// maxSamples bounds the samples of one bin along an axis, maxGrid those of one bin.
const maxSamples, maxGrid = 1 << 16, 1 << 26

func newRegion[T form.Real](n *graph.Node, box []T, h, w int) (region[T], error) {
	a := n.Attrs
	scale, shift := T(a.Float("spatial_scale", 1)), T(0)
	half := n.Opset >= 16 && a.Str("coordinate_transformation_mode", "half_pixel") == "half_pixel"
	if half {
		shift = 0.5
	}
	x0, y0, x1, y1 := box[0]*scale-shift, box[1]*scale-shift, box[2]*scale-shift, box[3]*scale-shift
	rw, rh := x1-x0, y1-y0
	if !half {
		rw, rh = max(rw, 1), max(rh, 1)
	}
	r := region[T]{y: y0, x: x0, binH: rh / T(h), binW: rw / T(w)}
	if s := a.Int("sampling_ratio", 0); s > 0 {
		s = min(s, maxSamples+1)
		r.gridH, r.gridW = int(s), int(s)
	} else {
		gh, gw := math.Ceil(float64(r.binH)), math.Ceil(float64(r.binW))
		if !(gh <= maxSamples && gw <= maxSamples) {
			return r, fmt.Errorf("region %v is too large", box)
		}
		r.gridH, r.gridW = int(max(gh, 0)), int(max(gw, 0))
	}
	if r.gridH > maxSamples || r.gridH*r.gridW > maxGrid {
		return r, fmt.Errorf("%d×%d samples for a bin are too many", r.gridH, r.gridW)
	}
	return r, nil
}

// evalRoiAlign samples each bin of each region bilinearly on a regular grid and takes
// the mean, or the greatest weighted neighbour.
func evalRoiAlign(c *ops.Call) error {
	x, rois, index := c.T(0), c.T(1), c.T(2)
	if err := sameReal(x, rois); err != nil {
		return err
	}
	if x.DType == tensor.Float64 {
		return roiAlign[float64](c, x, rois, index)
	}
	return roiAlign[float32](c, x, rois, index)
}

func roiAlign[T form.Real](c *ops.Call, x, rois, index *tensor.Tensor) error {
	if rois == nil || index == nil || index.DType != tensor.Int64 {
		return fmt.Errorf("expected regions and int64 batch indices, got %v and %v", rois, index)
	}
	s, err := roiShape(c.Node, x.Shape, rois.Shape, 4)
	if err != nil {
		return err
	}
	if index.Elements() != s[0] {
		return fmt.Errorf("expected %d batch indices, got %v", s[0], index)
	}
	mode := c.Node.Attrs.Str("mode", "avg")
	if mode != "avg" && mode != "max" {
		return fmt.Errorf("mode: unknown value %q", mode)
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	v, err := form.Load[T](x)
	if err != nil {
		return err
	}
	boxes, err := form.Load[T](rois)
	if err != nil {
		return err
	}
	if y.Elements() > 0 && len(v) == 0 {
		return fmt.Errorf("image %v is empty", x)
	}
	out := make([]T, y.Elements())
	plane, bins := x.Shape[2]*x.Shape[3], s[2]*s[3]
	var b bin[T]
	for k, img := range tensor.Data[int64](index) {
		if img < 0 || img >= int64(x.Shape[0]) {
			return fmt.Errorf("batch index %d is outside of %v", img, x)
		}
		r, err := newRegion(c.Node, boxes[4*k:4*k+4], s[2], s[3])
		if err != nil {
			return err
		}
		for p := range bins {
			b.sampled(samples(r.y, r.binH, p/s[3], r.gridH, x.Shape[2]), samples(r.x, r.binW, p%s[3], r.gridW, x.Shape[3]), x.Shape[3])
			for ch := range s[1] {
				from, to := v[(int(img)*s[1]+ch)*plane:][:plane], &out[(k*s[1]+ch)*bins+p]
				if mode == "max" {
					*to = b.greatest(from)
				} else {
					*to = b.mean(from)
				}
			}
		}
	}
	if v, ok := any(out).([]float32); ok {
		return tensor.StoreFloat32s(y, v)
	}
	return tensor.StoreFloat64s(y, any(out).([]float64))
}

// sample is one sampled coordinate on an axis: the elements below and above it, and how
// far it is from the lower. Out marks one that lies beyond the image and counts as 0.
type sample struct {
	lo, hi int
	f      float64
	out    bool
}

// samples gives the coordinates of bin i on an axis of n elements.
func samples[T form.Real](start, bin T, i, grid, n int) []sample {
	out := make([]sample, grid)
	for k := range out {
		x := start + T(i)*bin + (T(k)+0.5)*bin/T(grid)
		if !(x >= -1 && x <= T(n)) {
			out[k].out = true
			continue
		}
		v := max(float64(x), 0)
		out[k] = sample{lo: int(v), hi: int(v) + 1, f: v - math.Floor(v)}
		if out[k].lo >= n-1 {
			out[k] = sample{lo: n - 1, hi: n - 1}
		}
	}
	return out
}

// bin is what a bin's samples are made of: elements of a plane and their weights, four a
// sample. Beyond says that some samples lie beyond the image: they count as 0.
type bin[T form.Real] struct {
	taps   []weighted[T]
	count  int // of samples
	beyond bool
}

type weighted[T form.Real] struct {
	at     int
	weight T
}

// sampled makes the bin of the samples at all ys and xs, of a plane with w columns.
func (b *bin[T]) sampled(ys, xs []sample, w int) {
	b.taps, b.count, b.beyond = b.taps[:0], max(1, len(ys)*len(xs)), false
	for _, y := range ys {
		for _, x := range xs {
			if y.out || x.out {
				b.beyond = true
				continue
			}
			b.taps = append(b.taps, weighted[T]{y.lo*w + x.lo, T((1 - y.f) * (1 - x.f))}, weighted[T]{y.lo*w + x.hi, T((1 - y.f) * x.f)},
				weighted[T]{y.hi*w + x.lo, T(y.f * (1 - x.f))}, weighted[T]{y.hi*w + x.hi, T(y.f * x.f)})
		}
	}
}

// mean is the mean of the samples.
func (b *bin[T]) mean(plane []T) T {
	var sum T
	for _, t := range b.taps {
		sum += t.weight * plane[t.at]
	}
	return sum / T(b.count)
}

// greatest is the greatest weighted neighbour of a sample.
func (b *bin[T]) greatest(plane []T) T {
	var top T
	for k, t := range b.taps {
		if v := t.weight * plane[t.at]; k == 0 && !b.beyond || v > top {
			top = v
		}
	}
	return top
}

// evalMaxRoiPool takes the greatest element of each bin of each region [batch, x1, y1,
// x2, y2], whose corners are rounded to whole elements; an empty bin is 0.
func evalMaxRoiPool(c *ops.Call) error {
	x, rois := c.T(0), c.T(1)
	if err := sameReal(x, rois); err != nil {
		return err
	}
	if rois == nil {
		return fmt.Errorf("rois is missing")
	}
	s, err := roiShape(c.Node, x.Shape, rois.Shape, 5)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	boxes, err := tensor.Float64s(rois)
	if err != nil {
		return err
	}
	scale := float64(c.Node.Attrs.Float("spatial_scale", 1))
	out := make([]float64, y.Elements())
	h, w := x.Shape[2], x.Shape[3]
	for k := range s[0] {
		box := boxes[5*k : 5*k+5]
		if !(box[0] >= 0 && box[0] < float64(x.Shape[0])) {
			return fmt.Errorf("batch index %v is outside of %v", box[0], x)
		}
		var e [4]float64
		for i := range e {
			if e[i] = math.Round(box[1+i] * scale); !(math.Abs(e[i]) < maxWindow) {
				return fmt.Errorf("region %v is out of range", box)
			}
		}
		rh, rw := max(e[3]-e[1]+1, 1), max(e[2]-e[0]+1, 1)
		for p := range s[2] * s[3] {
			y0, y1 := part(p/s[3], s[2], rh, e[1], h)
			x0, x1 := part(p%s[3], s[3], rw, e[0], w)
			for ch := range s[1] {
				img := v[(int(box[0])*s[1]+ch)*h*w:]
				out[(k*s[1]+ch)*s[2]*s[3]+p] = greatest(img, w, y0, y1, x0, x1)
			}
		}
	}
	return tensor.StoreFloat64s(y, out)
}

// part is the range of elements of part i of n of an extent that begins at from.
func part(i, n int, extent, from float64, limit int) (lo, hi int) {
	size := extent / float64(n)
	a := math.Floor(float64(i)*size) + from
	b := math.Ceil(float64(i+1)*size) + from
	return int(max(0, min(float64(limit), a))), int(max(0, min(float64(limit), b)))
}

func greatest(img []float64, w, y0, y1, x0, x1 int) float64 {
	if y0 >= y1 || x0 >= x1 {
		return 0
	}
	top := math.Inf(-1)
	for i := y0; i < y1; i++ {
		for _, v := range img[i*w+x0 : i*w+x1] {
			top = max(top, v)
		}
	}
	return top
}
