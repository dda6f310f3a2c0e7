package pass

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/ragged"
	"github.com/aimass/aimass/runtime/tensor"
)

// Packed is a form of a model that takes sequences of different length one behind the other:
// each input has the shape [1, tokens, …] and, as its last input, the form takes the
// position of each token in its sequence. A sequence begins where the position is 0.
type Packed struct {
	Graph *graph.Graph
	// First marks the outputs that the model makes of a sequence's first token alone, or of
	// what its tokens were pooled to. The form gives them for every token: the row of a sequence's first
	// is the model's answer.
	First []bool
	// MaxLength is the longest sequence that the model takes, 0 if any.
	MaxLength int
}

// Ragged makes the packed form of a model whose rows are independent and proves that it gives
// the same answers, or says what stands in the way. g is left as it is.
//
// Where tokens meet, the form is told where sequences end: attention spelled out around a
// softmax becomes ragged.Attention, tables that are cut to the sequence's length (position
// ids) are looked up by position, pooling over a sequence becomes ragged.Reduce, and the choice of a
// sequence's first token is left to the caller. What is left must keep tokens apart: the row proof follows the token axis as it
// does the batch axis in Rows.
func Ragged(g *graph.Graph, reg *ops.Registry) (*Packed, string) {
	for _, v := range g.In {
		s := v.Type.Shape
		if v.Type.Kind != graph.TensorKind || !v.Type.Ranked || len(s) < 2 || s[0].Size >= 0 || s[1].Size >= 0 || v.Type.DType == tensor.String {
			return nil, fmt.Sprintf("input %q is no batch of sequences of any length", v.Name)
		}
		for _, d := range s[2:] {
			if d.Size < 0 {
				return nil, fmt.Sprintf("input %q has an open extent beside its sequences", v.Name)
			}
		}
	}
	if !slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool { return n.OpName() == "Softmax" }) {
		return nil, "no attention is in it"
	}
	r := &packer{reg: reg, first: map[*graph.Value]bool{}, spread: map[*graph.Node]bool{}, keys: map[*graph.Value]*graph.Value{}}
	if reason := r.copyOf(g); reason != "" {
		return nil, reason
	}
	p := &rowProof{reg: reg, at: map[*graph.Value]rows{}, shape: tokenShape, outAxis: map[*graph.Value]int{}}
	var err error
	if r.a, err = p.infer(r.g, batchA); err == nil {
		r.b, err = p.infer(r.g, batchB)
	}
	if err != nil {
		return nil, fmt.Sprintf("shapes can't be inferred: %v", err)
	}
	r.ownTokens()
	r.runningSums()
	if err := dead(r.g, reg); err != nil {
		return nil, err.Error()
	}
	if err := r.tables(p); err != nil {
		return nil, err.Error()
	}
	if !r.attentions() {
		return nil, "no attention is in it that is known"
	}
	if err := r.firsts(); err != nil {
		return nil, err.Error()
	}
	if err := dead(r.g, reg); err != nil {
		return nil, err.Error()
	}
	for _, v := range r.g.In {
		p.at[v] = along(1, 1)
	}
	p.at[r.positions] = along(0, 1)
	for _, v := range r.g.Out {
		p.outAxis[v] = 1
		if r.first[v] {
			p.outAxis[v] = 0
		}
	}
	ok, reason, err := p.prove(r.g, "token", tokensBeside)
	if err != nil {
		return nil, fmt.Sprintf("shapes can't be inferred: %v", err)
	}
	if !ok {
		return nil, reason
	}
	out := &Packed{Graph: r.g, MaxLength: r.longest}
	for _, v := range r.g.Out {
		out.First = append(out.First, r.first[v])
	}
	return out, "sequences of different length run together"
}

// tokensBeside are the numbers of tokens at which the proof is checked.
var tokensBeside = []int{2, 61, 160}

