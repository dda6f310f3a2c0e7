package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func resizeForms() []*ops.Op {
	op := func(since, minIn, maxIn int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{Name: "Resize", Since: since, MinIn: minIn, MaxIn: maxIn, MinOut: 1, MaxOut: 1, Attrs: attrs, Shape: shapeResize, Eval: evalResize}
	}
	eleven := form.Join(form.Str("coordinate_transformation_mode", "mode", "nearest_mode"),
		form.Float("cubic_coeff_a", "extrapolation_value"), form.Int("exclude_outside"))
	eighteen := form.Join(eleven, form.Int("antialias"), form.Ints("axes"), form.Str("keep_aspect_ratio_policy"))
	return []*ops.Op{
		op(10, 2, 2, form.Str("mode")),
		op(11, 3, 4, eleven),
		op(13, 1, 4, eleven),
		op(18, 1, 4, eighteen),
	}
}

func upsampleForms() []*ops.Op {
	op := func(since, in int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{Name: "Upsample", Since: since, Removed: 10, MinIn: in, MaxIn: in, MinOut: 1, MaxOut: 1, Attrs: attrs, Shape: shapeResize, Eval: evalResize}
	}
	return []*ops.Op{
		op(1, 1, form.Join(form.Str("mode"), form.Required(form.Float("height_scale", "width_scale")))),
		op(7, 1, form.Join(form.Str("mode"), form.Required(form.Floats("scales")))),
		op(9, 2, form.Str("mode")),
	}
}

// scaling says for each axis of the input how it is resized.
type scaling struct {
	scale []float64
	roi   []float64 // starts, then ends; nil if the mode takes none
	out   tensor.Shape
	axes  []int // that are resized, in the order given
}

// ResizeInputs are the positions of roi, scales and sizes in a form's inputs; −1 is none.
func ResizeInputs(n *graph.Node) (roi, scales, sizes int) {
	switch {
	case n.Op == "Upsample" && n.Opset < 9:
		return -1, -1, -1
	case n.Op == "Upsample" || n.Opset < 11:
		return -1, 1, -1
	}
	return 1, 2, 3
}

