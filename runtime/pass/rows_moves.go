package pass

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/tensor"
)

// The row rules of operators that move elements and compute nothing.

// reshape: the rows stay in order if the axis that holds them now has as many elements before it
// as before, or fewer, and then holds the rows that many times over.
func reshape(c *rowCall) error {
	r, in := c.in(0), c.shape(0)
	out := c.p.a[c.n.Out[0]]
	if !out.Known {
		return fmt.Errorf("the output's shape is known only when it runs")
	}
	before := in[:r.axis].Elements() * r.times()
	axis, extent, ok := growing(out.Shape, c.p.b[c.n.Out[0]].Shape)
	if !ok {
		return fmt.Errorf("the output has no axis that grows with the batch")
	}
	outside := out.Shape[:axis].Elements()
	if outside == 0 || before == 0 || before%outside != 0 || extent%(before/outside) != 0 {
		return fmt.Errorf("the batch axis is mixed with an axis before it")
	}
	to := along(axis, extent/(before/outside))
	if before > outside {
		to.over = before / outside
	}
	return c.set(0, to)
}

func transpose(c *rowCall) error {
	r, rank := c.in(0), len(c.shape(0))
	perm := c.n.Attrs.Ints("perm")
	if len(perm) == 0 {
		r.axis = rank - 1 - r.axis
		return c.set(0, r)
	}
	k := slices.Index(perm, int64(r.axis))
	if k < 0 {
		return fmt.Errorf("the permutation lacks axis %d", r.axis)
	}
	r.axis = k
	return c.set(0, r)
}

func concat(c *rowCall) error {
	if c.numbered() {
		return joinsPlaces(c)
	}
	r := rows{}
	for i := range c.n.In {
		s := c.in(i)
		if s.kind != perRow {
			return fmt.Errorf("input %d does not grow with the batch", i)
		}
		if i > 0 && s != r {
			return fmt.Errorf("its inputs keep the rows on different axes")
		}
		r = s
	}
	axis, err := c.axisAttr("axis", 1)
	if err != nil {
		return err
	}
	if axis == r.axis {
		return fmt.Errorf("it joins along the batch axis")
	}
	return c.set(0, r)
}

func split(c *rowCall) error {
	r := c.in(0)
	axis, err := c.axisAttr("axis", 0)
	if err != nil {
		return err
	}
	if axis == r.axis {
		return fmt.Errorf("it splits the batch axis")
	}
	return c.setAll(r)
}

// mostRows is beyond any batch: writers say "to the end" with various large numbers.
const mostRows = 1 << 24

// slice must leave the batch axis alone, or take it whole and forwards whatever its size.
func slice(c *rowCall) error {
	r := c.in(0)
	if err := c.others(1); err != nil {
		return err
	}
	part := [4][]int64{c.n.Attrs.Ints("starts"), c.n.Attrs.Ints("ends"), c.n.Attrs.Ints("axes"), nil}
	for k := range part {
		if k+1 >= len(c.n.In) || c.n.In[k+1] == nil {
			continue
		}
		t := c.constant(k + 1)
		if t == nil {
			return fmt.Errorf("input %d is computed", k+1)
		}
		var err error
		if part[k], err = tensor.Int64s(t); err != nil {
			return err
		}
	}
	starts, ends, axes, steps := part[0], part[1], part[2], part[3]
	if len(ends) != len(starts) || axes != nil && len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		return fmt.Errorf("its settings do not fit together")
	}
	for k := range starts {
		axis := k
		if axes != nil {
			var err error
			if axis, err = tensor.Axis(axes[k], len(c.shape(0))); err != nil {
				return err
			}
		}
		if axis != r.axis {
			continue
		}
		if starts[k] != 0 || ends[k] < mostRows || steps != nil && steps[k] != 1 {
			return fmt.Errorf("it takes a part of the batch axis")
		}
	}
	return c.set(0, r)
}

func pad(c *rowCall) error {
	r := c.in(0)
	if err := c.others(1); err != nil {
		return err
	}
	pads := c.n.Attrs.Ints("pads")
	if t := c.constant(1); t != nil {
		var err error
		if pads, err = tensor.Int64s(t); err != nil {
			return err
		}
	}
	rank := len(c.shape(0))
	if len(pads) != 2*rank || len(c.n.In) > 3 && c.n.In[3] != nil {
		return fmt.Errorf("the padding can't be followed")
	}
	if pads[r.axis] != 0 || pads[rank+r.axis] != 0 {
		return fmt.Errorf("it pads the batch axis")
	}
	return c.set(0, r)
}

// expand repeats a value that no row enters, or leaves the batch axis as it is.
func expand(c *rowCall) error {
	v := c.n.Out[0]
	if !c.p.a[v].Known || !c.p.b[v].Known {
		return fmt.Errorf("the output's shape is known only when it runs")
	}
	r, in := c.in(0), c.shape(0)
	if r.kind == perRow {
		r.axis += len(c.p.a[v].Shape) - len(in)
		return c.set(0, r)
	}
	if c.p.a[v].Shape.Equal(c.p.b[v].Shape) {
		c.p.at[v] = rows{}
		return nil
	}
	axis, unit, ok := growing(c.p.a[v].Shape, c.p.b[v].Shape)
	if k := axis - (len(c.p.a[v].Shape) - len(in)); !ok || k >= 0 && in[k] != 1 {
		return fmt.Errorf("it repeats something along the batch")
	}
	return c.set(0, along(axis, unit))
}

func tile(c *rowCall) error {
	r, t := c.in(0), c.constant(1)
	if t == nil {
		return fmt.Errorf("the repeats are computed")
	}
	rep, err := tensor.Int64s(t)
	if err != nil || len(rep) <= r.axis || rep[r.axis] != 1 {
		return fmt.Errorf("it repeats the batch axis")
	}
	return c.set(0, r)
}

func gather(c *rowCall) error {
	data, idx := c.in(0), c.in(1)
	switch idx.kind {
	case numbers:
		return picksOwn(c, data, idx)
	case places:
		return readsPlaces(c, data, idx)
	}
	axis, err := c.axisAttr("axis", 0)
	if err != nil {
		return err
	}
	switch {
	case data.kind == perRow && idx.kind == perRow:
		return fmt.Errorf("both the data and the indices depend on the rows")
	case idx.kind == perRow:
		idx.axis += axis
		return c.set(0, idx)
	case axis == data.axis:
		return fmt.Errorf("it picks from the batch axis")
	case axis < data.axis:
		data.axis += len(c.shape(1)) - 1
	}
	return c.set(0, data)
}