// tokenShape is an input's shape for one sequence of so many tokens.
func tokenShape(v *graph.Value, tokens int) tensor.Shape {
	if len(v.Type.Shape) == 1 { // the positions
		return tensor.Shape{tokens}
	}
	s := tensor.Shape{1, tokens}
	for _, d := range v.Type.Shape[2:] {
		s = append(s, d.Size)
	}
	return s
}

// packer rewrites a copy of a model's graph.
type packer struct {
	reg       *ops.Registry
	g         *graph.Graph
	positions *graph.Value
	a, b      map[*graph.Value]ops.Info // with batchA and batchB tokens
	first     map[*graph.Value]bool     // values made of a sequence's first token, or of all pooled
	spread    map[*graph.Node]bool      // nodes that give each token what its sequence was pooled to
	longest   int
	longs     map[*graph.Value]ops.Info     // with the longest sequence, if tables bound it
	keys      map[*graph.Value]*graph.Value // what keyMask found
	masks     []*graph.Node                 // what it added, in order
}

// copyOf copies nodes and values; constants are shared, so that devices know them again.
func (r *packer) copyOf(g *graph.Graph) (reason string) {
	is := map[*graph.Value]*graph.Value{}
	val := func(v *graph.Value) *graph.Value {
		if v == nil || v.Const != nil {
			return v
		}
		c := is[v]
		if c == nil {
			c = &graph.Value{Name: v.Name, Type: v.Type}
			is[v] = c
		}
		return c
	}
	r.g = &graph.Graph{Name: g.Name}
	for _, v := range g.In {
		r.g.In = append(r.g.In, val(v))
	}
	r.positions = &graph.Value{Name: "(positions)", Type: graph.TensorType(tensor.Int64, -1)}
	r.g.In = append(r.g.In, r.positions)
	for _, n := range g.Nodes {
		if len(n.Subgraphs()) > 0 {
			return fmt.Sprintf("node %s (%s): nested graphs are not followed", n.Label(), n.OpName())
		}
		c := &graph.Node{Name: n.Name, Op: n.Op, Domain: n.Domain, Opset: n.Opset, Attrs: n.Attrs}
		for _, v := range n.In {
			c.In = append(c.In, val(v))
		}
		for _, v := range n.Out {
			o := val(v)
			if o != nil {
				o.Def = c
			}
			c.Out = append(c.Out, o)
		}
		r.g.Nodes = append(r.g.Nodes, c)
	}
	for _, v := range g.Out {
		if v.Const != nil {
			return fmt.Sprintf("output %q is constant", v.Name)
		}
		r.g.Out = append(r.g.Out, val(v))
	}
	return ""
}

// tableLengths are tried for the longest sequence that a table is for, long ones first.
var tableLengths = []int{8192, 4096, 2048, 1024, 514, 512, 256, 128, 64}

// tables finds what is cut to the length of a sequence, such as position ids, and makes it a
// look-up by position: what the longest sequence gets is the table.
func (r *packer) tables(p *rowProof) error {
	var cut []*graph.Node
	for _, n := range r.g.Nodes {
		if len(n.Out) == 1 && r.isTable(n.Out[0]) && !slices.ContainsFunc(n.In, r.isTable) {
			cut = append(cut, n)
		}
	}
	if len(cut) == 0 {
		return nil
	}
	var longest map[*graph.Value]ops.Info
	for _, length := range tableLengths {
		all, err := p.infer(r.g, length)
		if err == nil && !slices.ContainsFunc(cut, func(n *graph.Node) bool { return !r.reaches(n.Out[0], all, length) }) {
			longest, r.longest, r.longs = all, length, all
			break
		}
	}
	if longest == nil {
		return fmt.Errorf("node %s (%s): a table that is cut to the sequence could not be made out", cut[0].Label(), cut[0].OpName())
	}
	for _, n := range cut {
		axis, _, _ := growing(r.a[n.Out[0]].Shape, r.b[n.Out[0]].Shape)
		table := &graph.Value{Name: n.Label() + " (table)", Const: longest[n.Out[0]].Tensor()}
		table.Type = graph.TensorType(table.Tensor().DType, table.Tensor().Shape...)
		n.Op, n.Domain, n.Opset = "Gather", "", 13
		n.Attrs = graph.Attrs{"axis": graph.IntAttr(int64(axis))}
		n.In = []*graph.Value{table, r.positions}
	}
	return nil
}

