package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func dynamicQuantizeLSTM(s standard) *ops.Op {
	l := &quantLSTM{lstm: s.form("LSTM", 14)}
	return &ops.Op{
		Name: "DynamicQuantizeLSTM", Domain: Domain, Since: 1, MinIn: 12, MaxIn: 12, MinOut: 0, MaxOut: 3,
		Attrs: form.Join(form.Floats("activation_alpha", "activation_beta"), form.Strs("activations"), form.Float("clip"),
			form.Str("direction"), form.Int("hidden_size", "input_forget")),
		Shape: func(c *ops.ShapeCall) error {
			for i := range c.Out {
				c.SetType(i, tensor.Float32)
			}
			x, r := c.In[0], c.In[2]
			if !x.Known || !r.Known || len(x.Shape) != 3 || len(r.Shape) != 3 {
				return nil
			}
			last := tensor.Shape{r.Shape[0], x.Shape[1], r.Shape[1]}
			for i, s := range []tensor.Shape{append(tensor.Shape{x.Shape[0]}, last...), last, last}[:len(c.Out)] {
				c.Set(i, tensor.Float32, s)
			}
			return nil
		},
		Eval: l.eval,
	}
}

// quantLSTM is an LSTM of quantised weights [directions, inputs, 4·hidden]. The input and,
// at each step, the hidden state are quantised before they are multiplied, so the
// standard's LSTM runs step by step on the numbers that the quantised ones stand for.
type quantLSTM struct{ lstm stdForm }

// lstmRun is one evaluation.
type lstmRun struct {
	*quantLSTM
	c                             *ops.Call
	dirs, steps, batch, in, units int
	x                             []float32
	lens                          []int64
	y                             []float32 // [steps, dirs, batch, units]
	lastH, lastC                  []float32 // [dirs, batch, units]
}

func (l *quantLSTM) eval(c *ops.Call) error {
	a := c.Node.Attrs
	t, err := need(c, 0, 3)
	if err != nil {
		return err
	}
	w, err := need(c, 1, 3)
	if err != nil {
		return err
	}
	rec, err := need(c, 2, 3)
	if err != nil {
		return err
	}
	r := &lstmRun{quantLSTM: l, c: c, dirs: w.Shape[0], steps: t.Shape[0], batch: t.Shape[1], in: t.Shape[2], units: rec.Shape[1]}
	direction := a.Str("direction", "forward")
	want := 1
	if direction == "bidirectional" {
		want = 2
	}
	if r.dirs != want || w.Shape[1] != r.in || w.Shape[2] != 4*r.units || !rec.Shape.Equal(tensor.Shape{r.dirs, r.units, 4 * r.units}) || r.units == 0 {
		return fmt.Errorf("weights %v and %v do not fit %v and direction %s", w, rec, t, direction)
	}
	if r.x, err = floats(c, 0); err != nil {
		return err
	}
	if err := r.lengths(); err != nil {
		return err
	}
	n := r.batch * r.units
	r.y, r.lastH, r.lastC = make([]float32, r.steps*r.dirs*n), make([]float32, r.dirs*n), make([]float32, r.dirs*n)
	for d := range r.dirs {
		if err := r.direction(d, direction == "reverse" || d == 1); err != nil {
			return err
		}
	}
	f := tensor.Float32
	if err := give(c, 0, f, r.y, r.steps, r.dirs, r.batch, r.units); err != nil {
		return err
	}
	if err := give(c, 1, f, r.lastH, r.dirs, r.batch, r.units); err != nil {
		return err
	}
	return give(c, 2, f, r.lastC, r.dirs, r.batch, r.units)
}

func (r *lstmRun) lengths() error {
	r.lens = make([]int64, r.batch)
	for i := range r.lens {
		r.lens[i] = int64(r.steps)
	}
	t := r.c.T(4)
	if t == nil {
		return nil
	}
	v, err := tensor.Int64s(t)
	if err != nil || len(v) != r.batch {
		return fmt.Errorf("sequence_lens is %v, expected %d lengths", t, r.batch)
	}
	for i, n := range v {
		if n < 0 || n > int64(r.steps) {
			return fmt.Errorf("sequence_lens holds %d, of %d steps", n, r.steps)
		}
		r.lens[i] = n
	}
	return nil
}

// weights gives the matrix of input i for direction d as [1, 4·units, rows] of floats.
func (r *lstmRun) weights(i, scaleAt, d, rows int) (*tensor.Tensor, error) {
	t, columns := r.c.T(i), 4*r.units
	q, _, _, err := bytesOf(t)
	if err != nil {
		return nil, err
	}
	sc, err := scales(r.c, scaleAt, r.perColumn(scaleAt))
	if err != nil {
		return nil, err
	}
	zp, err := zeros(r.c.T(scaleAt+1), t.DType, r.perColumn(scaleAt+1))
	if err != nil {
		return nil, err
	}
	out := tensor.New(tensor.Float32, tensor.Shape{1, columns, rows})
	v := tensor.Data[float32](out)
	at := func(n, k int) int {
		if n == r.dirs*columns {
			return d*columns + k
		}
		return d % n
	}
	for row := range rows {
		for k := range columns {
			x := q[(d*rows+row)*columns+k] - zp[at(len(zp), k)]
			v[k*rows+row] = float32(x) * sc[at(len(sc), k)]
		}
	}
	return out, nil
}