// newScaling reads how to resize; roi, scales and sizes are nil where left out or empty.
func newScaling(n *graph.Node, x tensor.Shape, roi, scales, sizes *tensor.Tensor) (*scaling, error) {
	s := &scaling{scale: make([]float64, len(x)), out: x.Clone()}
	for i := range s.scale {
		s.scale[i] = 1
	}
	if err := s.readAxes(n, len(x)); err != nil {
		return nil, err
	}
	given, err := givenScales(n, scales)
	if err != nil {
		return nil, err
	}
	switch {
	case len(given) > 0 && (sizes == nil || sizes.Elements() == 0):
		err = s.byScales(x, given)
	case sizes != nil && sizes.Elements() > 0:
		err = s.bySizes(n, x, sizes)
	default:
		err = fmt.Errorf("expected scales or sizes")
	}
	if err != nil {
		return nil, err
	}
	if n.Attrs.Str("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize" {
		err = s.readROI(x, roi)
	}
	if err == nil {
		err = s.out.Check()
	}
	return s, err
}

func (s *scaling) readAxes(n *graph.Node, rank int) error {
	axes := n.Attrs.Ints("axes")
	if len(axes) == 0 {
		for i := range rank {
			s.axes = append(s.axes, i)
		}
		return nil
	}
	seen := make([]bool, rank)
	for _, a := range axes {
		i, err := tensor.Axis(a, rank)
		if err != nil {
			return err
		}
		if seen[i] {
			return fmt.Errorf("axes: %d is listed twice", a)
		}
		seen[i] = true
		s.axes = append(s.axes, i)
	}
	return nil
}

// givenScales reads the scales of any form.
func givenScales(n *graph.Node, t *tensor.Tensor) ([]float64, error) {
	switch {
	case t != nil:
		return tensor.Float64s(t)
	case n.Attrs.Has("height_scale"):
		return []float64{1, 1, float64(n.Attrs.Float("height_scale", 1)), float64(n.Attrs.Float("width_scale", 1))}, nil
	}
	var out []float64
	for _, f := range n.Attrs.Floats("scales") {
		out = append(out, float64(f))
	}
	return out, nil
}

func (s *scaling) byScales(x tensor.Shape, given []float64) error {
	if len(given) != len(s.axes) {
		return fmt.Errorf("scales: expected %d values, got %v", len(s.axes), given)
	}
	for k, a := range s.axes {
		f := given[k]
		d := math.Floor(f * float64(x[a]))
		if !(f > 0) || d > maxWindow {
			return fmt.Errorf("scales: %v is out of range", f)
		}
		s.scale[a], s.out[a] = f, int(d)
	}
	return nil
}

func (s *scaling) bySizes(n *graph.Node, x tensor.Shape, sizes *tensor.Tensor) error {
	v, err := tensor.Int64s(sizes)
	if err != nil || len(v) != len(s.axes) {
		return fmt.Errorf("sizes: expected %d integers, got %v", len(s.axes), sizes)
	}
	for k, a := range s.axes {
		if v[k] < 0 || v[k] > maxWindow || x[a] == 0 && v[k] != 0 {
			return fmt.Errorf("sizes: %d is out of range for axis %d of %v", v[k], a, x)
		}
		s.out[a] = int(v[k])
		if x[a] > 0 {
			s.scale[a] = float64(v[k]) / float64(x[a])
		}
	}
	policy := n.Attrs.Str("keep_aspect_ratio_policy", "stretch")
	if policy == "stretch" {
		return nil
	}
	pick := func(a, b float64) float64 { return min(a, b) }
	switch policy {
	case "not_larger":
	case "not_smaller":
		pick = func(a, b float64) float64 { return max(a, b) }
	default:
		return fmt.Errorf("keep_aspect_ratio_policy: unknown value %q", policy)
	}
	f := s.scale[s.axes[0]]
	for _, a := range s.axes {
		f = pick(f, s.scale[a])
	}
	for _, a := range s.axes {
		s.scale[a], s.out[a] = f, int(f*float64(x[a])+0.5)
	}
	return nil
}

func (s *scaling) readROI(x tensor.Shape, roi *tensor.Tensor) error {
	if roi == nil || roi.Elements() != 2*len(s.axes) {
		return fmt.Errorf("roi: expected %d values, got %v", 2*len(s.axes), roi)
	}
	v, err := tensor.Float64s(roi)
	if err != nil {
		return err
	}
	s.roi = make([]float64, 2*len(x))
	for i := range x {
		s.roi[len(x)+i] = 1
	}
	for k, a := range s.axes {
		s.roi[a], s.roi[len(x)+a] = v[k], v[len(s.axes)+k]
	}
	return nil
}

func shapeResize(c *ops.ShapeCall) error {
	d := c.In[0].DType
	if !known(c, 1, d) {
		return nil
	}
	var in [3]*tensor.Tensor
	r, sc, sz := ResizeInputs(c.Node)
	for k, i := range []int{r, sc, sz} {
		if i < 0 || !c.Has(i) {
			continue
		}
		if in[k] = c.In[i].Tensor(); in[k] == nil && k > 0 {
			c.SetType(0, d)
			return nil
		}
	}
	if in[0] == nil && c.Node.Attrs.Str("coordinate_transformation_mode", "") == "tf_crop_and_resize" {
		in[0] = tensor.New(tensor.Float32, tensor.Shape{2 * max(len(c.Node.Attrs.Ints("axes")), resized(c))})
	}
	s, err := newScaling(c.Node, c.In[0].Shape, in[0], in[1], in[2])
	if err != nil {
		return err
	}
	c.Set(0, d, s.out)
	return nil
}

// resized is the number of resized axes where no attribute lists them.
func resized(c *ops.ShapeCall) int {
	if len(c.Node.Attrs.Ints("axes")) > 0 {
		return 0
	}
	return len(c.In[0].Shape)
}

// evalResize interpolates along one axis after the other, in float64; by the standard
// all modes are separable.
func evalResize(c *ops.Call) error {
	x := c.T(0)
	if x == nil {
		return fmt.Errorf("X is missing")
	}
	var in [3]*tensor.Tensor
	r, sc, sz := ResizeInputs(c.Node)
	for k, i := range []int{r, sc, sz} {
		if i >= 0 {
			in[k] = c.T(i)
		}
	}
	s, err := newScaling(c.Node, x.Shape, in[0], in[1], in[2])
	if err != nil {
		return err
	}
	k, err := newKernel(c.Node)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s.out)
	if err != nil {
		return err
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	cur := x.Shape.Clone()
	for _, a := range s.axes {
		if s.identity(a, cur[a]) {
			continue
		}
		if cur[a] == 0 {
			return fmt.Errorf("axis %d of %v is empty", a, x)
		}
		taps, err := k.axis(s, a, cur[a])
		if err != nil {
			return err
		}
		v = taps.apply(v, cur, a, k.extrapolation)
		cur[a] = s.out[a]
	}
	return storeSaturated(y, v)
}

func (s *scaling) identity(a, n int) bool {
	if s.roi != nil && (s.roi[a] != 0 || s.roi[len(s.out)+a] != 1) {
		return false
	}
	return s.out[a] == n && math.Abs(s.scale[a]-1) < 1e-9
}

// storeSaturated converts to the output's type; integers are rounded and bounded.
func storeSaturated(y *tensor.Tensor, v []float64) error {
	switch y.DType {
	case tensor.Uint8:
		saturate[uint8](y, v, 0, math.MaxUint8)
	case tensor.Int8:
		saturate[int8](y, v, math.MinInt8, math.MaxInt8)
	case tensor.Uint16:
		saturate[uint16](y, v, 0, math.MaxUint16)
	case tensor.Int16:
		saturate[int16](y, v, math.MinInt16, math.MaxInt16)
	case tensor.Int32:
		saturate[int32](y, v, math.MinInt32, math.MaxInt32)
	case tensor.Uint32:
		saturate[uint32](y, v, 0, math.MaxUint32)
	case tensor.Int64:
		saturate[int64](y, v, math.MinInt64, math.MaxInt64-1023)
	case tensor.Uint64:
		saturate[uint64](y, v, 0, math.MaxUint64-2047)
	case tensor.Bool:
		d := tensor.Data[bool](y)
		for i, e := range v {
			d[i] = math.RoundToEven(e) != 0
		}
	default:
		return tensor.StoreFloat64s(y, v)
	}
	return nil
}

func saturate[T int8 | uint8 | int16 | uint16 | int32 | uint32 | int64 | uint64](y *tensor.Tensor, v []float64, lo, hi float64) {
	d := tensor.Data[T](y)
	for i, e := range v {
		if e == e {
			d[i] = T(max(lo, min(hi, math.RoundToEven(e))))
		}
	}
}
