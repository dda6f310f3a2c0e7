package text

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func tfIdfVectorizer() *ops.Op {
	return &ops.Op{
		Name: "TfIdfVectorizer", Since: 9, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Required(form.Join(form.Str("mode"), form.Ints("ngram_indexes", "ngram_counts"),
			form.Int("max_skip_count", "min_gram_length", "max_gram_length"))),
			form.Floats("weights"), form.Ints("pool_int64s"), form.Strs("pool_strings")),
		Shape: func(c *ops.ShapeCall) error {
			width, err := tfIdfWidth(c.Node.Attrs)
			if err != nil {
				return err
			}
			c.SetType(0, tensor.Float32)
			if c.In[0].Known {
				_, _, out, err := tfIdfRows(c.In[0].Shape, width)
				if err != nil {
					return err
				}
				c.Set(0, tensor.Float32, out)
			}
			return nil
		},
		Bind: bindTfIdf, Eval: ops.Bound(bindTfIdf),
	}
}

const maxTfIdfWidth = 1 << 28

func tfIdfWidth(a graph.Attrs) (int, error) {
	width := int64(0)
	for _, v := range a.Ints("ngram_indexes") {
		if v < 0 || v >= maxTfIdfWidth {
			return 0, fmt.Errorf("ngram_indexes: %d is out of range", v)
		}
		width = max(width, v+1)
	}
	return int(width), nil
}

// tfIdfRows reads the input shape [C], [B,C] or scalar as rows.
func tfIdfRows(s tensor.Shape, width int) (rows, columns int, out tensor.Shape, err error) {
	switch len(s) {
	case 0:
		return 1, 1, tensor.Shape{width}, nil
	case 1:
		return 1, s[0], tensor.Shape{width}, nil
	case 2:
		return s[0], s[1], tensor.Shape{s[0], width}, nil
	}
	return 0, 0, nil, fmt.Errorf("input 0 is of shape %v, expected [C] or [B,C]", s)
}

// grams is the pool of n-grams as a trie: next leads from a node and an item to a node,
// column says where the n-gram that ends in a node is counted (−1: none does), and value
// with what weight.
type grams struct {
	next             map[edge]int32 // while the trie is built
	first            []int32        // where each item leads from the root; 0: nowhere
	edges            edges          // where items lead from elsewhere
	column           []int32
	value            []float32
	width            int
	least, most      int
	skips            int
	mode             string
	strs             map[string]int32
	bytes            [256]int32 // strs of one byte; −1 for none
	ints             map[int64]int32
	poolInt, poolStr bool
}

func bindTfIdf(n *graph.Node) (func(*ops.Call) error, error) {
	a := n.Attrs
	g := &grams{next: map[edge]int32{}, column: []int32{-1}, value: []float32{1}, mode: a.Str("mode", ""),
		strs: map[string]int32{}, ints: map[int64]int32{}}
	least, most, skips := a.Int("min_gram_length", 0), a.Int("max_gram_length", 0), a.Int("max_skip_count", 0)
	if least < 1 || most < least || most > 1<<20 || skips < 0 || skips > 1<<20 {
		return nil, fmt.Errorf("min_gram_length %d, max_gram_length %d, max_skip_count %d do not go together", least, most, skips)
	}
	g.least, g.most, g.skips = int(least), int(most), int(skips)
	if g.mode != "TF" && g.mode != "IDF" && g.mode != "TFIDF" {
		return nil, fmt.Errorf("mode %q is unknown", g.mode)
	}
	var err error
	if g.width, err = tfIdfWidth(a); err != nil {
		return nil, err
	}
	if w, n := len(a.Floats("weights")), len(a.Ints("ngram_indexes")); w > 0 && w != n {
		return nil, fmt.Errorf("%d weights for %d n-grams", w, n)
	}
	if err := g.build(a); err != nil {
		return nil, err
	}
	g.freeze()
	return g.run, nil
}

// build cuts the pool at ngram_counts into the n-grams of length 1, 2, … and puts those
// of the lengths wanted into the trie.
func (g *grams) build(a graph.Attrs) error {
	strs, ints, columns := a.Strs("pool_strings"), a.Ints("pool_int64s"), a.Ints("ngram_indexes")
	g.poolStr, g.poolInt = len(strs) > 0, len(ints) > 0
	if g.poolStr == g.poolInt {
		return fmt.Errorf("one of pool_strings and pool_int64s is expected")
	}
	pool := make([]int32, max(len(strs), len(ints)))
	for i, s := range strs {
		pool[i] = intern(g.strs, s)
	}
	for i, v := range ints {
		pool[i] = intern(g.ints, v)
	}
	counts := a.Ints("ngram_counts")
	weights := a.Floats("weights")
	id := 0
	for k, from := range counts {
		to := int64(len(pool))
		if k+1 < len(counts) {
			to = counts[k+1]
		}
		size := k + 1
		if from < 0 || to < from || to > int64(len(pool)) || (to-from)%int64(size) != 0 {
			return fmt.Errorf("ngram_counts %v do not cut a pool of %d into n-grams", counts, len(pool))
		}
		for at := int(from); at < int(to); at += size {
			if id >= len(columns) {
				return fmt.Errorf("ngram_indexes has %d entries, the pool more n-grams", len(columns))
			}
			if size >= g.least && size <= g.most {
				w := float32(1)
				if g.mode != "TF" && len(weights) > 0 {
					w = weights[id]
				}
				g.add(pool[at:at+size], int32(columns[id]), w)
			}
			id++
		}
	}
	return nil
}