// isTable reports a value that is constant for a given length, and of which that for fewer
// tokens is the beginning of that for more. One value repeated is none.
func (r *packer) isTable(v *graph.Value) bool {
	if v == nil || v.Const != nil {
		return false
	}
	a, b := r.a[v].Tensor(), r.b[v].Tensor()
	if a == nil || b == nil || a.DType == tensor.String || len(a.Shape) != len(b.Shape) || alike(a, b) {
		return false
	}
	axis, unit, ok := growing(a.Shape, b.Shape)
	return ok && unit == 1 && begins(b, a, axis)
}

// reaches reports whether a table has an entry for each token of a sequence of that length.
func (r *packer) reaches(v *graph.Value, all map[*graph.Value]ops.Info, length int) bool {
	t, b := all[v].Tensor(), r.b[v].Tensor()
	axis, _, _ := growing(r.a[v].Shape, b.Shape)
	return t != nil && len(t.Shape) == len(b.Shape) && t.Shape[axis] == length && begins(t, b, axis)
}

// begins reports whether the short tensor is the long one cut along an axis.
func begins(long, short *tensor.Tensor, axis int) bool {
	for k := range long.Shape {
		if k != axis && long.Shape[k] != short.Shape[k] {
			return false
		}
	}
	inner := short.DType.Bits() / 8 * short.Shape[axis+1:].Elements()
	s, l := inner*short.Shape[axis], inner*long.Shape[axis]
	if s == 0 || s > l {
		return false
	}
	for at := 0; at*s < len(short.Bytes()); at++ {
		if !bytes.Equal(short.Bytes()[at*s:(at+1)*s], long.Bytes()[at*l:at*l+s]) {
			return false
		}
	}
	return true
}

// attentions makes every attention that is spelled out around a softmax one node that keeps
// to the sequences.
func (r *packer) attentions() (found bool) {
	readers := r.g.Users()
	var nodes []*graph.Node
	for _, n := range r.g.Nodes {
		nodes = append(nodes, n)
		if n.OpName() != "Softmax" || !square(r.a[n.Out[0]].Shape, batchA) || !square(r.b[n.Out[0]].Shape, batchB) {
			continue
		}
		axis := n.Attrs.Int("axis", -1)
		weights, blank := r.withoutNaN(readers, n.Out[0])
		if weights == nil || len(readers[weights]) != 1 {
			continue
		}
		pv := readers[weights][0]
		if n.Opset < 13 && n.Attrs.Int("axis", 1) != 3 && axis != -1 || axis != -1 && axis != 3 || pv.OpName() != "MatMul" || pv.In[0] != weights {
			continue
		}
		s, ok := r.scores(n.In[0])
		if !ok {
			continue
		}
		nodes, r.masks = append(nodes, r.masks...), nil
		pv.In = []*graph.Value{s.product.In[0], s.product.In[1], pv.In[1], r.positions}
		if s.mask != nil {
			r.countedKeys(s.mask)
			pv.In = append(pv.In, s.mask)
		}
		pv.Op, pv.Domain, pv.Opset = ragged.Attention, ragged.Domain, 1
		pv.Attrs = graph.Attrs{"scale": graph.FloatAttr(s.scale), "blank": graph.IntAttr(blank)}
		found = true
	}
	r.g.Nodes = nodes
	return found
}

