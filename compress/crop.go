package compress

import (
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/pass"
	"github.com/aimass/aimass/runtime/tensor"
)

// Crop takes away what does not change an answer that anybody asks for: constants are
// computed, dead nodes and identities go, equal constants are stored once, batch
// normalizations move into the convolution or product before them, trees are merged and
// their needless splits go.
type Crop struct {
	// Outputs keeps these outputs alone; empty: all.
	Outputs []string
	// Inputs drops inputs that no output depends on.
	Inputs bool
	// Vocabulary lists the token ids in use: embeddings that the model looks up by an
	// integer input keep these rows alone. Other ids get the row of Unknown.
	Vocabulary []int64
	Unknown    int64
}

func (c *Crop) run(e *env, m *graph.Model) error {
	if err := c.outputs(m); err != nil {
		return err
	}
	nodes := len(m.Nodes)
	pass.FoldSmall(m.Graph, e.reg)
	if err := identities(m); err != nil {
		return err
	}
	norms, err := batchNorms(m)
	if err != nil {
		return err
	}
	saved := c.trees(m)
	pass.FoldSmall(m.Graph, e.reg)
	shared := share(m)
	e.note("crop: %d of %d nodes left, %d batch normalizations merged, %d equal constants shared", len(m.Nodes), nodes, norms, shared)
	if saved.before > 0 {
		e.note("crop: trees have %d of %d nodes left", saved.after, saved.before)
	}
	if len(c.Vocabulary) > 0 {
		if err := c.vocabulary(e, m); err != nil {
			return err
		}
	}
	if c.Inputs {
		used := m.Users()
		kept := m.In[:0]
		for _, v := range m.In {
			if len(used[v]) > 0 || slices.Contains(m.Out, v) {
				kept = append(kept, v)
			} else {
				e.note("crop: input %q is not used and is gone", v.Name)
			}
		}
		m.In = kept
	}
	return nil
}

func (c *Crop) outputs(m *graph.Model) error {
	if len(c.Outputs) == 0 {
		return nil
	}
	var names []string
	var kept []*graph.Value
	for _, v := range m.Out {
		names = append(names, v.Name)
		if slices.Contains(c.Outputs, v.Name) {
			kept = append(kept, v)
		}
	}
	if len(kept) != len(c.Outputs) {
		return fmt.Errorf("outputs: expected names among %s, got %s", strings.Join(names, ", "), strings.Join(c.Outputs, ", "))
	}
	m.Out = kept
	return nil
}

// identities removes nodes that hand their input on: Identity, and Dropout outside of training.
func identities(m *graph.Model) error {
	is := map[*graph.Value]*graph.Value{}
	find := func(v *graph.Value) *graph.Value {
		for v != nil && is[v] != nil {
			v = is[v]
		}
		return v
	}
	var kept []*graph.Node
	for _, n := range m.Nodes {
		idle := standard(n, "Identity") || standard(n, "Dropout") && n.Opset >= 7 && (len(n.In) < 3 || n.In[2] == nil) && (len(n.Out) < 2 || n.Out[1] == nil)
		// An output keeps its name, and what nested graphs read is left alone.
		if idle && n.In[0] != nil && !slices.Contains(m.Out, n.Out[0]) && !captured(m, n.Out[0]) {
			is[n.Out[0]] = n.In[0]
			continue
		}
		kept = append(kept, n)
	}
	for _, n := range kept {
		for i, v := range n.In {
			n.In[i] = find(v)
		}
	}
	m.Nodes = kept
	return nil
}

func captured(m *graph.Model, v *graph.Value) bool {
	for _, n := range m.Nodes {
		for _, s := range n.Subgraphs() {
			if slices.Contains(s.Captures(), v) {
				return true
			}
		}
	}
	return false
}

