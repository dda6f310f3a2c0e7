package match

import "github.com/aimass/aimass/runtime/tensor"

// Slice reads the parameters of a Slice of a tensor of shape s; axes and steps are nil where they are left out. For each
// axis of s it gives the first element and the step; false where the parameters don't fit s.
func Slice(s tensor.Shape, starts, axes, steps []int64) (first, step []int, ok bool) {
	first, step = make([]int, len(s)), make([]int, len(s))
	for k := range step {
		step[k] = 1
	}
	if axes != nil && len(axes) < len(starts) || steps != nil && len(steps) < len(starts) || axes == nil && len(starts) > len(s) {
		return nil, nil, false
	}
	for j, start := range starts {
		axis := j
		if axes != nil {
			a, err := tensor.Axis(axes[j], len(s))
			if err != nil {
				return nil, nil, false
			}
			axis = a
		}
		if steps != nil {
			if steps[j] > 1<<31 || steps[j] < -1<<31 {
				return nil, nil, false
			}
			step[axis] = int(steps[j])
		}
		if start < 0 {
			start += int64(s[axis])
		}
		if step[axis] > 0 {
			start = min(max(start, 0), int64(s[axis]))
		} else {
			start = min(max(start, -1), int64(s[axis])-1)
		}
		first[axis] = int(start)
	}
	return first, step, true
}

// Covered reports whether a window meets the image at each of its places along an axis: out places, in elements, of
// which pad are missing before the first.
func Covered(out, in, kernel, stride, dilation, pad int) bool {
	for o := range out {
		inside := false
		for k := 0; k < kernel && !inside; k++ {
			p := o*stride - pad + k*dilation
			inside = p >= 0 && p < in
		}
		if !inside {
			return false
		}
	}
	return true
}