// withoutNaN gives what a softmax's result goes on as: itself, or itself with 0 (blank 1) for what is no
// number, which exporters write behind the softmax of scores that may all be −∞; nil if it is read by others.
func (r *packer) withoutNaN(readers map[*graph.Value][]*graph.Node, probs *graph.Value) (weights *graph.Value, blank int64) {
	u := readers[probs]
	if len(u) == 1 {
		return probs, 0
	}
	if len(u) == 2 && u[0].OpName() != "IsNaN" {
		u = []*graph.Node{u[1], u[0]}
	}
	if len(u) != 2 || u[0].OpName() != "IsNaN" || u[1].OpName() != "Where" || u[1].In[0] != u[0].Out[0] || u[1].In[2] != probs || len(readers[u[0].Out[0]]) != 1 {
		return nil, 0
	}
	zero := u[1].In[1].Tensor()
	if zero == nil || zero.DType != tensor.Float32 || zero.Elements() != 1 || tensor.Data[float32](zero)[0] != 0 {
		return nil, 0
	}
	return u[1].Out[0], 1
}

// square reports the shape of one sequence's scores, of each token for each token.
func square(s tensor.Shape, tokens int) bool {
	return len(s) == 4 && s[0] == 1 && s[2] == tokens && s[3] == tokens
}

// scoring is what stands between the product of queries and keys and the softmax.
type scoring struct {
	product *graph.Node
	scale   float32
	mask    *graph.Value
}

// scores walks back from the softmax's input: a mask of the keys is added last, after
// factors that are the same for all.
func (r *packer) scores(v *graph.Value) (s scoring, ok bool) {
	s.scale = 1
	for v.Def != nil {
		n := v.Def
		switch n.OpName() {
		case "MatMul":
			s.product = n
			return s, true
		case "Add":
			main, other := n.In[0], n.In[1]
			if !square(r.a[main].Shape, batchA) {
				main, other = other, main
			}
			if s.mask != nil || s.scale != 1 || !square(r.a[main].Shape, batchA) {
				return s, false
			}
			if s.mask, ok = r.keyMask(other); !ok {
				return s, false
			}
			v = main
		case "Mul", "Div":
			f, main := r.factor(n.In[1]), n.In[0]
			if f == 0 && n.Op == "Mul" {
				f, main = r.factor(n.In[0]), n.In[1]
			}
			if f == 0 {
				return s, false
			}
			if n.Op == "Div" {
				f = 1 / f
			}
			s.scale *= f
			v = main
		default:
			return s, false
		}
	}
	return s, false
}

// factor is the one number of a constant, 0 if it is none.
func (r *packer) factor(v *graph.Value) float32 {
	t := v.Tensor()
	if t == nil {
		t = r.a[v].Tensor()
		if o := r.b[v].Tensor(); t == nil || o == nil || !bytes.Equal(t.Bytes(), o.Bytes()) {
			return 0
		}
	}
	if t.DType != tensor.Float32 || t.Elements() != 1 {
		return 0
	}
	return tensor.Data[float32](t)[0]
}

// countedKeys takes a mask that keeps the keys whose number in the sequence is below a count of
// the sequence: where(less(0 1 2 …, unsqueeze(count, 1 2 3)), …). Pooling gives each token the count
// of its sequence, so that there the tokens, on axis 0, belong to the keys, on axis 3.
func (r *packer) countedKeys(mask *graph.Value) {
	if mask.Def == nil || mask.Def.OpName() != "Where" {
		return
	}
	less := mask.Def.In[0].Def
	if less == nil || less.OpName() != "Less" || less.In[0].Def == nil || !r.isTable(less.In[0]) {
		return
	}
	n := less.In[1].Def
	if n == nil || n.OpName() != "Unsqueeze" || len(n.In) != 2 || !r.a[n.In[0]].Known || !r.a[n.In[0]].Shape.Equal(tensor.Shape{1}) {
		return
	}
	axes := n.In[1].Tensor()
	if axes == nil || axes.DType != tensor.Int64 || !slices.Equal(tensor.Data[int64](axes), []int64{1, 2, 3}) {
		return
	}
	count := n.In[0]
	for count.Def != nil && count.Def.OpName() == "Cast" {
		count = count.Def.In[0]
	}
	if count.Def == nil || r.pools(count.Def) == "" {
		return
	}
	n.In = []*graph.Value{n.In[0], {Name: n.Label() + " (axes)", Const: tensor.FromSlice([]int64{0, 1, 2}, 3), Type: graph.TensorType(tensor.Int64, 3)}}
	r.spread[n] = true
}

