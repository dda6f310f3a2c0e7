package match

import (
	"slices"
	"testing"

	"github.com/aimass/aimass/runtime/tensor"
)

func TestSlice(t *testing.T) {
	for name, c := range map[string]struct {
		shape                tensor.Shape
		starts, axes, steps  []int64
		wantFirst, wantSteps []int // nil: refused
	}{
		"all axes":               {tensor.Shape{4, 5}, []int64{1, 2}, nil, nil, []int{1, 2}, []int{1, 1}},
		"one axis from the end":  {tensor.Shape{4, 5}, []int64{-2}, []int64{-1}, nil, []int{0, 3}, []int{1, 1}},
		"backwards past the end": {tensor.Shape{4, 5}, []int64{99}, []int64{0}, []int64{-2}, []int{3, 0}, []int{-2, 1}},
		"past the end":           {tensor.Shape{4, 5}, []int64{99}, []int64{0}, []int64{2}, []int{4, 0}, []int{2, 1}},
		"before the beginning":   {tensor.Shape{4, 5}, []int64{-99}, []int64{1}, nil, []int{0, 0}, []int{1, 1}},
		"backwards from before":  {tensor.Shape{4, 5}, []int64{-99}, []int64{1}, []int64{-1}, []int{0, -1}, []int{1, -1}},
		"more starts than axes":  {tensor.Shape{4}, []int64{0, 0}, nil, nil, nil, nil},
		"too few axes":           {tensor.Shape{4, 5}, []int64{0, 0}, []int64{0}, nil, nil, nil},
		"no axes":                {tensor.Shape{4, 5}, []int64{0}, []int64{}, nil, nil, nil},
		"too few steps":          {tensor.Shape{4, 5}, []int64{0, 0}, nil, []int64{1}, nil, nil},
		"a step beyond an index": {tensor.Shape{4, 5}, []int64{0}, []int64{0}, []int64{1 << 40}, nil, nil},
		"an axis out of range":   {tensor.Shape{4, 5}, []int64{0}, []int64{2}, nil, nil, nil},
	} {
		first, step, ok := Slice(c.shape, c.starts, c.axes, c.steps)
		if ok != (c.wantFirst != nil) || !slices.Equal(first, c.wantFirst) || !slices.Equal(step, c.wantSteps) {
			t.Errorf("%s: %v %v %v, expected %v %v", name, first, step, ok, c.wantFirst, c.wantSteps)
		}
	}
}

func TestCovered(t *testing.T) {
	for name, c := range map[string]struct {
		out, in, kernel, stride, dilation, pad int
		want                                   bool
	}{
		"without padding":             {4, 6, 3, 1, 1, 0, true},
		"padding of a part":           {6, 6, 3, 1, 1, 1, true},
		"only padding at the front":   {2, 6, 2, 1, 1, 2, false},
		"only padding at the end":     {5, 4, 2, 2, 1, 0, false},
		"dilation that steps over it": {1, 1, 2, 1, 2, 1, false},
		"dilation that meets it":      {1, 1, 3, 1, 1, 1, true},
		"no place":                    {0, 4, 2, 1, 1, 0, true},
	} {
		if got := Covered(c.out, c.in, c.kernel, c.stride, c.dilation, c.pad); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
