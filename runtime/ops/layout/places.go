package layout

import (
	"fmt"

	"github.com/aimass/aimass/runtime/tensor"
)

// Places are the offsets in a dense tensor of what indices of some shape name. It does not change.
type Places struct {
	count  int // indices that one place takes, along extents and strides
	extent []int
	stride []int
	// Where the indices lie, of positions of these extents, adds step along each axis to the place.
	shape, step []int
}

// ElementPlaces are those that GatherElements and ScatterElements mean: for each index that of its own
// position, with the index in place of the axis. No other extent of the indices may be beyond data's.
func ElementPlaces(data, idx tensor.Shape, axis int) *Places {
	st := data.Strides()
	p := &Places{count: 1, extent: []int{data[axis]}, stride: []int{st[axis]}}
	st[axis] = 0
	for k, n := range idx {
		if n == 1 {
			continue
		}
		if j := len(p.shape) - 1; j >= 0 && p.step[j] == n*st[k] {
			p.shape[j], p.step[j] = p.shape[j]*n, st[k]
			continue
		}
		p.shape, p.step = append(p.shape, n), append(p.step, st[k])
	}
	if len(p.shape) == 0 {
		p.shape, p.step = []int{1}, []int{0}
	}
	return p
}

// TuplePlaces are those that GatherND and ScatterND mean: of the parts of data that the tuples in the last axis of
// idx name below the batch axes, which data has too. A tuple has 1 to as many indices as data has axes below those.
func TuplePlaces(data, idx tensor.Shape, batch int) *Places {
	last, st := len(idx)-1, data.Strides()
	depth := idx[last]
	return &Places{count: depth, extent: data[batch : batch+depth], stride: st[batch : batch+depth],
		shape: []int{idx[:batch].Elements(), idx[batch:last].Elements()}, step: []int{data[batch:].Elements(), 0}}
}

// PlaceWalk goes over places in order of their indices. It is made by Start, and belongs to one goroutine.
type PlaceWalk struct {
	p     *Places
	ints  []int32 // the indices, or
	longs []int64
	next  int // index
	left  int // places
	pos   []int
	base  int // what the position adds
}

// Start begins a walk over the places of these indices, which are whole numbers of the shape that p was made for. It keeps
// idx's memory until End.
func (w *PlaceWalk) Start(p *Places, idx *tensor.Tensor) (err error) {
	*w = PlaceWalk{p: p, left: idx.Elements() / p.count, pos: w.pos[:0]}
	for range p.shape {
		w.pos = append(w.pos, 0)
	}
	if idx.DType == tensor.Int32 {
		w.ints = tensor.Data[int32](idx)
	} else if w.longs, err = tensor.Int64s(idx); err != nil {
		return fmt.Errorf("indices: %w", err)
	}
	return nil
}

// End lets go of the indices.
func (w *PlaceWalk) End() { w.ints, w.longs = nil, nil }

// Left is how many places are still to come.
func (w *PlaceWalk) Left() int { return w.left }

// Next fills at with the next places and gives those that there are; an index that is out of range is an error.
func (w *PlaceWalk) Next(at []int64) ([]int64, error) {
	at = at[:min(len(at), w.left)]
	last := len(w.pos) - 1
	for done := 0; done < len(at); {
		n := min(len(at)-done, w.p.shape[last]-w.pos[last])
		var err error
		from := w.next
		w.next += n * w.p.count
		if w.ints != nil {
			err = place(w.p, at[done:done+n], w.ints[from:w.next], w.base)
		} else {
			err = place(w.p, at[done:done+n], w.longs[from:w.next], w.base)
		}
		if err != nil {
			return nil, err
		}
		done += n
		w.advance(n)
	}
	w.left -= len(at)
	return at, nil
}

// advance goes n positions on along the last axis, at most to its end.
func (w *PlaceWalk) advance(n int) {
	for k := len(w.pos) - 1; k >= 0; k-- {
		w.pos[k] += n
		w.base += n * w.p.step[k]
		if w.pos[k] < w.p.shape[k] {
			return
		}
		w.base -= w.pos[k] * w.p.step[k]
		w.pos[k], n = 0, 1
	}
}

// place computes places side by side along the last axis of the positions.
func place[I int32 | int64](p *Places, at []int64, idx []I, base int) error {
	step := p.step[len(p.step)-1]
	if p.count == 1 {
		extent, stride := p.extent[0], p.stride[0]
		for i, v := range idx {
			k := int(v)
			if k < 0 {
				k += extent
			}
			if uint(k) >= uint(extent) {
				return fmt.Errorf("index %d is outside of an axis of %d", v, extent)
			}
			at[i] = int64(base + k*stride)
			base += step
		}
		return nil
	}
	for i := range at {
		sum := base
		for j, v := range idx[i*p.count : (i+1)*p.count] {
			k, extent := int(v), p.extent[j]
			if k < 0 {
				k += extent
			}
			if uint(k) >= uint(extent) {
				return fmt.Errorf("index %d is outside of an axis of %d", v, extent)
			}
			sum += k * p.stride[j]
		}
		at[i] = int64(sum)
		base += step
	}
	return nil
}
