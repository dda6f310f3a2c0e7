package pass

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// Constants that grow with the batch. Most have the same elements for every row, such as a
// class token that is repeated. Others number the rows: exporters of attention masks read the
// mask through indices that say "of row 0, 1, 2, …", which is the mask itself.

// sameRows reports whether two constants, of different numbers of rows along an axis of unit
// elements each, have the same elements in every row.
func sameRows(a, b *tensor.Tensor, axis, unit int) bool {
	w := a.DType.Bits() / 8
	if a.DType == tensor.String || w == 0 || len(a.Shape) != len(b.Shape) || axis >= len(a.Shape) || unit < 1 {
		return false
	}
	for k := range a.Shape {
		if k != axis && a.Shape[k] != b.Shape[k] {
			return false
		}
	}
	row := unit * w * a.Shape[axis+1:].Elements()
	first := a.Bytes()
	for _, t := range []*tensor.Tensor{a, b} {
		line := row / unit * t.Shape[axis]
		for from := 0; from*line < len(t.Bytes()) && row > 0; from++ {
			want := first[from*(row/unit*a.Shape[axis]):][:row]
			for at := from * line; at < (from+1)*line; at += row {
				if !bytes.Equal(t.Bytes()[at:at+row], want) {
					return false
				}
			}
		}
	}
	return true
}

// ownRow demands that indices pick for every row what is in that row: part is their
// component, of parts on the last axis, that counts along an axis with data elements a row. Less the row's
// first element it is the same for all rows, and so are the others, whatever their number.
func ownRow(a, b *tensor.Tensor, r rows, part, parts, data int) error {
	mixed := fmt.Errorf("it picks from other rows")
	less := func(t *tensor.Tensor) (*tensor.Tensor, bool) {
		v, err := tensor.Int64s(t)
		if err != nil {
			return nil, false
		}
		out := make([]int64, len(v))
		inner := t.Shape[r.axis+1:].Elements()
		for i, x := range v {
			if i%parts == part {
				row := int64(i / inner % t.Shape[r.axis] / r.unit)
				if x -= row * int64(data); x < 0 || x >= int64(data) {
					return nil, false
				}
			}
			out[i] = x
		}
		return tensor.FromSlice(out, t.Shape...), true
	}
	x, ok := less(a)
	if !ok {
		return mixed
	}
	y, ok := less(b)
	if !ok || !sameRows(x, y, r.axis, r.unit) {
		return mixed
	}
	return nil
}

// picksOwn settles a Gather or GatherND whose data carries rows and whose indices number them.
func picksOwn(c *rowCall, data, idx rows) error {
	axis, err := c.axisAttr("axis", 0)
	part, parts := 0, 1
	if c.n.Op == "GatherND" {
		parts = c.shape(1)[len(c.shape(1))-1]
		axis, part = data.axis, data.axis
		if idx.axis == len(c.shape(1))-1 || part >= parts || c.n.Attrs.Int("batch_dims", 0) != 0 {
			return fmt.Errorf("the indices can't be followed")
		}
	}
	if err != nil {
		return err
	}
	if data.kind != perRow || axis != data.axis || data.over != 0 {
		return fmt.Errorf("the row's number decides what it picks")
	}
	v := c.n.In[1]
	if err := ownRow(c.p.a[v].Tensor(), c.p.b[v].Tensor(), idx, part, parts, data.unit); err != nil {
		return err
	}
	if c.n.Op == "Gather" {
		idx.axis += axis
	}
	idx.kind = perRow
	return c.set(0, idx)
}

// holdsOwn checks a node that picksOwn, joinsPlaces or addsPlaces has settled with another number of rows.
func (p *rowProof) holdsOwn(n *graph.Node, c map[*graph.Value]ops.Info) error {
	part, parts, data := 0, 1, 1
	numbered := -1
	for i, v := range n.In {
		if p.state(v).kind == numbers {
			numbered = i
		}
	}
	if numbered < 0 {
		return nil
	}
	settled := p.at[n.Out[0]]
	switch n.OpName() {
	case "Gather", "GatherND":
		data = p.state(n.In[0]).unit
		if s := p.a[n.In[1]].Shape; n.Op == "GatherND" {
			part, parts = p.state(n.In[0]).axis, s[len(s)-1]
		}
	case "Concat", "Add":
		if settled.kind != places {
			return nil // a constant itself
		}
		data = max(settled.stride, 1)
	default:
		return nil
	}
	v := n.In[numbered]
	t := c[v].Tensor()
	if t == nil {
		return fmt.Errorf("its indices are computed")
	}
	return ownRow(p.a[v].Tensor(), t, p.state(v), part, parts, data)
}

// numbered reports that an input numbers the rows.
func (c *rowCall) numbered() bool {
	return slices.ContainsFunc(c.n.In, func(v *graph.Value) bool { return c.p.state(v).kind == numbers })
}

// joinsPlaces: what lies in each row is joined with the row's number, for a GatherND to read x[row, what].
func joinsPlaces(c *rowCall) error {
	rank := len(c.shape(0))
	axis, err := c.axisAttr("axis", 1)
	if err != nil {
		return err
	}
	out := rows{kind: places, part: -1}
	at := 0
	for i, v := range c.n.In {
		r := c.in(i)
		if r.kind == numbers {
			if out.part >= 0 || c.shape(i)[axis] != 1 || ownRow(c.p.a[v].Tensor(), c.p.b[v].Tensor(), r, 0, 1, 1) != nil {
				return fmt.Errorf("input %d has values that depend on the row's number or the batch size", i)
			}
			out.part = at
		} else if r.kind != perRow {
			return fmt.Errorf("input %d does not grow with the batch", i)
		}
		if at > 0 && (r.axis != out.axis || r.unit != out.unit) || r.unit != 1 || r.over != 0 {
			return fmt.Errorf("its inputs keep the rows on different axes")
		}
		out.axis, out.unit = r.axis, r.unit
		at += c.shape(i)[axis]
	}
	if axis != rank-1 || axis == out.axis {
		return fmt.Errorf("it joins the rows' numbers to no index")
	}
	return c.set(0, out)
}

