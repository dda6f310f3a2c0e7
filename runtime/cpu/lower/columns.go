package lower

import (
	"github.com/aimass/aimass/runtime/ops/ml"
	"github.com/aimass/aimass/runtime/tensor"
)

// columnBlock is how many rows of a table all its columns are made for before the next, so that the rows that are
// read and written stay in the first-level cache.
const columnBlock = 64

// column makes some neighbouring columns of a table for rows from … to−1.
type column interface {
	fill(e *Env, t *columnTable, at, from, to int) error
}

// columnTable is what lowerColumns makes: rows of width elements.
type columnTable struct{ out, width int }

// lowerColumns takes a Concat that makes a table of numbers out of single columns of tables: chosen (Gather,
// ArrayFeatureExtractor), multiplied (PolynomialFeatures), encoded by number (LabelEncoder, OneHotEncoder) one by
// one. Each becomes one walk over a few rows that writes where the table wants it; what else the Concat joins is copied.
func lowerColumns(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	t := &columnTable{out: n.Out[0]}
	s := f.shape(t.out)
	axis, err := tensor.Axis(n.Attrs.Int("axis", 1), len(s))
	if !f.known(t.out, tensor.Float32, tensor.Float64, tensor.Int64) || err != nil || s.Elements() == 0 || s[axis+1:].Elements() != 1 ||
		f.pl.Place[t.out].Kind != InArena {
		return nil, false
	}
	rows, width := s[:axis].Elements(), s[axis]
	t.width = width
	g := &group{nodes: []int{i}, writes: []int{t.out}}
	var columns []column
	made := 0
	for _, in := range n.In {
		if _, ok := f.moved(in, t.out); !ok {
			return nil, false
		}
		c := &columnMaker{f: f, rows: rows, out: f.pl.Info[t.out].DType, width: f.shape(in)[axis]}
		col, ok := c.column(in, i)
		if ok {
			g.nodes, g.reads = append(g.nodes, c.nodes...), append(g.reads, c.from)
			made++
		} else {
			col = &copied{in: in, width: c.width, size: c.out.Bits() / 8}
			g.reads = append(g.reads, in)
		}
		columns = append(columns, col)
	}
	if made < 2 {
		return nil, false
	}
	places := make([]int, len(columns))
	for k := range places[1:] {
		places[k+1] = places[k] + f.shape(n.In[k])[axis]
	}
	g.run = func(e *Env) error {
		for from := 0; from < rows; from += columnBlock {
			for k, c := range columns {
				if err := c.fill(e, t, places[k], from, min(from+columnBlock, rows)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return g, true
}

// columnMaker follows an input of the Concat back to the columns that it is made of.
type columnMaker struct {
	f           *fuser
	rows, width int
	out         tensor.DType
	nodes       []int // claimed
	from        int   // slot of the table that the columns are read from
}

// before is the node that makes a slot for node user alone, past nodes that change the shape only.
func (c *columnMaker) before(slot, user int) (int, bool) {
	for {
		m, ok := c.f.maker[slot]
		if u, alone := c.f.onlyUser(slot); !ok || !alone || u != user || c.f.claimed[m] {
			return 0, false
		}
		c.nodes = append(c.nodes, m)
		n := c.f.node(m)
		if !views[n.OpName()] || len(n.Out) > 1 || n.OpName() == "Dropout" || !c.f.known(n.In[0], c.f.pl.Info[slot].DType) {
			return m, true
		}
		slot, user = n.In[0], m
	}
}

func (c *columnMaker) column(slot, user int) (column, bool) {
	m, ok := c.before(slot, user)
	if !ok {
		return nil, false
	}
	switch n := c.f.node(m); n.OpName() {
	case "ReduceProd":
		x, ok := c.f.lastAxisReduced(n)
		if !ok {
			return nil, false
		}
		if m, ok = c.before(x, m); !ok {
			return nil, false
		}
		list, columns, ok := c.chosen(m)
		return c.product(list, columns, c.width == 1 && ok && len(list) > 0)
	case "Gather", ml.Domain + ".ArrayFeatureExtractor":
		if one, ok := c.f.maker[n.In[0]]; ok && c.f.node(one).OpName() == ml.Domain+".OneHotEncoder" {
			return c.keptCategories(m)
		}
		list, columns, ok := c.chosen(m)
		return c.product(list, columns, ok && len(list) == 1 && c.width == 1)
	case ml.Domain + ".LabelEncoder":
		return c.labels(m)
	case ml.Domain + ".OneHotEncoder":
		return c.categories(m, nil)
	}
	return nil, false
}

// chosen reads a node that takes constant columns of a table of the rows.
func (c *columnMaker) chosen(m int) (list []int, columns int, ok bool) {
	f, n := c.f, c.f.node(m)
	x := n.In[0]
	if !f.known(x, tensor.Float32, tensor.Float64, tensor.Int64, tensor.Int32) || len(f.shape(x)) == 0 {
		return nil, 0, false
	}
	s := f.shape(x)
	last := len(s) - 1
	if n.OpName() == "Gather" {
		if axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(s)); err != nil || axis != last {
			return nil, 0, false
		}
	}
	if s[:last].Elements() != c.rows {
		return nil, 0, false
	}
	index, ok := f.constInts(n.In, 1)
	if !ok {
		return nil, 0, false
	}
	for _, k := range index {
		if k < 0 || k >= int64(s[last]) {
			return nil, 0, false
		}
		list = append(list, int(k))
	}
	c.from = x
	return list, s[last], true
}

func (c *columnMaker) product(list []int, columns int, ok bool) (column, bool) {
	if !ok || c.f.pl.Info[c.from].DType != c.out {
		return nil, false
	}
	switch c.out {
	case tensor.Float32:
		return &product[float32]{c.from, columns, list}, true
	case tensor.Float64:
		return &product[float64]{c.from, columns, list}, true
	}
	return &product[int64]{c.from, columns, list}, true
}

// single is the one column that a node encodes.
func (c *columnMaker) single(m int) (at, columns int, ok bool) {
	b, ok := c.before(c.f.node(m).In[0], m)
	if !ok {
		return 0, 0, false
	}
	list, columns, ok := c.chosen(b)
	if !ok || len(list) != 1 {
		return 0, 0, false
	}
	return list[0], columns, true
}

func (c *columnMaker) labels(m int) (column, bool) {
	n := c.f.node(m)
	m, ok := c.uncast(m)
	if !ok || c.width != 1 {
		return nil, false
	}
	at, columns, ok := c.single(m)
	if !ok {
		return nil, false
	}
	switch c.f.pl.Info[c.from].DType {
	case tensor.Float32:
		return encodedColumn[float32](c, n, at, columns)
	case tensor.Float64:
		return encodedColumn[float64](c, n, at, columns)
	case tensor.Int64:
		return encodedColumn[int64](c, n, at, columns)
	}
	return nil, false
}

// uncast is node m, or the Cast of numbers before it.
func (c *columnMaker) uncast(m int) (int, bool) {
	in := c.f.node(m).In[0]
	b, ok := c.f.maker[in]
	if !ok || c.f.node(b).OpName() != "Cast" {
		return m, true
	}
	if c.f.node(b).In[0] < 0 || conversions[[2]tensor.DType{c.f.pl.Info[in].DType, c.f.pl.Info[c.f.node(b).In[0]].DType}] == nil {
		return 0, false
	}
	m, ok = c.before(in, m)
	return m, ok && m == b
}

func encodedColumn[S float32 | float64 | int64](c *columnMaker, n *Node, at, columns int) (column, bool) {
	var find ml.Find[S]
	var values, def *tensor.Tensor
	var ok bool
	switch c.f.pl.Info[n.In[0]].DType {
	case tensor.Float32:
		find, values, def, ok = labelsOf[S, float32](n)
	case tensor.Float64:
		find, values, def, ok = labelsOf[S, float64](n)
	case tensor.Int64:
		find, values, def, ok = labelsOf[S, int64](n)
	}
	if !ok || values.DType != c.out {
		return nil, false
	}
	switch c.out {
	case tensor.Float32:
		return &encoded[S, float32]{c.from, columns, at, find, tensor.Data[float32](values), tensor.Data[float32](def)[0]}, true
	case tensor.Float64:
		return &encoded[S, float64]{c.from, columns, at, find, tensor.Data[float64](values), tensor.Data[float64](def)[0]}, true
	}
	return &encoded[S, int64]{c.from, columns, at, find, tensor.Data[int64](values), tensor.Data[int64](def)[0]}, true
}

// labelsOf reads a LabelEncoder of keys K for elements S, which are cast to K first.
func labelsOf[S, K float32 | float64 | int64](n *Node) (find ml.Find[S], values, def *tensor.Tensor, ok bool) {
	of, values, def, ok := ml.EncodedLabels[K](n.Node, n.Form.Since)
	if same, is := any(of).(ml.Find[S]); is {
		return same, values, def, ok
	}
	return func(x S) (int32, bool) { return of(K(x)) }, values, def, ok
}

// keptCategories takes some columns of a OneHotEncoder's, as drop='first' leaves them.
func (c *columnMaker) keptCategories(m int) (column, bool) {
	f, n := c.f, c.f.node(m)
	index, ok := f.constInts(n.In, 1)
	if !ok || !f.f32(n.In[0]) {
		return nil, false
	}
	s := f.shape(n.In[0])
	if axis, err := tensor.Axis(n.Attrs.Int("axis", int64(len(s)-1)), len(s)); err != nil || axis != len(s)-1 || n.OpName() != "Gather" {
		return nil, false
	}
	one, ok := c.before(n.In[0], m)
	if !ok {
		return nil, false
	}
	to := make([]int32, s[len(s)-1])
	for k := range to {
		to[k] = -1
	}
	for at, k := range index {
		if k < 0 || int(k) >= len(to) || to[k] >= 0 {
			return nil, false
		}
		to[k] = int32(at)
	}
	return c.categories(one, to)
}

// categories makes the columns of OneHotEncoder m; to says where each goes, −1 for nowhere (nil: all go, in order).
func (c *columnMaker) categories(m int, to []int32) (column, bool) {
	f := c.f
	find, width, unknown, ok := ml.Categories(f.node(m).Node)
	if !ok || c.out != tensor.Float32 || to == nil && width != c.width {
		return nil, false
	}
	cast := f.pl.Info[f.node(m).In[0]].DType
	if m, ok = c.uncast(m); !ok {
		return nil, false
	}
	at, columns, ok := c.single(m)
	if !ok {
		return nil, false
	}
	if from := f.pl.Info[c.from].DType; cast != tensor.Int64 && cast != from {
		return nil, false // a number is rounded on its way to the integer
	}
	h := hot{c.from, columns, at, c.width, find, to, unknown}
	switch f.pl.Info[c.from].DType {
	case tensor.Float32:
		return &oneHotColumn[float32]{h}, true
	case tensor.Float64:
		return &oneHotColumn[float64]{h}, true
	case tensor.Int32:
		return &oneHotColumn[int32]{h}, true
	case tensor.Int64:
		return &oneHotColumn[int64]{h}, true
	}
	return nil, false
}

// lastAxisReduced is the input of a reduction over the last axis alone.
func (f *fuser) lastAxisReduced(n *Node) (int, bool) {
	x := n.In[0]
	axes := n.Attrs.Ints("axes")
	if len(n.In) > 1 && n.In[1] >= 0 {
		var ok bool
		if axes, ok = f.constInts(n.In, 1); !ok {
			return 0, false
		}
	}
	if len(axes) != 1 || !f.pl.Info[x].Known {
		return 0, false
	}
	axis, err := tensor.Axis(axes[0], len(f.shape(x)))
	return x, err == nil && axis == len(f.shape(x))-1
}

// copied is a part that the Concat takes as it is.
type copied struct{ in, width, size int }

func (c *copied) fill(e *Env, t *columnTable, at, from, to int) error {
	x, y := e.bytes(c.in), e.bytes(t.out)
	n := c.width * c.size
	for r := from; r < to; r++ {
		copy(y[(r*t.width+at)*c.size:][:n], x[r*n:])
	}
	return nil
}

// product is a column of products of a table's columns, from the left.
type product[T float32 | float64 | int64] struct {
	in, columns int
	list        []int
}

func (p *product[T]) fill(e *Env, t *columnTable, at, from, to int) error {
	x, y := tensor.Data[T](e.Tensor(p.in)), tensor.Data[T](e.Tensor(t.out))
	x, y = x[from*p.columns:], y[from*t.width+at:]
	n := to - from
	switch l := p.list; len(l) {
	case 1:
		for r := range n {
			y[r*t.width] = x[r*p.columns+l[0]]
		}
	case 2:
		for r := range n {
			y[r*t.width] = x[r*p.columns+l[0]] * x[r*p.columns+l[1]]
		}
	default:
		for r := range n {
			v := x[r*p.columns+l[0]]
			for _, k := range l[1:] {
				v *= x[r*p.columns+k]
			}
			y[r*t.width] = v
		}
	}
	return nil
}

// encoded is a column of the values that a LabelEncoder has for another.
type encoded[K float32 | float64 | int64, V float32 | float64 | int64] struct {
	in, columns, at int
	find            ml.Find[K]
	values          []V
	def             V
}

func (c *encoded[K, V]) fill(e *Env, t *columnTable, at, from, to int) error {
	x, y := tensor.Data[K](e.Tensor(c.in)), tensor.Data[V](e.Tensor(t.out))
	for r := from; r < to; r++ {
		v := c.def
		if k, ok := c.find(x[r*c.columns+c.at]); ok {
			v = c.values[k]
		}
		y[r*t.width+at] = v
	}
	return nil
}

// hot is a column as OneHotEncoder has it: columns of zeros, with a one at the category.
type hot struct {
	in, columns, at, width int
	find                   ml.Find[int64]
	to                     []int32
	unknown                func(element int, category int64) error
}

type oneHotColumn[K int32 | int64 | float32 | float64] struct{ hot }

func (c *oneHotColumn[K]) fill(e *Env, t *columnTable, at, from, to int) error {
	x, y := tensor.Data[K](e.Tensor(c.in)), e.f32(t.out)
	for r := from; r < to; r++ {
		row := y[r*t.width+at:][:c.width]
		clear(row)
		v := ml.Category(x[r*c.columns+c.at])
		k, ok := c.find(v)
		if !ok {
			if err := c.unknown(r, v); err != nil {
				return err
			}
			continue
		}
		if c.to != nil {
			k = c.to[k]
		}
		if k >= 0 {
			row[k] = 1
		}
	}
	return nil
}