// perColumn is how many scales or zero points input i must have: one a direction or one
// a column.
func (r *lstmRun) perColumn(i int) int {
	if t := r.c.T(i); t != nil && t.Elements() == r.dirs {
		return r.dirs
	}
	return r.dirs * 4 * r.units
}

// part views the piece of input i that belongs to direction d, nil if it is left out.
func (r *lstmRun) part(i, d int) (*tensor.Tensor, error) {
	t := r.c.T(i)
	if t == nil {
		return nil, nil
	}
	if t.Rank() < 2 || t.Shape[0] != r.dirs {
		return nil, fmt.Errorf("input %d is %v, expected %d directions", i, t, r.dirs)
	}
	return t.Rows(d, d+1), nil
}

// rounded gives the numbers that the dynamic quantisation of x stands for.
func rounded(x []float32, shape ...int) *tensor.Tensor {
	p := dynamic(x)
	t := tensor.New(tensor.Float32, shape)
	for i, v := range x {
		tensor.Data[float32](t)[i] = p.real(p.quant(v))
	}
	return t
}

func (r *lstmRun) direction(d int, reverse bool) error {
	w, err := r.weights(1, 8, d, r.in)
	if err != nil {
		return err
	}
	rec, err := r.weights(2, 10, d, r.units)
	if err != nil {
		return err
	}
	bias, err := r.part(3, d)
	if err != nil {
		return err
	}
	peep, err := r.part(7, d)
	if err != nil {
		return err
	}
	n := r.batch * r.units
	state := [2][]float32{make([]float32, n), make([]float32, n)}
	for k := range state {
		t, err := r.part(5+k, d)
		if err != nil {
			return err
		}
		if t != nil {
			v, err := tensor.Float32s(t)
			if err != nil || len(v) != n {
				return fmt.Errorf("input %d is %v, expected [%d,%d,%d]", 5+k, r.c.T(5+k), r.dirs, r.batch, r.units)
			}
			copy(state[k], v)
		}
	}
	x := tensor.Data[float32](rounded(r.x, len(r.x)))
	attrs := r.attrs(d)
	for step := range r.steps {
		if err := r.step(d, step, reverse, x, state, attrs, w, rec, bias, peep); err != nil {
			return err
		}
	}
	copy(r.lastH[d*n:], state[0])
	copy(r.lastC[d*n:], state[1])
	return nil
}

// attrs are the attributes of one direction's LSTM, which runs forward.
func (r *lstmRun) attrs(d int) graph.Attrs {
	a := r.lstm.under(r.c.Node).Attrs
	delete(a, "direction")
	for _, k := range []string{"activations", "activation_alpha", "activation_beta"} {
		x := a[k]
		if x == nil || r.dirs == 1 {
			continue
		}
		part := *x
		if len(x.Strings) == 6 {
			part.Strings = x.Strings[3*d : 3*d+3]
		}
		if len(x.Floats) == 6 {
			part.Floats = x.Floats[3*d : 3*d+3]
		}
		a[k] = &part
	}
	return a
}

// step runs one step of one direction. Each sequence goes backward from its own end;
// those that have ended keep their state.
func (r *lstmRun) step(d, step int, reverse bool, x []float32, state [2][]float32, attrs graph.Attrs, w, rec, bias, peep *tensor.Tensor) error {
	in := tensor.New(tensor.Float32, tensor.Shape{1, r.batch, r.in})
	place := make([]int, r.batch)
	for b := range r.batch {
		place[b] = step
		if int64(step) >= r.lens[b] {
			place[b] = -1
			continue
		}
		if reverse {
			place[b] = int(r.lens[b]) - 1 - step
		}
		copy(tensor.Data[float32](in)[b*r.in:(b+1)*r.in], x[(place[b]*r.batch+b)*r.in:])
	}
	h := rounded(state[0], 1, r.batch, r.units)
	c := tensor.FromSlice(state[1], 1, r.batch, r.units)
	out, err := r.lstm.evalAll(attrs, 3, in, w, rec, bias, nil, h, c, peep)
	if err != nil {
		return err
	}
	nextH, nextC := tensor.Data[float32](out[1]), tensor.Data[float32](out[2])
	for b := range r.batch {
		if place[b] < 0 {
			continue
		}
		from, to := b*r.units, (b+1)*r.units
		copy(state[0][from:to], nextH[from:to])
		copy(state[1][from:to], nextC[from:to])
		copy(r.y[((place[b]*r.dirs+d)*r.batch+b)*r.units:], nextH[from:to])
	}
	return nil
}