// add is elementwise, but for places in a row to which the number of what comes before the row is added: a Gather
// reads through them what lies in one axis of all rows.
func add(c *rowCall) error {
	if !c.numbered() {
		return elementwise(c)
	}
	k := 0 // of the numbers
	if c.in(1).kind == numbers {
		k = 1
	}
	number, r := c.in(k), c.in(1-k)
	a, b := c.p.a[c.n.In[k]].Tensor(), c.p.b[c.n.In[k]].Tensor()
	v, err := tensor.Int64s(a)
	if err != nil || r.kind != perRow || r.axis != number.axis || r.unit != number.unit || r.over != 0 || len(a.Shape) != len(c.shape(1-k)) {
		return fmt.Errorf("input %d has values that depend on the row's number or the batch size", k)
	}
	row := number.unit * a.Shape[number.axis+1:].Elements()
	stride := int(v[row] - v[0])
	below := c.p.below[c.n.In[1-k]]
	if slices.ContainsFunc(v[:row], func(x int64) bool { return x != 0 }) || below == 0 || below > stride || ownRow(a, b, number, 0, 1, stride) != nil {
		return fmt.Errorf("input %d has values that depend on the row's number or the batch size", k)
	}
	return c.set(0, rows{kind: places, axis: r.axis, unit: r.unit, stride: stride})
}

// readsPlaces settles a Gather or GatherND through places of the data's own rows.
func readsPlaces(c *rowCall, data, idx rows) error {
	axis, err := c.axisAttr("axis", 0)
	own := axis == data.axis && data.unit == idx.stride
	if c.n.Op == "GatherND" {
		own = idx.stride == 0 && data.axis == idx.part && data.unit == 1 && idx.axis < len(c.shape(1))-1 && c.n.Attrs.Int("batch_dims", 0) == 0
		axis, err = 0, nil
	}
	if err != nil {
		return err
	}
	if data.kind != perRow || data.over != 0 || !own {
		return fmt.Errorf("it picks from other rows")
	}
	return c.set(0, along(axis+idx.axis, idx.unit))
}

// bound notes what is known of the integers that a node gives.
func (c *rowCall) bound() {
	below := 0
	switch c.n.OpName() {
	case "ArgMax", "ArgMin":
		if axis, err := c.axisAttr("axis", 0); err == nil {
			below = c.shape(0)[axis]
		}
	case "Mod":
		if t := c.constant(1); t != nil && c.n.Attrs.Int("fmod", 0) == 0 {
			if v, err := tensor.Int64s(t); err == nil && len(v) == 1 && v[0] > 0 {
				below = int(v[0])
			}
		}
	case "Cast":
		if d := c.p.info(c.n.Out[0]).DType; d == tensor.Int32 || d == tensor.Int64 {
			below = c.p.below[c.n.In[0]]
		}
	case "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose":
		below = c.p.below[c.n.In[0]]
	}
	if below > 0 {
		if c.p.below == nil {
			c.p.below = map[*graph.Value]int{}
		}
		c.p.below[c.n.Out[0]] = below
	}
}

// gatherND: rows of its data are picked by their numbers, or come before what is picked.
func gatherND(c *rowCall) error {
	data, idx := c.in(0), c.in(1)
	switch idx.kind {
	case numbers:
		return picksOwn(c, data, idx)
	case places:
		return readsPlaces(c, data, idx)
	}
	batch, rank := int(c.n.Attrs.Int("batch_dims", 0)), len(c.shape(1))
	parts := c.shape(1)[rank-1]
	switch {
	case data.kind == perRow && idx.kind == perRow && data == idx && data.axis < batch:
		return c.set(0, data)
	case data.kind == perRow && idx.kind == perRow:
		return fmt.Errorf("both the data and the indices depend on the rows")
	case idx.kind == perRow && idx.axis >= batch && idx.axis < rank-1:
		return c.set(0, idx)
	case data.kind == perRow && data.axis >= batch+parts:
		data.axis += rank - 1 - batch - parts
		return c.set(0, data)
	}
	return fmt.Errorf("it picks from the batch axis")
}

// gatherElements picks along one axis, at every place of the others.
func gatherElements(c *rowCall) error {
	data, idx := c.in(0), c.in(1)
	axis, err := c.axisAttr("axis", 0)
	if err != nil {
		return err
	}
	switch {
	case data.kind == perRow && axis == data.axis:
		return fmt.Errorf("it picks from the batch axis")
	case idx.kind == perRow && data.kind != perRow && axis == idx.axis:
		return c.set(0, idx)
	case data.kind != perRow || data != idx:
		return fmt.Errorf("the data and the indices don't keep the rows on one axis")
	}
	return c.set(0, data)
}

// scatterElements puts elements into places along one axis, at every place of the others.
func scatterElements(c *rowCall) error {
	data := c.in(0)
	axis, err := c.axisAttr("axis", 0)
	if err != nil {
		return err
	}
	if data.kind != perRow || c.in(1) != data || c.in(2) != data {
		return fmt.Errorf("the data, the indices and the updates don't keep the rows on one axis")
	}
	if axis == data.axis {
		return fmt.Errorf("it puts elements into other rows")
	}
	return c.set(0, data)
}