// firsts finds where a sequence's first token is picked, or its tokens are pooled. The form goes on with
// every token instead, on axis 0, so what comes of it must not meet tokens again.
func (r *packer) firsts() error {
	for _, n := range r.g.Nodes {
		if n.OpName() == "Gather" && r.picksFirst(n) {
			n.Op, n.Opset = "Squeeze", 13
			n.Attrs = graph.Attrs{}
			n.In = []*graph.Value{n.In[0], {Name: n.Label() + " (axis)", Const: tensor.FromSlice([]int64{0}, 1), Type: graph.TensorType(tensor.Int64, 1)}}
			r.first[n.Out[0]] = true
			continue
		}
		if mode := r.pools(n); mode != "" {
			n.Attrs = graph.Attrs{"mode": graph.StrAttr(mode), "keepdims": graph.IntAttr(n.Attrs.Int("keepdims", 1))}
			n.Op, n.Domain, n.Opset = ragged.Reduce, ragged.Domain, 1
			n.In = []*graph.Value{n.In[0], r.positions}
			r.first[n.Out[0]] = true
			continue
		}
		if r.spread[n] {
			continue
		}
		of, tokens := false, false
		for _, v := range n.In {
			if v == nil || v.Const != nil {
				continue
			}
			if r.first[v] {
				of = true
			} else if r.a[v].Tensor() == nil {
				tokens = true
			}
		}
		if of && tokens {
			return fmt.Errorf("node %s (%s): a sequence's first token, or what it is pooled to, meets all tokens", n.Label(), n.OpName())
		}
		if of {
			for _, v := range n.Out {
				if v != nil {
					r.first[v] = true
				}
			}
		}
	}
	return nil
}

// pools gives the mode of a reduction over the tokens of [1, tokens, …] alone, empty if it is none.
func (r *packer) pools(n *graph.Node) string {
	mode := map[string]string{"ReduceSum": ragged.Sum, "ReduceMean": ragged.Mean, "ReduceMax": ragged.Max}[n.OpName()]
	if mode == "" || r.first[n.In[0]] {
		return ""
	}
	a, b := r.a[n.In[0]], r.b[n.In[0]]
	if !a.Known || !b.Known || len(a.Shape) < 2 || len(b.Shape) != len(a.Shape) || a.Shape[0] != 1 || b.Shape[0] != 1 || a.Shape[1] != batchA || b.Shape[1] != batchB {
		return ""
	}
	if a.DType != tensor.Float32 && (a.DType != tensor.Int64 || mode != ragged.Sum) {
		return ""
	}
	axes := n.Attrs.Ints("axes")
	if len(n.In) > 1 && n.In[1] != nil {
		t := n.In[1].Tensor()
		if t == nil {
			return ""
		}
		var err error
		if axes, err = tensor.Int64s(t); err != nil {
			return ""
		}
	}
	if len(axes) != 1 || axes[0] != 1 && axes[0] != int64(1-len(a.Shape)) {
		return ""
	}
	return mode
}

// picksFirst reports a Gather of token 0 from [1, tokens, …].
func (r *packer) picksFirst(n *graph.Node) bool {
	i, a, b := n.In[1].Tensor(), r.a[n.In[0]], r.b[n.In[0]]
	if i == nil || len(i.Shape) != 0 || n.Attrs.Int("axis", 0) != 1 || !a.Known || !b.Known || a.Const != nil {
		return false
	}
	at, err := tensor.Int64s(i)
	return err == nil && at[0] == 0 && len(a.Shape) >= 2 && a.Shape[0] == 1 && a.Shape[1] == batchA && b.Shape[1] == batchB
}