// edge is an item behind a node of the trie.
type edge struct{ node, item int32 }

// edges is a hash table of where edges lead, filled at most by half, so that a search ends soon.
type edges struct {
	mask uint64
	at   []edge // node 0, the root, for a free place
	to   []int32
}

func (e edge) hash() uint64 {
	h := (uint64(uint32(e.node))<<32 | uint64(uint32(e.item))) * 0x9e3779b97f4a7c15
	return h ^ h>>32
}

// find gives the node that an edge leads to, 0 if there is none.
func (t *edges) find(e edge) int32 {
	for i := e.hash() & t.mask; ; i = (i + 1) & t.mask {
		switch t.at[i] {
		case e:
			return t.to[i]
		case edge{}:
			return 0
		}
	}
}

// freeze puts the trie into the form that is searched.
func (g *grams) freeze() {
	size := 2
	for size < 2*(len(g.next)+1) {
		size *= 2
	}
	g.edges = edges{uint64(size - 1), make([]edge, size), make([]int32, size)}
	g.first = make([]int32, len(g.strs)+len(g.ints))
	for e, to := range g.next {
		if e.node == 0 {
			g.first[e.item] = to
			continue
		}
		i := e.hash() & g.edges.mask
		for g.edges.at[i] != (edge{}) {
			i = (i + 1) & g.edges.mask
		}
		g.edges.at[i], g.edges.to[i] = e, to
	}
	g.next = nil
	for i := range g.bytes {
		g.bytes[i] = find(g.strs, string([]byte{byte(i)}))
	}
}

// step gives the node behind another, 0 if there is none.
func (g *grams) step(node, item int32) int32 {
	switch {
	case item < 0:
		return 0
	case node == 0:
		return g.first[item]
	}
	return g.edges.find(edge{node, item})
}

func intern[K comparable](m map[K]int32, k K) int32 {
	id, ok := m[k]
	if !ok {
		id = int32(len(m))
		m[k] = id
	}
	return id
}

func (g *grams) add(items []int32, column int32, weight float32) {
	at := int32(0)
	for _, it := range items {
		k := edge{at, it}
		to, ok := g.next[k]
		if !ok {
			to = int32(len(g.column))
			g.column, g.value = append(g.column, -1), append(g.value, 0)
			g.next[k] = to
		}
		at = to
	}
	g.column[at], g.value[at] = column, weight
}

func (g *grams) run(c *ops.Call) error {
	x := c.T(0)
	rows, columns, shape, err := tfIdfRows(x.Shape, g.width)
	if err != nil {
		return err
	}
	items, err := g.items(x)
	if err != nil {
		return err
	}
	y, err := c.Output(0, tensor.Float32, shape)
	if err != nil {
		return err
	}
	out := tensor.Data[float32](y)
	for r := range rows {
		row := out[r*g.width : (r+1)*g.width]
		g.count(items[r*columns:(r+1)*columns], row)
	}
	return nil
}

// items turns the input into the pool's item numbers, −1 for what the pool does not have.
func (g *grams) items(x *tensor.Tensor) ([]int32, error) {
	out := make([]int32, x.Elements())
	if x.DType == tensor.String {
		if !g.poolStr {
			return nil, fmt.Errorf("input 0 is %v, the pool holds integers", x)
		}
		for i, s := range x.Strings() {
			if len(s) == 1 {
				out[i] = g.bytes[s[0]]
			} else {
				out[i] = find(g.strs, s)
			}
		}
		return out, nil
	}
	if !g.poolInt {
		return nil, fmt.Errorf("input 0 is %v, the pool holds strings", x)
	}
	v, err := tensor.Int64s(x)
	if err != nil {
		return nil, fmt.Errorf("input 0: %w", err)
	}
	for i, k := range v {
		out[i] = find(g.ints, k)
	}
	return out, nil
}

func find[K comparable](m map[K]int32, k K) int32 {
	if id, ok := m[k]; ok {
		return id
	}
	return -1
}

// count adds up the weights of one row's n-grams (IDF: each counts once). Items may lie 1 to skips+1 apart; single items
// are counted at the first distance alone.
func (g *grams) count(row []int32, out []float32) {
	least := g.least
	for step := 1; step <= g.skips+1; step++ {
		for from := 0; from+step*(least-1) < len(row); from++ {
			node, size := int32(0), 1
			for at := from; at < len(row) && size <= g.most; at += step {
				if node = g.step(node, row[at]); node == 0 {
					break
				}
				if at := g.column[node]; size >= least && at >= 0 {
					if g.mode == "IDF" {
						out[at] = g.value[node]
					} else {
						out[at] += g.value[node]
					}
				}
				size++
			}
		}
		if least == 1 {
			if least++; least > g.most {
				return
			}
		}
	}
}