// batchNorms moves y = s·x + t into the convolution, product or Gemm that x comes from.
func batchNorms(m *graph.Model) (int, error) {
	merged := 0
	users := m.Users()
	err := rewrite(m, func(e *editor, n *graph.Node) (bool, error) {
		if !standard(n, "BatchNormalization") || n.Attrs.Int("training_mode", 0) != 0 || len(n.In) < 5 || n.In[0] == nil || len(n.Out) > 1 {
			return false, nil
		}
		conv := n.In[0].Def
		if conv == nil || !standard(conv, "Conv") || len(users[n.In[0]]) != 1 || slices.Contains(m.Out, n.In[0]) {
			return false, nil
		}
		scale, _ := floats(n.In[1], 1)
		shift, _ := floats(n.In[2], 1)
		mean, _ := floats(n.In[3], 1)
		variance, _ := floats(n.In[4], 1)
		w, ws := floats(conv.In[1], -1)
		if scale == nil || shift == nil || mean == nil || variance == nil || w == nil || ws[0] != len(scale) {
			return false, nil
		}
		bias := make([]float32, ws[0])
		if len(conv.In) > 2 && conv.In[2] != nil {
			b, _ := floats(conv.In[2], 1)
			if b == nil {
				return false, nil
			}
			copy(bias, b)
		}
		eps := float64(n.Attrs.Float("epsilon", 1e-5))
		nw, row := make([]float32, len(w)), len(w)/ws[0]
		for c := range bias {
			s := float64(scale[c]) / math.Sqrt(float64(variance[c])+eps)
			for i := range row {
				nw[c*row+i] = float32(float64(w[c*row+i]) * s)
			}
			bias[c] = float32((float64(bias[c])-float64(mean[c]))*s + float64(shift[c]))
		}
		in := []*graph.Value{conv.In[0], e.constant(conv.In[1].Name+"/merged", tensor.FromSlice(nw, ws...)), e.constant(conv.In[1].Name+"/bias",
			tensor.FromSlice(bias, len(bias)))}
		e.out = slices.DeleteFunc(e.out, func(k *graph.Node) bool { return k == conv })
		e.emit("Conv", in, n.Out[:1], conv.Attrs)
		merged++
		return true, nil
	})
	return merged, err
}

// share lets nodes read one copy of constants that are equal.
func share(m *graph.Model) int {
	var h maphash.Hash
	type key struct {
		sum   uint64
		dtype tensor.DType
		shape string
	}
	first := map[key]*graph.Value{}
	same := map[*graph.Value]*graph.Value{}
	shared := 0
	unique := func(v *graph.Value) *graph.Value {
		t := v.Tensor()
		if t == nil || t.DType == tensor.String {
			return v
		}
		if s, ok := same[v]; ok {
			return s
		}
		h.Reset()
		h.Write(t.Bytes())
		k := key{h.Sum64(), t.DType, fmt.Sprint(t.Shape)}
		if w := first[k]; w != nil && string(w.Tensor().Bytes()) == string(t.Bytes()) {
			shared++
			same[v] = w
			return w
		}
		first[k], same[v] = v, v
		return v
	}
	_ = m.Walk(func(n *graph.Node) error {
		for i, v := range n.In {
			if v != nil {
				n.In[i] = unique(v)
			}
		}
		return nil
	})
	return shared
}

// vocabulary cuts embedding tables to the ids in use: Gather(table, ids) becomes
// Gather(rows, Gather(places, ids)), where places maps an id to its row.
func (c *Crop) vocabulary(e *env, m *graph.Model) error {
	ids := append([]int64{c.Unknown}, c.Vocabulary...)
	slices.Sort(ids[1:])
	inputs := map[*graph.Value]bool{}
	for _, v := range m.In {
		inputs[v] = true
	}
	cut := 0
	err := rewrite(m, func(ed *editor, n *graph.Node) (bool, error) {
		if !standard(n, "Gather") || n.Attrs.Int("axis", 0) != 0 || !inputs[n.In[1]] {
			return false, nil
		}
		table := n.In[0].Tensor()
		if table == nil || table.Rank() != 2 || table.DType.Bits() < 8 || table.Shape[0] < 2*len(ids) {
			return false, nil
		}
		rows, width := table.Shape[0], len(table.Bytes())/table.Shape[0]
		places := make([]int32, rows)
		var data []byte
		kept := 0
		for i, id := range ids {
			if id < 0 || id >= int64(rows) {
				return false, fmt.Errorf("vocabulary: id %d is not among the table's %d rows", id, rows)
			}
			if i > 1 && id == ids[i-1] || i > 0 && id == c.Unknown {
				continue
			}
			data = append(data, table.Bytes()[int(id)*width:(int(id)+1)*width]...)
			places[id] = int32(kept)
			kept++
		}
		small, err := tensor.FromBytes(table.DType, tensor.Shape{kept, table.Shape[1]}, data)
		if err != nil {
			return false, err
		}
		at := ed.value(n.In[1].Name+"/row", tensor.Int32)
		ed.emit("Gather", []*graph.Value{ed.constant(n.In[0].Name+"/places", tensor.FromSlice(places, rows)), n.In[1]}, []*graph.Value{at}, nil)
		ed.emit("Gather", []*graph.Value{ed.constant(n.In[0].Name+"/used", small), at}, n.Out, nil)
		e.note("crop: embedding %s keeps %d of %d rows", n.In[0].Name, kept, rows)
		cut++
		return true, nil
	})
	if err == nil && cut == 0 {
		err = fmt.Errorf("vocabulary: no embedding of at least %d rows is looked up by an input", 2*len(ids))
	}
	return err
}
