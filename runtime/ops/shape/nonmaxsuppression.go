package shape

import (
	"fmt"
	"math"
	"sort"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func nonMaxSuppression() []*ops.Op {
	return []*ops.Op{{Name: "NonMaxSuppression", Since: 10, MinIn: 2, MaxIn: 5, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("center_point_box"),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, tensor.Int64)
			return nil
		},
		Eval: nonMaxSuppressionEval}}
}

// box is a rectangle by its corners.
type box struct{ x0, y0, x1, y1 float32 }

func boxes(v []float32, center bool) []box {
	out := make([]box, len(v)/4)
	for i := range out {
		a, b, p, q := v[i*4], v[i*4+1], v[i*4+2], v[i*4+3]
		if center {
			out[i] = box{a - p/2, b - q/2, a + p/2, b + q/2}
		} else {
			out[i] = box{min(b, q), min(a, p), max(b, q), max(a, p)}
		}
	}
	return out
}

// overlaps reports whether intersection over union is above the threshold.
func (a box) overlaps(b box, threshold float32) bool {
	w := min(a.x1, b.x1) - max(a.x0, b.x0)
	h := min(a.y1, b.y1) - max(a.y0, b.y0)
	if !(w > 0 && h > 0) {
		return false
	}
	inter := w * h
	area1, area2 := (a.x1-a.x0)*(a.y1-a.y0), (b.x1-b.x0)*(b.y1-b.y0)
	union := area1 + area2 - inter
	if inter <= 0 || area1 <= 0 || area2 <= 0 || union <= 0 {
		return false
	}
	return inter/union > threshold
}

func nonMaxSuppressionEval(c *ops.Call) error {
	b, s := c.T(0), c.T(1)
	if b.DType != tensor.Float32 || b.Rank() != 3 || b.Shape[2] != 4 {
		return fmt.Errorf("boxes are %v, expected float32[batches,boxes,4]", b)
	}
	if s.DType != tensor.Float32 || s.Rank() != 3 || s.Shape[0] != b.Shape[0] || s.Shape[2] != b.Shape[1] {
		return fmt.Errorf("scores are %v, expected float32[%d,classes,%d]", s, b.Shape[0], b.Shape[1])
	}
	most, err := scalarInput(c, 2, 0)
	if err != nil {
		return err
	}
	iou, err := scalarInput(c, 3, 0)
	if err != nil {
		return err
	}
	least, err := scalarInput(c, 4, math.Inf(-1))
	if err != nil {
		return err
	}
	center := c.Node.Attrs.Int("center_point_box", 0) != 0
	scores := tensor.Data[float32](s)
	n, classes := b.Shape[1], s.Shape[1]
	var picked []int64
	for batch := range b.Shape[0] {
		bs := boxes(tensor.Data[float32](b)[batch*n*4:(batch+1)*n*4], center)
		for class := range classes {
			row := scores[(batch*classes+class)*n:][:n]
			for _, i := range suppress(bs, row, most, float32(iou), float32(least), c.Has(4)) {
				picked = append(picked, int64(batch), int64(class), int64(i))
			}
		}
	}
	y, err := c.Output(0, tensor.Int64, tensor.Shape{len(picked) / 3, 3})
	if err != nil {
		return err
	}
	copy(tensor.Data[int64](y), picked)
	return nil
}

// suppress gives the boxes to keep, best first, equal scores by index.
func suppress(bs []box, scores []float32, most float64, iou, least float32, filter bool) []int {
	order := make([]int, 0, len(bs))
	for i, s := range scores {
		if !filter || s > least {
			order = append(order, i)
		}
	}
	sort.SliceStable(order, func(i, j int) bool { return scores[order[i]] > scores[order[j]] })
	strips := newStrips(bs, order)
	kept := make([][]box, strips.n) // by strip: those that reach into it
	var keep []int
next:
	for _, i := range order {
		if float64(len(keep)) >= most {
			break
		}
		first := strips.of(bs[i].x0)
		last := max(first, strips.of(bs[i].x1))
		for _, list := range kept[first : last+1] {
			for _, k := range list {
				if bs[i].overlaps(k, iou) {
					continue next
				}
			}
		}
		for s := first; s <= last; s++ {
			kept[s] = append(kept[s], bs[i])
		}
		keep = append(keep, i)
	}
	return keep
}

// strips are n parts of equal width of what boxes cover along x: boxes that overlap share
// one, so that a box is compared with those near it.
type strips struct {
	n          int
	from, each float32
}

// newStrips makes strips about as wide as the boxes.
func newStrips(bs []box, order []int) strips {
	lo, hi, width := float32(math.Inf(1)), float32(math.Inf(-1)), float32(0)
	for _, i := range order {
		lo, hi, width = min(lo, bs[i].x0), max(hi, bs[i].x1), width+bs[i].x1-bs[i].x0
	}
	const most = 1 << 10
	n := (hi - lo) / width * float32(len(order))
	if !(n > 1 && hi-lo < math.MaxFloat32) {
		return strips{n: 1}
	}
	k := int(min(n, most))
	return strips{k, lo, (hi - lo) / float32(k)}
}

// of is the strip of a place.
func (s strips) of(x float32) int {
	if s.n == 1 {
		return 0
	}
	return min(max(int((x-s.from)/s.each), 0), s.n-1)
}

// scalarInput reads an optional input of one number.
func scalarInput(c *ops.Call, i int, def float64) (float64, error) {
	t := c.T(i)
	if t == nil || t.Elements() == 0 {
		return def, nil
	}
	v, err := tensor.Float64s(t)
	if err != nil || len(v) != 1 {
		return 0, fmt.Errorf("input %d is %v, expected one number", i, t)
	}
	return v[0], nil
}
