package cpu

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// A batch whose rows are proved independent runs in parts (cache blocking over the batch): each core takes
// a part through all steps before it takes the next one. There is one barrier a run instead of one a
// step, and what a step has written is still in the core's own cache when the next one reads it.
const (
	// partBytes is how much memory the values of a part should take: a second-level cache.
	partBytes = 1 << 20
	// partReuse is how many multiplications a weight must be read for, at least, in a part, so that
	// reading the weights once for each part costs little; and how many rows other constants.
	partReuse = 96
	// partStart is what a part costs besides its rows, in nanoseconds, and partStep what each of its steps does;
	// the work of a part must be worth partWorth times that.
	partStart, partStep, partWorth = 3000, 500, 16
	// partsEach is how many parts each thread should get where rows are enough, so that one which is
	// held up leaves some of its own to the others.
	partsEach = 4
)

// parts says how the batch of a plan is cut.
type parts struct {
	rows int // of one part, at least
	most int // rows that fill a core's cache
	out  []partOut
	free sync.Pool // *joined
}

// partOut is an output: the shape of the whole batch, and the bytes or strings of one row.
type partOut struct {
	dtype tensor.DType
	shape tensor.Shape
	row   int
}

// joined is the state of one run in parts: the outputs of the whole batch, and what each thread
// hands to the plan of a part.
type joined struct {
	of    *parts
	outs  []tensor.Tensor
	calls []partCall
}

type partCall struct {
	device.Call
	in []tensor.Tensor // views that Call.In points to
}

// begin gives the outputs that are strings memory of their own, which outlives the run as in whole batches.
func (j *joined) begin() {
	for k, o := range j.of.out {
		if o.dtype == tensor.String {
			j.outs[k].ViewStrings(o.shape, make([]string, o.shape.Elements()))
		}
	}
}

// Release implements device.Releaser.
func (j *joined) Release(*device.Call) {
	for k, o := range j.of.out {
		if o.dtype == tensor.String {
			j.outs[k].ViewStrings(o.shape, nil)
		}
	}
	j.of.free.Put(j)
}

// CompileRows is Compile for a graph of which it is proved that every row of every output is a
// function of the same row of the inputs alone.
func (d *Device) CompileRows(g *graph.Graph) (device.Program, error) {
	p, err := d.compile(g, nil, map[*graph.Graph]*program{})
	if err != nil {
		return nil, err
	}
	p.rows = len(p.sub) == 0
	return p, nil
}

// batchOf is the first extent that all inputs have, 0 if they have no such.
func batchOf(in []tensor.Value) int {
	n := 0
	for _, v := range in {
		t, ok := v.(*tensor.Tensor)
		if !ok || len(t.Shape) == 0 || !apart(t.DType) || n > 0 && t.Shape[0] != n {
			return 0
		}
		n = t.Shape[0]
	}
	return n
}

// apart reports elements that rows have for themselves: what is packed may share bytes.
func apart(d tensor.DType) bool { return d == tensor.String || d.Bits() >= 8 }

// rowsOf views rows [from, to) of each input.
func rowsOf(in []tensor.Value, from, to int) []tensor.Value {
	out := make([]tensor.Value, len(in))
	for i, v := range in {
		out[i] = v.(*tensor.Tensor).Rows(from, to)
	}
	return out
}

// cut says how a plan's batch is cut; nil means that it runs whole. It is decided on the first call,
// by whichever inputs have the plan's shapes.
func (pl *plan) cut(in []tensor.Value) (*parts, error) {
	if !pl.p.rows || batchOf(in) < 2 {
		return nil, nil
	}
	pl.cutting.Do(func() { pl.parts, pl.uncut = pl.decide(in) })
	return pl.parts, pl.uncut
}

func (pl *plan) decide(in []tensor.Value) (*parts, error) {
	batch := batchOf(in)
	rows, most := pl.least(batch)
	if rows == 0 || batch/rows < 2 {
		return nil, nil
	}
	part, err := pl.p.planFor(rowsOf(in, 0, rows))
	if err != nil {
		return nil, err
	}
	c := &parts{rows: rows, most: most}
	for k, slot := range part.Out {
		one, all := part.Info[slot], pl.Info[pl.Out[k]]
		if !one.Known || !all.Known || one.DType != all.DType || !apart(one.DType) ||
			len(one.Shape) == 0 || len(all.Shape) == 0 || one.Shape[0] != rows || all.Shape[0] != batch || !one.Shape[1:].Equal(all.Shape[1:]) {
			return nil, nil
		}
		row := all.Shape[1:].Elements()
		if all.DType != tensor.String {
			row = all.DType.Bytes(row)
		}
		c.out = append(c.out, partOut{all.DType, all.Shape, row})
	}
	c.free.New = func() any {
		j := &joined{of: c, outs: make([]tensor.Tensor, len(c.out))}
		for k, o := range c.out {
			if o.dtype != tensor.String {
				j.outs[k] = *tensor.New(o.dtype, o.shape)
			}
		}
		return j
	}
	return c, nil
}

