package batcher

import (
	"context"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// batch is a set of requests that run together, with the memory for their inputs.
// Batches are pooled; refs counts the members that still read the outputs.
type batch struct {
	b       *Batcher
	members []*Request  // nil where a member left while the batch ran
	starts  []int       // first row of each member
	rows    int         // rows, or tokens of a ragged batch: what the policy counts
	length  int         // of every sequence, where all have one and are counted in tokens; else 0
	lengths []int       // of the sequences of a ragged batch
	copied  atomic.Bool // members' inputs are no longer read
	refs    atomic.Int32
	call    device.Call
	in      []tensor.Tensor
	buf     [][]byte
	shapes  []tensor.Shape
	class   uint64
	work    int64 // input bytes a row
	slot    int   // of the policy
	given   int64 // when the slot was booked
	lowered bool  // runs in the background
	turn    *turn // made when first needed; its file is closed when the batch is collected
}

func (bt *batch) reset() {
	clear(bt.members)
	bt.members, bt.starts, bt.rows, bt.length, bt.lengths = bt.members[:0], bt.starts[:0], 0, 0, bt.lengths[:0]
	bt.copied.Store(false)
}

// add appends a member and its place.
func (bt *batch) add(r *Request) {
	r.index, r.batch, r.state = len(bt.members), bt, running
	if r.index == 0 {
		bt.length = r.length
	} else if r.length != bt.length {
		bt.length = 0
	}
	bt.members = append(bt.members, r)
	bt.starts = append(bt.starts, bt.rows)
	bt.rows += max(r.item.Rows, 1)
}

// ragged reports whether the batch is one of sequences of different length. Those of one length run as rows, which cores can share
// without a barrier at every step.
func (bt *batch) ragged() bool { return bt.length == 0 && bt.members[0].length > 0 }

// inRows turns what the policy counts into rows of a batch that isn't ragged.
func (bt *batch) inRows(n int) int { return n / max(bt.length, 1) }

// sequences is the number of rows as the model's clients count them.
func (bt *batch) sequences() int {
	switch n := len(bt.members); {
	case n == 1 && bt.members[0] != nil:
		return max(bt.members[0].Rows, 1)
	case len(bt.lengths) > 0:
		return len(bt.lengths)
	}
	return bt.inRows(bt.rows)
}

// assemble makes the batch's inputs. A lone request that stays until the end is read in
// place; everything else is copied.
func (bt *batch) assemble(inPlace bool) {
	lead := bt.members[0]
	n := len(lead.In)
	if cap(bt.in) < n {
		bt.in, bt.buf, bt.shapes = make([]tensor.Tensor, n), make([][]byte, n), make([]tensor.Shape, n)
	}
	bt.in, bt.buf, bt.shapes = bt.in[:n], bt.buf[:n], bt.shapes[:n]
	bt.call.In = bt.call.In[:0]
	if bt.ragged() {
		for _, m := range bt.members {
			for range m.Rows {
				bt.lengths = append(bt.lengths, m.length)
			}
		}
	}
	for i := range n {
		src := &lead.In[i]
		switch {
		case len(bt.members) == 1 && inPlace && aligned(src):
			bt.in[i] = *src
		case src.DType == tensor.String:
			bt.joinStrings(i)
		default:
			bt.join(i)
		}
		bt.call.In = append(bt.call.In, &bt.in[i])
	}
}

func aligned(t *tensor.Tensor) bool {
	b := t.Bytes()
	return len(b) == 0 || uintptr(unsafe.Pointer(&b[0]))%8 == 0
}

// shape is the first member's with the rows of all. The slice is reused by the next
// batch; plans copy what they keep.
func (bt *batch) shape(i int) tensor.Shape {
	lead := bt.members[0].In[i].Shape
	s := append(bt.shapes[i][:0], lead...)
	bt.shapes[i] = s
	switch {
	case bt.ragged():
		s[0], s[1] = 1, bt.b.ragged.Tokens(bt.rows)
	case len(bt.members) > 1:
		s[0] = bt.inRows(bt.rows)
	}
	return s
}

func (bt *batch) join(i int) {
	shape := bt.shape(i)
	total := bt.members[0].In[i].DType.Bytes(shape.Elements())
	if cap(bt.buf[i]) < total {
		bt.buf[i] = tensor.Aligned(total + total/4)
	}
	dst := bt.buf[i][:total]
	at := 0
	for _, m := range bt.members {
		at += copy(dst[at:], m.In[i].Bytes())
	}
	clear(dst[at:])
	bt.in[i].View(bt.members[0].In[i].DType, shape, dst)
}

func (bt *batch) joinStrings(i int) {
	var all []string
	for _, m := range bt.members {
		all = append(all, m.In[i].Strings()...)
	}
	bt.in[i].ViewStrings(bt.shape(i), all)
}

// run executes the model on the assembled inputs.
func (bt *batch) run() error {
	if len(bt.lengths) > 0 {
		return bt.b.ragged.Run(context.Background(), &bt.call, bt.lengths)
	}
	if err := bt.b.model.Run(context.Background(), &bt.call); err != nil {
		return err
	}
	if len(bt.members) == 1 {
		return nil
	}
	rows := bt.inRows(bt.rows)
	for i, v := range bt.call.Out {
		t, ok := v.(*tensor.Tensor)
		if !ok || len(t.Shape) == 0 || t.Shape[0] != rows {
			bt.call.Release()
			return fmt.Errorf("output %d of a batch of %d rows is %v: the model mixes rows, set max_batch_size: 0 in its config", i, rows, v)
		}
	}
	return nil
}

// give fills one member's outputs with its share.
func (bt *batch) give(r *Request, start int) {
	if len(bt.members) == 1 {
		r.Out = append(r.Out, bt.call.Out...)
		return
	}
	if cap(r.views) < len(bt.call.Out) {
		r.views = make([]tensor.Tensor, len(bt.call.Out))
	}
	r.views = r.views[:len(bt.call.Out)]
	if len(bt.lengths) > 0 {
		bt.giveRagged(r, start)
		return
	}
	start, rows := bt.inRows(start), bt.inRows(bt.rows)
	for k, v := range bt.call.Out {
		t := v.(*tensor.Tensor)
		view := &r.views[k]
		shape := append(view.Shape[:0], t.Shape...)
		per := 0
		if rows > 0 {
			per = t.Elements() / rows
		}
		shape[0] = r.Rows
		from, to := start*per, (start+r.Rows)*per
		if t.DType == tensor.String {
			view.ViewStrings(shape, t.Strings()[from:to])
		} else {
			w := t.DType.Bits() / 8
			view.View(t.DType, shape, t.Bytes()[from*w:to*w])
		}
		r.Out = append(r.Out, view)
	}
}

// giveRagged fills one member's outputs with the tokens from start on, or with the rows of
// its sequences.
func (bt *batch) giveRagged(r *Request, start int) {
	row := 0
	for at := 0; at < start; row++ {
		at += bt.lengths[row]
	}
	for k, v := range bt.call.Out {
		t := v.(*tensor.Tensor)
		view := &r.views[k]
		from, n := start, r.Rows*r.length
		shape := append(view.Shape[:0], t.Shape...)
		per := t.DType.Bytes(1)
		if bt.b.ragged.First[k] {
			from, n = row, r.Rows
			shape[0] = r.Rows
			per *= t.Shape[1:].Elements()
		} else {
			shape[0], shape[1] = r.Rows, r.length
			per *= t.Shape[2:].Elements()
		}
		view.View(t.DType, shape, t.Bytes()[from*per:(from+n)*per])
		r.Out = append(r.Out, view)
	}
}

// unref ends one member's use of the outputs; the last one recycles the batch.
func (bt *batch) unref() {
	if bt.refs.Add(-1) != 0 {
		return
	}
	bt.call.Release()
	clear(bt.call.In)
	for i := range bt.in {
		bt.in[i].View(tensor.Invalid, nil, nil)
	}
	bt.b.putBatch(bt)
}