// least is how many rows a part of a batch must have, 0 if they must stay together, and how many it had best have where
// they are enough. Where there are products, parts that fill a cache are the least: several cores work on
// a product together, too.
func (pl *plan) least(batch int) (rows, most int) {
	fill := partBytes / max(1, pl.arena/batch)
	reuse, ok := pl.reuse()
	if !ok {
		return 0, 0
	}
	if reuse > 0 {
		rows = max(1, (partReuse*batch+reuse-1)/reuse, fill)
		return rows, rows
	}
	work := 0
	for i := range pl.steps {
		work += pl.steps[i].Cost
	}
	if work == 0 {
		return 0, 0
	}
	rows = max(partReuse, (partWorth*(partStart+partStep*len(pl.steps))*batch+work-1)/work)
	return rows, max(rows, fill)
}

// reuse is for how many multiplications a constant weight is read, on average over the weights
// of the plan's products; 0 if there are no such. It is not known of what reads its weights again for each
// step of time.
func (pl *plan) reuse() (times int, ok bool) {
	products, weights := 0, 0
	for _, n := range pl.Work {
		columns := -1 // the axis of the weights that becomes columns or channels of the result
		switch n.OpName() {
		case "Conv", "ConvInteger":
			columns = 0
		case "MatMul", "MatMulInteger":
			columns = 1
		case "Gemm":
			columns = 1 - min(1, int(n.Attrs.Int("transB", 0)))
		case "LSTM", "GRU", "RNN", "com.microsoft.DynamicQuantizeLSTM":
			return 0, false
		}
		if columns < 0 || n.In[1] < 0 || !pl.Info[n.Out[0]].Known {
			continue
		}
		w := pl.Info[n.In[1]].Tensor()
		if w == nil || len(w.Shape) < 2 || w.Elements() == 0 {
			continue
		}
		products += pl.Info[n.Out[0]].Shape.Elements() / w.Shape[columns] * w.Elements()
		weights += w.Elements()
	}
	if weights == 0 {
		return 0, true
	}
	return products / weights, products >= weights
}

// split gives each of so many threads equally many parts, and the parts as many rows as come out
// even by that; what is left is less than one part for each thread. Fewer than two parts: the batch is too small.
func (c *parts) split(batch, threads int) (count, rows int) {
	want := c.most
	if threads > 1 {
		want = min(want, max(c.rows, batch/(threads*partsEach)))
	}
	if count = batch / want / threads * threads; count > 0 {
		rows = batch / count
	}
	return count, rows
}

// runParts runs so many parts of so many rows on so many threads. What is left of the batch runs on all of them together.
func (p *program) runParts(ctx context.Context, call *device.Call, c *parts, threads, count, rows int) error {
	batch := batchOf(call.In)
	j := c.free.Get().(*joined)
	j.begin()
	for len(j.calls) < threads {
		j.calls = append(j.calls, newPartCall(call.In))
	}
	var next, failed atomic.Int32
	errs := make([]error, threads)
	take := func(k int) {
		for failed.Load() == 0 && p.dev.share(threads) > k {
			i := int(next.Add(1)) - 1
			if i >= count {
				return
			}
			if errs[k] = p.runRows(ctx, call, j, k, i*rows, (i+1)*rows, 1); errs[k] != nil {
				failed.Store(1)
			}
		}
	}
	var others sync.WaitGroup
	for k := 1; k < threads; k++ {
		others.Go(func() { take(k) })
	}
	take(0)
	others.Wait()
	if from := count * rows; from < batch && failed.Load() == 0 {
		if errs[0] = p.runRows(ctx, call, j, 0, from, batch, threads); errs[0] != nil {
			failed.Store(1)
		}
	}
	if failed.Load() != 0 {
		j.Release(nil)
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
	}
	call.Out = call.Out[:0]
	for k := range j.outs {
		call.Out = append(call.Out, &j.outs[k])
	}
	call.Hold(j)
	return nil
}

func newPartCall(in []tensor.Value) partCall {
	c := partCall{in: make([]tensor.Tensor, len(in))}
	for i, v := range in {
		c.in[i].Shape = v.(*tensor.Tensor).Shape.Clone()
		c.In = append(c.In, &c.in[i])
	}
	return c
}

// runRows computes rows [from, to) of the outputs in the k-th thread's place.
func (p *program) runRows(ctx context.Context, whole *device.Call, j *joined, k, from, to, threads int) error {
	c := &j.calls[k]
	for i, v := range whole.In {
		t, shape := v.(*tensor.Tensor), c.in[i].Shape
		row := t.Shape[1:].Elements()
		shape[0] = to - from
		if t.DType == tensor.String {
			c.in[i].ViewStrings(shape, t.Strings()[from*row:to*row])
			continue
		}
		row = t.DType.Bytes(row)
		c.in[i].View(t.DType, shape, t.Bytes()[from*row:to*row])
	}
	c.Threads = threads
	pl, err := p.planFor(c.In)
	if err == nil {
		err = pl.run(ctx, &c.Call)
	}
	if err == nil {
		for i, o := range j.of.out {
			if t := c.Out[i].(*tensor.Tensor); o.dtype == tensor.String {
				copy(j.outs[i].Strings()[from*o.row:to*o.row], t.Strings())
			} else {
				copy(j.outs[i].Bytes()[from*o.row:to*o.row], t.Bytes())
			}
		}
		c.Release()
	} else if ctx.Err() == nil {
		err = fmt.Errorf("in rows %d to %d: %w", from, to-1, err)
	}
	for i := range c.in {
		c.in[i].View(c.in[i].DType, c.in[i].Shape, nil) // keeps nobody's memory
	}
	return err
}
